#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Clause 6.3.2.6, media sessions: ladders of calls between clients of one network through the real
// wsf. The media centre is a fake; what it is told is part of what is checked.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { PASSWORD, Wsf, answerTo, basic, call, invite } from '../support/wsf.mjs';

const [ALICE, BOB, CAROL] = ['alice@example.org', 'bob@example.org', 'carol@example.org'];
const PRE_OFFER = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9',
    'a=mid:0',
    'a=sendrecv',
    'a=rtpmap:111 opus/48000/2',
    'a=rtpmap:63 red/48000/2',
    'm=video 9 UDP/TLS/RTP/SAVPF 96 97',
    'a=mid:1',
    'a=recvonly',
    'a=rtpmap:96 VP8/90000',
    'a=rtpmap:97 rtx/90000',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'a=mid:2',
    '',
].join('\r\n');

/** A WSF for the tests of a block, its clients closed after each of them. */
function network(settings = []) {
    const own = { open: [] };
    own.register = async (who, members) => {
        const client = await own.wsf.register(who, members);
        own.open.push(client);
        return client;
    };
    own.both = async () => [await own.register(ALICE), await own.register(BOB)];
    before(async () => {
        own.wsf = await Wsf.start(settings);
    });
    after(() => own.wsf.stop());
    afterEach(async () => {
        for (const client of own.open.splice(0)) await client.close();
        await own.wsf.until(() => own.wsf.wmcf.contexts.size === 0);
        own.wsf.wmcf.overrides = {};
        own.wsf.wmcf.log = [];
    });
    return own;
}

// Nothing else happens there, since any step may be late on a busy machine.
describe('calls that time out', () => {
    const { both } = network(['call.no_answer_time=2', 'call.connect_time=2', 'call.offer_time=2']);

    test('nobody answers', async () => {
        const [alice, bob] = await both();
        const [a, [invitation]] = await invite(alice, BOB, [bob]);
        const end = await alice.expect('mdisc');
        assert.equal(end.mediaSessionId, a);
        assert.equal(end.cause, 'NO_ANSWER');
        assert.equal(end.problemDetails.status, 408);
        const other = await bob.expect('mdisc');
        assert.equal(other.mediaSessionId, invitation.mediaSessionId);
        assert.equal(other.cause, 'NO_ANSWER');
    });

    test('an offer that the caller never answers, and media that never connect', async () => {
        const [alice, bob] = await both();
        const [, [invitation]] = await invite(alice, BOB, [bob]);
        await bob.request('mupdate', { mediaSessionId: invitation.mediaSessionId, sdpAnswer: answerTo(invitation.sdpOffer) });
        const offer = await alice.expect('mupdate');
        const late = await bob.expect('mdisc');
        late.reply();
        assert.equal(late.cause, 'MEDIA_FAILURE');
        assert.equal(late.problemDetails.cause, 'PEER_TIMEOUT');
        assert.equal((await alice.expect('mdisc')).mediaSessionId, offer.mediaSessionId);

        const [a, [second]] = await invite(alice, BOB, [bob]);
        await bob.request('mupdate', { mediaSessionId: second.mediaSessionId, sdpAnswer: answerTo(second.sdpOffer) });
        const again = await alice.expect('mupdate');
        await alice.request('mupdate', { mediaSessionId: a, sdpAnswer: answerTo(again.sdpOffer) });
        assert.equal((await bob.expect('mdisc')).problemDetails.cause, 'PEER_TIMEOUT');
    });
});

describe('calls', () => {
    let wsf;
    const own = network();
    const { both, register } = own;
    before(() => {
        ({ wsf } = own);
    });

    test('a whole call: ring, answer, media, hang up', async () => {
        const [alice, bob] = await both();
        const asked = await alice.request('msetup', { resourceId: 'bob@EXAMPLE.org', preOfferDescription: PRE_OFFER, userData: { subject: 'tea' } });
        assert.equal(asked.success, true);
        assert.equal(asked.mediaSessionState, 'proceeding');
        const a = asked.mediaSessionId;
        const invitation = await bob.expect('msetup');
        const b = invitation.mediaSessionId;
        assert.notEqual(a, b);
        assert.equal(invitation.resourceId, BOB);
        assert.equal(invitation.assertedOriginatingId, ALICE);
        assert.deepEqual(invitation.userData, { subject: 'tea' });
        const [added] = wsf.wmcf.requests('add');
        assert.equal(added.topology, 'explicit');
        assert.deepEqual(added.offerTemplate, {
            medias: [
                { mid: '0', mediaType: 'audio', direction: 'sendrecv', codecs: ['opus', 'G722'] },
                { mid: '1', mediaType: 'video', direction: 'recvonly', codecs: ['VP8'] },
            ],
            bundle: true,
        });
        invitation.reply({ mediaSessionId: b });
        await bob.request('mupdate', { mediaSessionId: b, mediaSessionState: 'alerting' });
        const ringing = await alice.expect('mupdate');
        ringing.reply();
        assert.equal(ringing.mediaSessionId, a);
        assert.equal(ringing.mediaSessionState, 'alerting');
        assert.equal(ringing.assertedTerminatingId, BOB);

        const sdpAnswer = answerTo(invitation.sdpOffer).replace('a=recvonly', 'a=sendonly');
        const taken = await bob.request('mupdate', { mediaSessionId: b, sdpAnswer, offerId: invitation.offerId, userData: 'hello' });
        assert.equal(taken.success, true);
        assert.equal(taken.mediaSessionState, 'established');
        const offer = await alice.expect('mupdate');
        offer.reply();
        assert.equal(offer.mediaSessionId, a);
        assert.equal(offer.userData, 'hello');
        assert.deepEqual(wsf.wmcf.requests('add')[1].offerTemplate.medias, [
            { mid: '0', mediaType: 'audio', direction: 'sendrecv', codecs: ['opus'] },
            { mid: '1', mediaType: 'video', direction: 'sendonly', codecs: ['VP8'] },
        ]);
        const answered = await alice.request('mupdate', {
            mediaSessionId: a,
            sdpAnswer: answerTo(offer.sdpOffer).replace('a=sendonly', 'a=recvonly'),
            offerId: offer.offerId,
        });
        assert.equal(answered.mediaSessionState, 'established');
        const [legB, legA] = wsf.wmcf.terminations;
        assert.deepEqual(
            legA.routes.map(({ from, to }) => `${from.terminationId}/${from.mid}>${to.terminationId}/${to.mid}`).sort(),
            [`${legA.terminationId}/0>${legB.terminationId}/0`, `${legB.terminationId}/0>${legA.terminationId}/0`, `${legB.terminationId}/1>${legA.terminationId}/1`].sort(),
        );
        await wsf.wmcf.connect(legA);
        await wsf.wmcf.notify(legB, 'iceConnected');
        assert.equal(wsf.wmcf.requests('modify').some(({ mediaPolicy }) => mediaPolicy), false, 'not yet encrypted');
        await wsf.wmcf.notify(legB, 'dtlsConnected');
        await wsf.until(() => legA.flowStatus === 'ENABLED' && legB.flowStatus === 'ENABLED');

        const over = await alice.request('mdisc', { mediaSessionId: a });
        assert.equal(over.success, true);
        const end = await bob.expect('mdisc');
        end.reply();
        assert.equal(end.mediaSessionId, b);
        assert.equal(end.cause, 'NORMAL');
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
        await wsf.says(/call record: alice@example\.org -> bob@example\.org.* cause NORMAL by the caller/);
        assert.equal((await bob.request('mdisc', { mediaSessionId: b })).success, true, 'ends that cross');
        assert.equal((await bob.request('mupdate', { mediaSessionId: b, userData: 1 })).problemDetails.cause, 'MEDIA_SESSION_GONE');
    });

    test('the callee hangs up; data and application methods pass while it lasts', async () => {
        const [alice, bob] = await both();
        const { a, b } = await call(wsf, alice, bob);
        await alice.request('mupdate', { mediaSessionId: a, userData: { page: 2 } });
        const told = await bob.expect('mupdate');
        told.reply();
        assert.deepEqual(told.userData, { page: 2 });
        const asked = bob.request('shout.example.org', { mediaSessionId: b, userData: 'ho' });
        const shout = await alice.expect('shout.example.org');
        assert.equal(shout.mediaSessionId, a);
        assert.equal(shout.userData, 'ho');
        shout.reply({ userData: 'hey' });
        assert.equal((await asked).userData, 'hey');
        const unknown = alice.request('dance.example.org', { mediaSessionId: a });
        (await bob.expect('dance.example.org')).fail(501, 'METHOD_NOT_SUPPORTED');
        assert.equal((await unknown).problemDetails.cause, 'APP_METHOD_UNKNOWN');
        const outside = alice.request('dance.example.org', { resourceId: 'bob@example.org' });
        assert.equal((await outside).problemDetails.cause, 'NOT_AUTHORIZED');
        assert.equal((await alice.request('dance.example.org')).problemDetails.cause, 'MISSING_PARAMETER');
        await bob.request('mdisc', { mediaSessionId: b });
        assert.equal((await alice.expect('mdisc')).cause, 'NORMAL');
    });

    test('what a running call cannot do is refused with a sentence and changes nothing', async () => {
        const [alice, bob] = await both();
        const { a } = await call(wsf, alice, bob);
        for (const [members, cause] of [
            [{ resourceId: 'media/rain@example.org' }, 'INVALID_STATE'],
            [{ candidates: [] }, 'INVALID_MESSAGE'],
            [{ sdpAnswer: PRE_OFFER }, 'INVALID_STATE'],
            [{ problemDetails: {} }, 'INVALID_STATE'],
            [{ sdpOffer: PRE_OFFER, sdpAnswer: PRE_OFFER }, 'INVALID_MESSAGE'],
            [{ mediaSessionState: 'singing' }, 'INVALID_MESSAGE'],
            [{ userData: 'x'.repeat(5000) }, 'MESSAGE_TOO_LARGE'],
        ]) {
            const answer = await alice.request('mupdate', { mediaSessionId: a, ...members });
            assert.equal(answer.problemDetails?.cause, cause, JSON.stringify(members).slice(0, 60));
            assert.ok(answer.problemDetails.detail);
            assert.equal(answer.mediaSessionId, a);
        }
        assert.equal((await bob.request('mupdate', { mediaSessionId: a })).problemDetails.cause, 'MEDIA_SESSION_NOT_FOUND');
        await bob.expectNothing();
        assert.equal(wsf.wmcf.terminations.length, 2);
    });

    test('unknown, offline, elsewhere: refused at once, with a mediaSessionId', async () => {
        const alice = await register(ALICE);
        const answers = {};
        for (const [resourceId, cause] of [
            ['nobody@example.org', 'USER_NOT_REGISTERED'],
            [BOB, 'USER_NOT_REGISTERED'],
            [ALICE, 'USER_NOT_REGISTERED'],
            ['bob@other.example', 'RESOURCE_NOT_FOUND'],
            ['media/rain@example.org', 'RESOURCE_NOT_FOUND'],
            ['not an address', 'INVALID_MESSAGE'],
        ]) {
            const answer = await alice.request('msetup', { resourceId });
            answers[resourceId] = answer.problemDetails;
            assert.equal(answer.problemDetails.cause, cause, resourceId);
            assert.match(answer.mediaSessionId, /^[0-9a-f-]{36}$/);
        }
        assert.deepEqual(answers['nobody@example.org'], answers[BOB], 'who exists is not told');
        assert.equal((await alice.request('msetup')).problemDetails.cause, 'MISSING_PARAMETER');
        assert.equal((await alice.request('msetup', { resourceId: BOB, sdpOffer: PRE_OFFER })).problemDetails.cause, 'INVALID_MESSAGE');
        assert.equal((await alice.request('msetup', { resourceId: BOB, preOfferDescription: 'v=1' })).problemDetails.cause, 'INVALID_SDP');
        assert.equal((await alice.request('msetup', { resourceId: BOB, preferredOriginatingId: BOB })).problemDetails.cause, 'NOT_AUTHORIZED');
        assert.equal(wsf.wmcf.requests('add').length, 0);
    });

    test('declined, busy, an error: the caller hears which', async () => {
        const [alice, bob] = await both();
        for (const [status, cause, heard, problem] of [
            [403, 'DECLINED', 'DECLINED', 'DECLINED'],
            [409, 'USER_BUSY', 'BUSY', 'USER_BUSY'],
            [501, 'EXTENSION_NOT_SUPPORTED', 'PROTOCOL_ERROR', 'EXTENSION_NOT_SUPPORTED'],
        ]) {
            await alice.request('msetup', { resourceId: BOB });
            (await bob.expect('msetup')).fail(status, cause);
            const end = await alice.expect('mdisc');
            end.reply();
            assert.equal(end.cause, heard);
            assert.equal(end.problemDetails.cause, problem);
        }
        for (const [cause, heard, problem] of [
            ['DECLINED', 'DECLINED', 'DECLINED'],
            ['NORMAL', 'DECLINED', 'DECLINED'],
            ['BUSY', 'BUSY', 'USER_BUSY'],
        ]) {
            const [, [invitation]] = await invite(alice, BOB, [bob]);
            await bob.request('mdisc', { mediaSessionId: invitation.mediaSessionId, cause });
            const end = await alice.expect('mdisc');
            end.reply();
            assert.equal(end.cause, heard);
            assert.equal(end.problemDetails.cause, problem);
            assert.equal(end.problemDetails.type, `urn:eirtcw:problem:${problem.toLowerCase()}`);
        }
    });

    test('two endpoints ring, the first answer wins, a crossing one gets 410', async () => {
        const alice = await register(ALICE);
        const [one, two] = [await register(BOB), await register(BOB)];
        const [, invitations] = await invite(alice, BOB, [one, two]);
        const answer = (client, { mediaSessionId, sdpOffer }) =>
            client.request('mupdate', { mediaSessionId, sdpAnswer: answerTo(sdpOffer) });
        // Which of the two is the first is nobody's business.
        const answers = await Promise.all([one, two].map((client, i) => answer(client, invitations[i])));
        const second = answers[0].success ? 1 : 0;
        const [taken, late] = [answers[1 - second], answers[second]];
        assert.equal(taken.success, true);
        assert.equal(late.problemDetails.cause, 'ANSWERED_ELSEWHERE');
        assert.equal(late.problemDetails.status, 410);
        const loser = [one, two][second];
        const end = await loser.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'ANSWERED_ELSEWHERE');
        assert.equal((await answer(loser, invitations[second])).problemDetails.cause, 'ANSWERED_ELSEWHERE');
        await alice.expect('mupdate');
        assert.equal(wsf.wmcf.terminations.length, 2);
        assert.equal(wsf.wmcf.contexts.size, 1);
    });

    test('one endpoint busy: the other goes on; one declines: the call is over for all', async () => {
        const alice = await register(ALICE);
        const [one, two] = [await register(BOB), await register(BOB)];
        const [, [first, second]] = await invite(alice, BOB, [one, two]);
        await one.request('mdisc', { mediaSessionId: first.mediaSessionId, cause: 'BUSY' });
        await alice.expectNothing();
        await two.request('mdisc', { mediaSessionId: second.mediaSessionId, cause: 'MEDIA_FAILURE' });
        assert.equal((await alice.expect('mdisc')).cause, 'BUSY');
        const [, [third, fourth]] = await invite(alice, BOB, [one, two]);
        await two.request('mdisc', { mediaSessionId: fourth.mediaSessionId, cause: 'DECLINED' });
        assert.equal((await alice.expect('mdisc')).cause, 'DECLINED');
        const end = await one.expect('mdisc');
        assert.equal(end.cause, 'DECLINED');
        assert.equal(end.mediaSessionId, third.mediaSessionId);
    });

    test('a ringing endpoint that goes with NORMAL declines for itself alone', async () => {
        const alice = await register(ALICE);
        const [one, two] = [await register(BOB), await register(BOB)];
        const [, [first, second]] = await invite(alice, BOB, [one, two]);
        await one.request('mdisc', { mediaSessionId: first.mediaSessionId });
        await alice.expectNothing();
        await two.request('mdisc', { mediaSessionId: second.mediaSessionId });
        const end = await alice.expect('mdisc');
        assert.equal(end.cause, 'DECLINED');
        assert.equal(end.problemDetails.cause, 'DECLINED');
    });

    test('the caller hangs up while it rings, and wins over a crossing answer', async () => {
        const [alice, bob] = await both();
        const [a, [invitation]] = await invite(alice, BOB, [bob]);
        wsf.wmcf.overrides.modify = () => null; // the answer is on its way to the media centre
        const answer = bob.request('mupdate', { mediaSessionId: invitation.mediaSessionId, sdpAnswer: answerTo(invitation.sdpOffer) });
        await wsf.until(() => wsf.wmcf.requests('modify').length === 1);
        await alice.request('mdisc', { mediaSessionId: a });
        const end = await bob.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'NORMAL');
        assert.equal((await answer).success, false);
    });

    test('calling oneself rings at the other endpoints only', async () => {
        const [one, two] = [await register(ALICE), await register(ALICE)];
        await invite(one, ALICE, [two]);
        await one.expectNothing();
    });

    test('a preferred identity: own, anonymous', async () => {
        const [alice, bob] = await both();
        const [a, [invitation]] = await invite(alice, BOB, [bob], { preferredOriginatingId: 'anonymous@anonymous.invalid' });
        assert.equal(invitation.assertedOriginatingId, 'anonymous@anonymous.invalid');
        await alice.request('mdisc', { mediaSessionId: a });
    });

    test('a refused answer ends the branch, a refused offer the call', async () => {
        const [alice, bob] = await both();
        const [, [invitation]] = await invite(alice, BOB, [bob]);
        wsf.wmcf.overrides.modify = () => {
            throw wsf.wmcf.constructor.problem(422, 'SDP_NOT_ACCEPTABLE');
        };
        const refused = await bob.request('mupdate', { mediaSessionId: invitation.mediaSessionId, sdpAnswer: answerTo(invitation.sdpOffer) });
        assert.equal(refused.problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
        (await bob.expect('mdisc')).reply();
        const end = await alice.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'MEDIA_FAILURE');
        assert.equal(end.problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
        wsf.wmcf.overrides = {};

        const [, [second]] = await invite(alice, BOB, [bob]);
        const garbage = await bob.request('mupdate', { mediaSessionId: second.mediaSessionId, sdpAnswer: 'hello' });
        assert.equal(garbage.problemDetails.cause, 'INVALID_SDP');
        (await bob.expect('mdisc')).reply();
        (await alice.expect('mdisc')).reply();

        const [, [third]] = await invite(alice, BOB, [bob]);
        const withdrawn = await bob.request('mupdate', { mediaSessionId: third.mediaSessionId, problemDetails: { status: 422, cause: 'SDP_NOT_ACCEPTABLE', title: 'x' } });
        assert.equal(withdrawn.success, true);
        (await bob.expect('mdisc')).reply();
        (await alice.expect('mdisc')).reply();
    });

    test('an offerId that is not the outstanding one', async () => {
        const [alice, bob] = await both();
        const [a, [invitation]] = await invite(alice, BOB, [bob]);
        const wrong = await bob.request('mupdate', { mediaSessionId: invitation.mediaSessionId, offerId: 'x', sdpAnswer: answerTo(invitation.sdpOffer) });
        assert.equal(wrong.problemDetails.cause, 'INVALID_STATE');
        assert.equal(wrong.problemDetails.invalidParams[0].param, '/offerId');
        await alice.request('mdisc', { mediaSessionId: a });
    });

    test('answers in responses: sdpAnswer and alerting in the one to msetup', async () => {
        const [alice, bob] = await both();
        const { mediaSessionId: a } = await alice.request('msetup', { resourceId: BOB });
        const invitation = await bob.expect('msetup');
        invitation.reply({ mediaSessionState: 'alerting', sdpAnswer: answerTo(invitation.sdpOffer) });
        (await alice.expect('mupdate')).reply(); // alerting
        const offer = await alice.expect('mupdate');
        offer.reply({ sdpAnswer: answerTo(offer.sdpOffer) });
        await wsf.until(() => wsf.wmcf.terminations.some((one) => one.routes));
        await wsf.wmcf.connectAll();
        await wsf.until(() => wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
        await alice.request('mdisc', { mediaSessionId: a });
    });

    test('signing out ends the call for the other', async () => {
        const [alice, bob] = await both();
        await call(wsf, alice, bob);
        await bob.request('auth', { authType: 'basic', webrtcId: BOB, authorization: basic(BOB, PASSWORD), expirationTime: 0 });
        assert.equal((await alice.expect('mdisc')).cause, 'REGISTRATION_EXPIRED');
    });
});

test('limits and policy', async () => {
    const wsf = await Wsf.start(
        ['call.sessions_per_identity=2', 'registration.endpoints_per_identity=2'],
        { conf: '[policy "no"]\nfrom = carol@*\nto = bob@*\npermit = false\n' },
    );
    try {
        const [alice, bob, carol] = [await wsf.register(ALICE), await wsf.register(BOB), await wsf.register(CAROL)];
        assert.equal((await carol.request('msetup', { resourceId: BOB })).problemDetails.cause, 'NOT_AUTHORIZED');
        await invite(alice, BOB, [bob]);
        await invite(alice, BOB, [bob]);
        const third = await alice.request('msetup', { resourceId: CAROL });
        assert.equal(third.problemDetails.cause, 'RESOURCES_UNAVAILABLE');
        await wsf.register(CAROL);
        await assert.rejects(wsf.register(CAROL), /RESOURCES_UNAVAILABLE/);
    } finally {
        await wsf.stop();
    }
});
