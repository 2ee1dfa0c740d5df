// SPDX-License-Identifier: Apache-2.0
// The bad link that other tests rely on: real datagrams through the emulator, lost, delayed, limited
// and changed at run time, and a client that moves to another address.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { Link } from '../support/link.mjs';
import { pause, until } from '../support/stack.mjs';

const SIZE = 1000; // octets of an IP datagram
let link;
let socket;
let far;
let heard;

// Counts what comes on the far side, and tells when asked.
const LISTENER = `
    const socket = require('node:dgram').createSocket({ type: 'udp6', recvBufferSize: 4 << 20 });
    let times = [], numbers = [];
    socket.on('message', (data) => { times.push(performance.now()); numbers.push(data.readUInt32BE(0)); });
    socket.bind(20999, () => console.log('{}'));
    process.stdin.on('data', (text) => {
        if (String(text).startsWith('reset')) times = [], numbers = [];
        console.log(JSON.stringify({ times, numbers }));
    });`;

before(async () => {
    link = await Link.start({ seed: 3 });
    far = link.spawn(process.execPath, ['-e', LISTENER], { stdio: ['pipe', 'pipe', 'inherit'] });
    heard = createInterface({ input: far.stdout })[Symbol.asyncIterator]();
    await heard.next();
    socket = createSocket('udp4');
    socket.bind(0);
    await once(socket, 'listening');
});
after(() => {
    socket?.close();
    far?.kill();
    link?.stop();
});

async function ask(word) {
    far.stdin.write(`${word}\n`);
    return JSON.parse((await heard.next()).value);
}

// Sends so many packets at so many bits/s, with at most `window` of them on their way: the sockets of
// whoever is late must not overflow. Resolves with what has come when all that will is there.
async function send(count, rate, window = count) {
    await ask('reset');
    const { down: before } = await link.counters();
    const start = performance.now();
    for (let sent = 0, over = 0; sent < count; ) {
        while (sent - over >= window) {
            const { down } = await link.counters();
            over = down.lost - before.lost + (await ask('tell')).times.length;
        }
        const late = Math.ceil(((performance.now() - start) * rate) / 1000 / (8 * SIZE));
        const due = Math.min(count, over + window, late);
        for (; sent < due; sent++) {
            const data = Buffer.alloc(SIZE - 28);
            data.writeUInt32BE(sent);
            socket.send(data, 20999, link.far);
        }
        await pause(2);
    }
    let counted;
    const got = await until(
        async () => {
            const { down } = await link.counters();
            counted = Object.fromEntries(Object.entries(down).map(([k, v]) => [k, v - before[k]]));
            const all = counted.passedPackets + counted.lost + counted.overflowed;
            const now = await ask('tell');
            return counted.packets >= count && all >= count && now.times.length >= counted.passedPackets && now;
        },
        20_000,
        () => `still ${JSON.stringify(counted)}`,
    );
    return { ...got, counted };
}

test('untouched it loses nothing and keeps the order', async () => {
    const { numbers } = await send(500, 10e6, 60);
    assert.deepEqual(numbers, [...numbers.keys()]);
    assert.equal(numbers.length, 500);
});

test('five of a hundred get lost', async () => {
    await link.set('down', { loss: 0.05 });
    const { numbers, counted } = await send(2000, 20e6, 60);
    assert.equal(numbers.length + counted.lost, 2000);
    assert.ok(counted.lost > 60 && counted.lost < 140, `${counted.lost} of 2000`);
    await link.set('down', { loss: 0 });
});

test('a rate of 1 Mbit/s carries so much', async () => {
    await link.set('down', { rate: 1e6, queueMs: 5000 });
    const { times } = await send(200, 20e6);
    assert.equal(times.length, 200);
    // One that is late says nothing, so of either half the one that is least late.
    const lateness = times.map((time, i) => time - (i * SIZE * 8000) / 1e6);
    const drift = Math.min(...lateness.slice(100)) - Math.min(...lateness.slice(0, 100));
    assert.ok(Math.abs(drift) < 0.1 * 800, `${drift} ms in 100 packets`);
    await link.set('down', { rate: 1e6, queueMs: 100 });
    const { counted } = await send(200, 20e6);
    assert.ok(counted.overflowed > 100, `${counted.overflowed} dropped`);
    await link.set('down', { rate: 0 });
});

test('jitter overtakes, or not', async () => {
    await link.set('down', { delayMs: 20, jitterMs: 20 });
    const mixed = (await send(300, 8e6, 80)).numbers;
    assert.notDeepEqual(mixed, mixed.toSorted((a, b) => a - b));
    await link.set('down', { reorder: false });
    const { numbers } = await send(300, 8e6, 80);
    assert.deepEqual(numbers, [...numbers.keys()]);
    await link.set('down', { delayMs: 0, jitterMs: 0 });
});

test('another address of the client', async () => {
    link.move(9);
    assert.equal((await send(10, 1e6)).numbers.length, 10);
});
