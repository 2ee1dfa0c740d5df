// SPDX-License-Identifier: Apache-2.0
// The main job on real input: two Chromium pages, the real wsf, the real wmcf. Sound and picture run
// both ways, and after the call nothing of it is left in the media centre.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../../support/browser.mjs';
import { calling, receivedBy, remoteCandidate, scene } from '../../support/calls.mjs';

const SECONDS = 10;
const MOST_LOSS = 0.005;
// How much a browser makes of sound and picture is the machine's business. That all of it arrives is the
// media centre's, but for what is on its way when the looking begins and ends.
const UNDER_WAY = 0.1;

let alice;
let bob;
const things = scene({
    begin: async ({ pages }) => {
        [alice, bob] = await pages('alice', 'bob');
    },
});

test('sound and picture in both directions for ten seconds, through the media centre', async (t) => {
    await calling(alice, bob, 'bob');

    const results = await receivedBy([alice, bob], SECONDS);
    for (const [index, { audio, video }] of results.entries()) {
        const name = ['alice', 'bob'][index];
        const sent = (kind, what) => (1 - UNDER_WAY) * results[1 - index][kind].sent[what];
        const fps = video.frames / video.seconds;
        t.diagnostic(
            `${name}: ${fps.toFixed(1)} fps, ${video.freezes} freezes, loss of picture ` +
                `${(video.loss * 100).toFixed(2)} % of ${video.packets}, of sound ` +
                `${(audio.loss * 100).toFixed(2)} % of ${audio.packets}, concealed ` +
                `${((audio.concealed / audio.samples) * 100).toFixed(1)} %`,
        );
        const frames = `${video.complete} frames, and plays ${video.frames}`;
        assert.ok(video.complete > 0 && video.complete >= sent('video', 'frames'), `${name} gets ${frames}`);
        assert.ok(video.frames > 0, `${name} gets ${frames}`);
        assert.ok(video.loss < MOST_LOSS, `${name} loses ${video.loss} of the picture`);
        assert.ok(
            audio.packets > 0 && audio.packets >= sent('audio', 'packets'),
            `${name} gets ${audio.packets} packets of sound`,
        );
        assert.ok(audio.loss < MOST_LOSS, `${name} loses ${audio.loss} of the sound`);
        assert.ok(audio.samples > 0 && audio.energy > 0, `${name} hears something`);
    }

    for (const page of [alice, bob]) {
        const { address, protocol } = await remoteCandidate(page);
        assert.equal(
            address,
            things.stack.address,
            'the other end of the path is the media centre',
        );
        assert.equal(protocol, 'udp');
    }
    const [context, ...others] = things.stack.contexts();
    assert.equal(others.length, 0);
    assert.deepEqual(context.states.length, 2);
});

test('the caller hangs up: the call of the other ends, the media centre is empty', async () => {
    await person.hangUp(alice);
    await person.atHome(alice);
    await person.sentence(bob, /^alice@example\.org hung up\. The call lasted \d\d:\d\d\.$/);
    await person.atHome(bob);
    await things.stack.contextsBecome(0);
    assert.deepEqual(things.stack.contexts(), []);
});

test('the called side hangs up', async () => {
    await calling(bob, alice, 'alice@example.org');
    await person.hangUp(alice);
    await person.sentence(bob, /^alice@example\.org hung up\./);
    await things.stack.contextsBecome(0);
});

test('sound alone, when there is no camera', async () => {
    const tracks = await alice.evaluateHandle(() => navigator.mediaDevices.getUserMedia);
    await alice.evaluate((real) => {
        navigator.mediaDevices.getUserMedia = (wanted) =>
            wanted.video
                ? Promise.reject(new DOMException('', 'NotFoundError'))
                : real.call(navigator.mediaDevices, wanted);
    }, tracks);
    await person.call(alice, 'bob');
    await person.sentence(alice, /No camera was found/);
    await person.ringing(bob);
    await person.answer(bob);
    await Promise.all([person.connected(alice), person.connected(bob)]);
    await alice.waitForSelector('#stage.seen');
    await bob.waitForFunction(
        () => document.getElementById('call-state').textContent === 'No picture',
    );
    await alice.evaluate((real) => {
        navigator.mediaDevices.getUserMedia = real;
    }, tracks);
    await person.hangUp(bob);
    await person.atHome(alice);
    await things.stack.contextsBecome(0);
});

test('nothing went wrong on the pages', () => {
    assert.deepEqual(
        things.log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
