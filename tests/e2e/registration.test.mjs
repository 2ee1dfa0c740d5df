// SPDX-License-Identifier: Apache-2.0
// How a registration ends without anybody wanting it, in a call: another page takes it over, or it
// expires (protocol A1, A6). Everybody is told in a sentence and can go on.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, scene } from '../support/calls.mjs';
import { USERS, pause } from '../support/stack.mjs';

const ALICE = 'alice@example.org';

const things = scene({ stack: { wsf: ['registration.expiration_min=3'] } });
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

/**
 * A page of alice's in place of the first, which asks for a registration of so many seconds, and what
 * would refresh it gets lost as long as it is `losing`.
 */
async function registeredFor(seconds) {
    await alice.context().close();
    const context = await things.browser.newContext();
    await context.addInitScript((expirationTime) => {
        const { send } = WebSocket.prototype;
        WebSocket.prototype.send = function limited(text) {
            const message = JSON.parse(text);
            if (message.messageType !== 'request' || message.method !== 'auth') return send.call(this, text);
            if (window.losing) return undefined;
            return send.call(this, JSON.stringify({ expirationTime, ...message }));
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
    }, seconds);
    alice = await person.openPage(things.browser, things.stack.url, { context, log: things.log });
    await person.signedIn(alice, ALICE, USERS[ALICE]);
}

test('a registration is refreshed for as long as the page is there', async () => {
    await registeredFor(8); // of which a fifth is left for the refreshing
    await calling(alice, bob, 'bob');
    await pause(9000); // longer than the registration lasts
    assert.equal(await alice.evaluate(() => window.closedWith), undefined);
    await pictureMoves(alice);
    await person.hangUp(alice);
    await person.atHome(bob);
});

test('a registration that expires: both are told, and the page signs in anew by itself', async () => {
    await registeredFor(6);
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
