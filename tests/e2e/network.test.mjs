// SPDX-License-Identifier: Apache-2.0
// The network under a call goes for five seconds, or becomes another one: signalling and media of both
// pages come back by themselves. The browser has a host of its own, whose link the test cuts.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, chosenPair, pictureMoves } from '../support/calls.mjs';
import { Namespace } from '../support/namespace.mjs';
import { Stack, USERS, pause } from '../support/stack.mjs';

const AWAY_MS = 5000;
const [HOME, ELSEWHERE] = [4, 77].map((number) => `203.0.113.${number}`);

const log = [];
let hosts = [];
let stack;
let browser;
let alice;
let bob;

before(async () => {
    hosts = [await Namespace.start('service', 2), await Namespace.start('home', 4)];
    hosts[1].inside('ip', 'link', 'set', 'core', 'down'); // one way out
    stack = await Stack.start({ tls: true, namespace: hosts[0], wsf: ['limits.keepalive=2'] });
    browser = await person.launch({
        executablePath: hosts[1].wrapper(stack.folder, process.env.CHROMIUM ?? '/usr/bin/chromium'),
        args: ['--ignore-certificate-errors'],
    });
    [alice, bob] = await Promise.all(
        ['alice@example.org', 'bob@example.org'].map(async (name) => {
            const page = await person.openPage(browser, stack.secureUrl, { log });
            await person.signedIn(page, name, USERS[name]);
            return page;
        }),
    );
});
afterEach((t) => {
    if (t.passed === false) console.error(stack?.logs(), log.join('\n'));
});
after(async () => {
    await browser?.close();
    await stack?.stop();
    for (const host of hosts) host.stop();
});

const both = (work) => Promise.all([alice, bob].map(work));

async function back() {
    await both((page) => page.waitForSelector('body[data-link="registered"]'));
    await both((page) => pictureMoves(page, 40_000));
}

test('the network is away for five seconds', async (t) => {
    await calling(alice, bob, 'bob');
    await both((page) => pictureMoves(page));
    hosts[1].setLink('media', false);
    await pause(AWAY_MS); // the length of the loss
    hosts[1].setLink('media', true);
    const began = Date.now();
    await back();
    t.diagnostic(`moving again ${((Date.now() - began) / 1000).toFixed(1)} s after it was back`);
    assert.equal(await alice.isVisible('#stage.connected'), true);
});

test('another network with another address', async (t) => {
    const before = await chosenPair(alice);
    assert.equal(before.local.address, HOME);
    const inside = (...args) => hosts[1].inside('ip', ...args);
    inside('addr', 'del', `${HOME}/24`, 'dev', 'media');
    inside('addr', 'add', `${ELSEWHERE}/24`, 'dev', 'media');
    inside('route', 'replace', 'default', 'dev', 'media');
    const began = Date.now();
    await both((page) =>
        page.waitForFunction(
            (address) =>
                window
                    .testStats()
                    .then((rows) =>
                        rows.some((row) => row.type === 'local-candidate' && row.address === address),
                    ),
            ELSEWHERE,
            { timeout: 60_000 },
        ),
    );
    await back();
    t.diagnostic(`moving again after ${((Date.now() - began) / 1000).toFixed(1)} s`);
    assert.equal((await chosenPair(alice)).local.address, ELSEWHERE);
});

test('hanging up still works', async () => {
    await person.hangUp(alice);
    await person.sentence(bob, /^alice@example\.org hung up\./);
    await stack.contextsBecome(0);
});
