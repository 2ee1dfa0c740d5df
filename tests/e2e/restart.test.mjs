// SPDX-License-Identifier: Apache-2.0
// Either program is killed with -9 in a call and comes back. Nobody reloads a page, and nobody restarts
// the program that stayed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, mediaFlow, pictureMoves, scene } from '../support/calls.mjs';

const ORPHAN_S = 8;
const TOLD_MS = 10_000;

let stack;
let alice;
let bob;
scene({
    stack: {
        wsf: [`media.orphan_ttl=${ORPHAN_S}`, 'media.audit_interval=5'],
        wmcf: [`control.disconnection_ttl=${ORPHAN_S}`],
    },
    begin: async (things) => {
        ({ stack } = things);
        [alice, bob] = await things.pages('alice', 'bob');
    },
});

const registered = (page) =>
    page.waitForSelector('body[data-link="registered"]', { timeout: 30_000 });

test('wsf dies in a call: sound and picture go on', async () => {
    await calling(alice, bob, 'bob');
    await stack.wsf.kill('SIGKILL');
    await Promise.all([alice, bob].map((page) => page.waitForSelector('#banner:not([hidden])')));
    await mediaFlow(alice, { packets: 100, frames: 30 });
    assert.equal(await alice.isVisible('#stage.connected'), true);
});

test('wsf is back: both pages register by themselves', async () => {
    await stack.wsf.start();
    await stack.ready();
    await Promise.all([registered(alice), registered(bob)]);
    assert.equal(await alice.isVisible('#banner'), false);
});

test('new calls work, while the orphan of the old one is still there', async () => {
    // What the page shows of the old call depends on whether wsf still knows it.
    await Promise.all(
        [alice, bob].map(async (page) => {
            if (await page.isVisible('#stage')) await person.hangUp(page).catch(() => {});
            await person.atHome(page);
        }),
    );
    await calling(bob, alice, 'alice');
    await pictureMoves(alice);
    await person.hangUp(bob);
    await person.atHome(alice);
});

test('the orphaned context is released when its time to live is over', async () => {
    await stack.contextsBecome(0, (ORPHAN_S + 15) * 1000);
});

test('wmcf dies in a call: both pages are told within ten seconds', async () => {
    await calling(alice, bob, 'bob');
    await stack.wmcf.kill('SIGKILL');
    await Promise.all(
        [alice, bob].map((page) =>
            person.sentence(page, /media centre failed|could not get through/, TOLD_MS),
        ),
    );
    await Promise.all([person.atHome(alice), person.atHome(bob)]);
    assert.equal(await alice.getAttribute('body', 'data-link'), 'registered');
});

test('a call without a media centre is refused in plain words', async () => {
    await person.call(alice, 'bob');
    await person.sentence(alice, /The service is full|media centre failed/);
    await person.atHome(alice);
});

test('wmcf is back: the next call works, without restarting wsf', async () => {
    await stack.wmcf.start();
    await stack.ready(30_000);
    await calling(alice, bob, 'bob');
    await pictureMoves(alice);
    await pictureMoves(bob);
    await person.hangUp(alice);
    await person.atHome(bob);
    await stack.contextsBecome(0);
});
