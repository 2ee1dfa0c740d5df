// SPDX-License-Identifier: Apache-2.0
// Client, own media resource: the test picture with its clock and the tone, seen and heard on the page,
// and another resource in the same session. And what the media centre takes: a call of two that is recorded.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, received, scene } from '../support/calls.mjs';
import { makeFilm } from '../support/films.mjs';
import { USERS, pause, until } from '../support/stack.mjs';

const run = promisify(execFile);
const ALICE = 'alice@example.org';
const films = mkdtempSync(join(tmpdir(), 'films-'));
const recordings = mkdtempSync(join(tmpdir(), 'recordings-'));
before(() => makeFilm(join(films, 'film.webm'), { seconds: 20 }));
after(() => [films, recordings].forEach((folder) => rmSync(folder, { recursive: true })));
const things = scene({
    stack: {
        wmcf: [`pipelines.media_folder=${films}`, `pipelines.record_folder=${recordings}`],
        conf:
            '[resource "test"]\nparameters = width=320, height=180\n' +
            '[resource "film"]\ntemplate = play\nparameters = source=film.webm, width=320, height=180\n' +
            '[resource "other"]\ntemplate = test\nparameters = width=640, height=360\n' +
            '[recording "archive"]\nfile = {participant}.mkv\n' +
            '[policy "bob"]\nfrom = bob@example.org\nrecord = archive\n',
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
    const { audio } = await received(alice, 1);
    assert.ok(audio.energy > 0.001, `energy of the tone: ${audio.energy}`);
    assert.equal(await alice.isVisible('#on-hold'), false);
    await person.hangUp(alice);
    await person.atHome(alice);
    await things.stack.contextsBecome(0);
    await alice.context().close();
});

test('a film moves and sounds, is halted and sought, and its end ends the session', async () => {
    const [alice] = await things.pages('alice');
    await person.call(alice, 'media/film');
    await person.connected(alice);
    await alice.waitForSelector('#stage.seen');
    assert.ok((await pictures(alice, 'remote')) >= 5, 'the picture changes');
    const { audio } = await received(alice, 1);
    assert.ok(audio.energy > 0.001, `energy of the tone: ${audio.energy}`);
    await alice.waitForSelector('#player', { state: 'visible' });
    await alice.click('#player-pause');
    await alice.waitForSelector('#player-pause[aria-pressed=true]');
    await alice.click('#player-pause');
    await alice.waitForSelector('#player-pause[aria-pressed=false]');
    await pictureMoves(alice);
    await alice.locator('#player-position').fill('14');
    await alice.waitForFunction(() => /^0:1[4-9] \/ 0:20$/.test(document.getElementById('player-time').textContent));
    await pictureMoves(alice);
    await person.atHome(alice);
    await things.stack.contextsBecome(0);
    await things.stack.wsf.says(/NORMAL/);
    await alice.context().close();
});

test('a resource that is not there', async () => {
    const [alice] = await things.pages('alice');
    await person.call(alice, 'media/none');
    await person.sentence(alice, /nobody called media\/none@example\.org|cannot be reached/);
    await alice.context().close();
});

test('another resource in the same session', { timeout: 180_000 }, async () => {
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

/** Seconds of the file, which has sound and picture and can be decoded to its end. */
async function played(name) {
    const file = join(recordings, name);
    const { stdout } = await run('gst-discoverer-1.0', ['-v', `file://${file}`]);
    assert.match(stdout, /audio.*Opus/i);
    assert.match(stdout, /video.*VP8/i);
    const [, h, m, s] = stdout.match(/Duration: (\d+):(\d+):([\d.]+)/);
    const sinks = ['audio', 'video'].flatMap((kind) => ['d.', '!', `${kind}/x-raw`, '!', 'queue', '!', 'fakesink', 'sync=false']);
    const decoded = await run('gst-launch-1.0', ['-m', 'filesrc', `location=${file}`, '!', 'decodebin', 'name=d', ...sinks]);
    assert.match(decoded.stdout, /eos/i);
    return +h * 3600 + +m * 60 + +s;
}

/** When the last picture of a file is shown that nobody has completed. */
async function lastPicture(name) {
    const { stdout } = await run('gst-launch-1.0', [
        ...['-v', 'filesrc', `location=${join(recordings, name)}`, '!', 'matroskademux', 'name=d'],
        ...['d.video_0', '!', 'vp8dec', '!', 'identity', 'silent=false', '!', 'fakesink', 'silent=true'],
    ], { maxBuffer: 64 << 20 });
    const times = [...stdout.matchAll(/pts: (\d+):(\d+):([\d.]+)/g)];
    return Math.max(...times.map(([, h, m, s]) => +h * 3600 + +m * 60 + +s));
}

test('a call that is recorded: both are told, both files play, also those of a media centre that died', { timeout: 180_000 }, async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    const both = [alice, bob];
    const begin = async () => {
        const asked = performance.now();
        await calling(bob, alice, 'alice');
        await Promise.all(both.map((page) => page.waitForSelector('#recording', { state: 'visible' })));
        return { asked, runs: performance.now() };
    };
    const from = things.stack.wsf.log.length;
    const { asked, runs } = await begin();
    assert.equal(await alice.textContent('#recording'), 'Recording');
    await pause(3000 - (performance.now() - runs)); // the length of what is recorded
    const least = (performance.now() - runs) / 1000;
    await person.hangUp(bob);
    await Promise.all(both.map((page) => person.atHome(page)));
    await things.stack.contextsBecome(0);
    const most = (performance.now() - asked) / 1000;
    const seconds = Number(
        (await until(() => things.stack.wsf.log.slice(from).match(/([\d.]+) s with media/), 30_000, () => 'no call record'))[1],
    );
    const about = (length) => length >= least - 0.5 && length <= most + 0.5;
    assert.ok(about(seconds), `${seconds} s with media of ${least} to ${most} s`);
    const names = readdirSync(recordings).sort();
    assert.match(names.join(), /^alice-\w{8}\.mkv,bob-\w{8}\.mkv$/);
    for (const name of names) {
        const length = await until(() => played(name).catch(() => 0), 10_000, () => `${name} does not play`);
        assert.ok(about(length), `${name}: ${length} s of ${least} to ${most} s`);
    }

    const again = await begin();
    await pause(4000 - (performance.now() - again.runs)); // and of this one
    const saved = (performance.now() - again.runs) / 1000 - 2;
    await things.stack.wmcf.kill('SIGKILL');
    const torn = readdirSync(recordings).filter((one) => !names.includes(one)).sort();
    assert.match(torn.join(), /^alice-\w{8}\.mkv,bob-\w{8}\.mkv$/);
    for (const name of torn) {
        const last = await lastPicture(name);
        assert.ok(last >= saved, `${name}: up to ${last} s, not ${saved} s`);
    }
    await things.stack.wmcf.start();
    await Promise.all(both.map((page) => person.atHome(page)));
    for (const page of both) await page.context().close();
});

test('nothing went wrong on the pages', () => {
    assert.deepEqual(
        things.log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
