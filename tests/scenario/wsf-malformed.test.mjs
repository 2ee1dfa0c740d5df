#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Malformed input at the real wsf ends at most its own connection; a call that runs meanwhile does not
// notice. Requests of the right form with wrong members are refused one by one, never with 500.

import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { floodWebSocket, slowClient } from '../support/floods.mjs';
import { PASSWORD, Wsf, answerTo, basic, call } from '../support/wsf.mjs';

const [ALICE, BOB, CAROL] = ['alice@example.org', 'bob@example.org', 'carol@example.org'];
let wsf;
let alice;
let bob;
let running;

before(async () => {
    wsf = await Wsf.start([
        'limits.connect_rate_per_address=2000',
        'limits.request_rate=100000',
        'limits.request_burst=100000',
        'limits.keepalive=5',
        'call.sessions_per_identity=100',
        'call.no_answer_time=2',
        'log.level=info',
    ]);
    [alice, bob] = [await wsf.register(ALICE), await wsf.register(BOB)];
    running = await call(wsf, alice, bob);
    alice.obliged = [];
    bob.obliged = [];
});
after(() => wsf.stop());

async function callRuns() {
    const times = bob.obliged.filter(({ userData }) => userData === 'there?').length;
    const sent = await alice.request('mupdate', { mediaSessionId: running.a, userData: 'there?' });
    assert.equal(sent.success, true);
    await wsf.until(() => bob.obliged.filter(({ userData }) => userData === 'there?').length > times);
    const connected = wsf.wmcf.terminations.filter(({ flowStatus }) => flowStatus === 'ENABLED');
    assert.equal(connected.length, 2);
}

test('1000 malformed messages each end as they should', { timeout: 120_000 }, async () => {
    assert.deepEqual(await floodWebSocket(wsf.url, 'eirtcw.v1', 1000), []);
    await callRuns();
});

test('a client that sends an octet a second is let go', { timeout: 60_000 }, async () => {
    const port = Number(new URL(wsf.url).port);
    const where = { path: '/eirtcw/v1', subprotocol: 'eirtcw.v1' };
    const [handshake, frame] = await Promise.all(
        [false, true].map((afterHandshake) => slowClient(port, { ...where, afterHandshake })),
    );
    assert.ok(handshake < 25, `${handshake} s in the handshake`);
    assert.ok(frame < 25, `${frame} s in a frame`);
    await callRuns();
});

const pick = (list) => list[randomInt(list.length)];
const SDP = 'v=0\r\nm=audio 9 RTP/AVP 0\r\n';
const oddValues = () => [
    null, true, 0, -1, 1e300, 2 ** 53, '', 'x', 'x'.repeat(3000), [], [null], {}, { a: 1 },
    ALICE, BOB, CAROL, 'bob@other.example', 'media/x@example.org', randomUUID(), running.a, running.b,
    SDP, 'v=0\r\n', `${SDP}a=mid:0\r\n`.repeat(50), 'alerting', 'terminated', 'basic', 'reauth',
    'Basic !!', basic(CAROL, 'wrong'), 'NORMAL', 'éü\u{1f600}',
];
const PLAUSIBLE = {
    authType: ['basic', 'reauth', 'bearer'],
    webrtcId: [CAROL],
    authorization: [basic(CAROL, PASSWORD)],
    resourceId: [BOB, ALICE],
    preOfferDescription: [SDP],
    cause: ['BUSY', 'NORMAL'],
    resources: [['serverInfo'], ['x']],
    mediaSessionState: ['alerting'],
};
const METHODS = {
    auth: ['authType', 'webrtcId', 'authorization', 'reAuthCredential', 'instanceId', 'expirationTime', 'disconnectionTtl'],
    msetup: ['resourceId', 'preOfferDescription', 'sdpOffer', 'preferredOriginatingId', 'userData', 'mediaSessionId'],
    mupdate: ['mediaSessionId', 'sdpOffer', 'sdpAnswer', 'preOfferDescription', 'resourceId', 'problemDetails', 'mediaSessionState', 'offerId', 'candidates', 'userData'],
    mdisc: ['mediaSessionId', 'cause', 'problemDetails', 'userData'],
    getinfo: ['resources', 'match'],
    'shout.example.org': ['mediaSessionId', 'resourceId', 'userData'],
};

test('3000 requests with members at random', { timeout: 120_000 }, async () => {
    const anew = async () => Object.assign(await wsf.register(CAROL), { obliged: [] });
    let carol = await anew();
    const seen = new Map();
    const own = new Set();
    for (let i = 0; i < 3000; i++) {
        const method = pick(Object.keys(METHODS));
        const members = {};
        for (const name of METHODS[method]) {
            if (randomInt(3) === 0) continue;
            const good = name === 'mediaSessionId' ? [...own] : PLAUSIBLE[name];
            members[name] = pick(good?.length && randomInt(4) ? good : oddValues());
        }
        const answer = await carol.request(method, members).catch(() => null);
        if (!answer) {
            carol = await anew(); // signed out, or failed too often
            continue;
        }
        if (method === 'msetup' && answer.success) own.add(answer.mediaSessionId);
        const cause = answer.success ? 'success' : answer.problemDetails.cause;
        seen.set(`${method} ${cause}`, (seen.get(`${method} ${cause}`) ?? 0) + 1);
        assert.notEqual(cause, 'INTERNAL_ERROR', JSON.stringify(members));
    }
    assert.ok(seen.size > 20, `${seen.size} different outcomes`);
    // What it has started is over with it.
    await carol.close();
    await wsf.until(() => wsf.wmcf.contexts.size === 1);
    await callRuns();
});

test('answers at random to invitations end at most that call', { timeout: 60_000 }, async () => {
    const carol = await wsf.register(CAROL);
    for (let i = 0; i < 100; i++) {
        // Not so often that it would be refused for that.
        await wsf.until(async () => (await alice.request('msetup', { resourceId: CAROL })).success);
        const invitation = await carol.expectAmong('msetup');
        if (randomInt(2)) invitation.reply(pick([{}, { sdpAnswer: 7 }, { sdpAnswer: 'x' }, { mediaSessionState: [] }]));
        else invitation.fail(pick([400, 'x']), pick(['DECLINED', 'x', 7]));
        const members = { mediaSessionId: invitation.mediaSessionId };
        members[pick(['sdpAnswer', 'problemDetails', 'userData'])] = pick([...oddValues(), answerTo(invitation.sdpOffer)]);
        await carol.request('mupdate', members);
        await carol.request('mdisc', { mediaSessionId: invitation.mediaSessionId, cause: 'DECLINED' });
    }
    await carol.close();
    await wsf.until(() => wsf.wmcf.contexts.size === 1);
    await callRuns();
});
