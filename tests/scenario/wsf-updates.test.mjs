#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Clause 6.3.2.6.x.3, changes of an answered call, through the real wsf: offers of either side and of
// the network, refusals and the way back, glare, losses in the middle. The media centre is a fake;
// what it is told is part of what is checked.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { describe as sdpOf, medias } from '../support/fake-wmcf.mjs';
import { Wsf, answerTo, call } from '../support/wsf.mjs';

const [ALICE, BOB] = ['alice@example.org', 'bob@example.org'];
const AUDIO = { mid: '0', mediaType: 'audio', direction: 'sendrecv', codecs: ['opus'] };
const VIDEO = { mid: '1', mediaType: 'video', direction: 'sendrecv', codecs: ['VP8', 'H264'] };
const PRE_OFFER = sdpOf({ medias: [AUDIO, VIDEO] }, '192.0.2.7');
const reversed = { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', inactive: 'inactive' };
/** An endpoint's own description. */
const describeOwn = (...list) => sdpOf({ medias: list }, '192.0.2.7');
const directions = (sdp) => medias(sdp).map(({ direction, rejected }) => (rejected ? 'rejected' : direction));
const holding = (media, direction = 'sendonly') => ({ ...media, direction });
/** The lazy endpoint again: it takes what is offered, in the other direction. */
const answerFor = (sdp) =>
    answerTo(sdp).replace(/a=(sendonly|recvonly)/g, (_, direction) => `a=${reversed[direction]}`);
const REFUSAL = { status: 422, cause: 'SDP_NOT_ACCEPTABLE', title: 'not acceptable', detail: 'no, thanks' };

/** No change is in progress: then this is refused for what it asks. */
const isFree = async (side, mediaSessionId) => {
    const { problemDetails } = await side.request('mupdate', { mediaSessionId, resourceId: BOB });
    return problemDetails.cause !== 'OFFER_GLARE';
};

describe('changes of a call', () => {
    let wsf, alice, bob, a, b;
    const open = [];
    const register = async (who, members) => {
        const client = await wsf.register(who, members);
        open.push(client);
        return client;
    };
    const resume = async (former) => {
        const client = await wsf.connect();
        open.push(client);
        client.webrtcId = former.webrtcId;
        client.auth = await client.request('auth', {
            authType: 'reauth',
            webrtcId: former.webrtcId,
            instanceId: former.auth.instanceId,
            reAuthCredential: former.auth.reAuthCredential,
        });
        assert.equal(client.auth.success, true, JSON.stringify(client.auth));
        return client;
    };
    const start = async (members = { preOfferDescription: PRE_OFFER }) => {
        alice = await register(ALICE, { disconnectionTtl: 20 });
        bob = await register(BOB, { disconnectionTtl: 20 });
        ({ a, b } = await call(wsf, alice, bob, members));
        wsf.wmcf.log = [];
    };
    const legB = () => wsf.wmcf.terminations[0];
    const legA = () => wsf.wmcf.terminations[1];
    const offers = (side, mediaSessionId, sdpOffer, members = {}) =>
        side.request('mupdate', { mediaSessionId, sdpOffer, offerId: 'mine', ...members });
    const answers = (side, offer, sdpAnswer = answerFor(offer.sdpOffer), members = {}) =>
        side.request('mupdate', { mediaSessionId: offer.mediaSessionId, sdpAnswer, offerId: offer.offerId, ...members });
    const refuses = (side, offer, problemDetails = REFUSAL) =>
        side.request('mupdate', { mediaSessionId: offer.mediaSessionId, problemDetails, offerId: offer.offerId });
    /** The next mupdate, acknowledged. */
    const next = async (side, members = {}) => {
        const message = await side.expect('mupdate');
        message.reply({ mediaSessionId: message.mediaSessionId, ...members });
        return message;
    };
    /** A change by alice from beginning to end; the answer to her. */
    const change = async (sdpOffer) => {
        const taken = await offers(alice, a, sdpOffer);
        assert.equal(taken.success, true, JSON.stringify(taken));
        await answers(bob, await next(bob));
        return next(alice);
    };
    const stands = async () => {
        await wsf.until(() => isFree(alice, a));
        for (const [side, id] of [[alice, a], [bob, b]]) {
            const { resources } = await side.request('getinfo', { resources: ['mediaSessions'] });
            assert.deepEqual(resources.mediaSessions, [
                { mediaSessionId: id, mediaSessionState: 'established', offerPending: 'none' },
            ]);
        }
        assert.ok(wsf.wmcf.terminations.every(({ offer }) => !offer), 'an offer is outstanding');
    };
    before(async () => {
        wsf = await Wsf.start([], { conf: '[store]\nfile = wsf.db\n' });
    });
    after(() => wsf.stop());
    /** Does it where time runs out soon, which on a busy machine would spoil anything else. */
    const inHaste = async (work) => {
        const patient = wsf;
        wsf = await Wsf.start(['call.offer_time=2', 'call.connect_time=2']);
        try {
            await work();
        } finally {
            for (const client of open.splice(0)) await client.close();
            await wsf.stop();
            wsf = patient;
        }
    };
    afterEach(async () => {
        wsf.wmcf.overrides = {};
        for (const client of open.splice(0)) await client.close();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('x.3.1: the caller holds and resumes by direction', async () => {
        await start();
        const asked = await offers(alice, a, describeOwn(holding(AUDIO), holding(VIDEO)), { userData: { why: 'tea' } });
        assert.equal(asked.success, true);
        assert.equal(asked.mediaSessionState, 'modifying');
        assert.equal(asked.sdpAnswer, undefined);
        const offer = await next(bob);
        assert.equal(offer.mediaSessionId, b);
        assert.equal(offer.mediaSessionState, 'modifying');
        assert.deepEqual(offer.userData, { why: 'tea' });
        assert.deepEqual(directions(offer.sdpOffer), ['sendonly', 'sendonly']);
        const taken = await answers(bob, offer, undefined, { userData: 'bye' });
        assert.equal(taken.mediaSessionState, 'established');
        const answer = await next(alice);
        assert.equal(answer.offerId, 'mine');
        assert.equal(answer.mediaSessionState, 'established');
        assert.equal(answer.userData, 'bye');
        assert.deepEqual(directions(answer.sdpAnswer), ['recvonly', 'recvonly']);
        await stands();
        const resumed = await change(describeOwn(AUDIO, VIDEO));
        assert.deepEqual(directions(resumed.sdpAnswer), ['sendrecv', 'sendrecv']);
        assert.deepEqual(directions(legB().answer), ['sendrecv', 'sendrecv']);
        await stands();
    });

    test('… and the callee does', async () => {
        await start();
        assert.equal((await offers(bob, b, describeOwn(holding(AUDIO, 'inactive'), VIDEO))).success, true);
        const offer = await next(alice);
        assert.equal(offer.assertedTerminatingId, BOB);
        assert.deepEqual(directions(offer.sdpOffer), ['inactive', 'sendrecv']);
        await answers(alice, offer);
        assert.deepEqual(directions((await next(bob)).sdpAnswer), ['inactive', 'sendrecv']);
        await stands();
    });

    test('video is added, taken away, and added again on its m-line', async () => {
        await start({ preOfferDescription: describeOwn(AUDIO) });
        const added = await change(describeOwn(AUDIO, VIDEO));
        assert.deepEqual(directions(added.sdpAnswer), ['sendrecv', 'sendrecv']);
        const [first] = wsf.wmcf.requests('modify');
        assert.deepEqual(first.offerTemplate.medias, [AUDIO, VIDEO]);
        assert.equal(legA().routes.length, 4);
        assert.equal(legA().flowStatus, 'ENABLED');
        const removed = await change(describeOwn(AUDIO, holding(VIDEO, 'inactive')));
        assert.deepEqual(directions(removed.sdpAnswer), ['sendrecv', 'inactive']);
        const gone = await offers(alice, a, describeOwn(AUDIO, { ...VIDEO, rejected: true }));
        assert.equal(gone.success, true); // the far side knows already that nothing comes there
        assert.deepEqual(directions((await next(alice)).sdpAnswer), ['sendrecv', 'rejected']);
        await bob.expectNothing(50);
        await stands();
    });

    test('another codec, when the far side knows it', async () => {
        await start({ preOfferDescription: describeOwn(AUDIO, { ...VIDEO, codecs: ['VP8'] }) });
        const answer = await change(describeOwn(AUDIO, { ...VIDEO, codecs: ['H264'] }));
        assert.deepEqual(medias(answer.sdpAnswer)[1].codecs, ['H264']);
        assert.deepEqual(medias(legB().answer)[1].codecs, ['H264']);
        await stands();
    });

    test('ICE restart of one side: the other is not touched', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(AUDIO, VIDEO), { userData: 1 })).success, true);
        const answer = await next(alice);
        assert.deepEqual(directions(answer.sdpAnswer), ['sendrecv', 'sendrecv']);
        const told = await next(bob); // what is said beside it reaches him all the same
        assert.equal(told.userData, 1);
        assert.equal(told.sdpOffer, undefined);
        assert.ok(wsf.wmcf.requests('modify').every(({ terminationId }) => terminationId === legA().terminationId));
        await stands();
    });

    test('refused: both sides are as before', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        const offer = await next(bob);
        assert.equal((await refuses(bob, offer)).success, true);
        const refusal = await next(alice);
        assert.equal(refusal.offerId, 'mine');
        assert.equal(refusal.problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
        assert.equal(refusal.problemDetails.detail, 'no, thanks');
        assert.equal(refusal.mediaSessionState, 'established');
        await stands();
        assert.match(await (await fetch(`${wsf.base}/metrics`)).text(), /wsf_call_changes_total\{kind="offer",result="undone"\} [1-9]/);
        // … and by an error response.
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        (await bob.expect('mupdate')).fail(422, 'SDP_NOT_ACCEPTABLE');
        assert.equal((await next(alice)).problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
        await stands();
        assert.deepEqual(directions((await change(describeOwn(holding(AUDIO), VIDEO))).sdpAnswer), ['recvonly', 'sendrecv']);
    });

    test('nobody answers: 504, and both roll back', () =>
        inHaste(async () => {
            await start();
            assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
            const offer = await next(bob);
            const refusal = await next(alice);
            assert.equal(refusal.problemDetails.status, 504);
            assert.equal(refusal.offerId, 'mine');
            const withdrawn = await next(bob);
            assert.equal(withdrawn.problemDetails.status, 504);
            assert.equal(withdrawn.offerId, offer.offerId);
            await stands();
            // An answer that was on its way: he takes it for given, so he is offered what holds.
            assert.equal((await answers(bob, offer)).problemDetails.cause, 'INVALID_STATE');
            const back = await next(bob);
            assert.deepEqual(directions(back.sdpOffer), ['sendrecv', 'sendrecv']);
            assert.equal((await answers(bob, back)).success, true);
            assert.equal((await answers(bob, back)).problemDetails.cause, 'INVALID_STATE');
            await bob.expectNothing(50);
            await stands();
        }));

    test('one at a time: glare with the network, with the other side, with oneself', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        const offer = await next(bob);
        const cross = await offers(bob, b, describeOwn(holding(AUDIO), VIDEO));
        assert.equal(cross.problemDetails.cause, 'OFFER_GLARE');
        assert.equal(cross.retryAfter, 1);
        assert.equal(cross.mediaSessionId, b);
        const second = await offers(alice, a, describeOwn(AUDIO, VIDEO));
        assert.equal(second.problemDetails.cause, 'OFFER_GLARE');
        const wrong = await answers(bob, { ...offer, offerId: 'x' }, answerFor(offer.sdpOffer));
        assert.equal(wrong.problemDetails.status, 409);
        assert.equal(wrong.problemDetails.invalidParams[0].param, '/offerId');
        assert.equal((await answers(bob, offer)).success, true);
        assert.deepEqual(directions((await next(alice)).sdpAnswer), ['recvonly', 'sendrecv']);
        await stands();
    });

    test('what cannot be an offer is refused at once and changes nothing', async () => {
        await start();
        for (const [sdp, cause] of [['hello', 'INVALID_SDP'], [describeOwn({ ...AUDIO, rejected: true }), 'SDP_NOT_ACCEPTABLE']]) {
            const refused = await offers(alice, a, sdp);
            assert.equal(refused.problemDetails.cause, cause);
            assert.equal(refused.mediaSessionState, 'established');
        }
        await bob.expectNothing(50);
        await stands();
    });

    test('A3: a response that requires what nobody has offered ends the call', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        (await bob.expect('mupdate')).reply({ requiredExtension: ['datachannel'] });
        for (const side of [alice, bob]) {
            const end = await side.expect('mdisc');
            end.reply();
            assert.equal(end.cause, 'PROTOCOL_ERROR');
            assert.equal(end.problemDetails.cause, 'EXTENSION_NOT_SUPPORTED');
        }
    });

    test('before the answer there is nothing to change', async () => {
        alice = await register(ALICE);
        bob = await register(BOB);
        const asked = await alice.request('msetup', { resourceId: BOB });
        const early = await offers(alice, asked.mediaSessionId, PRE_OFFER);
        assert.equal(early.problemDetails.cause, 'INVALID_STATE');
        await alice.request('mdisc', { mediaSessionId: asked.mediaSessionId });
    });

    test('trickle-ice: candidates follow their description to the media centre', async () => {
        await start();
        const candidate = (port, usernameFragment = 'abcd') => ({
            candidate: `candidate:1 1 udp 2122260223 192.0.2.7 ${port} typ host`,
            sdpMid: '0',
            usernameFragment,
        });
        const trickling = (sdp) => sdp.replace(/a=group/, 'a=ice-options:trickle\r\na=group');
        const tell = (side, mediaSessionId, members) => side.request('mupdate', { mediaSessionId, ...members });
        const early = await tell(alice, a, { candidates: [candidate(1)] });
        assert.equal(early.problemDetails.status, 400);
        // The initiator's wait until its offer is at the media centre.
        assert.equal((await offers(alice, a, trickling(describeOwn(holding(AUDIO), VIDEO)), { candidates: [candidate(1)] })).success, true);
        assert.equal((await tell(alice, a, { candidates: [candidate(2)] })).success, true);
        const offer = await next(bob);
        assert.equal(legA().candidates, undefined);
        await answers(bob, offer, trickling(answerFor(offer.sdpOffer)));
        await next(alice);
        await wsf.until(() => legA().candidates);
        assert.deepEqual(legA().candidates.map((one) => one.candidate.split(' ')[5]), ['1', '2']);
        assert.equal((await tell(alice, a, { candidates: [candidate(3)], endOfCandidates: true })).success, true);
        await wsf.until(() => legA().candidates.length === 3);
        assert.equal((await tell(alice, a, { candidates: [candidate(4)] })).problemDetails.status, 400);
        // The answerer's come after its answer.
        assert.equal((await tell(bob, b, { candidates: [candidate(5)] })).success, true);
        await wsf.until(() => legB().candidates?.length === 1);
        const many = await tell(bob, b, { candidates: Array.from({ length: 64 }, (_, i) => candidate(i)) });
        assert.equal(many.problemDetails.cause, 'TOO_MANY_REQUESTS');
        const wrong = await tell(bob, b, { candidates: [{ sdpMid: '0' }] });
        assert.equal(wrong.problemDetails.invalidParams[0].param, '/candidates/0/candidate');
        assert.equal((await tell(bob, b, { endOfCandidates: true })).success, true);
        await stands();
    });

    test('preOfferDescription: the network makes the offer', async () => {
        await start({ preOfferDescription: describeOwn(AUDIO) });
        const asked = await alice.request('mupdate', {
            mediaSessionId: a,
            preOfferDescription: describeOwn({ ...AUDIO, mid: 'x' }, { ...VIDEO, mid: 'y', direction: 'sendonly' }),
        });
        assert.equal(asked.mediaSessionState, 'modifying');
        const atBob = await next(bob);
        assert.deepEqual(directions(atBob.sdpOffer), ['sendrecv', 'sendonly']);
        await answers(bob, atBob);
        const atAlice = await next(alice);
        assert.deepEqual(directions(atAlice.sdpOffer), ['sendrecv', 'recvonly']);
        await answers(alice, atAlice);
        await wsf.until(() => legA().routes?.length === 3);
        await stands();
        // Refused by who has asked for it: the far side is brought back.
        await alice.request('mupdate', { mediaSessionId: a, preOfferDescription: describeOwn(AUDIO) });
        await answers(bob, await next(bob));
        await refuses(alice, await next(alice));
        const back = await next(bob);
        assert.deepEqual(directions(back.sdpOffer), ['sendrecv', 'sendonly']);
        await answers(bob, back);
        await stands();
    });

    test('the media centre refuses the answer: the network offers what holds', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        const offer = await next(bob);
        wsf.wmcf.overrides.modify = (message, own) => {
            if (!message.sdpAnswer) return own();
            wsf.wmcf.overrides = {};
            throw wsf.wmcf.constructor.problem(422, 'SDP_NOT_ACCEPTABLE');
        };
        assert.equal((await answers(bob, offer)).problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
        assert.equal((await next(alice)).problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
        const back = await next(bob);
        assert.deepEqual(directions(back.sdpOffer), ['sendrecv', 'sendrecv']);
        assert.notEqual(back.sdpOffer, offer.sdpOffer);
        assert.equal((await answers(bob, back)).success, true);
        await stands();
    });

    test('the media centre refuses the offer after the far side has agreed', async () => {
        await start();
        wsf.wmcf.overrides.modify = (message, own) => {
            if (!message.sdpOffer) return own();
            wsf.wmcf.overrides = {};
            throw wsf.wmcf.constructor.problem(422, 'SDP_NOT_ACCEPTABLE');
        };
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        assert.equal((await answers(bob, await next(bob))).success, true);
        assert.equal((await next(alice)).problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
        const back = await next(bob);
        assert.deepEqual(directions(back.sdpOffer), ['sendrecv', 'sendrecv']);
        await answers(bob, back);
        await stands();
    });

    test('the initiator refuses the answer: the network offers', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        await answers(bob, await next(bob));
        (await alice.expect('mupdate')).fail(422, 'SDP_NOT_ACCEPTABLE');
        const offer = await next(alice);
        assert.deepEqual(directions(offer.sdpOffer), ['recvonly', 'sendrecv']);
        await answers(alice, offer);
        await stands();
    });

    test('somebody hangs up in the middle', async () => {
        for (const who of ['far', 'initiator']) {
            await start();
            assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
            await next(bob);
            const [side, id, other] = who === 'far' ? [bob, b, alice] : [alice, a, bob];
            assert.equal((await side.request('mdisc', { mediaSessionId: id })).success, true);
            const end = await other.expect('mdisc');
            end.reply();
            assert.equal(end.cause, 'NORMAL');
            await wsf.until(() => wsf.wmcf.contexts.size === 0);
            for (const client of open.splice(0)) await client.close();
        }
    });

    test('the far side is lost in the middle: rolled back and offered anew when it is back', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        const offer = await next(bob);
        await bob.cut();
        bob = await resume(bob);
        assert.equal(bob.auth.mediaSessions[0].offerPending, 'remote');
        const anew = await next(bob);
        assert.notEqual(anew.sdpOffer, offer.sdpOffer);
        assert.notEqual(anew.offerId, offer.offerId);
        assert.deepEqual(directions(anew.sdpOffer), ['sendonly', 'sendrecv']);
        assert.ok(wsf.wmcf.requests('modify').some(({ rollback }) => rollback));
        assert.equal((await answers(bob, anew)).success, true);
        assert.deepEqual(directions((await next(alice)).sdpAnswer), ['recvonly', 'sendrecv']);
        await stands();
    });

    test('the initiator is lost in the middle: its offer is void', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        const offer = await next(bob);
        await alice.cut();
        const withdrawn = await next(bob);
        assert.equal(withdrawn.offerId, offer.offerId);
        assert.ok(withdrawn.problemDetails);
        alice = await resume(alice);
        assert.deepEqual(alice.auth.mediaSessions, [
            { mediaSessionId: a, mediaSessionState: 'established', offerPending: 'none' },
        ]);
        await alice.expectNothing(50);
        await stands();
    });

    test('the initiator is lost before it has the answer: the network offers what holds', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        await answers(bob, await next(bob));
        await alice.expect('mupdate'); // the answer, never acknowledged
        await alice.cut();
        alice = await resume(alice);
        const offer = await next(alice);
        assert.deepEqual(directions(offer.sdpOffer), ['recvonly', 'sendrecv']);
        await answers(alice, offer);
        await stands();
    });

    test('the control link is lost in the middle: refused, and both sides are offered what holds', async () => {
        await start();
        wsf.wmcf.overrides.modify = (message, own) => {
            if (!message.sdpAnswer) return own();
            wsf.wmcf.overrides = {};
            own(); // done, but nobody hears of it
            void wsf.wmcf.stop().then(() => wsf.wmcf.restart());
            return null;
        };
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        const lost = await answers(bob, await next(bob));
        assert.equal(lost.success, false);
        assert.equal((await next(alice)).offerId, 'mine');
        const back = await next(bob);
        assert.deepEqual(directions(back.sdpOffer), ['sendrecv', 'sendrecv']);
        assert.equal((await answers(bob, back)).success, true);
        await stands();
    });

    test('wsf is killed in the middle: both sides are offered what holds', async () => {
        await start();
        assert.equal((await offers(alice, a, describeOwn(holding(AUDIO), VIDEO))).success, true);
        await next(bob);
        await wsf.kill();
        await Promise.all([alice.closed, bob.closed]);
        await wsf.run();
        [alice, bob] = [await resume(alice), await resume(bob)];
        for (const side of [alice, bob]) {
            const offer = await next(side);
            assert.deepEqual(directions(offer.sdpOffer), ['sendrecv', 'sendrecv']);
            assert.equal((await answers(side, offer)).success, true);
        }
        await stands();
    });

    test('x.3.2: a path that is gone is found anew by ICE restart', () =>
        inHaste(async () => {
            for (const event of ['consentExpired', 'iceFailed']) {
                await start();
                await wsf.wmcf.notify(legB(), event);
                const offer = await next(bob);
                const [asked] = wsf.wmcf.requests('modify');
                assert.equal(asked.restartIce, true);
                assert.deepEqual(directions(offer.sdpOffer), ['sendrecv', 'sendrecv']);
                assert.equal((await answers(bob, offer)).success, true);
                await wsf.wmcf.notify(legB(), 'iceConnected');
                await stands();
                await alice.expectNothing(2200); // longer than connect_time
                await alice.request('mdisc', { mediaSessionId: a });
                (await bob.expect('mdisc')).reply();
            }
        }));

    test('… and the call ends when that fails: refused, never answered, without a new path', () =>
        inHaste(async () => {
            for (const how of ['refused', 'silent', 'no path']) {
                await start();
                await wsf.wmcf.notify(legB(), 'consentExpired');
                const offer = await next(bob);
                if (how === 'refused') await refuses(bob, offer);
                if (how === 'no path') await answers(bob, offer);
                let end = await alice.expect('mdisc');
                end.reply();
                assert.equal(end.cause, 'MEDIA_FAILURE', how);
                end = await bob.expect('mdisc');
                end.reply();
                assert.equal(end.cause, 'MEDIA_FAILURE', how);
                await wsf.until(() => wsf.wmcf.contexts.size === 0);
                for (const client of open.splice(0)) await client.close();
            }
        }));

    test('… and waits for an endpoint that is away as well', async () => {
        await start();
        await bob.cut();
        await wsf.wmcf.notify(legB(), 'consentExpired');
        await alice.expectNothing(50);
        bob = await resume(bob);
        const offer = await next(bob);
        await answers(bob, offer);
        await wsf.wmcf.notify(legB(), 'iceConnected');
        await stands();
    });
});

describe('x.3.4: change of the media resource', () => {
    const PROVIDER = 'cinema@provider.example';
    let wsf, alice, cinema, a, first;
    before(async () => {
        wsf = await launch([]);
    });
    const launch = (settings) =>
        Wsf.start(settings, {
            users: [ALICE, BOB, PROVIDER],
            conf: '[peer "cinema"]\nkind = provider\nrealms = provider.example\nwebrtc_id = cinema@provider.example\nauth = basic\n',
        });
    after(() => wsf.stop());
    const inHaste = async (work) => {
        const patient = wsf;
        wsf = await launch(['call.offer_time=2', 'limits.response_time=2']);
        try {
            await work();
        } finally {
            for (const client of [alice, cinema]) await client?.close();
            await wsf.stop();
            wsf = patient;
        }
    };
    afterEach(async () => {
        wsf.wmcf.overrides = {};
        for (const client of [alice, cinema]) await client?.close();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });
    const tell = (side, mediaSessionId, members) => side.request('mupdate', { mediaSessionId, ...members });
    const start = async () => {
        alice = await wsf.register(ALICE);
        cinema = await wsf.register(PROVIDER);
        const asked = await alice.request('msetup', { resourceId: 'film/1@provider.example', preOfferDescription: PRE_OFFER });
        assert.equal(asked.success, true, JSON.stringify(asked));
        a = asked.mediaSessionId;
        first = await cinema.expect('msetup');
        first.reply({ mediaSessionId: first.mediaSessionId, sdpAnswer: plays(first) });
        const offer = await alice.expect('mupdate');
        offer.reply({ sdpAnswer: answerFor(offer.sdpOffer) });
        await wsf.until(() => wsf.wmcf.terminations[1]?.answer);
        await wsf.wmcf.connectAll();
        await wsf.until(() => wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
    };
    const plays = ({ sdpOffer }) => answerTo(sdpOffer).replace(/a=sendrecv/g, 'a=sendonly');
    const changes = () => tell(alice, a, { resourceId: 'film/2@provider.example', userData: 'the second one' });
    const leaves = async (side, cause = 'NORMAL') => {
        const end = await side.expect('mdisc');
        end.reply();
        assert.equal(end.cause, cause);
        return end;
    };

    test('the response carries the offer, the old one plays until the answer is applied', async () => {
        await start();
        assert.equal(wsf.wmcf.terminations[0].iceMode, 'full');
        const [former, own] = wsf.wmcf.terminations;
        for (let round = 0; round < 3; round++) {
            const asked = changes();
            const second = await cinema.expect('msetup');
            assert.equal(second.resourceId, 'film/2@provider.example');
            assert.equal(second.userData, 'the second one');
            second.reply({ mediaSessionId: second.mediaSessionId, sdpAnswer: plays(second) });
            const response = await asked;
            assert.equal(response.success, true, JSON.stringify(response));
            assert.equal(response.mediaSessionState, 'modifying');
            assert.deepEqual(directions(response.sdpOffer), ['sendonly', 'sendonly']);
            await cinema.expectNothing(50);
            const answered = await tell(alice, a, { sdpAnswer: answerFor(response.sdpOffer), offerId: response.offerId });
            assert.equal(answered.mediaSessionState, 'established');
            const end = await leaves(cinema);
            assert.equal(end.mediaSessionId, first.mediaSessionId);
            first = second;
            await wsf.until(() => wsf.wmcf.terminations.length === 2);
            assert.ok(!wsf.wmcf.terminations.includes(former));
            const now = wsf.wmcf.terminations.find((one) => one !== own);
            assert.equal(now.flowStatus, 'ENABLED');
            assert.ok(own.routes.every(({ from, to }) => from.terminationId === now.terminationId && to.terminationId === own.terminationId));
        }
        assert.equal((await alice.request('mdisc', { mediaSessionId: a })).success, true);
        assert.equal((await leaves(cinema)).mediaSessionId, first.mediaSessionId);
        await wsf.says(/call record: alice@example\.org -> film\/2@provider\.example/);
    });

    test('refused, ended, too late, not answered: the old one stays', () =>
        inHaste(async () => {
            await start();
            const fails = async (happen, cause) => {
                const asked = changes();
                const second = await cinema.expect('msetup');
                await happen(second);
                const response = await asked;
                assert.equal(response.success, false);
                assert.equal(response.problemDetails.cause, cause);
                assert.equal(response.mediaSessionState, 'established');
                await wsf.until(() => wsf.wmcf.terminations.length === 2);
            };
            await fails((second) => second.fail(404, 'RESOURCE_NOT_FOUND'), 'RESOURCE_NOT_FOUND');
            await fails(async (second) => {
                second.reply();
                await cinema.request('mdisc', { mediaSessionId: second.mediaSessionId, cause: 'DECLINED' });
            }, 'DECLINED');
            await fails(async (second) => {
                second.reply();
                await leaves(cinema);
            }, 'PEER_TIMEOUT');
            // … and by the initiator itself.
            let asked = changes();
            let second = await cinema.expect('msetup');
            second.reply({ sdpAnswer: plays(second) });
            let response = await asked;
            await tell(alice, a, { problemDetails: REFUSAL, offerId: response.offerId });
            await leaves(cinema);
            await wsf.until(() => isFree(alice, a));
            // … that never answers.
            asked = changes();
            second = await cinema.expect('msetup');
            second.reply({ sdpAnswer: plays(second) });
            response = await asked;
            const withdrawn = await alice.expect('mupdate');
            withdrawn.reply();
            assert.equal(withdrawn.problemDetails.status, 504);
            assert.equal(withdrawn.offerId, response.offerId);
            await leaves(cinema);
            await wsf.until(() => isFree(alice, a));
            assert.equal(wsf.wmcf.terminations.length, 2);
            assert.ok(wsf.wmcf.terminations.every(({ offer }) => !offer));
            assert.equal((await tell(alice, a, { sdpOffer: describeOwn(AUDIO, VIDEO) })).success, true);
        }));

    test('what is no resource, and who has none', async () => {
        await start();
        const bob = await wsf.register(BOB);
        const person = await tell(alice, a, { resourceId: BOB });
        assert.equal(person.problemDetails.status, 403);
        const nowhere = await tell(alice, a, { resourceId: 'x@nowhere.example' });
        assert.equal(nowhere.problemDetails.cause, 'RESOURCE_NOT_FOUND');
        const theirs = await tell(cinema, first.mediaSessionId, { resourceId: 'film/2@provider.example' });
        assert.equal(theirs.problemDetails.cause, 'INVALID_STATE');
        await alice.request('mdisc', { mediaSessionId: a });
        await leaves(cinema);
        ({ a } = await call(wsf, alice, bob, {}));
        const users = await tell(alice, a, { resourceId: 'film/2@provider.example' });
        assert.equal(users.problemDetails.cause, 'INVALID_STATE');
        await bob.close();
    });
});

describe('x.3.3: with a WSF that we have dialled, so that its offers win', () => {
    let wsf, server, link, alice, a, b;
    before(async () => {
        server = new WebSocketServer({ port: 0, host: '127.0.0.1', allowSynchronousEvents: false });
        const connected = new Promise((resolve) => {
            server.once('connection', (socket) => resolve(new Endpoint(socket, 1)));
        });
        await new Promise((resolve) => server.once('listening', resolve));
        wsf = await Wsf.start([], {
            files: { secret: 'a.b.c\n' },
            conf: `[peer "b"]\nkind = operator\nrealms = example.net\ntoken_file = secret\nurl = ws://127.0.0.1:${server.address().port}/eirtcw/v1\n`,
        });
        link = await connected;
        const asked = await link.expect('auth');
        asked.reply({
            expirationTime: 3600,
            reAuthCredential: 'again-0123456789abcdef',
            disconnectionTtl: 30,
            keepAliveInterval: 20,
            webrtcId: asked.webrtcId,
            instanceId: asked.instanceId,
            mediaSessions: [],
        });
        alice = await wsf.register(ALICE);
        await wsf.until(() => /peer: operator \w+ -> registered/.test(wsf.log));
    });
    after(async () => {
        await alice.close();
        await wsf.stop();
        server.close();
    });
    afterEach(async () => {
        await alice.request('mdisc', { mediaSessionId: a });
        (await link.expect('mdisc')).reply();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });
    const settle = async () => {
        await wsf.until(() => wsf.wmcf.terminations.length === 2);
        await wsf.wmcf.connectAll();
        await wsf.until(() => wsf.wmcf.terminations.every(({ flowStatus }) => flowStatus === 'ENABLED'));
    };
    const callOut = async () => {
        const asked = await alice.request('msetup', { resourceId: 'bob@example.net', preOfferDescription: PRE_OFFER });
        assert.equal(asked.success, true, JSON.stringify(asked));
        a = asked.mediaSessionId;
        const invitation = await link.expect('msetup');
        b = invitation.mediaSessionId;
        assert.equal(invitation.hopLimit, 15);
        assert.equal(invitation.assertedOriginatingId, ALICE);
        assert.equal(invitation.preOfferDescription, PRE_OFFER);
        invitation.reply({ mediaSessionId: b });
        const taken = await link.request('mupdate', { mediaSessionId: b, sdpAnswer: answerFor(invitation.sdpOffer) });
        assert.equal(taken.success, true, JSON.stringify(taken));
        const offer = await alice.expect('mupdate');
        offer.reply({ sdpAnswer: answerFor(offer.sdpOffer) });
        await wsf.until(() => wsf.wmcf.terminations[1]?.answer);
        await settle();
    };

    test('our offer yields: the one on whose behalf it was made hears of the glare', async () => {
        await callOut();
        assert.equal((await alice.request('mupdate', { mediaSessionId: a, sdpOffer: describeOwn(holding(AUDIO), VIDEO), offerId: 'mine' })).success, true);
        const ours = await link.expect('mupdate');
        const theirs = await link.request('mupdate', { mediaSessionId: b, sdpOffer: describeOwn(AUDIO, holding(VIDEO)), offerId: 'theirs' });
        assert.equal(theirs.success, true, JSON.stringify(theirs));
        ours.fail(409, 'OFFER_GLARE');
        const glare = await alice.expect('mupdate');
        glare.reply();
        assert.equal(glare.problemDetails.cause, 'OFFER_GLARE');
        assert.equal(glare.retryAfter, 1);
        assert.equal(glare.offerId, 'mine');
        const offer = await alice.expect('mupdate');
        assert.deepEqual(directions(offer.sdpOffer), ['sendrecv', 'sendonly']);
        offer.reply({ sdpAnswer: answerFor(offer.sdpOffer) });
        const answer = await link.expect('mupdate');
        answer.reply();
        assert.equal(answer.offerId, 'theirs');
        assert.deepEqual(directions(answer.sdpAnswer), ['sendrecv', 'recvonly']);
        await wsf.until(() => isFree(alice, a));
        assert.ok(wsf.wmcf.terminations.every((one) => !one.offer));
    });

    test('its call: the id is its own, the answer comes in a request', async () => {
        b = randomUUID();
        const members = { resourceId: ALICE, mediaSessionId: b, sdpOffer: PRE_OFFER, offerId: 'first', hopLimit: 3, assertedOriginatingId: 'bob@example.net' };
        const asked = await link.request('msetup', members);
        assert.equal(asked.mediaSessionId, b);
        assert.equal(asked.mediaSessionState, 'proceeding');
        const again = await link.request('msetup', members);
        assert.equal(again.problemDetails.cause, 'INVALID_STATE');
        assert.equal(again.mediaSessionId, b);
        const invitation = await alice.expect('msetup');
        a = invitation.mediaSessionId;
        assert.notEqual(a, b);
        assert.equal(invitation.hopLimit, undefined);
        invitation.reply({ mediaSessionState: 'alerting' });
        const ringing = await link.expect('mupdate');
        ringing.reply();
        assert.equal(ringing.mediaSessionState, 'alerting');
        await alice.request('mupdate', { mediaSessionId: a, sdpAnswer: answerFor(invitation.sdpOffer) });
        const answer = await link.expect('mupdate');
        assert.equal(answer.mediaSessionState, 'established');
        assert.equal(answer.offerId, 'first');
        assert.equal(answer.assertedTerminatingId, ALICE);
        assert.deepEqual(directions(answer.sdpAnswer), ['sendrecv', 'sendrecv']);
        answer.reply();
        assert.equal(wsf.wmcf.terminations.find(({ sdpOffer }) => sdpOffer).iceMode, 'full');
        await settle();
        const none = await link.request('msetup', { ...members, mediaSessionId: randomUUID(), hopLimit: 0 });
        assert.equal(none.problemDetails.status, 502);
    });
});
