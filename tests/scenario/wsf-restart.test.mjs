#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// wsf is killed with -9 and comes back: registrations live on in its store (protocol A6, resumption).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Wsf, answerTo, call, invite } from '../support/wsf.mjs';

const [ALICE, BOB, CAROL] = ['alice@example.org', 'bob@example.org', 'carol@example.org'];
const STORE = '[store]\nfile = wsf.db\n';

/** The same endpoint again, by its re-authentication credential. */
async function reauth(wsf, former) {
    const client = await wsf.connect();
    client.webrtcId = former.webrtcId;
    client.auth = await client.request('auth', {
        authType: 'reauth',
        webrtcId: former.webrtcId,
        instanceId: former.auth.instanceId,
        reAuthCredential: former.auth.reAuthCredential,
    });
    return client;
}

async function resume(wsf, former) {
    const client = await reauth(wsf, former);
    assert.equal(client.auth.success, true, JSON.stringify(client.auth));
    return client;
}

const cause = ({ auth }) => auth.problemDetails?.cause;

describe('registrations', () => {
    let wsf;
    before(async () => {
        wsf = await Wsf.start([], { conf: STORE });
    });
    after(() => wsf.stop());

    test('live on over a kill -9, credential and all', async () => {
        const alice = await wsf.register(ALICE);
        await wsf.kill();
        await alice.closed;
        await wsf.run();
        await wsf.says(/1 registrations and 0 calls restored/);
        const again = await resume(wsf, alice);
        assert.equal(again.auth.instanceId, alice.auth.instanceId);
        assert.equal((await again.request('getinfo')).success, true);
        // The former credential is spent, here and in the store.
        await wsf.kill();
        await wsf.run();
        assert.equal(cause(await reauth(wsf, alice)), 'REAUTH_INVALID');
        const third = await resume(wsf, again);
        assert.equal((await third.request('auth', { authType: 'reauth', webrtcId: ALICE,
            instanceId: third.auth.instanceId, reAuthCredential: third.auth.reAuthCredential,
            expirationTime: 0 })).success, true);
        await third.closed;
        await wsf.kill();
        await wsf.run();
        assert.equal(cause(await reauth(wsf, third)), 'REAUTH_INVALID', 'deregistered is deregistered');
    });

    test('end when the time to live is over after the start', async () => {
        const bob = await wsf.register(BOB, { disconnectionTtl: 1 });
        await wsf.kill();
        await wsf.run();
        await wsf.until(() => /registration of bob@example.org ended: lost/.test(wsf.log));
        assert.equal(cause(await reauth(wsf, bob)), 'REAUTH_INVALID');
    });

    test('live on over SIGTERM, which closes with 1012', async () => {
        const bob = await wsf.register(BOB);
        wsf.process.kill('SIGTERM');
        assert.equal((await bob.closed).code, 1012);
        assert.equal(await wsf.exited, 0);
        await wsf.run();
        await (await resume(wsf, bob)).close();
    });

    test('the store is for nobody else to read', () => {
        for (const name of ['wsf.db', 'wsf.db-wal']) {
            const file = path.join(wsf.folder, name);
            if (existsSync(file)) assert.equal(statSync(file).mode & 0o777, 0o600, name);
        }
    });
});

describe('calls', () => {
    let wsf;
    const open = [];
    const register = async (who, members) => {
        const client = await wsf.register(who, members);
        open.push(client);
        return client;
    };
    const back = async (former) => {
        const client = await resume(wsf, former);
        open.push(client);
        return client;
    };
    const restart = async () => {
        await wsf.kill();
        await wsf.run();
    };
    const answer = (client, { mediaSessionId, sdpOffer, offerId }) =>
        client.request('mupdate', { mediaSessionId, offerId, sdpAnswer: answerTo(sdpOffer) });
    const sessions = (client) => client.auth.mediaSessions;
    before(async () => {
        wsf = await Wsf.start(['call.no_answer_time=20', 'registration.expiration_min=1'], {
            conf: STORE,
        });
    });
    after(() => wsf.stop());
    afterEach(async () => {
        for (const client of open.splice(0)) await client.close();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
        await wsf.until(async () => (await wsf.metric('sessions')) === 0);
    });

    test('live on; both sides find them again, and either can hang up', async () => {
        for (const who of ['caller', 'callee']) {
            const [alice, bob] = [await register(ALICE), await register(BOB)];
            const { a, b } = await call(wsf, alice, bob);
            await restart();
            const established = { mediaSessionState: 'established', offerPending: 'none' };
            const [alice2, bob2] = [await back(alice), await back(bob)];
            assert.deepEqual(sessions(alice2), [{ mediaSessionId: a, ...established }]);
            assert.deepEqual(sessions(bob2), [{ mediaSessionId: b, ...established }]);
            assert.equal(wsf.wmcf.terminations.length, 2, 'media undisturbed');
            assert.ok(wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
            await alice2.request('mupdate', { mediaSessionId: a, userData: 'still here' });
            const told = await bob2.expect('mupdate');
            assert.equal(told.userData, 'still here');
            told.reply();
            const [one, id, other] = who === 'caller' ? [alice2, a, bob2] : [bob2, b, alice2];
            assert.equal((await one.request('mdisc', { mediaSessionId: id })).success, true);
            const end = await other.expect('mdisc');
            assert.equal(end.cause, 'NORMAL');
            end.reply();
            await wsf.until(() => wsf.wmcf.contexts.size === 0);
            await wsf.says(/call record: alice@example.org -> bob@example.org/);
            for (const client of [alice2, bob2]) await client.close();
        }
    });

    test('one side does not come back: PEER_LOST for the other', async () => {
        const alice = await register(ALICE);
        const bob = await register(BOB, { disconnectionTtl: 1 });
        const { a } = await call(wsf, alice, bob);
        await restart();
        const again = await back(alice);
        const end = await again.expect('mdisc');
        assert.equal(end.mediaSessionId, a);
        assert.equal(end.cause, 'PEER_LOST');
        end.reply();
    });

    test('an end that was not heard is said after the restart', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const { a, b } = await call(wsf, alice, bob);
        await bob.cut();
        await alice.request('mdisc', { mediaSessionId: a });
        await restart();
        const again = await back(bob);
        assert.equal(sessions(again)[0].mediaSessionState, 'terminated');
        const end = await again.expect('mdisc');
        assert.equal(end.mediaSessionId, b);
        assert.equal(end.cause, 'NORMAL');
        end.reply();
        await wsf.stored();
        await restart();
        assert.deepEqual(sessions(await back(again)), [], 'acknowledged, so not said once more');
    });

    test('a registration that expired meanwhile ends its call', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB, { expirationTime: 3 })];
        const { a } = await call(wsf, alice, bob);
        await wsf.kill();
        await new Promise((resolve) => setTimeout(resolve, 3000));
        await wsf.run();
        const again = await back(alice);
        const end = await again.expect('mdisc');
        assert.equal(end.mediaSessionId, a);
        assert.equal(end.cause, 'REGISTRATION_EXPIRED');
        end.reply();
        assert.equal(cause(await reauth(wsf, bob)), 'REAUTH_INVALID');
    });

    test('a tab that was superseded by another takes its call with it', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const { b } = await call(wsf, alice, bob);
        await restart();
        const first = await back(bob);
        const second = await register(BOB, { instanceId: bob.auth.instanceId });
        assert.equal((await first.closed).code, 4409);
        assert.equal(sessions(second)[0].mediaSessionId, b);
        assert.equal((await second.request('mdisc', { mediaSessionId: b })).success, true);
        const end = await (await back(alice)).expect('mdisc');
        assert.equal(end.cause, 'NORMAL');
        end.reply();
    });

    test('a call that rings goes on ringing and can be answered', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const [a, [invitation]] = await invite(alice, BOB, [bob], { userData: 'lunch?' });
        await bob.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            mediaSessionState: 'alerting',
        });
        (await alice.expect('mupdate')).reply();
        await restart();
        const [alice2, bob2] = [await back(alice), await back(bob)];
        assert.deepEqual(sessions(bob2), [
            {
                mediaSessionId: invitation.mediaSessionId,
                mediaSessionState: 'alerting',
                offerPending: 'remote',
            },
        ]);
        const offer = await bob2.expect('mupdate');
        offer.reply();
        assert.equal((await answer(bob2, offer)).success, true);
        const toCaller = await alice2.expect('mupdate');
        toCaller.reply();
        assert.equal(toCaller.mediaSessionId, a);
        assert.equal((await answer(alice2, toCaller)).success, true);
        await wsf.wmcf.connectAll();
        await wsf.until(() => wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
        await alice2.request('mdisc', { mediaSessionId: a });
        (await bob2.expect('mdisc')).reply();
    });

    test('an invitation that was not answered at all comes again', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        await alice.request('msetup', { resourceId: BOB, userData: 'lunch?' });
        const void1 = await bob.expect('msetup');
        await restart();
        const again = await back(bob);
        const invitation = await again.expect('msetup');
        invitation.reply();
        assert.notEqual(invitation.mediaSessionId, void1.mediaSessionId);
        assert.equal(invitation.userData, 'lunch?');
        assert.equal(invitation.assertedOriginatingId, ALICE);
        await again.request('mdisc', { mediaSessionId: invitation.mediaSessionId, cause: 'BUSY' });
        const end = await (await back(alice)).expect('mdisc');
        assert.equal(end.cause, 'BUSY');
        end.reply();
    });

    test('the caller had an offer to answer: it gets another one', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const [a, [invitation]] = await invite(alice, BOB, [bob]);
        assert.equal((await answer(bob, invitation)).success, true);
        const first = await alice.expect('mupdate');
        await restart();
        const again = await back(alice);
        const offer = await again.expect('mupdate');
        offer.reply();
        assert.notEqual(offer.offerId, first.offerId);
        assert.equal((await answer(again, offer)).success, true);
        await wsf.wmcf.connectAll();
        await wsf.until(() => wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
        await again.request('mdisc', { mediaSessionId: a });
        (await (await back(bob)).expect('mdisc')).reply();
    });

    test('connected while nobody listened: the gates open all the same', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const [a, [invitation]] = await invite(alice, BOB, [bob]);
        await answer(bob, invitation);
        const offer = await alice.expect('mupdate');
        offer.reply();
        await answer(alice, offer);
        await wsf.kill();
        for (const one of wsf.wmcf.terminations) one.connected = one.encrypted = true; // tells nobody
        await wsf.run();
        await wsf.until(() => wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
        await (await back(alice)).request('mdisc', { mediaSessionId: a });
        (await (await back(bob)).expect('mdisc')).reply();
    });

    test('media failed while nobody listened: the call ends', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        await call(wsf, alice, bob);
        await wsf.kill();
        Object.assign(wsf.wmcf.terminations[0], { state: 'failed', failure: 'the peer closed it' });
        await wsf.run();
        const end = await (await back(alice)).expect('mdisc');
        assert.equal(end.cause, 'PEER_LOST', 'bob is away in both ways');
        end.reply();
        await wsf.says(/dtlsFailed on the leg of .* \(the peer closed it\)/);
    });

    test('killed in a change: it is rolled back on both sides, and can be asked for again', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const { a, b } = await call(wsf, alice, bob);
        const before = wsf.wmcf.terminations.map(({ medias }) => JSON.stringify(medias));
        const hold = answerTo(wsf.wmcf.terminations[1].answer).replace(/a=sendrecv/g, 'a=sendonly');
        const asked = await alice.request('mupdate', { mediaSessionId: a, sdpOffer: hold });
        assert.equal(asked.mediaSessionState, 'modifying');
        (await bob.expect('mupdate')).reply(); // and not answered
        assert.ok(wsf.wmcf.terminations[0].offer);
        await restart();
        const [alice2, bob2] = [await back(alice), await back(bob)];
        const established = { mediaSessionState: 'established', offerPending: 'none' };
        assert.deepEqual(sessions(alice2), [{ mediaSessionId: a, ...established }]);
        assert.deepEqual(sessions(bob2), [{ mediaSessionId: b, ...established }]);
        for (const side of [alice2, bob2]) {
            const former = await side.expect('mupdate');
            former.reply();
            assert.doesNotMatch(former.sdpOffer, /a=sendonly/);
            assert.equal((await answer(side, former)).success, true);
        }
        await wsf.until(() => wsf.wmcf.terminations.every(({ offer }) => !offer));
        assert.deepEqual(
            wsf.wmcf.terminations.map(({ medias }) => JSON.stringify(medias)),
            before,
        );
        const again = await alice2.request('mupdate', { mediaSessionId: a, sdpOffer: hold });
        assert.equal(again.success, true);
        const offer = await bob2.expect('mupdate');
        offer.reply();
        assert.match(offer.sdpOffer, /a=sendonly/);
        const recvonly = { ...offer, sdpOffer: offer.sdpOffer.replace(/a=sendonly/g, 'a=recvonly') };
        assert.equal((await answer(bob2, recvonly)).success, true);
        const heard = await alice2.expect('mupdate');
        heard.reply();
        assert.match(heard.sdpAnswer, /a=recvonly/);
        await alice2.request('mdisc', { mediaSessionId: a });
        (await bob2.expect('mdisc')).reply();
    });

    test('killed when one side had changed already: both are brought back', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        const { a, b } = await call(wsf, alice, bob);
        const hold = answerTo(wsf.wmcf.terminations[1].answer).replace(/a=sendrecv/g, 'a=sendonly');
        await alice.request('mupdate', { mediaSessionId: a, sdpOffer: hold });
        const offer = await bob.expect('mupdate');
        offer.reply();
        // The answer to alice is being made when wsf is killed.
        wsf.wmcf.overrides.modify = (message, own) => (message.sdpOffer ? null : own());
        const recvonly = { ...offer, sdpOffer: offer.sdpOffer.replace(/a=sendonly/g, 'a=recvonly') };
        assert.equal((await answer(bob, recvonly)).success, true);
        await wsf.until(() => wsf.wmcf.requests('modify').some((one) => one.sdpOffer));
        await wsf.kill();
        wsf.wmcf.overrides = {};
        await wsf.run();
        const [alice2, bob2] = [await back(alice), await back(bob)];
        assert.equal(sessions(alice2)[0].mediaSessionState, 'established');
        for (const [side, id] of [[alice2, a], [bob2, b]]) {
            const former = await side.expect('mupdate');
            former.reply();
            assert.equal(former.mediaSessionId, id);
            assert.match(former.sdpOffer, /a=sendrecv/);
            assert.doesNotMatch(former.sdpOffer, /a=sendonly/);
            assert.equal((await answer(side, former)).success, true);
        }
        await alice2.request('mdisc', { mediaSessionId: a });
        (await bob2.expect('mdisc')).reply();
    });

    test('the media centre was restarted too: both sides are told', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        await call(wsf, alice, bob);
        await wsf.kill();
        await wsf.wmcf.stop({ forget: true });
        await wsf.wmcf.restart();
        await wsf.run();
        for (const client of [alice, bob]) {
            const end = await (await back(client)).expect('mdisc');
            assert.equal(end.cause, 'MEDIA_FAILURE');
            end.reply();
        }
    });

    test('the media centre is not there: its calls end when the grace is over', async () => {
        const [alice, bob] = [await register(ALICE), await register(BOB)];
        await call(wsf, alice, bob);
        await wsf.kill();
        await wsf.wmcf.stop({ forget: true });
        wsf.settings.push('media.lost_grace=1');
        const { wmcf } = wsf;
        wsf.wmcf = undefined;
        await wsf.run();
        const end = await (await back(alice)).expect('mdisc');
        assert.equal(end.cause, 'MEDIA_FAILURE');
        end.reply();
        await wmcf.restart();
        wsf.wmcf = wmcf;
        wsf.settings.pop();
        await wsf.ready();
    });

    test('a record that cannot be read costs itself alone', async () => {
        const [alice, bob, carol] = [await register(ALICE), await register(BOB), await register(CAROL)];
        await call(wsf, alice, bob);
        await wsf.kill();
        const spoil =
            'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute("UPDATE record ' +
            `SET value = '{}' WHERE kind = 'session'"); db.commit()`;
        assert.equal(spawnSync('python3', ['-c', spoil, path.join(wsf.folder, 'wsf.db')]).status, 0);
        await wsf.run();
        await wsf.says(/session record \S+ is not good and is dropped: .*, continuing/);
        assert.deepEqual(sessions(await back(alice)), []);
        await back(carol);
        wsf.wmcf.contexts.clear(); // an orphan, whose time to live is longer than this test
    });
});

describe('a store that cannot be used', () => {
    let wsf;
    const settings = ['wsf.trace_file=/dev/null']; // the limit on files would be one for it too
    before(async () => {
        wsf = await Wsf.start(settings, { conf: STORE, files: { 'trace.jsonl': '' } });
    });
    after(() => wsf.stop());
    const file = () => path.join(wsf.folder, 'wsf.db');

    test('written no more: told once, calls go on; and written again', async () => {
        const limit = (octets) => {
            const args = ['--pid', String(wsf.process.pid), `--fsize=${octets}:unlimited`];
            assert.equal(spawnSync('prlimit', args).status, 0);
        };
        await wsf.register(ALICE);
        await wsf.stored();
        limit(statSync(`${file()}-wal`).size);
        const bob = await wsf.register(BOB);
        await wsf.until(async () => (await wsf.metric('store_up')) === 0);
        assert.equal((await bob.request('getinfo')).success, true);
        await wsf.until(() => wsf.log.match(/error.*the store .* cannot be used.*calls go on/g)?.length === 1);
        limit('unlimited');
        await wsf.until(() => /the store is written again/.test(wsf.log));
        await wsf.kill();
        await wsf.run();
        await resume(wsf, bob);
    });

    test('damaged: refused with what to do, unless it is not required', async () => {
        await wsf.kill();
        // The log as well, which would heal the file.
        for (const name of [file(), `${file()}-wal`]) writeFileSync(name, Buffer.alloc(8192, 'x'));
        const start = (...more) =>
            spawnSync(wsf.process.spawnfile, ['-c', wsf.config, ...more], {
                encoding: 'utf8',
                timeout: 30_000,
            });
        const refused = start();
        assert.equal(refused.status, 1);
        assert.match(refused.stderr, /^wsf: the store \S+ is damaged \(.*rename it: mv \S+ \S+$/m);
        wsf.settings = [...settings, 'store.required=false'];
        await wsf.run();
        await wsf.says(/is damaged.*; starting without a store/);
        assert.equal(await wsf.metric('store_up'), 0);
        await wsf.register(BOB);
        wsf.process.kill('SIGKILL');
        await wsf.exited;
        wsf.settings = settings;
        renameSync(file(), `${file()}.broken`);
        await wsf.run();
        assert.equal(await wsf.metric('store_up'), 1);
    });

    test('used by another process: refused', () => {
        const second = spawnSync(wsf.process.spawnfile, ['-c', wsf.config], {
            encoding: 'utf8',
            timeout: 30_000,
        });
        assert.equal(second.status, 1);
        assert.match(second.stderr, /in use by another process/);
    });
});
