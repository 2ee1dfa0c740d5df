// SPDX-License-Identifier: Apache-2.0
// One ladder three times at the same wsf: by the library in Chromium, by a script that writes the
// messages itself, and by a scenario. What wsf's trace shows of them must be the same: who says which
// method in which order, with which members and states.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { scene } from '../support/calls.mjs';
import { USERS, until } from '../support/stack.mjs';
import { run } from '../ladder/run.mjs';

const NAMES = ['alice@example.org', 'bob@example.org'];
const things = scene();
const traces = {};
let read = 0;

const serviceUrl = () => `${things.stack.url.replace('http', 'ws')}eirtcw/v1`;

/** What the trace has now more than before, once both have signed out. */
async function traced() {
    const file = join(things.stack.folder, 'wsf.trace');
    const lines = await until(
        () => {
            const now = readFileSync(file, 'utf8').split('\n').slice(read, -1).map((line) => JSON.parse(line));
            const out = new Set(
                now
                    .filter(({ message }) => message.method === 'auth' && message.expirationTime === 0)
                    .map(({ link, message }) => `${link} ${message.transactionId}`),
            );
            const confirmed = now.filter(
                ({ link, message }) =>
                    message.messageType === 'response' &&
                    out.has(`${link} ${message.transactionId}`),
            );
            return confirmed.length === 2 ? now : undefined;
        },
        10_000,
        () => 'the two do not sign out',
    );
    read += lines.length;
    return ladderOf(lines);
}

/** Per person: who says what, with which members and states. */
function ladderOf(lines) {
    const links = new Map();
    const ladder = Object.fromEntries(NAMES.map((name) => [name, []]));
    for (const { link, path, direction, message } of lines) {
        if (!path.startsWith('/eirtcw/')) continue;
        const key = String(link).split('/')[0];
        if (message.method === 'auth' && message.webrtcId) links.set(key, message.webrtcId);
        const about = [
            direction,
            message.messageType,
            message.method,
            message.success,
            message.mediaSessionState,
            message.cause,
        ];
        const members = Object.keys(message).sort().join(' ');
        ladder[links.get(key)].push(`${about.filter((one) => one !== undefined).join(' ')}: ${members}`);
    }
    return ladder;
}

/** The library: two tabs of a page that has nothing but it. */
async function byLibrary() {
    const { browser, stack, log } = things;
    const [alice, bob] = await Promise.all(
        NAMES.map(async (name) => {
            const page = await person.openPage(browser, stack.url, { log });
            await page.evaluate(
                async ([webrtcId, password]) => {
                    const { Client } = await import('/lib/index.js');
                    const url = `${location.origin.replace('http', 'ws')}/eirtcw/v1`;
                    window.client = new Client({ url, iceServers: [] });
                    window.media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
                    client.addEventListener('incoming', ({ detail: { session } }) => {
                        window.session = session;
                        // As a person does: not before it rings.
                        const rung = setInterval(() => {
                            if (session.state !== 'alerting') return;
                            clearInterval(rung);
                            session.answer({ stream: media });
                        }, 50);
                    });
                    await client.register({ webrtcId, password });
                },
                [name, USERS[name]],
            );
            return page;
        }),
    );
    await alice.evaluate(async (callee) => {
        window.session = client.call(callee, { stream: media });
        await new Promise((done) =>
            session.addEventListener('statechange', () => session.state === 'established' && done()),
        );
        await session.hold();
        await session.resume();
        session.hangUp();
    }, NAMES[1]);
    await bob.waitForFunction(() => window.session?.state === 'terminated');
    for (const page of [alice, bob]) await page.evaluate(() => client.close());
}

/** The example of another maker's client, which writes every message itself. */
async function byScript() {
    // Beside the tests' node_modules, where its one import is found.
    const folder = mkdtempSync(new URL('script-', import.meta.url).pathname);
    try {
        const script = join(folder, 'call-by-hand.mjs');
        copyFileSync(new URL('../../docs/examples/call-by-hand.mjs', import.meta.url), script);
        const people = NAMES.flatMap((name) => [name, USERS[name]]);
        const child = spawn(process.execPath, [script, serviceUrl(), ...people], {
            stdio: ['ignore', 'ignore', 'inherit'],
        });
        const status = await new Promise((done) => child.on('exit', done));
        assert.equal(status, 0);
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** The same as another maker's engineer reads it. */
async function byScenario() {
    const profile = join(things.stack.folder, 'profile.json');
    const users = NAMES.map((webrtcId) => ({ webrtcId, password: USERS[webrtcId] }));
    writeFileSync(profile, JSON.stringify({ url: serviceUrl(), users }));
    const said = [];
    const file = new URL('same.ladder', import.meta.url).pathname;
    const status = await run(['--profile', profile, file], (line) => said.push(line));
    assert.equal(status, 0, said.join('\n'));
}

for (const [name, play] of Object.entries({ byScript, byScenario, byLibrary })) {
    test(`the ladder ${name.replace('by', 'by the ').toLowerCase()}`, { timeout: 180_000 }, async () => {
        await play();
        traces[name] = await traced();
        assert.ok(traces[name][NAMES[0]].length >= 20, 'a whole call');
    });
}

test('the library, the script and the scenario say and hear the same', () => {
    assert.equal(Object.keys(traces).length, 3);
    assert.deepEqual(traces.byLibrary, traces.byScript);
    assert.deepEqual(traces.byScenario, traces.byScript);
});
