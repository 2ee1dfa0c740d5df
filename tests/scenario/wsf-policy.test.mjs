#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// The policy table (protocol A7; clause 6.3.2.5 QoS control): who may call whom with which media, what
// the media centre is told, and how many calls at what rate. Real wsf, a media centre without media.
// What becomes of it in a call is in wsf-quality.test.mjs.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { describe as describeSdp } from '../support/fake-wmcf.mjs';
import { USERS, Wsf, call } from '../support/wsf.mjs';

const [ALICE, BOB, CAROL] = USERS;
const [DAVE, ERIN] = ['dave@example.org', 'erin@example.org'];
const B = 'wsf@example.net';

describe('policy', () => {
    let wsf;
    const open = [];
    const register = async (who) => {
        const client = await wsf.register(who);
        open.push(client);
        return client;
    };
    /** The msetup's answer, and the call ended again. */
    const attempt = async (caller, members) => {
        const answer = await caller.request('msetup', members);
        if (answer.success) await caller.request('mdisc', { mediaSessionId: answer.mediaSessionId });
        return answer;
    };
    const cause = async (caller, members) => (await attempt(caller, members)).problemDetails?.cause;
    before(async () => {
        wsf = await Wsf.start([], {
            users: [...USERS, DAVE, ERIN, B],
            conf: `
[class "guests"]
members = dave@*, erin@*
[policy "no-video-for-guests"]
to = @guests
media = video
permit = false
[policy "voice"]
media = audio
police_rate = 12000
police_burst = 6000
dscp = EF
[policy "filtered"]
from = erin@*
to = bob@*
side = callee
media_path = flip
media_path_parameters = volume=0.5, direction=vert
media_path_failure = bypass
[policy "from-abroad"]
from = @operator
to = carol@*
permit = false
[policy "guests"]
from = @guests
attempts_per_caller = 2
calls_per_caller = 1
media_max = 1
[policy "to-guests"]
to = @guests
attempts_per_callee = 2
[policy "others"]
from = alice@*
to = carol@*
flow_status = ENABLED-UPLINK
calls_per_callee = 1
[peer "b"]
realms = example.net
calls_max = 1
`,
        });
    });
    after(() => wsf.stop());
    afterEach(async () => {
        for (const client of open.splice(0)) await client.close();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
        wsf.wmcf.log.length = 0;
    });

    test('what the media centre is told, per medium', async () => {
        await call(wsf, await register(ALICE), await register(BOB));
        const told = wsf.wmcf.requests('modify').flatMap(({ mediaPolicy }) => (mediaPolicy ? [mediaPolicy] : []));
        const policing = { sdr: 12000, mbs: 6000 };
        const marking = { taggingBehaviour: 'mark', dscp: 46 };
        const expected = [
            { mid: '0', flowStatus: 'ENABLED', policing, marking },
            { mid: '1', flowStatus: 'ENABLED' },
        ];
        assert.deepEqual(told, [expected, expected]);
        const closed = expected.map((one) => ({ ...one, flowStatus: 'DISABLED' }));
        assert.deepEqual(wsf.wmcf.requests('add').map(({ mediaPolicy }) => mediaPolicy), [closed, closed]);
    });

    test('a filter in the path of one side', async () => {
        const bob = await register(BOB);
        const erin = await register(ERIN);
        await call(wsf, erin, bob);
        const adds = wsf.wmcf.requests('add');
        assert.deepEqual(adds.map(({ mediaPath, pipeline }) => [mediaPath, pipeline]), [
            ['pipeline', { template: 'flip', parameters: { volume: 0.5, direction: 'vert' }, onFailure: 'bypass' }],
            [undefined, undefined],
        ]);
        const [filtered] = wsf.wmcf.terminations;
        await wsf.wmcf.notify(filtered, 'resourceFailure', { reason: 'it broke', bypassed: true });
        await bob.expectNothing(20);
        await wsf.wmcf.notify(filtered, 'resourceFailure', { reason: 'it broke' });
        for (const side of [erin, bob]) {
            const end = await side.expect('mdisc');
            end.reply();
            assert.equal(end.cause, 'MEDIA_FAILURE');
        }
    });

    test('a medium that is not permitted is not offered; a limit of media', async () => {
        const before = wsf.wmcf.requests('add').length;
        const offered = async (nth) => {
            await wsf.until(() => wsf.wmcf.requests('add').length >= before + nth);
            return wsf.wmcf.requests('add').at(-1).offerTemplate.medias.map(({ mediaType }) => mediaType);
        };
        const alice = await register(ALICE);
        const dave = await register(DAVE);
        await attempt(alice, { resourceId: DAVE });
        assert.deepEqual(await offered(1), ['audio']);
        const bob = await register(BOB);
        await attempt(bob, { resourceId: ALICE });
        assert.deepEqual(await offered(2), ['audio', 'video']);
        await attempt(dave, { resourceId: ALICE });
        assert.deepEqual(await offered(3), ['audio']);
        const video = {
            bundle: true,
            medias: [{ mid: '0', mediaType: 'video', direction: 'sendrecv', codecs: ['VP8'] }],
        };
        const { problemDetails } = await attempt(alice, { resourceId: DAVE, preOfferDescription: describeSdp(video) });
        assert.equal(problemDetails.cause, 'NOT_AUTHORIZED');
    });

    test('nor does it come into a running call', async () => {
        const alice = await register(ALICE);
        const dave = await register(DAVE);
        const { a } = await call(wsf, alice, dave);
        const media = (mid, mediaType, codecs) => ({ mid, mediaType, direction: 'sendrecv', codecs });
        const sdpOffer = describeSdp({ medias: [media('0', 'audio', ['opus']), media('1', 'video', ['VP8'])] }, '192.0.2.7');
        const { success } = await alice.request('mupdate', { mediaSessionId: a, sdpOffer, offerId: 'mine' });
        assert.equal(success, true);
        const answer = await alice.expect('mupdate');
        answer.reply();
        assert.match(answer.sdpAnswer, /m=audio [1-9]/);
        assert.doesNotMatch(answer.sdpAnswer, /m=video [1-9]/);
        await dave.expectNothing(20);
    });

    test('calls at a time: of a caller, of a callee', async () => {
        const [alice, carol, dave, bob] = [
            await register(ALICE),
            await register(CAROL),
            await register(DAVE),
            await register(BOB),
        ];
        await wsf.until(async () => (await dave.request('msetup', { resourceId: ALICE })).success);
        await wsf.until(async () => (await cause(dave, { resourceId: BOB })) === 'RESOURCES_UNAVAILABLE');
        const { success } = await alice.request('msetup', { resourceId: CAROL });
        assert.equal(success, true);
        assert.equal(await cause(alice, { resourceId: CAROL }), 'USER_BUSY');
        assert.equal(await cause(bob, { resourceId: CAROL }), undefined, 'another row, another limit');
    });

    test('attempts per second: of a caller, to a callee', async () => {
        const [alice, erin] = [await register(ALICE), await register(ERIN)];
        for (const [caller, resourceId] of [
            [erin, ALICE],
            [alice, ERIN],
        ]) {
            const tries = Array.from({ length: 30 }, () => attempt(caller, { resourceId }));
            const answers = await Promise.all(tries);
            assert.equal(answers[0].success, true);
            const refused = answers.filter(({ problemDetails }) => problemDetails?.cause === 'TOO_MANY_REQUESTS');
            assert.ok(refused.length > 0);
            assert.ok(refused.every(({ retryAfter }) => retryAfter === 1));
        }
    });

    test('an operator: by kind, and its own limit of calls', async () => {
        const b = await register(B);
        const [bob, carol] = [await register(BOB), await register(CAROL)];
        const audio = {
            bundle: true,
            medias: [{ mid: '0', mediaType: 'audio', direction: 'sendrecv', codecs: ['opus'] }],
        };
        const from = (resourceId) => ({
            resourceId,
            mediaSessionId: randomUUID(),
            sdpOffer: describeSdp(audio),
            assertedOriginatingId: `${randomUUID()}@example.net`,
        });
        assert.equal(await cause(b, from(CAROL)), 'NOT_AUTHORIZED');
        assert.equal((await b.request('msetup', from(BOB))).success, true);
        assert.equal(await cause(b, from(BOB)), 'RESOURCES_UNAVAILABLE');
        assert.equal(await cause(carol, { resourceId: 'zoe@example.net' }), 'RESOURCES_UNAVAILABLE', 'both directions');
        await carol.expectNothing(10);
    });
});
