// SPDX-License-Identifier: Apache-2.0
// A call between two real browsers, one of them behind a bad access link: of what the other's encoder
// made, how much does each decoder show? 5 % and 10 % random loss each way, delays that jitter by 20 ms
// and overtake each other.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling } from '../support/calls.mjs';
import { Link } from '../support/link.mjs';
import { Stack, pause } from '../support/stack.mjs';

const SECONDS = 60;
const log = [];
const browsers = [];
let stack, link, near, far;

before(async () => {
    [stack, link] = await Promise.all([Stack.start({ tls: true }), Link.start({ seed: 11 })]);
    browsers.push(
        await person.launch(),
        await person.launch({
            executablePath: link.wrapper(stack.folder),
            args: ['--ignore-certificate-errors'],
        }),
    );
    near = await person.openPage(browsers[0], stack.url, { log });
    far = await person.openPage(browsers[1], stack.secureUrl, { log });
    await person.signedIn(near, 'alice@example.org', 'wonderland');
    await person.signedIn(far, 'bob@example.org', 'builder');
    await calling(near, far, 'bob@example.org');
});
afterEach((t) => {
    if (t.passed === false) console.error(stack?.logs(), log.join('\n'));
});
after(async () => {
    await Promise.all(browsers.map((one) => one.close()));
    link?.stop();
    await stack?.stop();
});

const sum = (rows, type, kind, member) =>
    rows
        .filter((one) => one.type === type && one.kind === kind)
        .reduce((total, one) => total + (one[member] ?? 0), 0);

/** What `receiver` has shown of what `sender` has encoded, from counters at both ends. */
function compare(sender, receiver) {
    const [sent, got] = [sender, receiver].map(({ from, to }) => (type, kind, member) =>
        sum(to, type, kind, member) - sum(from, type, kind, member));
    const [sending, receiving] = ['outbound-rtp', 'inbound-rtp'];
    const frames = sent(sending, 'video', 'framesSent');
    const decoded = got(receiving, 'video', 'framesDecoded');
    const samples = got(receiving, 'audio', 'totalSamplesReceived');
    return {
        frames,
        decoded,
        missing: Math.max(0, 1 - decoded / frames),
        dropped: got(receiving, 'video', 'framesDropped'),
        freezes: got(receiving, 'video', 'freezeCount'),
        frozenSeconds: got(receiving, 'video', 'totalFreezesDuration'),
        packets: got(receiving, 'video', 'packetsReceived'),
        retransmitted: got(receiving, 'video', 'retransmittedPacketsReceived'),
        lost: got(receiving, 'video', 'packetsLost'),
        keyFrames: got(receiving, 'video', 'keyFramesDecoded'),
        plis: got(receiving, 'video', 'pliCount'),
        nacks: got(receiving, 'video', 'nackCount'),
        resentByUs: sent(sending, 'video', 'retransmittedPacketsSent'),
        sentPackets: sent(sending, 'video', 'packetsSent'),
        concealed: samples ? got(receiving, 'audio', 'concealedSamples') / samples : 0,
    };
}

async function measure(conditions) {
    await link.set('both', conditions);
    await pause(3000); // for what flows to settle
    const before = await Promise.all([near, far].map(person.stats));
    await pause(SECONDS * 1000); // the length of the measurement
    const after = await Promise.all([near, far].map(person.stats));
    const [a, b] = before.map((from, i) => ({ from, to: after[i] }));
    return { uplink: compare(b, a), downlink: compare(a, b) };
}

function tell(t, name, figures) {
    const rounded = Object.entries(figures).map(([k, v]) => `${k} ${Math.round(v * 10000) / 10000}`);
    t.diagnostic(`figures: ${name}: ${rounded.join(', ')}`);
}

test('without loss', async (t) => {
    for (const [name, figures] of Object.entries(await measure({ delayMs: 20 }))) {
        tell(t, name, figures);
        assert.ok(figures.missing < 0.01, `${name}: ${figures.missing} of the frames`);
    }
});

test('5 % loss and 20 ms jitter', async (t) => {
    const all = await measure({ loss: 0.05, delayMs: 20, jitterMs: 20 });
    for (const [name, figures] of Object.entries(all)) tell(t, name, figures);
    for (const [name, figures] of Object.entries(all))
        assert.ok(figures.missing < 0.01, `${name}: ${figures.missing} of the frames are missing`);
});

test('10 % loss and 20 ms jitter', async (t) => {
    const all = await measure({ loss: 0.1, delayMs: 20, jitterMs: 20 });
    for (const [name, figures] of Object.entries(all)) tell(t, name, figures);
    for (const [name, figures] of Object.entries(all)) {
        assert.ok(figures.missing < 0.05, `${name}: ${figures.missing} of the frames are missing`);
        assert.ok(figures.frozenSeconds < SECONDS / 4, `${name}: frozen ${figures.frozenSeconds} s`);
    }
});
