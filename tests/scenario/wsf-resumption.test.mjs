#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Loss of a client's connection and what comes after (protocol A6, resumption), through the real wsf.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { Wsf, answerTo, call, invite } from '../support/wsf.mjs';

const [ALICE, BOB] = ['alice@example.org', 'bob@example.org'];

describe('resumption', () => {
    let wsf;
    const open = [];
    const register = async (who, members) => {
        const client = await wsf.register(who, members);
        open.push(client);
        return client;
    };
    /** The same endpoint again, by its re-authentication credential. */
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
    const both = async (disconnectionTtl = 60) => [
        await register(ALICE, { disconnectionTtl }),
        await register(BOB, { disconnectionTtl }),
    ];
    const listed = (client) => client.auth.mediaSessions;
    before(async () => {
        wsf = await Wsf.start();
    });
    after(() => wsf.stop());
    afterEach(async () => {
        for (const client of open.splice(0)) await client.close();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('a call lives through a loss and a resumption', async () => {
        const [alice, bob] = await both();
        const { a, b } = await call(wsf, alice, bob);
        await bob.cut();
        await alice.expectNothing();
        const again = await resume(bob);
        assert.deepEqual(listed(again), [
            { mediaSessionId: b, mediaSessionState: 'established', offerPending: 'none' },
        ]);
        await again.expectNothing();
        await alice.request('mupdate', { mediaSessionId: a, userData: 'still here' });
        assert.equal((await again.expect('mupdate')).userData, 'still here');
        assert.equal(wsf.wmcf.terminations.length, 2);
    });

    test('a loss longer than the time to live is PEER_LOST for the other side', async () => {
        const [alice, bob] = await both(2);
        const { a } = await call(wsf, alice, bob);
        await bob.cut();
        const end = await alice.expect('mdisc');
        end.reply();
        assert.equal(end.mediaSessionId, a);
        assert.equal(end.cause, 'PEER_LOST');
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('a page reloaded: superseded, then it ends the session that it no longer has', async () => {
        const [alice, bob] = await both();
        const { b } = await call(wsf, alice, bob);
        const reloaded = await register(BOB, { instanceId: bob.auth.instanceId });
        assert.equal((await bob.closed).code, 4409);
        assert.equal(listed(reloaded)[0].mediaSessionId, b);
        assert.equal((await reloaded.request('mdisc', { mediaSessionId: b })).success, true);
        assert.equal((await alice.expect('mdisc')).cause, 'NORMAL');
    });

    test('an end during the loss is said after the resumption', async () => {
        const [alice, bob] = await both();
        const { a, b } = await call(wsf, alice, bob);
        await bob.cut();
        await alice.request('mdisc', { mediaSessionId: a });
        const again = await resume(bob);
        assert.deepEqual(listed(again), [
            { mediaSessionId: b, mediaSessionState: 'terminated', offerPending: 'none' },
        ]);
        const end = await again.expect('mdisc');
        assert.equal(end.mediaSessionId, b);
        assert.equal(end.cause, 'NORMAL');
        end.reply();
        await again.cut();
        const third = await resume(again);
        assert.deepEqual(listed(third), [], 'acknowledged, so not said once more');
        await third.expectNothing();
    });

    test('an end that crossed the loss is not said twice to who ended it', async () => {
        const [alice, bob] = await both();
        const { a } = await call(wsf, alice, bob);
        await alice.request('mdisc', { mediaSessionId: a });
        await alice.cut();
        assert.deepEqual(listed(await resume(alice)), []);
    });

    test('an invitation without an answer is void and comes again as another session', async () => {
        const [alice, bob] = await both();
        await alice.request('msetup', { resourceId: BOB });
        const void1 = await bob.expect('msetup');
        await bob.cut();
        const again = await resume(bob);
        assert.deepEqual(listed(again), []);
        const invitation = await again.expect('msetup');
        assert.notEqual(invitation.mediaSessionId, void1.mediaSessionId);
        invitation.reply();
        const taken = await again.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            sdpAnswer: answerTo(invitation.sdpOffer),
            offerId: invitation.offerId,
        });
        assert.equal(taken.success, true);
        await alice.expect('mupdate');
    });

    test('a call that rings is listed and offered anew', async () => {
        const patient = wsf;
        wsf = await Wsf.start(['call.offer_time=2']);
        const [alice, bob] = await both();
        const [, [invitation]] = await invite(alice, BOB, [bob]);
        await bob.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            mediaSessionState: 'alerting',
        });
        (await alice.expect('mupdate')).reply();
        await bob.cut();
        const again = await resume(bob);
        assert.deepEqual(listed(again), [
            {
                mediaSessionId: invitation.mediaSessionId,
                mediaSessionState: 'alerting',
                offerPending: 'remote',
            },
        ]);
        const offer = await again.expect('mupdate');
        offer.reply();
        assert.notEqual(offer.offerId, invitation.offerId);
        const stale = await again.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            sdpAnswer: answerTo(invitation.sdpOffer),
            offerId: invitation.offerId,
        });
        assert.equal(stale.problemDetails.cause, 'INVALID_STATE');
        await alice.expectNothing(2200); // it may ring on
        const taken = await again.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            sdpAnswer: answerTo(offer.sdpOffer),
            offerId: offer.offerId,
        });
        assert.equal(taken.success, true);
        for (const client of open.splice(0)) await client.close();
        await wsf.stop();
        wsf = patient;
    });

    test('the caller is away when somebody answers: the offer waits for it', async () => {
        const [alice, bob] = await both();
        const [a, [invitation]] = await invite(alice, BOB, [bob]);
        await alice.cut();
        const taken = await bob.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            sdpAnswer: answerTo(invitation.sdpOffer),
        });
        assert.equal(taken.success, true);
        await wsf.until(() => wsf.wmcf.terminations.length === 2);
        const again = await resume(alice);
        assert.equal(listed(again)[0].mediaSessionId, a);
        const offer = await again.expect('mupdate');
        offer.reply();
        const answered = await again.request('mupdate', {
            mediaSessionId: a,
            sdpAnswer: answerTo(offer.sdpOffer),
            offerId: offer.offerId,
        });
        assert.equal(answered.success, true);
    });

    test('a call to somebody who is away for a moment waits for the resumption', async () => {
        const [alice, bob] = await both();
        await bob.cut();
        const asked = await alice.request('msetup', { resourceId: BOB });
        assert.equal(asked.success, true);
        await alice.expectNothing();
        const again = await resume(bob);
        const invitation = await again.expect('msetup');
        invitation.reply();
        assert.equal(invitation.assertedOriginatingId, ALICE);
        await alice.request('mdisc', { mediaSessionId: asked.mediaSessionId });
    });

    test('… and ends when the time to live is over', async () => {
        const [alice, bob] = await both(2);
        await bob.cut();
        await alice.request('msetup', { resourceId: BOB });
        const end = await alice.expect('mdisc');
        assert.equal(end.cause, 'PEER_LOST');
        assert.equal(end.problemDetails.cause, 'USER_NOT_REGISTERED');
        assert.equal(
            (await alice.request('msetup', { resourceId: BOB })).problemDetails.cause,
            'USER_NOT_REGISTERED',
        );
    });

    test('the caller is lost for good while it rings', async () => {
        const [alice, bob] = await both(2);
        const [, [invitation]] = await invite(alice, BOB, [bob]);
        await alice.cut();
        const end = await bob.expect('mdisc');
        assert.equal(end.mediaSessionId, invitation.mediaSessionId);
        assert.equal(end.cause, 'PEER_LOST');
    });

    test('a lost endpoint without calls makes room for a new one', async () => {
        const clients = [];
        for (let i = 0; i < 8; i++) clients.push(await register(BOB, { disconnectionTtl: 60 }));
        await assert.rejects(register(BOB), /RESOURCES_UNAVAILABLE/);
        await clients[0].cut();
        await wsf.until(() => wsf.log.includes('kept for 60 s'));
        await register(BOB, { instanceId: randomUUID() });
        await assert.rejects(register(BOB), /RESOURCES_UNAVAILABLE/);
    });
});
