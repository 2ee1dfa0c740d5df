#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Clause 6.3.2.6, registration: what the real wsf answers to every way of authenticating.

import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { PASSWORD, Wsf, basic } from '../support/wsf.mjs';

const ALICE = 'alice@example.org';
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });

function token(claims, { key = keys.privateKey, alg = 'RS256' } = {}) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const now = Math.floor(Date.now() / 1000);
    const body = `${part({ alg, kid: 'one' })}.${part({ iss: 'https://login.example.org', aud: 'wsf', exp: now + 600, ...claims })}`;
    const signature = alg === 'none' ? '' : createSign('sha256').update(body).sign(key, 'base64url');
    return `${body}.${signature}`;
}

describe('registration', () => {
    let wsf;
    before(async () => {
        const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig' };
        wsf = await Wsf.start(['registration.expiration_min=1'], {
            files: { 'jwks.json': JSON.stringify({ keys: [jwk] }) },
            conf: '[auth]\njwk_set_file = jwks.json\nissuer = https://login.example.org\naudience = wsf\n',
        });
    });
    after(() => wsf.stop());

    test('basic: challenge, then success with everything that it promises', async () => {
        const client = await wsf.connect();
        const asked = await client.request('auth', { authType: 'basic', webrtcId: ALICE });
        assert.equal(asked.success, false);
        assert.equal(asked.problemDetails.status, 401);
        assert.equal(asked.problemDetails.cause, 'AUTHENTICATION_REQUIRED');
        assert.equal(asked.wwwAuthenticate, 'Basic realm="example.org", charset="UTF-8"');
        const instanceId = randomUUID();
        const done = await client.request('auth', {
            authType: 'basic',
            webrtcId: 'alice@EXAMPLE.org',
            authorization: basic(ALICE, PASSWORD),
            instanceId,
            disconnectionTtl: 1000,
        });
        assert.equal(done.success, true);
        assert.equal(done.expirationTime, 3600);
        assert.equal(done.disconnectionTtl, 300);
        assert.equal(done.keepAliveInterval, 20);
        assert.equal(done.instanceId, instanceId);
        assert.deepEqual(done.mediaSessions, []);
        assert.ok(Buffer.from(done.reAuthCredential, 'base64url').length >= 16);
        await client.close();
    });

    test('wrong password and unknown user are the same answer', async () => {
        const answers = [];
        for (const user of [ALICE, 'nobody@example.org', 'alice@elsewhere.example']) {
            const client = await wsf.connect();
            const { transactionId, ...answer } = await client.request('auth', {
                authType: 'basic',
                webrtcId: user,
                authorization: basic(user, 'wrong'),
            });
            answers.push(answer);
            await client.close();
        }
        assert.equal(answers[0].problemDetails.cause, 'AUTHENTICATION_FAILED');
        assert.equal(answers[0].problemDetails.status, 403);
        assert.deepEqual(answers[1], answers[0]);
        assert.deepEqual(answers[2], answers[0]);
    });

    test('three failures close the connection with 4401', async () => {
        const client = await wsf.connect();
        for (let i = 0; i < 3; i++) {
            await client.request('auth', { authType: 'basic', webrtcId: ALICE, authorization: basic(ALICE, 'no') });
        }
        assert.equal((await client.closed).code, 4401);
    });

    test('bearer: a good token for the identity, never beyond its own end', async () => {
        const client = await wsf.connect();
        const done = await client.request('auth', { authType: 'bearer', webrtcId: ALICE, authorization: `Bearer ${token({ sub: ALICE })}` });
        assert.equal(done.success, true, JSON.stringify(done.problemDetails));
        assert.ok(done.expirationTime <= 600 && done.expirationTime > 590);
        await client.close();
    });

    test('bearer: whatever is wrong with a token is one answer', async () => {
        const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
        const now = Math.floor(Date.now() / 1000);
        const bad = [
            token({ sub: 'bob@example.org' }),
            token({ sub: ALICE, exp: now - 120 }),
            token({ sub: ALICE, nbf: now + 120 }),
            token({ sub: ALICE, iss: 'https://evil.example' }),
            token({ sub: ALICE, aud: 'other' }),
            token({ sub: ALICE }, { key: other }),
            token({ sub: ALICE }, { alg: 'none' }),
            'rubbish',
        ];
        for (const authorization of bad) {
            const client = await wsf.connect();
            const answer = await client.request('auth', { authType: 'bearer', webrtcId: ALICE, authorization: `Bearer ${authorization}` });
            assert.equal(answer.problemDetails.cause, 'AUTHENTICATION_FAILED', authorization);
            await client.close();
        }
    });

    test('reauth: the new credential works, the former until the first request, then no more', async () => {
        const instanceId = randomUUID();
        const one = await wsf.register(ALICE, { instanceId });
        const reauth = async (reAuthCredential) => {
            const client = await wsf.connect();
            client.auth = await client.request('auth', { authType: 'reauth', webrtcId: ALICE, instanceId, reAuthCredential });
            return client;
        };
        await one.cut();
        const two = await reauth(one.auth.reAuthCredential);
        assert.equal(two.auth.success, true);
        const three = await reauth(one.auth.reAuthCredential); // the answer to `two` was lost
        assert.equal(three.auth.success, true);
        assert.equal((await two.closed).code, 4409);
        assert.equal((await three.request('getinfo')).success, true);
        const four = await reauth(one.auth.reAuthCredential);
        assert.equal(four.auth.problemDetails.cause, 'REAUTH_INVALID');
        const five = await reauth(three.auth.reAuthCredential);
        assert.equal(five.auth.success, true);
        await five.close();
    });

    test('the same endpoint from a new connection supersedes the old one', async () => {
        const instanceId = randomUUID();
        const one = await wsf.register(ALICE, { instanceId });
        const two = await wsf.register(ALICE, { instanceId });
        assert.equal((await one.closed).code, 4409);
        assert.equal((await two.request('getinfo', { resources: ['registration'] })).resources.registration.instanceId, instanceId);
        await two.close();
    });

    test('a repeated auth refreshes, one for another identity is refused', async () => {
        const client = await wsf.register(ALICE);
        const again = await client.request('auth', { authType: 'basic', webrtcId: ALICE, authorization: basic(ALICE, PASSWORD), expirationTime: 100 });
        assert.equal(again.success, true);
        assert.equal(again.expirationTime, 100);
        assert.equal(again.instanceId, client.auth.instanceId);
        const other = await client.request('auth', { authType: 'basic', webrtcId: 'bob@example.org', authorization: basic('bob@example.org', PASSWORD) });
        assert.equal(other.problemDetails.cause, 'INVALID_STATE');
        await client.close();
    });

    test('expiry closes with 4410, expirationTime 0 signs out', async () => {
        const short = await wsf.register(ALICE, { expirationTime: 1 });
        assert.equal((await short.closed).code, 4410);
        const client = await wsf.register(ALICE);
        const out = await client.request('auth', { authType: 'basic', webrtcId: ALICE, authorization: basic(ALICE, PASSWORD), expirationTime: 0 });
        assert.equal(out.success, true);
        assert.equal((await client.closed).code, 1000);
    });

    test('getinfo tells what is asked and names what it does not know', async () => {
        const client = await wsf.register(ALICE);
        const all = await client.request('getinfo');
        assert.deepEqual(Object.keys(all.resources).sort(), ['directory', 'iceServers', 'mediaSessions', 'registration', 'serverInfo']);
        assert.deepEqual(all.resources.iceServers, []);
        const some = await client.request('getinfo', { resources: ['serverInfo', 'weather'] });
        assert.deepEqual(some.unknownResources, ['weather']);
        assert.equal(some.resources.serverInfo.realm, 'example.org');
        await client.close();
    });

    test('before auth nothing but auth; malformed requests name the member', async () => {
        const client = await wsf.connect();
        assert.equal((await client.request('msetup', { resourceId: ALICE })).problemDetails.cause, 'NOT_AUTHENTICATED');
        for (const [members, param] of [
            [{ webrtcId: ALICE }, '/authType'],
            [{ authType: 'digest', webrtcId: ALICE }, '/authType'],
            [{ authType: 'basic' }, '/webrtcId'],
            [{ authType: 'basic', webrtcId: 'alice' }, '/webrtcId'],
            [{ authType: 'basic', webrtcId: ALICE, instanceId: 'x' }, '/instanceId'],
            [{ authType: 'basic', webrtcId: ALICE, authorization: 'Basic !' }, '/authorization'],
            [{ authType: 'reauth', webrtcId: ALICE }, '/reAuthCredential'],
        ]) {
            const answer = await client.request('auth', members);
            assert.equal(answer.success, false);
            assert.equal(answer.problemDetails.status, 400, JSON.stringify(answer));
            assert.equal(answer.problemDetails.invalidParams[0].param, param);
        }
        await client.close();
    });

    test('credentials are read again on SIGHUP, a broken file changes nothing', async () => {
        wsf.addUser('dave@example.org', PASSWORD);
        wsf.process.kill('SIGHUP');
        await wsf.until(() => wsf.log.includes('read again'));
        await (await wsf.register('dave@example.org')).close();
        wsf.file('users', 'nonsense\n');
        wsf.process.kill('SIGHUP');
        await wsf.until(() => wsf.log.includes('not replaced'));
        await (await wsf.register('dave@example.org')).close();
    });
});

test('failures make the next attempt wait', async () => {
    const wsf = await Wsf.start(['auth.failures_free_identity=2', 'limits.auth_failures_max=10']);
    try {
        const client = await wsf.connect();
        const attempt = (password) => client.request('auth', { authType: 'basic', webrtcId: ALICE, authorization: basic(ALICE, password) });
        assert.equal((await attempt('no')).retryAfter, undefined);
        assert.equal((await attempt('no')).retryAfter, 1);
        await new Promise((resolve) => setTimeout(resolve, 1100));
        assert.equal((await attempt('no')).retryAfter, 2);
        const refused = await attempt(PASSWORD);
        assert.equal(refused.problemDetails.cause, 'TOO_MANY_REQUESTS');
        assert.ok(refused.retryAfter >= 1);
        await new Promise((resolve) => setTimeout(resolve, 2100));
        assert.equal((await attempt(PASSWORD)).success, true);
    } finally {
        await wsf.stop();
    }
});

test('pages: health, readiness, metrics, discovery', async () => {
    const wsf = await Wsf.start([], { wmcf: false });
    try {
        assert.equal((await fetch(`${wsf.base}/healthz`)).status, 200);
        assert.equal((await fetch(`${wsf.base}/readyz`)).status, 503);
        assert.match(await (await fetch(`${wsf.base}/metrics`)).text(), /wsf_registrations 0[\s\S]*# EOF/);
        const { wsf: urls } = await (await fetch(`${wsf.base}/.well-known/eirtcw`)).json();
        assert.match(urls[0], /^ws:\/\/localhost:\d+\/eirtcw\/v1$/);
    } finally {
        await wsf.stop();
    }
});
