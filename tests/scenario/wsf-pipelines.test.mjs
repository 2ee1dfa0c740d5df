#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Pipelines that calls and rooms keep, at a media centre that does what the test says: answers that are
// not heard, kills and losses between two steps, what ends while nobody listens.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { FakeWmcf } from '../support/fake-wmcf.mjs';
import { preOffer } from '../support/room-participant.mjs';
import { Wsf, answerTo, invite } from '../support/wsf.mjs';

const [ALICE, BOB, CAROL, DAN] = ['alice', 'bob', 'carol', 'dan'].map((name) => `${name}@example.org`);
const conf = (mix = '') => `
[store]
file = wsf.db
[room "mixed"]
mix = audio
[room "any"]
names = *
${mix}
[recording "archive"]
file = {participant}.mkv
[policy "recorded"]
from = ${DAN}
record = archive
[resource "one"]
[resource "two"]
[transcode]
video = yes
`;

let wsf;
const open = [];
before(async () => {
    wsf = await Wsf.start(['media.response_time=1', 'log.identities=hashed'],
        { users: [ALICE, BOB, CAROL, DAN], conf: conf() });
});
after(() => wsf?.stop());
afterEach(async () => {
    wsf.wmcf.overrides = {};
    for (const client of open.splice(0)) await client.close();
    await wsf.until(() => wsf.wmcf.contexts.size === 0);
});

/** Answers every request, and keeps them. */
function listen(client) {
    client.heard = [];
    void (async () => {
        for (;;) {
            const request = await Promise.race([client.expectAny(), client.closed]);
            if (request.code !== undefined) return;
            client.heard.push(request);
            request.reply({ mediaSessionId: request.mediaSessionId });
        }
    })().catch(() => {});
    return client;
}
async function register(webrtcId) {
    const client = await wsf.register(webrtcId, { disconnectionTtl: 1 });
    open.push(client);
    return client;
}
const hears = (client, condition) => wsf.until(() => client.heard.find(condition));
const told = (client) => client.heard.map(({ recording }) => recording).filter((one) => one !== undefined);

/** Asks, takes what is offered in the response, and is connected. */
async function set(client, resourceId, members = {}) {
    const asked = await client.request('msetup', { resourceId, ...members });
    assert.equal(asked.success, true, JSON.stringify(asked));
    const { mediaSessionId, offerId } = asked;
    const taken = await client.request('mupdate', { mediaSessionId, offerId, sdpAnswer: answerTo(asked.sdpOffer) });
    assert.equal(taken.success, true, JSON.stringify(taken));
    await wsf.wmcf.connectAll();
    await wsf.until(() => wsf.wmcf.terminations.every(({ flowStatus }) => flowStatus === 'ENABLED'));
    return mediaSessionId;
}
const hangUp = async (client, mediaSessionId) =>
    assert.equal((await client.request('mdisc', { mediaSessionId })).success, true);
const pipelinesOf = (template) => wsf.wmcf.requests('add').filter(({ pipeline }) => pipeline?.template === template);
const SOUND = { preOfferDescription: preOffer({ video: null }) };

test('members whom the mixer does not have any more are forgotten one by one', async () => {
    const { wmcf } = wsf;
    const all = [];
    for (const id of [ALICE, BOB, CAROL, DAN]) {
        const client = listen(await register(id));
        all.push([client, await set(client, 'room/mixed@example.org', SOUND)]);
    }
    const inputs = () => wmcf.requests('modify').filter((one) => one.inputs);
    await wsf.until(() => wmcf.requests('modify').filter((one) => one.routes).flatMap((one) => one.routes).length >= 4);
    const from = inputs().length;
    let held;
    wmcf.overrides.modify = (message, own) => {
        const leaving = (message.inputs ?? []).filter(({ remove }) => remove);
        if (leaving.length > 1) throw FakeWmcf.problem(400, 'INVALID_MESSAGE');
        if (leaving.length === 0 || held) return own();
        held = message;
        return null;
    };
    await hangUp(...all[0]);
    await wsf.until(() => held);
    await hangUp(...all[1]);
    await hangUp(...all[2]);
    held.reply({ medias: [] });
    await wsf.until(() => inputs().slice(from).filter(({ inputs: [one, ...more] }) => one.remove && !more.length).length === 3);
    await hangUp(...all[3]);
    assert.deepEqual(inputs().slice(from).map((one) => one.inputs.length), [1, 2, 1, 1]);
});

test('a recorder whose making was not heard of is found, and what it does is told', async () => {
    const { wmcf } = wsf;
    const [dan, alice] = [listen(await register(DAN)), await register(ALICE)];
    const asked = new Set(); // a request is sent again before it is given up
    wmcf.overrides.add = (message, own) => {
        if (!message.pipeline) return own();
        if (!asked.has(message.transactionId)) own();
        asked.add(message.transactionId);
        return null;
    };
    const a = await calls(dan, alice);
    await wsf.until(() => told(dan).length === 1);
    assert.equal(wmcf.terminations.filter((one) => one.pipeline).length, 2);
    assert.deepEqual([...told(dan), asked.size], [true, 2]);
    await hangUp(dan, a);
});

/** A call up to open gates. */
async function calls(caller, callee) {
    const [a, [invitation]] = await invite(caller, callee.webrtcId, [callee]);
    const take = ({ mediaSessionId, sdpOffer, offerId }, client) =>
        client.request('mupdate', { mediaSessionId, offerId, sdpAnswer: answerTo(sdpOffer) });
    assert.equal((await take(invitation, callee)).success, true);
    listen(callee);
    const offer = await hears(caller, ({ mediaSessionId, sdpOffer }) => mediaSessionId === a && sdpOffer);
    assert.equal((await take(offer, caller)).success, true);
    await wsf.wmcf.connectAll();
    await wsf.until(() => wsf.wmcf.terminations.every(({ flowStatus }) => flowStatus === 'ENABLED'));
    return a;
}

test('a file that bears names is not named where identities are hashed', async () => {
    const { wmcf } = wsf;
    const [dan, alice] = [listen(await register(DAN)), await register(ALICE)];
    wmcf.overrides.add = (message, own) => {
        if (!message.pipeline) return own();
        throw FakeWmcf.problem(502, 'WMCF_ERROR', `"${message.pipeline.parameters.file}" cannot be written: the disk is full`);
    };
    const a = await calls(dan, alice);
    await wsf.until(() => /has not begun: .*the disk is full/.test(wsf.log));
    await hangUp(dan, a);
    const named = wsf.log.split('\n').filter((line) => / error .*(dan|alice)-[0-9a-f]{8}/.test(line));
    assert.deepEqual(named, []);
});

test('a film that has ended while the media centre was away ends its session', async () => {
    const alice = listen(await register(ALICE));
    await set(alice, 'media/one@example.org');
    const film = wsf.wmcf.terminations.find((one) => one.pipeline);
    await wsf.wmcf.stop();
    film.pipeline.state = 'ended';
    await wsf.wmcf.restart();
    const end = await hears(alice, ({ method }) => method === 'mdisc');
    assert.equal(end.cause, 'NORMAL');
});

test('a film that ends before it is shown leaves the one that plays', async () => {
    const alice = listen(await register(ALICE));
    const mediaSessionId = await set(alice, 'media/one@example.org');
    const asked = await alice.request('mupdate', { mediaSessionId, resourceId: 'media/two@example.org' });
    assert.ok(asked.sdpOffer, JSON.stringify(asked));
    const two = wsf.wmcf.terminations.at(-1);
    assert.equal(two.pipeline.template, 'two');
    await wsf.wmcf.notify(two, 'endOfStream');
    const refusal = await hears(alice, (one) => one.problemDetails);
    assert.deepEqual([refusal.method, refusal.offerId], ['mupdate', asked.offerId]);
    await wsf.until(() => wsf.wmcf.terminations.length === 2);
    await hangUp(alice, mediaSessionId);
});

test('a room that was opened without a mixer has none after a restart with another configuration', async () => {
    const alice = listen(await register(ALICE));
    const mediaSessionId = await set(alice, 'room/plain@example.org', SOUND);
    await wsf.reload(/the policy table is read again, 0 calls/);
    const from = wsf.wmcf.log.length;
    wsf.configure(conf('mix = audio'));
    await wsf.kill();
    await wsf.run();
    await wsf.until(() => wsf.wmcf.log.slice(from).some(({ method, contextId }) => method === 'audit' && contextId));
    const client = await wsf.connect();
    open.push(client);
    client.auth = await client.request('auth', { authType: 'reauth', webrtcId: ALICE,
        instanceId: alice.auth.instanceId, reAuthCredential: alice.auth.reAuthCredential });
    assert.equal(client.auth.mediaSessions.length, 1);
    await hangUp(listen(client), mediaSessionId);
    assert.equal(wsf.wmcf.log.slice(from).filter(({ pipeline }) => pipeline).length, 0);
    wsf.configure(conf());
});

test('a transcoder that was made before a kill gets its way after it', async () => {
    const { wmcf } = wsf;
    const [alice, bob] = [await register(ALICE), await register(BOB)];
    const lines = (sdp, codec) => answerTo(sdp).split('\r\n')
        .filter((line) => !/rtpmap:\d+ (VP8|H264)/.test(line) || line.includes(codec))
        .map((line) => (/^m=video/.test(line) ? line.replace(/96 102/, codec === 'VP8' ? '96' : '102') : line)).join('\r\n');
    const take = (client, { mediaSessionId, sdpOffer, offerId }, codec) =>
        client.request('mupdate', { mediaSessionId, offerId, sdpAnswer: lines(sdpOffer, codec) });
    const made = () => wmcf.terminations.filter((one) => one.pipeline);
    wmcf.overrides.modify = (message, own) => (message.routes && /^p-/.test(message.terminationId) ? null : own());
    const [a, [invitation]] = await invite(alice, BOB, [bob], { preOfferDescription: preOffer() });
    assert.equal((await take(bob, invitation, 'H264')).success, true);
    const offer = await alice.expect('mupdate');
    offer.reply();
    assert.equal((await take(alice, offer, 'VP8')).success, true);
    await wmcf.connectAll();
    await wsf.until(() => made().length === 2);
    await wsf.kill();
    wmcf.overrides = {};
    await wsf.run();
    await wsf.until(() => made().length === 2 && made().every(({ routes }) => routes?.length === 1));
    assert.equal(pipelinesOf('transcode').length, 2);
    await Promise.all([alice, bob].map((client) => client.closed));
    assert.ok(a);
});
