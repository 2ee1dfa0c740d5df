// SPDX-License-Identifier: Apache-2.0
// Two people at their pages and what they hear and see of each other, for tests with the real programs.

import { after, afterEach, before } from 'node:test';
import * as person from './browser.mjs';
import { Stack, USERS, pause } from './stack.mjs';

/**
 * The real programs and a browser for all tests of a file; what they logged is shown where a test fails.
 * `pages` signs these users in. `begin` runs when all is there (hooks of a file run side by side).
 * @param {{ stack?: object, browser?: object, begin?: (things: object) => Promise<void> }} [options]
 */
export function scene(options = {}) {
    const things = {
        log: [],
        pages: (...names) => pages(things.browser, things.stack, names, things.log),
    };
    before(async () => {
        [things.stack, things.browser] = await Promise.all([
            Stack.start(options.stack),
            person.launch(options.browser),
        ]);
        await options.begin?.(things);
    });
    afterEach((t) => {
        if (t.passed === false) console.error(things.stack?.logs(), things.log.join('\n'));
    });
    after(async () => {
        await things.browser?.close();
        await things.stack?.stop();
    });
    return things;
}

/** Pages of these users, signed in. */
export function pages(browser, stack, names, log = []) {
    return Promise.all(
        names.map(async (name) => {
            const page = await person.openPage(browser, stack.url, { log });
            await person.signedIn(page, `${name}@example.org`, USERS[`${name}@example.org`]);
            return page;
        }),
    );
}

/** From the click to the picture on both screens. */
export async function calling(caller, called, name) {
    await person.call(caller, name);
    await person.ringing(called);
    await person.answer(called);
    await Promise.all([caller, called].map((page) => person.connected(page)));
    await Promise.all([caller, called].map((page) => page.waitForSelector('#stage.seen')));
}

const row = (rows, type, kind) => rows.find((one) => one.type === type && one.kind === kind);

/**
 * What a page plays within some seconds, and of what it has `sent` in them packets and frames.
 * @param {import('playwright-core').Page} page
 * @param {number} seconds
 */
export async function received(page, seconds) {
    const start = await person.stats(page);
    await pause(seconds * 1000); // the length of the measurement
    const end = await person.stats(page);
    const figures = {};
    for (const kind of ['audio', 'video']) {
        const [before, now] = [row(start, 'inbound-rtp', kind), row(end, 'inbound-rtp', kind)];
        if (!now) throw new Error(`no ${kind} is received`);
        const since = (member) => (now[member] ?? 0) - (before?.[member] ?? 0);
        const lost = Math.max(0, since('packetsLost'));
        const out = [start, end].map((rows) => row(rows, 'outbound-rtp', kind));
        const sent = (member) => (out[1]?.[member] ?? 0) - (out[0]?.[member] ?? 0);
        figures[kind] = {
            seconds: (now.timestamp - before.timestamp) / 1000,
            packets: since('packetsReceived'),
            loss: lost / Math.max(1, since('packetsReceived') + lost),
            frames: since('framesDecoded'),
            freezes: since('freezeCount'),
            samples: since('totalSamplesReceived'),
            concealed: since('concealedSamples'),
            energy: since('totalAudioEnergy'),
            complete: since('framesReceived'),
            sent: { packets: sent('packetsSent'), frames: sent('framesSent') },
        };
    }
    return figures;
}

/** Both directions at the same time. */
export const receivedBy = (all, seconds) => Promise.all(all.map((page) => received(page, seconds)));

/** Waits until a page decodes frames that were not there before. */
export async function pictureMoves(page, timeout = 30_000) {
    const frames = (rows) => row(rows, 'inbound-rtp', 'video')?.framesDecoded ?? 0;
    const before = frames(await person.stats(page));
    const end = Date.now() + timeout;
    while (frames(await person.stats(page)) < before + 10) {
        if (Date.now() > end) throw new Error('the picture stands still');
        await pause(100);
    }
}

/** The two ends of the path that a page has chosen. */
export async function chosenPair(page) {
    const rows = await person.stats(page);
    const transport = rows.find((one) => one.type === 'transport');
    const pair = rows.find((one) => one.id === transport?.selectedCandidatePairId);
    const end = (id) => rows.find((one) => one.id === id);
    return { local: end(pair?.localCandidateId), remote: end(pair?.remoteCandidateId) };
}

/** Address and port of the other end of the path that a page has chosen. */
export async function remoteCandidate(page) {
    return (await chosenPair(page)).remote;
}

/** How much of a kind a page receives within some seconds: packets, and frames. */
export async function receives(page, kind, seconds = 1) {
    const now = async () => row(await person.stats(page), 'inbound-rtp', kind) ?? {};
    const before = await now();
    await pause(seconds * 1000); // the length of the measurement
    const after = await now();
    const since = (member) => (after[member] ?? 0) - (before[member] ?? 0);
    return { packets: since('packetsReceived'), frames: since('framesDecoded') };
}

/**
 * Waits until so much more has come to a page, of packets of sound and of frames: that it goes on is
 * the media's business, how fast that of the machine.
 */
export async function mediaFlow(page, { packets = 30, frames = 5 } = {}, timeout = 30_000) {
    const now = async () => {
        const rows = await person.stats(page);
        return {
            packets: row(rows, 'inbound-rtp', 'audio')?.packetsReceived ?? 0,
            frames: row(rows, 'inbound-rtp', 'video')?.framesDecoded ?? 0,
        };
    };
    const before = await now();
    const end = Date.now() + timeout;
    for (;;) {
        const { packets: heard, frames: seen } = await now();
        if (heard >= before.packets + packets && seen >= before.frames + frames) return;
        if (Date.now() > end)
            throw new Error(`${heard - before.packets} packets of sound, ${seen - before.frames} frames`);
        await pause(100);
    }
}

/** Waits until a page receives nothing of a kind for so long: what is on its way may be late. */
export async function mediaStop(page, kind, { seconds = 1, of = 'packets', timeout = 20_000 } = {}) {
    const end = Date.now() + timeout;
    for (let got; (got = (await receives(page, kind, seconds))[of]) > 0; )
        if (Date.now() > end) throw new Error(`${got} ${of} of ${kind} within ${seconds} s`);
}
