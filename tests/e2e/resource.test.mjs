// SPDX-License-Identifier: Apache-2.0
// Client, own media resource: the test picture with its clock and the tone, seen and heard on the page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { pictureMoves, received, scene } from '../support/calls.mjs';

const things = scene({
    stack: {
        conf: '[resource "test"]\nparameters = width=320, height=180\n',
    },
});

/** Different pictures among some that are taken of the screen within a second or two. */
const pictures = (page) =>
    page.evaluate(async () => {
        const screen = document.querySelector('#remote');
        const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 90 });
        const pen = canvas.getContext('2d', { willReadFrequently: true });
        const seen = new Set();
        for (let i = 0; i < 10; i++) {
            await new Promise((next) => screen.requestVideoFrameCallback(next));
            pen.drawImage(screen, 0, 0, canvas.width, canvas.height);
            seen.add(pen.getImageData(0, 0, canvas.width, canvas.height).data.join());
        }
        return seen.size;
    });

test('the test picture moves, its tone is heard', async () => {
    const [alice] = await things.pages('alice');
    await alice.click('#play-test');
    await person.connected(alice);
    await alice.waitForSelector('#stage.seen');
    await pictureMoves(alice);
    assert.ok((await pictures(alice)) >= 5, 'the picture changes');
    const { audio, video } = await received(alice, 1);
    assert.ok(audio.energy > 0.001, `energy of the tone: ${audio.energy}`);
    assert.ok(video.frames >= 10, `${video.frames} frames`);
    assert.equal(await alice.isVisible('#on-hold'), false);
    await person.hangUp(alice);
    await person.atHome(alice);
    await things.stack.contextsBecome(0);
    await alice.context().close();
});

test('a resource that is not there', async () => {
    const [alice] = await things.pages('alice');
    await person.call(alice, 'media/none');
    await person.sentence(alice, /nobody called media\/none@example\.org|cannot be reached/);
    await alice.context().close();
});

test('nothing went wrong on the pages', () => {
    assert.deepEqual(
        things.log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
