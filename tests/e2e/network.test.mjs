// SPDX-License-Identifier: Apache-2.0
// The network under a call goes for five seconds, or becomes another one: signalling and media of both
// pages come back by themselves. Each browser has a host of its own; the test cuts and changes one's link.

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
let browsers = [];
let alice;
let bob;

before(async () => {
    hosts = [
        await Namespace.start('service', 2),
        await Namespace.start('home', 4),
        await Namespace.start('office', 5),
    ];
    stack = await Stack.start({ tls: true, namespace: hosts[0], wsf: ['limits.keepalive=2'] });
    [alice, bob] = await Promise.all(
        ['alice@example.org', 'bob@example.org'].map(async (name, i) => {
            const host = hosts[1 + i];
            host.inside('ip', 'link', 'set', 'core', 'down'); // one way out
            const browser = await person.launch({
                executablePath: host.wrapper(stack.folder, process.env.CHROMIUM ?? '/usr/bin/chromium'),
                args: ['--ignore-certificate-errors'],
            });
            browsers.push(browser);
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
    await Promise.all(browsers.map((one) => one.close()));
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

/** The longest time without a packet of picture, by a clock that stands still when the page does. */
async function watchArrival(page) {
    await page.evaluate(() => {
        const TICK_MS = 20;
        let last = 0;
        let since = 0;
        let ticked = performance.now();
        window.longestGap = 0;
        window.watching = setInterval(async () => {
            const now = performance.now();
            since += Math.min(now - ticked, 5 * TICK_MS);
            ticked = now;
            const rows = await window.testStats();
            const video = rows.find((row) => row.type === 'inbound-rtp' && row.kind === 'video');
            const packets = video?.packetsReceived ?? 0;
            window.longestGap = Math.max(window.longestGap, since);
            if (packets > last) since = 0;
            last = packets;
        }, TICK_MS);
    });
}

const longestGap = (page) =>
    page.evaluate(() => {
        clearInterval(window.watching);
        return Math.round(window.longestGap);
    });

/** What comes first: that the page looks for a new path, or that the browser calls the old one disconnected. */
async function watchPath(page) {
    await page.evaluate(() => {
        const connection = window.testConnection();
        const ufrag = () => /a=ice-ufrag:(\S+)/.exec(connection.localDescription.sdp)[1];
        const former = ufrag();
        window.came = [];
        const look = () => {
            if (ufrag() !== former) window.came.push('looked');
            if (connection.connectionState === 'disconnected') window.came.push('missed');
        };
        connection.addEventListener('signalingstatechange', look);
        connection.addEventListener('connectionstatechange', look);
    });
}

test('another network with another address: the page does not wait for the browser to miss it', async (t) => {
    const before = await chosenPair(alice);
    assert.equal(before.local.address, HOME);
    await watchPath(alice);
    await both(watchArrival);
    const inside = (...args) => hosts[1].inside('ip', ...args);
    inside('addr', 'del', `${HOME}/24`, 'dev', 'media');
    inside('addr', 'add', `${ELSEWHERE}/24`, 'dev', 'media');
    inside('route', 'replace', 'default', 'dev', 'media');
    const found = (address) =>
        window
            .testStats()
            .then((rows) => rows.some((row) => row.type === 'local-candidate' && row.address === address));
    await alice.waitForFunction(found, ELSEWHERE, { timeout: 180_000 });
    await back();
    const gaps = await both(longestGap);
    t.diagnostic(`without packets for ${gaps.map((gap) => `${gap} ms`).join(' and ')}`);
    // Left alone, media come back 5 s and more later, when the browser calls the path disconnected.
    assert.equal(await alice.evaluate(() => window.came[0]), 'looked');
    assert.equal((await chosenPair(alice)).local.address, ELSEWHERE);
});

test('hanging up still works', async () => {
    await person.hangUp(alice);
    await person.sentence(bob, /^alice@example\.org hung up\./);
    await stack.contextsBecome(0);
});
