// SPDX-License-Identifier: Apache-2.0
// Floods on the media port and on both WebSockets while two pages are in a call: the call has no more
// loss and freezes than in as many seconds without them.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../../support/browser.mjs';
import { calling, pages, receivedBy, remoteCandidate } from '../../support/calls.mjs';
import { apart, slowClient } from '../../support/floods.mjs';
import { Stack } from '../../support/stack.mjs';

const SECONDS = 12;
const DATAGRAMS = 10_000;
const MESSAGES = 1000;
// What a receiver's counters differ by from one quiet run to the next.
const PACKETS = 2;
const FREEZES = 2;

let stack;
let browser;
let both;

before(async () => {
    const limits = ['connect_rate_per_address=2000', 'connections_per_address=500'];
    [stack, browser] = await Promise.all([
        Stack.start({
            wsf: [...limits.map((one) => `limits.${one}`), 'limits.keepalive=2'],
            wmcf: [...limits.map((one) => `control.${one}`), 'control.connections_max=500',
                'control.keepalive=2'],
        }),
        person.launch(),
    ]);
    both = await pages(browser, stack, ['alice', 'bob']);
    await calling(both[0], both[1], 'bob');
});
after(async () => {
    await browser?.close();
    await stack?.stop();
});
afterEach((t) => {
    if (t.passed === false) console.error(stack.logs());
});

const lostPackets = (figures) =>
    Math.round((figures.loss * figures.packets) / Math.max(1e-9, 1 - figures.loss));

/** Everything at once, spread over the measurement; what ended in another way than it should. */
async function floodAll() {
    const { address, port } = await remoteCandidate(both[0]);
    const wsf = new URL('/eirtcw/v1', stack.url.replace('http', 'ws'));
    const control = `ws://127.0.0.1:${stack.wmcfctl('status').controlPort}/eirtcw-mc/v1`;
    const slow = [
        { port: wsf.port, path: '/eirtcw/v1', subprotocol: 'eirtcw.v1' },
        { port: new URL(control).port, path: '/eirtcw-mc/v1', subprotocol: 'eirtcw-mc.v1' },
    ].flatMap((where) => [true, false].map((afterHandshake) => slowClient(where.port, { ...where, afterHandshake })));
    const [, ...wrong] = await Promise.all([
        apart('floodMedia', address, port, DATAGRAMS),
        apart('floodWebSocket', wsf.href, 'eirtcw.v1', MESSAGES, 4),
        apart('floodWebSocket', control, 'eirtcw-mc.v1', MESSAGES, 4),
    ]);
    return { wrong: wrong.flat(), slow: await Promise.all(slow) };
}

test('a call goes on through floods as it does without them', { timeout: 120_000 }, async (t) => {
    const quiet = await receivedBy(both, SECONDS);
    const [flooded, { wrong, slow }] = await Promise.all([receivedBy(both, SECONDS), floodAll()]);
    assert.deepEqual(wrong, []);
    for (const seconds of slow) assert.ok(seconds < 25, `a slow client stayed ${seconds} s`);
    for (const [i, name] of ['alice', 'bob'].entries())
        for (const kind of ['audio', 'video']) {
            const [before, during] = [quiet[i][kind], flooded[i][kind]];
            t.diagnostic(`${name} ${kind}: ${lostPackets(before)} lost of ${before.packets}, ` +
                `${before.freezes} freezes without, ${lostPackets(during)} of ${during.packets}, ` +
                `${during.freezes} with floods`);
            assert.ok(lostPackets(during) <= lostPackets(before) + PACKETS,
                `${name} loses ${lostPackets(during)} of ${kind}, ${lostPackets(before)} before`);
            if (kind === 'video')
                assert.ok(during.freezes <= before.freezes + FREEZES, `${name} freezes ${during.freezes} times`);
        }
    const status = stack.wmcfctl('status');
    const dropped = status.workers.reduce(
        (n, w) => n + w.unknownSourceDropped + w.malformed + w.stunRejected, 0);
    assert.ok(dropped > DATAGRAMS / 2, `${dropped} datagrams were counted as dropped`);
    assert.equal(stack.contexts().length, 1);
});
