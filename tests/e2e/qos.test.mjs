// SPDX-License-Identifier: Apache-2.0
// Quality of service between two pages: a gate that the operator closes in a running call by the policy
// table, a picture above its rate, and what the network marks. Sound goes on through all of it, the path
// stays, and the page says what the network does.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, receives, scene } from '../support/calls.mjs';
import { until } from '../support/stack.mjs';

const things = scene();
let base;

/** The operator writes these rows into the policy table and lets the WSF read it. */
async function table(rows) {
    const { wsf, folder } = things.stack;
    const file = join(folder, 'wsf.conf');
    base ??= readFileSync(file, 'utf8');
    writeFileSync(file, base + rows);
    const from = wsf.log.length;
    wsf.child.kill('SIGHUP');
    await until(
        () => /policy table is read again/.test(wsf.log.slice(from)),
        5000,
        () => `not read:\n${wsf.log.slice(from)}`,
    );
}

const row = async (page, type, kind) =>
    (await person.stats(page)).find((one) => one.type === type && one.kind === kind) ?? {};
const decoded = async (page) => (await row(page, 'inbound-rtp', 'video')).framesDecoded ?? 0;

/** What the drawer says of what the network does: "gate" or "policing" of a kind that is sent. */
const said = (page, limit, kind) =>
    page.evaluate(
        ([what, of]) =>
            document.querySelector(
                `#figures [data-limit="${what}"][data-kind="${of}"][data-direction="uplink"]`,
            )?.textContent ?? '',
        [limit, kind],
    );
const says = (page, limit, kind, pattern, timeout = 15_000) =>
    until(
        async () => pattern.test(await said(page, limit, kind)),
        timeout,
        () => `the drawer does not say ${pattern}`,
    );

/** ICE and DTLS of a page as it sees them. */
const path = (page) =>
    page.evaluate(() => {
        const { iceConnectionState, connectionState } = window.testConnection();
        return [iceConnectionState, connectionState];
    });

test('the picture of one side is closed in a running call, sound goes on', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    await Promise.all([alice, bob].map((page) => pictureMoves(page)));
    await alice.click('#stats');
    await alice.waitForSelector('#figures .figure canvas');
    assert.equal(await said(alice, 'gate', 'video'), '', 'nothing of the gates of the set-up');

    await table('\n[policy "dark"]\nside = caller\nmedia = video\nflow_status = ENABLED-DOWNLINK\n');
    await says(alice, 'gate', 'video', /^The network does not let your picture pass\.$/);
    assert.equal(await said(alice, 'gate', 'audio'), '');
    const [picture, sound, back] = await Promise.all([
        receives(bob, 'video', 2),
        receives(bob, 'audio', 2),
        receives(alice, 'video', 2),
    ]);
    assert.deepEqual(picture, { packets: 0, frames: 0 });
    assert.ok(sound.packets > 50, `${sound.packets} packets of sound`);
    assert.ok(back.frames > 5, `${back.frames} frames in the other direction`);
    assert.deepEqual(await path(alice), ['connected', 'connected']);
    if (process.env.SCREENSHOTS) await alice.screenshot({ path: `${process.env.SCREENSHOTS}/gate.png` });

    const before = await row(bob, 'inbound-rtp', 'video');
    await table('');
    const opened = Date.now();
    const frames = before.framesDecoded ?? 0;
    await until(async () => (await decoded(bob)) > frames, 10_000, () => 'the picture does not come back');
    const took = Date.now() - opened;
    assert.ok(took < 2000, `the picture came back after ${took} ms`);
    const { keyFramesDecoded } = await row(bob, 'inbound-rtp', 'video');
    assert.ok(keyFramesDecoded > before.keyFramesDecoded, 'by a key frame');
    await says(alice, 'gate', 'video', /^$/);
    await person.hangUp(alice);
    await Promise.all([alice, bob].map((page) => page.context().close()));
});

test('a picture above its rate loses packets, and the page says so', async () => {
    await table('\n[policy "narrow"]\nmedia = video\npolice_rate = 8000\npolice_burst = 4000\n');
    const [alice, bob] = await things.pages('alice', 'bob');
    await person.call(alice, 'bob');
    await person.ringing(bob);
    await person.answer(bob);
    await Promise.all([alice, bob].map((page) => person.connected(page)));
    await alice.click('#stats');
    await says(alice, 'policing', 'video',
        /^The network drops part of your picture: above the agreed rate \([\d,]+ packets so far\)\.$/, 25_000);
    assert.equal(await said(alice, 'policing', 'audio'), '');
    const before = await row(bob, 'inbound-rtp', 'audio');
    const { packets } = await receives(bob, 'audio', 2);
    const after = await row(bob, 'inbound-rtp', 'audio');
    assert.ok(packets > 50, `${packets} packets of sound`);
    assert.equal(after.packetsLost - before.packetsLost, 0, 'no sound is lost');
    if (process.env.SCREENSHOTS) await alice.screenshot({ path: `${process.env.SCREENSHOTS}/policing.png` });
    await person.hangUp(alice);
    await Promise.all([alice, bob].map((page) => page.context().close()));
    await table('');
});
