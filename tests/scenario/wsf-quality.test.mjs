#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// The quality of service of a call: what a media centre is asked for and when, what happens when it
// cannot hold it, what the endpoints hear (extension qos-report), and a policy table that changes under
// calls in progress. Real wsf, media centres without media.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { describe as describeSdp, FakeWmcf } from '../support/fake-wmcf.mjs';
import { USERS, Wsf, answerTo, call, invite } from '../support/wsf.mjs';

const [ALICE, BOB] = USERS;
const PEER = 'wsf@example.net';
const REPORTS = { supportedExtension: ['qos-report'] };
const LIMITED = 'media = video\npolice_rate = 62500\npolice_burst = 15000\n';
const policing = { sdr: 62500, mbs: 15000 };

const policies = (wmcf, method) =>
    wmcf.requests(method).flatMap(({ mediaPolicy }) => (mediaPolicy ? [mediaPolicy] : []));

/** A media centre that holds no policing. */
function weak(wmcf) {
    for (const method of ['add', 'modify']) {
        wmcf.overrides[method] = (message, own) => {
            if (message.mediaPolicy?.some((entry) => entry.policing)) {
                throw FakeWmcf.problem(503, 'ENFORCEMENT_UNAVAILABLE');
            }
            return own();
        };
    }
}

/** The mupdate's member qos; it is answered. */
async function told(client) {
    const update = await client.expect('mupdate');
    update.reply();
    assert.deepEqual(Object.keys(update).filter((key) => ['qos', 'sdpOffer', 'sdpAnswer'].includes(key)), ['qos']);
    return update.qos;
}

describe('in a call', () => {
    let wsf, alice, bob, sides;
    const open = [];
    const register = async (who, members) => {
        const client = await wsf.register(who, members);
        open.push(client);
        return client;
    };
    /** A call from alice to bob; [bob's termination, alice's]. */
    const start = async (members = [REPORTS, REPORTS]) => {
        alice = await register(ALICE, members[0]);
        bob = await register(BOB, members[1]);
        sides = await call(wsf, alice, bob);
        return wsf.wmcf.terminations;
    };
    before(async () => {
        wsf = await Wsf.start([], { users: [...USERS, PEER], conf: '[peer "b"]\nrealms = example.net\n' });
    });
    after(() => wsf.stop());
    afterEach(async () => {
        for (const client of open.splice(0)) await client.close();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
        wsf.configure('[peer "b"]\nrealms = example.net\n');
        await wsf.reload(/policy table is read again/);
        wsf.wmcf.log.length = 0;
    });
    const table = async (rows) => {
        wsf.configure(`[peer "b"]\nrealms = example.net\n${rows}`);
        await wsf.reload(/policy table is read again/);
    };

    test('a gate that is closed by a new policy table, and opened again', async () => {
        const [legB, legA] = await start();
        wsf.wmcf.log.length = 0;
        await table(`[policy "dark"]\nside = caller\nfrom = alice@*\nmedia = video\nflow_status = ENABLED-DOWNLINK\n`);
        assert.deepEqual(await told(alice), [{ mid: '1', flowStatus: 'ENABLED-DOWNLINK' }]);
        assert.deepEqual(policies(wsf.wmcf, 'modify'), [
            [
                { mid: '0', flowStatus: 'ENABLED' },
                { mid: '1', flowStatus: 'ENABLED-DOWNLINK' },
            ],
        ]);
        await wsf.wmcf.notify(legA, 'mediaGated', { direction: 'uplink' }, '1');
        assert.deepEqual(await told(alice), [{ mid: '1', flowStatus: 'ENABLED-DOWNLINK', gated: 'uplink' }]);
        await wsf.wmcf.notify(legA, 'mediaGated', { direction: 'uplink' }, '0');
        await wsf.wmcf.notify(legA, 'mediaGated', { direction: 'downlink' }, '1');
        await wsf.wmcf.notify(legB, 'mediaGated', { direction: 'uplink' }, '1');
        await bob.expectNothing(20);
        await alice.expectNothing(20);
        await table('');
        assert.deepEqual(await told(alice), [{ mid: '1', flowStatus: 'ENABLED' }]);
        await bob.expectNothing(20);
        await wsf.until(() => wsf.log.match(/the video of alice@example\.org \(mid 1\) is stopped at a closed gate/g)?.length === 1);
        assert.equal(await wsf.metric('quality_events_total'), 1);
    });

    test('what is measured is told to who understands it, all media in one message', async () => {
        const [legB, legA] = await start([REPORTS, undefined]);
        const asked = wsf.wmcf.requests('add').map(({ events }) => events.includes('qosReport'));
        assert.deepEqual(asked.toSorted(), [false, true]);
        const measured = { seconds: 5.01, uplink: { bitrate: 40000, loss: 0.01, jitter: 0.002 } };
        for (const mid of ['0', '1'])
            wsf.wmcf.notify(legA, 'qosReport', { mediaType: mid === '0' ? 'audio' : 'video', ...measured }, mid);
        assert.deepEqual(await told(alice), [{ mid: '0', measured }, { mid: '1', measured }]);
        await wsf.wmcf.notify(legB, 'qosReport', measured, '0');
        await wsf.wmcf.notify(legA, 'qosReport', measured, 'no such');
        await bob.expectNothing(100);
        await alice.expectNothing(20);
    });

    test('limits come and go in the same way; policing is told each time and logged once', async () => {
        const [legB, legA] = await start();
        wsf.wmcf.log.length = 0;
        await table(`[policy "a"]\n${LIMITED}dscp = CS1\n`);
        await wsf.until(() => policies(wsf.wmcf, 'modify').length === 2);
        const limited = [
            { mid: '0', flowStatus: 'ENABLED' },
            { mid: '1', flowStatus: 'ENABLED', policing, marking: { taggingBehaviour: 'mark', dscp: 8 } },
        ];
        assert.deepEqual(policies(wsf.wmcf, 'modify'), [limited, limited]);
        for (const packets of [12, 7]) {
            await wsf.wmcf.notify(legB, 'policingDiscard', { direction: 'uplink', packets }, '1');
            assert.deepEqual(await told(bob), [
                { mid: '1', policingDiscarded: { packets, direction: 'uplink' } },
            ]);
        }
        await wsf.until(() => wsf.log.match(/the video of bob@example\.org \(mid 1\) is above its rate/g)?.length === 1);
        assert.equal(legA.connected, true);
        wsf.wmcf.log.length = 0;
        await table('');
        await wsf.until(() => policies(wsf.wmcf, 'modify').length === 2);
        assert.deepEqual(policies(wsf.wmcf, 'modify')[0], [
            { mid: '*', flowStatus: 'ENABLED' },
            { mid: '1', policing: false, marking: { taggingBehaviour: 'mark', dscp: 36 } },
        ]);
        await alice.expectNothing(20);
    });

    test('what fits the table already is not touched; a table that is wrong changes nothing', async () => {
        await start();
        wsf.wmcf.log.length = 0;
        await table('[policy "same"]\nfrom = alice@*\n');
        wsf.configure('[policy "bad"]\ndscp = EFF\n');
        await wsf.reload(/configuration is not read again: \[policy "bad"\] dscp: "EFF" is no DSCP: .*EF, VA/);
        assert.deepEqual(wsf.wmcf.requests('modify'), []);
        const args = ['-c', wsf.config, '--check-config'];
        const wsfProgram = path.join(process.env.BUILD ?? 'build-check', 'wsf/wsf');
        const { status, stderr } = spawnSync(wsfProgram, args, { encoding: 'utf8' });
        assert.equal(status, 1);
        assert.match(stderr, /\[policy "bad"\] dscp: "EFF" is no DSCP/);
    });

    test('a new policy that cannot be held: the former stands', async () => {
        await start();
        weak(wsf.wmcf);
        await table(`[policy "a"]\n${LIMITED}side = caller\n`);
        await wsf.until(() => /new policy does not hold for the media of alice@example\.org: .*; the former/.test(wsf.log));
        wsf.wmcf.overrides = {};
        const { success } = await alice.request('mupdate', { mediaSessionId: sides.a, userData: 1 });
        assert.equal(success, true);
        (await bob.expect('mupdate')).reply();
    });

    test('a gate that is closed from the beginning; and packets at a gate that is not open yet', async () => {
        await table('[policy "dark"]\nmedia = video\nflow_status = DISABLED\nto = bob@*\n');
        [alice, bob] = [await register(ALICE, REPORTS), await register(BOB)];
        const [a, [invitation]] = await invite(alice, BOB, [bob]);
        const { mediaSessionId } = invitation;
        await bob.request('mupdate', { mediaSessionId, sdpAnswer: answerTo(invitation.sdpOffer) });
        const { sdpOffer, reply } = await alice.expect('mupdate');
        reply({ mediaSessionId: a, sdpAnswer: answerTo(sdpOffer) });
        await wsf.until(() => wsf.wmcf.terminations.every(({ answer }) => answer));
        const [legB, legA] = wsf.wmcf.terminations;
        await wsf.wmcf.connect(legA);
        for (const mid of ['0', '1']) await wsf.wmcf.notify(legA, 'mediaGated', { direction: 'uplink' }, mid);
        await alice.expectNothing(20);
        await wsf.wmcf.connect(legB);
        assert.deepEqual(await told(alice), [{ mid: '1', flowStatus: 'DISABLED' }]);
        await bob.expectNothing(20); // it has not said that it understands
        await wsf.wmcf.notify(legA, 'mediaGated', { direction: 'uplink' }, '0'); // a late one
        await wsf.wmcf.notify(legA, 'mediaGated', { direction: 'uplink' }, '7');
        await alice.expectNothing(20);
    });

    test('an endpoint that was away hears again what holds', async () => {
        await start();
        await table('[policy "dark"]\nmedia = video\nside = caller\nflow_status = DISABLED\n');
        const { reAuthCredential, instanceId } = alice.auth;
        assert.deepEqual(await told(alice), [{ mid: '1', flowStatus: 'DISABLED' }]);
        await alice.cut();
        await table('');
        alice = await wsf.connect();
        open.push(alice);
        const back = { authType: 'reauth', webrtcId: ALICE, reAuthCredential, instanceId, ...REPORTS };
        assert.equal((await alice.request('auth', back)).success, true);
        assert.deepEqual(await told(alice), [{ mid: '1', flowStatus: 'ENABLED' }]);
    });

    test('another network is told nothing', async () => {
        await table('[policy "dark"]\nmedia = video\nflow_status = DISABLED\n');
        const peer = await register(PEER, REPORTS);
        bob = await register(BOB, REPORTS);
        const media = (mid, mediaType, codecs) => ({ mid, mediaType, direction: 'sendrecv', codecs });
        const mediaSessionId = '7a1f0a1d-58f7-4a0e-8f0b-f3a9c0d22c3e';
        const sdpOffer = describeSdp(
            { bundle: true, medias: [media('0', 'audio', ['opus']), media('1', 'video', ['VP8'])] },
            '192.0.2.7',
        );
        const asked = await peer.request('msetup', { resourceId: BOB, mediaSessionId, sdpOffer });
        assert.equal(asked.success, true);
        const invitation = await bob.expect('msetup');
        invitation.reply({ mediaSessionId: invitation.mediaSessionId });
        const sdpAnswer = answerTo(invitation.sdpOffer);
        await bob.request('mupdate', { mediaSessionId: invitation.mediaSessionId, sdpAnswer });
        (await peer.expect('mupdate')).reply();
        await wsf.wmcf.connectAll();
        assert.deepEqual(await told(bob), [{ mid: '1', flowStatus: 'DISABLED' }]);
        await peer.expectNothing(20);
    });
});

describe('a policy that a media centre cannot hold', () => {
    const rows = (enforcement) => `[policy "all"]\n${LIMITED}enforcement = ${enforcement}\n`;
    let wsf, alice, bob, other;
    const start = async (conf) => {
        wsf = await Wsf.start([], { conf });
        weak(wsf.wmcf);
        [alice, bob] = [await wsf.register(ALICE), await wsf.register(BOB)];
    };
    afterEach(async () => {
        await alice.close();
        await bob.close();
        await other?.stop();
        other = undefined;
        await wsf.stop();
    });

    test('required: the call ends before anybody rings', async () => {
        await start(rows('required'));
        const { mediaSessionId } = await alice.request('msetup', { resourceId: BOB });
        const end = await alice.expect('mdisc');
        end.reply();
        assert.equal(end.mediaSessionId, mediaSessionId);
        assert.equal(end.cause, 'QOS_LOST');
        assert.equal(end.problemDetails.cause, 'QOS_RESOURCES_UNAVAILABLE');
        await bob.expectNothing(20);
        assert.equal(await wsf.metric('policy_unheld_total'), 1);
    });

    test('best-effort: the call goes on with its gates, and says so once for each side', async () => {
        await start(rows('best-effort'));
        await call(wsf, alice, bob);
        await wsf.until(() => wsf.log.match(/warning wsf\/call: policy not held by the media centre/g)?.length === 2);
        assert.deepEqual(policies(wsf.wmcf, 'modify').at(-1), [
            { mid: '0', flowStatus: 'ENABLED' },
            { mid: '1', flowStatus: 'ENABLED' },
        ]);
    });

    for (const enforcement of ['required', 'best-effort']) {
        test(`another media centre that holds it gets the call (${enforcement})`, async () => {
            other = await new FakeWmcf().start();
            other.load = 50; // chosen last
            await start(`${rows(enforcement)}[wmcf "other"]\nurl = ${other.url}\ntoken_file = token\n`);
            await wsf.until(() => other.requests('audit').length > 0);
            const [a, [invitation]] = await invite(alice, BOB, [bob]);
            await bob.request('mupdate', {
                mediaSessionId: invitation.mediaSessionId,
                sdpAnswer: answerTo(invitation.sdpOffer),
            });
            const { sdpOffer, reply } = await alice.expect('mupdate');
            reply({ mediaSessionId: a, sdpAnswer: answerTo(sdpOffer) });
            await wsf.until(() => other.terminations.length === 2 && other.terminations.every(({ answer }) => answer));
            await other.connectAll();
            await wsf.until(() => other.terminations.every(({ flowStatus }) => flowStatus === 'ENABLED'));
            assert.equal(wsf.wmcf.contexts.size, 0);
            assert.deepEqual(policies(other, 'modify')[0][1].policing, policing);
            await alice.request('mdisc', { mediaSessionId: a });
            await wsf.until(() => other.contexts.size === 0);
        });
    }

    test('a level that is gone: told once, and this media centre is the last choice', async () => {
        other = await new FakeWmcf().start();
        other.load = 50;
        await start(`[wmcf "other"]\nurl = ${other.url}\ntoken_file = token\n`);
        await wsf.until(() => other.requests('audit').length > 0);
        wsf.wmcf.enforcement = { level: 'none', reason: 'the interface eth1 is gone' };
        for (let i = 0; i < 2; i++) await wsf.wmcf.serviceChange();
        await wsf.until(() => wsf.log.match(/warning wsf\/wmcf-link: the media centre enforces no policies: the interface eth1/g)?.length === 1);
        await alice.request('msetup', { resourceId: BOB });
        await bob.expect('msetup');
        assert.equal(wsf.wmcf.contexts.size, 0);
        assert.equal(other.contexts.size, 1);
        assert.equal(await wsf.metric('wmcf_enforcement{wmcf="fake",level="none"}'), 1);
    });
});
