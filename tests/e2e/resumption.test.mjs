// SPDX-License-Identifier: Apache-2.0
// A page loses its connection to the service and comes back within its time to live, or not: the calls
// on both screens say so (protocol A6, resumption).

import { afterEach, beforeEach, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pages, pictureMoves, scene } from '../support/calls.mjs';
import { Proxy } from '../support/proxy.mjs';

const TTL_S = 10;

const things = scene({
    stack: { wsf: [`registration.disconnection_ttl_default=${TTL_S}`, 'limits.keepalive=2'] },
});
let stack;
let proxy;
let alice;
let bob;

beforeEach(async () => {
    ({ stack } = things);
    proxy = await Proxy.start(stack.url);
    // Alice comes through the relay, Bob does not.
    [[alice], [bob]] = await Promise.all([
        pages(things.browser, proxy, ['alice'], things.log),
        things.pages('bob'),
    ]);
});
afterEach(async () => {
    await Promise.all(things.browser.contexts().map((context) => context.close()));
    await proxy.stop();
});

const away = (page) => page.waitForSelector('#banner:not([hidden])');
const back = (page) => page.waitForSelector('body[data-link="registered"]');

/** Cuts the connection, and waits until the page has seen it and has mended it. */
async function cut() {
    proxy.admits = false;
    proxy.cut();
    await away(alice);
    proxy.admits = true;
    await back(alice);
}

test('in a call: sound and picture go on, and so does the call', async () => {
    await calling(alice, bob, 'bob');
    await cut();
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    await person.hangUp(bob);
    await person.sentence(alice, /^bob@example\.org hung up\./);
    await stack.contextsBecome(0);
});

test('while it rings here', async () => {
    await person.call(bob, 'alice');
    await person.ringing(alice);
    await cut();
    await person.ringing(alice);
    await person.answer(alice);
    await Promise.all([person.connected(alice), person.connected(bob)]);
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    await person.hangUp(alice);
    await person.atHome(bob);
    await stack.contextsBecome(0);
});

test('while it rings there', async () => {
    await person.call(alice, 'bob');
    await person.ringing(bob);
    await alice.waitForSelector('#stage[data-state="alerting"]');
    await cut();
    await person.answer(bob);
    await Promise.all([person.connected(alice), person.connected(bob)]);
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    await person.hangUp(alice);
    await person.atHome(bob);
    await stack.contextsBecome(0);
});

test('called while away', async () => {
    proxy.admits = false;
    proxy.cut();
    await away(alice);
    await person.call(bob, 'alice');
    await bob.waitForSelector('#stage[data-state="proceeding"]');
    proxy.admits = true;
    await person.ringing(alice);
    await person.answer(alice);
    await Promise.all([person.connected(alice), person.connected(bob)]);
    await person.hangUp(bob);
    await person.atHome(alice);
    await stack.contextsBecome(0);
});

test('hung up while away: the other side is told all the same', async () => {
    await calling(alice, bob, 'bob');
    proxy.admits = false;
    proxy.cut();
    await away(alice);
    await person.hangUp(alice);
    await person.atHome(alice);
    // Her browser has closed the media, which the media centre tells at once.
    await person.sentence(bob, /^alice@example\.org lost the connection/);
    proxy.admits = true;
    await back(alice);
    await stack.contextsBecome(0);
});

test('the other hangs up meanwhile', async () => {
    await calling(alice, bob, 'bob');
    proxy.admits = false;
    proxy.cut();
    await away(alice);
    await person.hangUp(bob);
    await person.atHome(bob);
    proxy.admits = true;
    await person.sentence(alice, /./);
    await person.atHome(alice);
    await stack.contextsBecome(0);
});

test('a connection that is dead although nobody said so', async () => {
    await calling(alice, bob, 'bob');
    proxy.hold();
    await away(alice);
    proxy.release();
    await back(alice);
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    await person.hangUp(bob);
    await person.atHome(alice);
    await stack.contextsBecome(0);
});

test('away for longer than the time to live', async () => {
    await calling(alice, bob, 'bob');
    proxy.admits = false;
    proxy.cut();
    await person.sentence(bob, /^alice@example\.org lost the connection/, (TTL_S + 10) * 1000);
    proxy.admits = true;
    await back(alice);
    await person.sentence(alice, /./);
    await person.atHome(alice);
    await stack.contextsBecome(0);
    await calling(bob, alice, 'alice');
});
