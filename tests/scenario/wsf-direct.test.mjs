#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Direct media (6.3.2.5.x.2, client – network without media gateway – client; protocol A6): what two
// clients say about media passes as it is, and no media centre is asked for anything.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Wsf } from '../support/wsf.mjs';

const [ALICE, BOB, CAROL] = ['alice@example.org', 'bob@example.org', 'carol@example.org'];
const EXTENSIONS = ['datachannel', 'direct-media', 'pre-offer-as-offer', 'qos-report', 'trickle-ice'];
const sdp = (name, kind = 'sendrecv') =>
    [
        'v=0',
        `o=${name} 1 1 IN IP4 192.0.2.77`,
        's=-',
        't=0 0',
        'a=group:BUNDLE 0',
        `a=identity:${name}`,
        'm=audio 9 UDP/TLS/RTP/SAVPF 111',
        'c=IN IP4 0.0.0.0',
        'a=mid:0',
        `a=${kind}`,
        'a=rtpmap:111 opus/48000/2',
        `a=ice-ufrag:${name}`,
        'a=ice-pwd:0123456789012345678901',
        `a=ssrc:1 cname:${name}`,
        '',
    ].join('\r\n');

describe('direct media', () => {
    let wsf;
    const open = [];
    const register = async (who, members = { supportedExtension: EXTENSIONS }) => {
        const client = await wsf.register(who, members);
        open.push(client);
        return client;
    };
    before(async () => {
        wsf = await Wsf.start(['call.candidates_max=2'], {
            conf:
                `[policy "anchored"]\nfrom = ${ALICE}\nto = ${CAROL}\n` +
                `[policy "direct"]\ndirect_media = true\n`,
        });
    });
    after(() => wsf.stop());
    afterEach(async () => {
        for (const client of open.splice(0)) await client.close();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
        wsf.wmcf.log = [];
    });

    const ask = (caller, resourceId, members = {}) =>
        caller.request('msetup', {
            resourceId,
            preOfferDescription: sdp('alice'),
            supportedExtension: EXTENSIONS,
            ...members,
        });
    const invited = async (caller, callee, members) => {
        const { mediaSessionId, success } = await ask(caller, callee.webrtcId, members);
        assert.equal(success, true);
        const invitation = await callee.expect('msetup');
        invitation.reply({ mediaSessionId: invitation.mediaSessionId });
        return [mediaSessionId, invitation];
    };

    test('the pre-offer is the offer, the answer is the answer, and nobody asks a media centre', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        assert.deepEqual([...alice.auth.supportedExtension].sort(), EXTENSIONS);
        const [a, invitation] = await invited(alice, bob);
        assert.equal(invitation.sdpOffer, sdp('alice'));
        assert.ok(invitation.supportedExtension.includes('direct-media'));
        const taken = await bob.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            sdpAnswer: sdp('bob'),
            offerId: invitation.offerId,
        });
        assert.equal(taken.mediaSessionState, 'established');
        const answer = await alice.expect('mupdate');
        assert.equal(answer.sdpAnswer, sdp('bob'));
        assert.equal(answer.mediaSessionId, a);
        assert.equal(answer.assertedTerminatingId, BOB);
        answer.reply();
        assert.equal(wsf.wmcf.contexts.size, 0);

        const gone = await alice.request('mdisc', { mediaSessionId: a, cause: 'NORMAL' });
        assert.equal(gone.success, true);
        (await bob.expect('mdisc')).reply();
        await wsf.says(/call record: .*media centre none/);
    });

    test('one side that cannot, or a policy that does not allow it: anchored', async () => {
        const [alice, bob, carol] = [await register(ALICE), await register(BOB, {}), await register(CAROL)];
        for (const [callee, members] of [
            [bob, {}],
            [carol, {}],
        ]) {
            const [, invitation] = await invited(alice, callee, members);
            assert.ok(!invitation.sdpOffer.includes('alice'), 'nothing of the caller is in our description');
            assert.equal(wsf.wmcf.contexts.size, 1);
            await callee.request('mdisc', { mediaSessionId: invitation.mediaSessionId, cause: 'BUSY' });
            (await alice.expect('mdisc')).reply();
            await wsf.until(() => wsf.wmcf.contexts.size === 0);
        }
    });

    test('a caller that does not say direct-media: anchored', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const [, invitation] = await invited(alice, bob, { supportedExtension: ['trickle-ice'] });
        assert.ok(!invitation.sdpOffer.includes('alice'));
        await bob.request('mdisc', { mediaSessionId: invitation.mediaSessionId, cause: 'DECLINED' });
        (await alice.expect('mdisc')).reply();
    });
});
