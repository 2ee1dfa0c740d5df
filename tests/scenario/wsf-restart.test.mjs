#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// wsf is killed with -9 and comes back: registrations live on in its store (protocol A6, resumption).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Wsf } from '../support/wsf.mjs';

const [ALICE, BOB] = ['alice@example.org', 'bob@example.org'];
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

async function metric(wsf, name) {
    const text = await (await fetch(`${wsf.base}/metrics`)).text();
    return Number(new RegExp(`^wsf_${name}(?:{[^}]*})? (\\S+)`, 'm').exec(text)?.[1] ?? 0);
}

/** What was said has reached the store. */
function stored(wsf) {
    return wsf.until(async () => (await metric(wsf, 'store_waiting')) === 0);
}

async function kill(wsf) {
    await stored(wsf);
    wsf.process.kill('SIGKILL');
    await wsf.exited;
}

describe('registrations', () => {
    let wsf;
    before(async () => {
        wsf = await Wsf.start([], { conf: STORE });
    });
    after(() => wsf.stop());

    test('live on over a kill -9, credential and all', async () => {
        const alice = await wsf.register(ALICE);
        await kill(wsf);
        await alice.closed;
        await wsf.run();
        assert.match(wsf.log, /1 registrations restored/);
        const again = await resume(wsf, alice);
        assert.equal(again.auth.instanceId, alice.auth.instanceId);
        assert.equal((await again.request('getinfo')).success, true);
        // The former credential is spent, here and in the store.
        await kill(wsf);
        await wsf.run();
        assert.equal(cause(await reauth(wsf, alice)), 'REAUTH_INVALID');
        const third = await resume(wsf, again);
        assert.equal((await third.request('auth', { authType: 'reauth', webrtcId: ALICE,
            instanceId: third.auth.instanceId, reAuthCredential: third.auth.reAuthCredential,
            expirationTime: 0 })).success, true);
        await third.closed;
        await kill(wsf);
        await wsf.run();
        assert.equal(cause(await reauth(wsf, third)), 'REAUTH_INVALID', 'deregistered is deregistered');
    });

    test('end when the time to live is over after the start', async () => {
        const bob = await wsf.register(BOB, { disconnectionTtl: 1 });
        await kill(wsf);
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
        await stored(wsf);
        limit(statSync(`${file()}-wal`).size);
        const bob = await wsf.register(BOB);
        await wsf.until(async () => (await metric(wsf, 'store_up')) === 0);
        assert.equal((await bob.request('getinfo')).success, true);
        const told = wsf.log.match(/error.*the store .* cannot be used.*calls go on/g);
        assert.equal(told?.length, 1, wsf.log);
        limit('unlimited');
        await wsf.until(() => /the store is written again/.test(wsf.log));
        await kill(wsf);
        await wsf.run();
        await resume(wsf, bob);
    });

    test('damaged: refused with what to do, unless it is not required', async () => {
        await kill(wsf);
        // The log as well, which would heal the file.
        for (const name of [file(), `${file()}-wal`]) writeFileSync(name, Buffer.alloc(8192, 'x'));
        const start = (...more) =>
            spawnSync(wsf.process.spawnfile, ['-c', wsf.config, ...more], {
                encoding: 'utf8',
                timeout: 5000,
            });
        const refused = start();
        assert.equal(refused.status, 1);
        assert.match(refused.stderr, /^wsf: the store \S+ is damaged \(.*rename it: mv \S+ \S+$/m);
        wsf.settings = [...settings, 'store.required=false'];
        await wsf.run();
        assert.match(wsf.log, /is damaged.*; starting without a store/);
        assert.equal(await metric(wsf, 'store_up'), 0);
        await wsf.register(BOB);
        wsf.process.kill('SIGKILL');
        await wsf.exited;
        wsf.settings = settings;
        renameSync(file(), `${file()}.broken`);
        await wsf.run();
        assert.equal(await metric(wsf, 'store_up'), 1);
    });

    test('used by another process: refused', () => {
        const second = spawnSync(wsf.process.spawnfile, ['-c', wsf.config], {
            encoding: 'utf8',
            timeout: 5000,
        });
        assert.equal(second.status, 1);
        assert.match(second.stderr, /in use by another process/);
    });
});
