// SPDX-License-Identifier: Apache-2.0
// What goes wrong on an ordinary day, with the real programs: each gives what the protocol says and a
// plain sentence on the page, and leaves nothing behind.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, scene } from '../support/calls.mjs';
import { USERS, until } from '../support/stack.mjs';

const NO_ANSWER_S = 8;
const PASSWORD = USERS['alice@example.org'];

const things = scene({
    stack: {
        wsf: [`call.no_answer_time=${NO_ANSWER_S}`, 'registration.disconnection_ttl_default=8'],
    },
});

afterEach(() => Promise.all(things.browser.contexts().map((context) => context.close())));

const open = (options) =>
    person.openPage(things.browser, things.stack.url, { log: things.log, ...options });

test('a wrong password and an unknown user: the same sentence', async () => {
    const page = await open();
    const told = [];
    for (const user of ['alice@example.org', 'nobody@example.org']) {
        await person.signIn(page, user, 'wrong');
        told.push(await person.sentence(page, /./));
        await page.click('#notice-close');
    }
    assert.deepEqual(told, Array(2).fill('User name or password is wrong.'));
    await person.signedIn(page, 'alice@example.org', PASSWORD);
});

test('an unknown callee', async () => {
    const [alice] = await things.pages('alice');
    await person.call(alice, 'nobody');
    await person.sentence(alice, /nobody@example\.org/);
    await person.atHome(alice);
    await things.stack.contextsBecome(0);
});

test('a callee who is not signed in', async () => {
    const [alice] = await things.pages('alice');
    await person.call(alice, 'carol');
    await person.sentence(alice, /carol@example\.org cannot be reached/);
    await things.stack.contextsBecome(0);
});

test('declined', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await person.call(alice, 'bob');
    await person.ringing(bob);
    await alice.waitForSelector('#stage[data-state="alerting"]');
    await person.decline(bob);
    await person.sentence(alice, /^bob@example\.org declined the call\.$/);
    await things.stack.contextsBecome(0);
});

test('nobody answers', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await person.call(alice, 'bob');
    await person.ringing(bob);
    await person.sentence(alice, /^bob@example\.org did not answer\.$/);
    await person.sentence(bob, /^You missed a call from alice@example\.org\.$/);
    await things.stack.contextsBecome(0);
});

test('the caller gives up while it rings', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await person.call(alice, 'bob');
    await person.ringing(bob);
    await person.hangUp(alice);
    await person.sentence(bob, /^You missed a call from alice@example\.org\.$/);
    await things.stack.contextsBecome(0);
});

test('a callee in another call', async () => {
    const [alice, bob, carol] = await things.pages('alice', 'bob', 'carol');
    await calling(alice, bob, 'bob');
    await person.call(carol, 'bob');
    await person.sentence(carol, /^bob@example\.org is in another call\.$/);
    await pictureMoves(bob);
    await person.hangUp(alice);
    await things.stack.contextsBecome(0);
});

test('two tabs of one user: both ring, the first answer wins', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    const other = await open({ context: bob.context() });
    await person.signedIn(other, 'bob@example.org', USERS['bob@example.org']);
    await person.call(alice, 'bob');
    await Promise.all([person.ringing(bob), person.ringing(other)]);
    await person.answer(other);
    await person.sentence(bob, /^The call was answered on another device or tab\.$/);
    await Promise.all([person.connected(alice), person.connected(other)]);
    await pictureMoves(other);
    await person.hangUp(other);
    await person.atHome(alice);
    await things.stack.contextsBecome(0);
});

test('a duplicated tab is another endpoint and leaves the first alone', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    const [copy] = await Promise.all([
        alice.context().waitForEvent('page'),
        alice.evaluate(() => void window.open(location.href)), // copies sessionStorage, as duplicating does
    ]);
    await person.signedIn(copy, 'alice@example.org', PASSWORD);
    await pictureMoves(alice);
    await person.hangUp(alice);
    await person.atHome(bob);
    await person.call(bob, 'alice');
    await Promise.all([person.ringing(alice), person.ringing(copy)]);
    await person.answer(copy);
    await person.sentence(alice, /answered on another/);
    await person.hangUp(bob);
    await things.stack.contextsBecome(0);
});

test('a page reloaded in a call: the other is told, the next call works', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    await alice.reload();
    await person.sentence(bob, /^alice@example\.org hung up\./);
    await things.stack.contextsBecome(0);
    await person.signedIn(alice, 'alice@example.org', PASSWORD);
    await calling(bob, alice, 'alice');
    await person.hangUp(bob);
    await things.stack.contextsBecome(0);
});

test('a page that dies in a call: the other is told once the time to live is over', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    const session = await alice.context().newCDPSession(alice);
    session.send('Page.crash').catch(() => {});
    await person.sentence(bob, /^alice@example\.org lost the connection and did not come back\./);
    await things.stack.contextsBecome(0);
});

test('a page reloaded without a word: its browser ends the media, and so the call', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    await alice.evaluate(() => {
        window.testSilent = true;
    });
    await alice.reload();
    await person.sentence(bob, /^alice@example\.org lost the connection/);
    await things.stack.contextsBecome(0);
    await person.signedIn(alice, 'alice@example.org', PASSWORD);
    await calling(bob, alice, 'alice');
    await person.hangUp(alice);
    await things.stack.contextsBecome(0);
});

test('signed out in a call', async () => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    await alice.close({ runBeforeUnload: true });
    await person.sentence(bob, /^alice@example\.org (hung up|signed out)/);
    await things.stack.contextsBecome(0);
    await until(
        async () => {
            await person.call(bob, 'alice');
            return /cannot be reached/.test(await person.sentence(bob, /./));
        },
        5000,
        () => 'alice is still registered',
    );
});
