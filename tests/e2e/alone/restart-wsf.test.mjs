// SPDX-License-Identifier: Apache-2.0
// wsf is killed with -9 in a call and comes back after a while, with its store: nobody reloads a page,
// sound and picture never stop, and the call can be ended from either side.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import * as person from '../../support/browser.mjs';
import { calling, pictureMoves, scene } from '../../support/calls.mjs';
import { pause } from '../../support/stack.mjs';

// An outage that the media notice loses all of some seconds.
const MOST_LOSS = 0.005;

const things = scene({ stack: { conf: '[store]\nfile = wsf.db\n' } });
let stack;
let alice;
let bob;

beforeEach(async () => {
    ({ stack } = things);
    [alice, bob] = await things.pages('alice', 'bob');
});
afterEach(() => Promise.all(things.browser.contexts().map((context) => context.close())));

const both = (action) => Promise.all([alice, bob].map((page) => action(page)));
const away = (page) => page.waitForSelector('#banner:not([hidden])');
const registered = (page) =>
    page.waitForSelector('body[data-link="registered"]', { timeout: 30_000 });

/** Looks every second at what a page decodes, until it is told to stop. */
function watch(page) {
    const seconds = [];
    let stopped = false;
    const look = async () => {
        const rows = await person.stats(page);
        const of = (kind) => rows.find((one) => one.type === 'inbound-rtp' && one.kind === kind);
        const [audio, video] = [of('audio'), of('video')];
        const lost = (audio.packetsLost ?? 0) + (video.packetsLost ?? 0);
        const all = audio.packetsReceived + video.packetsReceived + lost;
        return { frames: video.framesDecoded, packets: audio.packetsReceived, all, lost };
    };
    const run = (async () => {
        let before = await look();
        while (!stopped) {
            await pause(1000); // the length of one look
            const now = await look();
            const since = (name) => now[name] - before[name];
            const [frames, packets, all, lost] = ['frames', 'packets', 'all', 'lost'].map(since);
            seconds.push({ frames, packets, all, lost });
            before = now;
        }
    })();
    return async () => {
        stopped = true;
        await run;
        return seconds;
    };
}

/** Kills or stops wsf in a call, and starts it again after so many seconds. */
async function outage(seconds, signal = 'SIGKILL') {
    await calling(alice, bob, 'bob');
    const [context] = stack.contexts();
    const watching = await both(watch);
    await stack.stored();
    await stack.wsf.kill(signal);
    await both(away);
    await pause(seconds * 1000); // the outage
    await stack.wsf.start();
    await both(registered);
    await both((page) => pictureMoves(page));
    for (const stop of watching) {
        const looks = await stop();
        assert.ok(looks.length >= seconds, `${looks.length} looks`);
        for (const look of looks) {
            assert.ok(look.frames > 0, `the picture stood still: ${JSON.stringify(looks)}`);
            assert.ok(look.packets > 0, `the sound stopped: ${JSON.stringify(looks)}`);
        }
        const [lost, all] = ['lost', 'all'].map((what) => looks.reduce((sum, one) => sum + one[what], 0));
        assert.ok(lost <= MOST_LOSS * all, `${lost} packets lost of ${all}`);
    }
    assert.deepEqual(
        stack.contexts().map(({ contextId }) => contextId),
        [context.contextId],
        'the same context as before',
    );
    await both((page) => page.waitForSelector('#stage.connected'));
}

async function endedBy(page, other) {
    await person.hangUp(page);
    await person.atHome(other);
    await stack.contextsBecome(0);
}

test('back after 5 s; the caller hangs up', async () => {
    await outage(5);
    await endedBy(alice, bob);
});

test('back after 20 s; the callee hangs up, and the next call works', async () => {
    await outage(20);
    await endedBy(bob, alice);
    await calling(bob, alice, 'alice');
    await endedBy(bob, alice);
});

test('restarted in good order: the call goes on', async () => {
    await outage(1, 'SIGTERM');
    await stack.wsf.says(/wsf has ended/);
    await endedBy(bob, alice);
});

test('killed while it rings: it goes on ringing and can be answered', async () => {
    await person.call(alice, 'bob');
    await person.ringing(bob);
    await alice.waitForSelector('#stage[data-state="alerting"]');
    await stack.stored();
    await stack.wsf.kill('SIGKILL');
    await both(away);
    await stack.wsf.start();
    await both(registered);
    await person.ringing(bob);
    await person.answer(bob);
    await both((page) => person.connected(page));
    await both((page) => pictureMoves(page));
    await endedBy(alice, bob);
});

test('hung up while wsf was away: the other side is told', async () => {
    await calling(alice, bob, 'bob');
    await stack.stored();
    await stack.wsf.kill('SIGKILL');
    await both(away);
    await person.hangUp(alice);
    await person.atHome(alice);
    await stack.wsf.start();
    await person.atHome(bob);
    await both(registered);
    await stack.contextsBecome(0);
});
