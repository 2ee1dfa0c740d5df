// SPDX-License-Identifier: Apache-2.0
// One ladder three times at the same wsf: by the library in Chromium, by a script that writes the
// messages itself, and by a scenario. What wsf's trace shows of them must be the same: who says which
// method in which order, with which members and states.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { scene } from '../support/calls.mjs';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { USERS, until } from '../support/stack.mjs';
import { run } from '../ladder/run.mjs';
import { SdpIdentity, makeAnswer, makeOffer, readMedias } from '../ladder/lib/sdp.mjs';

const NAMES = ['alice@example.org', 'bob@example.org'];
const EXTENSIONS = ['trickle-ice', 'pre-offer-as-offer'];
const things = scene();
const traces = {};
let read = 0;

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

/** The same written down message by message. */
async function byScript() {
    const url = `${things.stack.url.replace('http', 'ws')}eirtcw/v1`;
    const [a, b] = await Promise.all(
        NAMES.map(async (webrtcId) => {
            const endpoint = await Endpoint.connect(url);
            const me = { webrtcId, instanceId: randomUUID(), supportedExtension: EXTENSIONS };
            const authorization = `Basic ${btoa(`${webrtcId}:${USERS[webrtcId]}`)}`;
            const { reAuthCredential } = await ok(
                endpoint.request('auth', { authType: 'basic', ...me, authorization }),
            );
            const signOut = () =>
                ok(
                    endpoint.request('auth', {
                        authType: 'reauth',
                        ...me,
                        reAuthCredential,
                        expirationTime: 0,
                    }),
                );
            return { endpoint, signOut, sdp: new SdpIdentity() };
        }),
    );
    const offer = (who, direction = 'sendrecv') =>
        makeOffer(who.sdp, readMedias(`audio opus ${direction}, video VP8 ${direction}`));
    const { mediaSessionId } = await ok(
        a.endpoint.request('msetup', {
            resourceId: NAMES[1],
            preOfferDescription: offer(a),
            supportedExtension: EXTENSIONS,
        }),
    );
    const invitation = await b.endpoint.expect('msetup');
    const there = { mediaSessionId: invitation.mediaSessionId };
    invitation.reply({ ...there, supportedExtension: EXTENSIONS });
    await ok(b.endpoint.request('mupdate', { ...there, mediaSessionState: 'alerting' }));
    (await a.endpoint.expect('mupdate')).reply({ mediaSessionId });
    /** The network's offer, answered in a request of its own. */
    const answer = async (who, { sdpOffer, offerId }, id) => {
        const sdpAnswer = makeAnswer(who.sdp, sdpOffer);
        await ok(
            who.endpoint.request('mupdate', { ...id, sdpAnswer, ...(offerId ? { offerId } : {}) }),
        );
    };
    await answer(b, invitation, there);
    const connected = await a.endpoint.expect('mupdate'); // its pre-offer was an offer
    assert.match(connected.sdpAnswer, /^v=0/);
    connected.reply({ mediaSessionId });
    for (const [offerId, direction] of [
        ['1', 'inactive'],
        ['2', 'sendrecv'],
    ]) {
        const sdpOffer = offer(a, direction);
        await ok(a.endpoint.request('mupdate', { mediaSessionId, sdpOffer, offerId }));
        const changed = await b.endpoint.expect('mupdate');
        changed.reply(there);
        await answer(b, changed, there);
        const answered = await a.endpoint.expect('mupdate');
        assert.equal(answered.offerId, offerId);
        answered.reply({ mediaSessionId });
    }
    await ok(a.endpoint.request('mdisc', { mediaSessionId, cause: 'NORMAL' }));
    (await b.endpoint.expect('mdisc')).reply(there);
    for (const { endpoint, signOut } of [a, b]) {
        await signOut();
        await endpoint.close();
    }
}

async function ok(response) {
    const { success, ...message } = await response;
    assert.ok(success, JSON.stringify(message));
    return message;
}

/** The same as another maker's engineer reads it. */
async function byScenario() {
    const profile = join(things.stack.folder, 'profile.json');
    const users = NAMES.map((webrtcId) => ({ webrtcId, password: USERS[webrtcId] }));
    const url = `${things.stack.url.replace('http', 'ws')}eirtcw/v1`;
    writeFileSync(profile, JSON.stringify({ url, users }));
    const said = [];
    const file = new URL('same.ladder', import.meta.url).pathname;
    const status = await run(['--profile', profile, file], (line) => said.push(line));
    assert.equal(status, 0, said.join('\n'));
}

for (const [name, play] of Object.entries({ byScript, byScenario, byLibrary })) {
    test(`the ladder ${name.replace('by', 'by the ').toLowerCase()}`, { timeout: 60_000 }, async () => {
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
