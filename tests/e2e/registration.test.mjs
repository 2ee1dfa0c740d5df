// SPDX-License-Identifier: Apache-2.0
// How a registration ends without anybody wanting it, in a call: another page takes it over, or it
// expires (protocol A1, A6). Everybody is told in a sentence and can go on.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, scene } from '../support/calls.mjs';
import { USERS, pause } from '../support/stack.mjs';

const ALICE = 'alice@example.org';

const things = scene({
    stack: { wsf: ['registration.expiration_min=3', 'registration.expiration_default=3'] },
});
let alice;
let bob;

beforeEach(async () => {
    [alice, bob] = await things.pages('alice', 'bob');
});
afterEach(async () => {
    await Promise.all(things.browser.contexts().map((context) => context.close()));
});

test('another page takes the endpoint over: the first stays away', async () => {
    await calling(alice, bob, 'bob');
    const instanceId = await alice.evaluate(() => sessionStorage.getItem('eirtcw.instanceId'));
    const context = await things.browser.newContext();
    await context.addInitScript((id) => sessionStorage.setItem('eirtcw.instanceId', id), instanceId);
    const other = await person.openPage(things.browser, things.stack.url, {
        context,
        log: things.log,
    });
    await person.signedIn(other, ALICE, USERS[ALICE]);
    await person.sentence(alice, /You signed in somewhere else/);
    // The new page knows nothing of the call, so it ends it.
    await person.sentence(bob, /^alice@example\.org hung up\./);
    await calling(bob, other, 'alice');
    await pictureMoves(bob);
    assert.equal(await alice.getAttribute('body', 'data-view'), 'sign-in');
    assert.equal(await alice.evaluate(() => document.body.dataset.link), 'offline');
});

test('a registration is refreshed for as long as the page is there', async () => {
    await calling(alice, bob, 'bob');
    await pause(4000); // longer than a registration lasts
    await pictureMoves(alice);
    await person.hangUp(alice);
    await person.atHome(bob);
});

test('a registration that expires: both are told, and the page signs in anew by itself', async () => {
    await alice.context().close();
    const context = await things.browser.newContext();
    await context.addInitScript(() => {
        const { send } = WebSocket.prototype;
        // What would refresh the registration gets lost as long as the test says.
        WebSocket.prototype.send = function lose(text) {
            if (!window.losing || !/"method":"auth"/.test(text)) send.call(this, text);
        };
        window.WebSocket = class extends WebSocket {
            constructor(...args) {
                super(...args);
                this.addEventListener('close', ({ code }) => {
                    window.closedWith = code;
                    window.losing = false;
                });
            }
        };
    });
    alice = await person.openPage(things.browser, things.stack.url, { context, log: things.log });
    await person.signedIn(alice, ALICE, USERS[ALICE]);
    await calling(alice, bob, 'bob');
    await alice.evaluate(() => {
        window.losing = true;
    });
    await person.sentence(bob, /^alice@example\.org signed out/);
    await person.sentence(alice, /signed out|ended/);
    await alice.waitForFunction(() => window.closedWith === 4410);
    await alice.waitForSelector('body[data-link="registered"]');
    await calling(bob, alice, 'alice');
});
