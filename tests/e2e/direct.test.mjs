// SPDX-License-Identifier: Apache-2.0
// Client, network without media gateway, client: where the operator allows it and both sides can, sound
// and picture run between the two browsers, and the media centre knows nothing of the call.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, chosenPair, mediaFlow, mediaStop, pictureMoves, scene } from '../support/calls.mjs';

let alice;
let bob;
const things = scene({
    stack: { conf: '[policy "direct"]\ndirect_media = true\n' },
    begin: async ({ pages }) => {
        [alice, bob] = await pages('alice', 'bob');
    },
});

/** address:port of a candidate. */
const at = ({ address, port }) => `${address}:${port}`;

async function eachOthers() {
    const [a, b] = await Promise.all([chosenPair(alice), chosenPair(bob)]);
    assert.equal(at(a.remote), at(b.local));
    assert.equal(at(b.remote), at(a.local));
    return at(a.local);
}

test('the chosen candidates are each other’s, sound and picture run both ways', async () => {
    await calling(alice, bob, 'bob');
    await eachOthers();
    await Promise.all([alice, bob].map((page) => mediaFlow(page, { packets: 80, frames: 15 })));
    assert.deepEqual(things.stack.contexts(), []);
});

test('hold and resume, straight between the two', async () => {
    await person.hold(alice);
    await bob.waitForSelector('#stage.held');
    await person.settled(alice);
    await mediaStop(bob, 'audio');
    await person.hold(alice);
    await bob.waitForSelector('#stage.seen:not(.held)');
    await pictureMoves(bob);
    await pictureMoves(alice);
    await eachOthers();
});

test('the other side looks for a new path', async () => {
    const ufrag = (page) =>
        page.evaluate(
            () => /a=ice-ufrag:(\S+)/.exec(window.testConnection().localDescription.sdp)[1],
        );
    await Promise.all([alice, bob].map(person.settled));
    const before = await Promise.all([alice, bob].map(ufrag));
    await bob.keyboard.press('s');
    await bob.click('#restart');
    await bob.waitForSelector('#restart[aria-busy="false"]:enabled');
    const after = await Promise.all([alice, bob].map(ufrag));
    assert.notEqual(after[0], before[0]);
    assert.notEqual(after[1], before[1]);
    await bob.keyboard.press('Escape');
    await pictureMoves(alice);
    await pictureMoves(bob);
});

test('hung up, and called the other way round', async () => {
    await person.hangUp(bob);
    await person.sentence(alice, /^bob@example\.org hung up\./);
    await calling(bob, alice, 'alice');
    await eachOthers();
    await person.hangUp(bob);
    await person.atHome(alice);
});

test('nothing went wrong on the pages', () => {
    assert.deepEqual(
        things.log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
