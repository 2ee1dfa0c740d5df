// SPDX-License-Identifier: Apache-2.0
// Client, own media resource: the test picture with its clock and the tone, seen and heard on the page,
// and another resource in the same session.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { pictureMoves, received, scene } from '../support/calls.mjs';
import { USERS } from '../support/stack.mjs';

const ALICE = 'alice@example.org';
const things = scene({
    stack: {
        conf:
            '[resource "test"]\nparameters = width=320, height=180\n' +
            '[resource "other"]\ntemplate = test\nparameters = width=640, height=360\n',
    },
});

/** Different pictures among some that are taken of the screen within a second or two. */
const pictures = (page, id) =>
    page.evaluate(async (name) => {
        const screen = document.getElementById(name);
        const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 90 });
        const pen = canvas.getContext('2d', { willReadFrequently: true });
        const seen = new Set();
        for (let i = 0; i < 10; i++) {
            await new Promise((next) => screen.requestVideoFrameCallback(next));
            pen.drawImage(screen, 0, 0, canvas.width, canvas.height);
            seen.add(pen.getImageData(0, 0, canvas.width, canvas.height).data.join());
        }
        return seen.size;
    }, id);

test('the test picture moves, its tone is heard', async () => {
    const [alice] = await things.pages('alice');
    await alice.click('#play-test');
    await person.connected(alice);
    await alice.waitForSelector('#stage.seen');
    await pictureMoves(alice);
    assert.ok((await pictures(alice, 'remote')) >= 5, 'the picture changes');
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

test('another resource in the same session', { timeout: 60_000 }, async () => {
    const page = await person.openPage(things.browser, things.stack.url, { log: things.log });
    await page.evaluate(
        async ([webrtcId, password]) => {
            const { Client } = await import('/lib/index.js');
            const url = `${location.origin.replace('http', 'ws')}/eirtcw/v1`;
            window.client = new Client({ url });
            await client.register({ webrtcId, password });
            window.session = client.call('media/test@example.org');
            const far = Object.assign(document.createElement('video'), { id: 'far', muted: true });
            far.autoplay = true;
            far.srcObject = session.remoteStream;
            document.body.append(far);
        },
        [ALICE, USERS[ALICE]],
    );
    const width = (wanted) =>
        page.waitForFunction((pixels) => document.getElementById('far').videoWidth === pixels, wanted);
    await width(320);
    await page.evaluate(() => session.changeResource('media/other@example.org'));
    await width(640);
    assert.ok((await pictures(page, 'far')) >= 5);
    const refused = await page.evaluate(() =>
        session.changeResource('media/none@example.org').then(
            () => 'agreed',
            (error) => error.cause,
        ),
    );
    assert.equal(refused, 'RESOURCE_NOT_FOUND');
    await pictureMoves(page);
    await page.evaluate(() => client.close());
    await things.stack.contextsBecome(0);
});

test('nothing went wrong on the pages', () => {
    assert.deepEqual(
        things.log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
