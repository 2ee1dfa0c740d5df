#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// wsf is killed with -9 and comes back: registrations live on in its store (protocol A6, resumption).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
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

/** What was said has reached the store. */
async function stored(wsf) {
    const metric = async (name) => {
        const text = await (await fetch(`${wsf.base}/metrics`)).text();
        return Number(new RegExp(`^wsf_${name}(?:{[^}]*})? (\\S+)`, 'm').exec(text)?.[1] ?? 0);
    };
    await wsf.until(async () => (await metric('store_waiting')) === 0);
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

    test('the store is for nobody else to read', () => {
        for (const name of ['wsf.db', 'wsf.db-wal']) {
            const file = path.join(wsf.folder, name);
            if (existsSync(file)) assert.equal(statSync(file).mode & 0o777, 0o600, name);
        }
    });
});
