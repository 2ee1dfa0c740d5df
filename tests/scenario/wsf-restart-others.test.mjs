#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Calls over a restart of wsf that are not between two clients of its own with a media centre: of two
// operators, with direct media, with a local resource (protocol A6, resumption; the same between WSFs).

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { Stack, USERS, until } from '../support/stack.mjs';
import { PASSWORD, Wsf, answerTo, basic, invite } from '../support/wsf.mjs';

const STORE = '[store]\nfile = wsf.db\n';
const ESTABLISHED = { mediaSessionState: 'established', offerPending: 'none' };

/** The same endpoint again, by its re-authentication credential. */
async function resume(connection, former) {
    const client = await connection;
    client.webrtcId = former.webrtcId;
    client.auth = await client.request('auth', {
        authType: 'reauth',
        webrtcId: former.webrtcId,
        instanceId: former.auth.instanceId,
        reAuthCredential: former.auth.reAuthCredential,
    });
    assert.equal(client.auth.success, true, JSON.stringify(client.auth));
    return client;
}

const answer = (client, mediaSessionId, { sdpOffer, offerId }) =>
    client.request('mupdate', { mediaSessionId, offerId, sdpAnswer: answerTo(sdpOffer) });

/** Back on the port of before, where others look for it. */
async function runAgain(wsf) {
    wsf.settings.push(`listen "test".port=${new URL(wsf.url).port}`);
    await wsf.run();
    wsf.settings.pop();
}

describe('a call between two operators', () => {
    let a, b;
    const up = (wsf, name) =>
        wsf.until(async () => (await (await fetch(`${wsf.base}/readyz`)).text()).includes(` ${name} registered\n`));
    const linked = () => Promise.all([up(a, 'b'), up(b, 'a')]);
    const open = [];
    const open_ = (client) => (open.push(client), client);
    before(async () => {
        b = await Wsf.start(['wsf.realm=example.net'], {
            users: ['wsf@example.org', 'bob@example.net'],
            conf: `${STORE}[peer "a"]\nkind = operator\nrealms = example.org\n`,
        });
        a = await Wsf.start([], {
            files: { secret: `${PASSWORD}\n` },
            conf: `${STORE}[peer "b"]\nkind = operator\nrealms = example.net\nbackoff_max = 1\npassword_file = secret\nurl = ${b.url}\n`,
        });
        await linked();
    });
    after(async () => {
        await a?.stop();
        await b?.stop();
    });
    afterEach(async () => {
        for (const client of open.splice(0)) await client.close();
        for (const wsf of [a, b]) await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });
    const enabled = (wsf) =>
        wsf.until(() => {
            const { terminations } = wsf.wmcf;
            return terminations.length === 2 && terminations.every((one) => one.flowStatus === 'ENABLED');
        });
    const calling = async () => {
        const alice = open_(await a.register('alice@example.org'));
        const bob = open_(await b.register('bob@example.net'));
        const [ofAlice, [invitation]] = await invite(alice, bob.webrtcId, [bob]);
        const ofBob = invitation.mediaSessionId;
        assert.equal((await answer(bob, ofBob, invitation)).success, true);
        const offer = await alice.expect('mupdate');
        offer.reply();
        assert.equal((await answer(alice, ofAlice, offer)).success, true);
        for (const wsf of [a, b]) {
            await wsf.until(() => wsf.wmcf.terminations.length === 2);
            await wsf.wmcf.connectAll();
            await enabled(wsf);
        }
        return { alice, bob, ofAlice, ofBob };
    };
    /** What one says is heard by the other, through both. */
    const talk = async (from, id, to) => {
        assert.equal((await from.request('mupdate', { mediaSessionId: id, userData: 'hear me' })).success, true);
        const heard = await to.expect('mupdate');
        heard.reply();
        assert.equal(heard.userData, 'hear me');
    };

    test('the one that dials is killed, then the one that is dialled', async () => {
        let { alice, bob, ofAlice, ofBob } = await calling();
        await a.kill();
        await a.run();
        alice = open_(await resume(a.connect(), alice));
        assert.deepEqual(alice.auth.mediaSessions, [{ mediaSessionId: ofAlice, ...ESTABLISHED }]);
        await linked();
        await talk(alice, ofAlice, bob);
        await b.kill();
        await runAgain(b);
        bob = open_(await resume(b.connect(), bob));
        assert.deepEqual(bob.auth.mediaSessions, [{ mediaSessionId: ofBob, ...ESTABLISHED }]);
        await linked();
        await talk(bob, ofBob, alice);
        assert.equal((await bob.request('mdisc', { mediaSessionId: ofBob })).success, true);
        const end = await alice.expect('mdisc');
        end.reply();
        assert.equal(end.mediaSessionId, ofAlice);
        assert.equal(end.cause, 'NORMAL');
    });

    test('hung up while the other operator is away: told when it is back', async () => {
        const { alice, bob, ofAlice } = await calling();
        await b.kill();
        await a.until(() => a.log.includes('lost'));
        assert.equal((await alice.request('mdisc', { mediaSessionId: ofAlice })).success, true);
        await runAgain(b);
        await linked();
        const again = open_(await resume(b.connect(), bob));
        const end = await again.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'NORMAL');
    });
});

describe("a content provider's resource", () => {
    const PROVIDER = 'cinema@provider.example';
    let wsf;
    before(async () => {
        wsf = await Wsf.start(['limits.response_time=5'], {
            users: ['alice@example.org', PROVIDER],
            conf: `${STORE}[peer "cinema"]\nkind = provider\nrealms = provider.example\nwebrtc_id = ${PROVIDER}\nauth = basic\n`,
        });
    });
    after(() => wsf?.stop());
    const plays = ({ sdpOffer }) => answerTo(sdpOffer).replace(/a=sendrecv/g, 'a=sendonly');
    const settles = async (side, mediaSessionId, how = answerTo) => {
        const { sdpOffer, offerId, ...offer } = await side.expect('mupdate');
        assert.equal(offer.mediaSessionId, mediaSessionId);
        offer.reply();
        const sdpAnswer = how(sdpOffer);
        const taken = await side.request('mupdate', { mediaSessionId, offerId, sdpAnswer });
        assert.equal(taken.success, true, JSON.stringify(taken));
    };

    test('killed while another one is asked for: the call stays with the former', async () => {
        const alice = await wsf.register('alice@example.org');
        const cinema = await wsf.register(PROVIDER);
        const asked = await alice.request('msetup', { resourceId: 'film/1@provider.example' });
        const a = asked.mediaSessionId;
        const first = await cinema.expect('msetup');
        first.reply({ mediaSessionId: first.mediaSessionId, sdpAnswer: plays(first) });
        await settles(alice, a, (sdp) => answerTo(sdp).replace(/a=sendonly/g, 'a=recvonly'));
        await wsf.wmcf.connectAll();
        await wsf.until(() => wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
        const before_ = wsf.wmcf.terminations.map(({ terminationId }) => terminationId);
        alice.request('mupdate', { mediaSessionId: a, resourceId: 'film/2@provider.example' }).catch(() => {});
        const second = await cinema.expect('msetup');
        second.reply({ mediaSessionId: second.mediaSessionId });
        // It has heard that once it answers what comes behind it; a leg that has not replied is not
        // told of its end.
        assert.equal((await cinema.request('getinfo')).success, true);
        assert.equal(wsf.wmcf.terminations.length, 3);
        await wsf.kill();
        await wsf.run();
        const [alice2, cinema2] = [await resume(wsf.connect(), alice), await resume(wsf.connect(), cinema)];
        assert.deepEqual(alice2.auth.mediaSessions, [{ mediaSessionId: a, ...ESTABLISHED }]);
        const end = await cinema2.expect('mdisc');
        end.reply();
        assert.equal(end.mediaSessionId, second.mediaSessionId);
        await wsf.until(() => wsf.wmcf.terminations.length === 2);
        assert.deepEqual(
            wsf.wmcf.terminations.map(({ terminationId }) => terminationId),
            before_,
        );
        await settles(alice2, a, (sdp) => answerTo(sdp).replace(/a=sendonly/g, 'a=recvonly'));
        assert.equal((await alice2.request('mdisc', { mediaSessionId: a })).success, true);
        const over = await cinema2.expect('mdisc');
        over.reply();
        assert.equal(over.mediaSessionId, first.mediaSessionId);
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
        await Promise.all([alice2.close(), cinema2.close()]);
    });
});

describe('direct media', () => {
    const EXTENSIONS = ['direct-media', 'pre-offer-as-offer', 'trickle-ice'];
    const members = { supportedExtension: EXTENSIONS };
    const describe_ = (name) =>
        ['v=0', `o=${name} 1 1 IN IP4 192.0.2.77`, 's=-', 't=0 0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111',
            'a=mid:0', 'a=sendrecv', 'a=rtpmap:111 opus/48000/2', `a=ice-ufrag:${name}`, ''].join('\r\n');
    let wsf;
    before(async () => {
        wsf = await Wsf.start([], { conf: `${STORE}[policy "direct"]\ndirect_media = true\n` });
    });
    after(() => wsf?.stop());

    test('a call without a media centre lives on', async () => {
        const alice = await wsf.register('alice@example.org', members);
        const bob = await wsf.register('bob@example.org', members);
        const asked = await alice.request('msetup', {
            resourceId: bob.webrtcId, preOfferDescription: describe_('alice'), ...members,
        });
        const a = asked.mediaSessionId;
        const invitation = await bob.expect('msetup');
        const b = invitation.mediaSessionId;
        invitation.reply({ mediaSessionId: b });
        const { offerId } = invitation;
        await bob.request('mupdate', { mediaSessionId: b, offerId, sdpAnswer: describe_('bob') });
        (await alice.expect('mupdate')).reply();
        await wsf.kill();
        await wsf.run();
        const [alice2, bob2] = [await resume(wsf.connect(), alice), await resume(wsf.connect(), bob)];
        assert.deepEqual(alice2.auth.mediaSessions, [{ mediaSessionId: a, ...ESTABLISHED }]);
        assert.deepEqual(bob2.auth.mediaSessions, [{ mediaSessionId: b, ...ESTABLISHED }]);
        await alice2.expectNothing();
        assert.equal((await alice2.request('mdisc', { mediaSessionId: a })).success, true);
        const end = await bob2.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'NORMAL');
        await Promise.all([alice2.close(), bob2.close()]);
    });
});

describe('a local resource, with media', () => {
    const ALICE = 'alice@example.org';
    const RESOURCE = '[resource "test"]\nparameters = width=320, height=180\n';
    let stack, leg;
    const connect = () =>
        Endpoint.connect(`${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`);
    before(async () => {
        stack = await Stack.start({ conf: STORE + RESOURCE });
        leg = new GeneratedLeg();
    });
    afterEach((t) => {
        if (t.passed === false) console.error(stack?.logs());
    });
    after(async () => {
        await leg?.close();
        await stack?.stop();
    });
    const frames = (stats) => stats.receive.find(({ kind }) => kind === 'video')?.frames ?? 0;
    const moves = async () => {
        const from = frames(await leg.stats());
        await leg.until((stats) => frames(stats) > from + 20);
    };

    test('goes on playing, and can be ended', async () => {
        const client = await connect();
        client.webrtcId = ALICE;
        client.auth = await client.request('auth', {
            authType: 'basic', webrtcId: ALICE, authorization: basic(ALICE, USERS[ALICE]),
        });
        const asked = await client.request('msetup', { resourceId: 'media/test@example.org' });
        assert.equal(asked.success, true, JSON.stringify(asked));
        const { mediaSessionId, offerId } = asked;
        const [, bind] = asked.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
        const sdpAnswer = await leg.answer(asked.sdpOffer, { bind, direction: 2 });
        assert.equal((await client.request('mupdate', { mediaSessionId, sdpAnswer, offerId })).success, true);
        await leg.command('keyFrame');
        await moves();
        const metrics = async () => (await fetch(`${stack.url}metrics`)).text();
        await until(async () => /store_waiting 0/.test(await metrics()), 10_000, () => 'not stored');
        await stack.wsf.kill('SIGKILL');
        await moves();
        await stack.wsf.start();
        const again = await resume(connect(), client);
        assert.deepEqual(again.auth.mediaSessions, [{ mediaSessionId, ...ESTABLISHED }]);
        await moves();
        assert.equal((await again.request('mdisc', { mediaSessionId })).success, true);
        await stack.contextsBecome(0);
        await again.close();
    });
});
