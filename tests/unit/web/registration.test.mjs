// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Client } from '../../../web/lib/index.js';
import { FakeSocket, settle } from './fake-socket.mjs';

const ID = '6a0f4a3e-0000-4000-8000-000000000001';
const GRANTED = {
    expirationTime: 3600,
    reAuthCredential: 'r-1',
    disconnectionTtl: 30,
    keepAliveInterval: 20,
    mediaSessions: [],
};

beforeEach(() => {
    FakeSocket.reset();
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
});
afterEach(() => mock.timers.reset());

function make(options = {}) {
    const client = new Client({
        url: 'ws://x/',
        WebSocket: FakeSocket,
        instanceId: ID,
        random: () => 1,
        ...options,
    });
    const seen = [];
    for (const type of ['registered', 'reconnecting', 'stopped']) {
        client.addEventListener(type, (event) => seen.push([type, event.detail]));
    }
    client.addEventListener('statechange', (event) => seen.push(event.detail.state));
    return { client, seen };
}

async function registered(
    options,
    signIn = { webrtcId: 'alice@example.org', password: 'wonderland' },
) {
    const made = make(options);
    const done = made.client.register(signIn);
    await settle();
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.answer('auth', GRANTED);
    await done;
    return made;
}

/** The next connection, after a loss. */
async function again(milliseconds = 1000) {
    const before = FakeSocket.made.length;
    mock.timers.tick(milliseconds);
    await settle();
    assert.equal(FakeSocket.made.length, before + 1, 'a new connection');
    FakeSocket.last.open();
    await settle();
    return FakeSocket.last.lastRequest('auth');
}

test('Basic credentials at once, with the instanceId', async () => {
    const { client, seen } = await registered({ disconnectionTtl: 40 });
    const auth = FakeSocket.last.lastRequest('auth');
    assert.equal(auth.authType, 'basic');
    assert.equal(auth.webrtcId, 'alice@example.org');
    assert.equal(auth.instanceId, ID);
    assert.equal(auth.disconnectionTtl, 40);
    assert.equal(
        auth.authorization,
        `Basic ${Buffer.from('alice@example.org:wonderland').toString('base64')}`,
    );
    assert.equal(client.state, 'registered');
    assert.equal(client.webrtcId, 'alice@example.org');
    assert.deepEqual(seen, [
        'registering',
        'registered',
        ['registered', { instanceId: ID, webrtcId: 'alice@example.org' }],
    ]);
});

test('a password outside of Latin-1 is UTF-8 (RFC 7617)', async () => {
    await registered({}, { webrtcId: 'a@b.c', password: 'пароль€' });
    const { authorization } = FakeSocket.last.lastRequest('auth');
    assert.equal(Buffer.from(authorization.slice(6), 'base64').toString('utf8'), 'a@b.c:пароль€');
});

test('Bearer', async () => {
    await registered({}, { webrtcId: 'a@b.c', token: async () => 'ey.x.y' });
    const auth = FakeSocket.last.lastRequest('auth');
    assert.equal(auth.authType, 'bearer');
    assert.equal(auth.authorization, 'Bearer ey.x.y');
});

test('a refusal is the caller’s; the client can try again', async () => {
    const { client } = make();
    const done = client.register({ webrtcId: 'a@b.c', password: 'x' });
    await settle();
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.refuse('auth', 403, 'AUTHENTICATION_FAILED', { retryAfter: 4 });
    await assert.rejects(done, { cause: 'AUTHENTICATION_FAILED', retryAfter: 4 });
    assert.equal(client.state, 'offline');
    assert.ok(FakeSocket.last.closed);
    mock.timers.tick(100_000);
    assert.equal(FakeSocket.made.length, 1);
    client.register({ webrtcId: 'a@b.c', password: 'y' }).catch(() => {});
    await settle();
    assert.equal(FakeSocket.made.length, 2);
});

test('no service: CONNECTION_FAILED, also when the network swallows everything', async () => {
    const { client } = make();
    let done = client.register({ webrtcId: 'a@b.c', password: 'x' });
    await settle();
    FakeSocket.last.drop(1006);
    await assert.rejects(done, { cause: 'CONNECTION_FAILED' });
    done = client.register({ webrtcId: 'a@b.c', password: 'x' });
    await settle();
    mock.timers.tick(10_000);
    await assert.rejects(done, { cause: 'CONNECTION_FAILED' });
});

test('an aborted registration', async () => {
    const { client } = make();
    const abort = new AbortController();
    const done = client.register({ webrtcId: 'a@b.c', password: 'x', signal: abort.signal });
    await settle();
    FakeSocket.last.open();
    await settle();
    abort.abort(new Error('enough'));
    await assert.rejects(done, /enough/);
    assert.equal(client.state, 'offline');
});

test('after a loss: back-off, re-authentication with the last credential', async () => {
    const { client, seen } = await registered();
    FakeSocket.last.drop(1006);
    assert.equal(client.state, 'reconnecting');
    assert.deepEqual(seen.at(-1), ['reconnecting', { attempt: 1, delay: 1, code: 1006 }]);
    let auth = await again();
    assert.equal(auth.authType, 'reauth');
    assert.equal(auth.reAuthCredential, 'r-1');
    assert.equal(auth.instanceId, ID);
    assert.equal(auth.transactionId, 0, 'a new connection starts again at 0');
    FakeSocket.last.answer('auth', { ...GRANTED, reAuthCredential: 'r-2' });
    await settle();
    assert.equal(client.state, 'registered');
    FakeSocket.last.drop(1012);
    auth = await again();
    assert.equal(auth.reAuthCredential, 'r-2');
});

test('the back-off grows while the service is away, and starts anew after a success', async () => {
    const { client, seen } = await registered();
    FakeSocket.last.drop(1006);
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
        assert.equal(seen.at(-1)[1].delay, seconds);
        mock.timers.tick(seconds * 1000);
        await settle();
        FakeSocket.last.drop(1006);
        await settle();
    }
    client.reconnectNow();
    await settle();
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.answer('auth', GRANTED);
    await settle();
    FakeSocket.last.drop(1006);
    assert.equal(seen.at(-1)[1].delay, 1);
});

test('an invalid credential: full authentication on the same connection', async () => {
    const { client } = await registered();
    FakeSocket.last.drop(1006);
    await again();
    FakeSocket.last.refuse('auth', 403, 'REAUTH_INVALID');
    await settle();
    const auth = FakeSocket.last.lastRequest('auth');
    assert.equal(auth.authType, 'basic');
    FakeSocket.last.answer('auth', GRANTED);
    await settle();
    assert.equal(client.state, 'registered');
});

test('a changed password ends the attempts', async () => {
    const { client, seen } = await registered();
    FakeSocket.last.drop(1006);
    await again();
    FakeSocket.last.refuse('auth', 403, 'REAUTH_INVALID');
    await settle();
    FakeSocket.last.refuse('auth', 403, 'AUTHENTICATION_FAILED');
    await settle();
    assert.equal(client.state, 'offline');
    assert.equal(seen.at(-1)[0], 'stopped');
    assert.equal(seen.at(-1)[1].problem.cause, 'AUTHENTICATION_FAILED');
    mock.timers.tick(1000_000);
    assert.equal(FakeSocket.made.length, 2);
});

test('a service that asks for time gets it', async () => {
    const { seen } = await registered();
    FakeSocket.last.drop(1006);
    await again();
    FakeSocket.last.refuse('auth', 429, 'TOO_MANY_REQUESTS', { retryAfter: 17 });
    await settle();
    assert.equal(seen.at(-1)[1].delay, 17);
});

for (const [code, cause] of [
    [4409, 'SUPERSEDED'],
    [4401, 'NOT_AUTHENTICATED'],
    [1000, 'CONNECTION_LOST'],
]) {
    test(`close ${code}: stays away`, async () => {
        const { client, seen } = await registered();
        FakeSocket.last.drop(code);
        assert.equal(client.state, 'offline');
        assert.equal(seen.at(-1)[1].problem.cause, cause);
        mock.timers.tick(1000_000);
        assert.equal(FakeSocket.made.length, 1);
    });
}

test('close 4410: full authentication', async () => {
    await registered();
    FakeSocket.last.drop(4410);
    const auth = await again();
    assert.equal(auth.authType, 'basic');
});

test('the registration is refreshed before it expires', async () => {
    await registered();
    const socket = FakeSocket.last;
    const keepAlive = setInterval(
        () =>
            socket.receive({
                messageType: 'response',
                method: 'x',
                transactionId: 9999,
                success: true,
            }),
        10_000,
    );
    mock.timers.tick(2_880_000);
    await settle();
    clearInterval(keepAlive);
    const auth = socket.lastRequest('auth');
    assert.equal(auth.authType, 'reauth');
    assert.equal(auth.reAuthCredential, 'r-1');
    assert.notEqual(auth.transactionId, 0);
});

test('signing out gives the registration back', async () => {
    const { client, seen } = await registered();
    client.close();
    const auth = FakeSocket.last.lastRequest('auth');
    assert.equal(auth.expirationTime, 0);
    assert.equal(client.state, 'offline');
    assert.equal(seen.at(-1)[1].problem.cause, 'SIGNED_OUT');
    FakeSocket.last.answer('auth');
    await settle();
    assert.equal(FakeSocket.last.closed.code, 1000);
    mock.timers.tick(1000_000);
    assert.equal(FakeSocket.made.length, 1);
});

test('signing out while reconnecting', async () => {
    const { client } = await registered();
    FakeSocket.last.drop(1006);
    client.close();
    mock.timers.tick(1000_000);
    assert.equal(FakeSocket.made.length, 1);
    assert.equal(client.state, 'offline');
});

test('the instanceId that the network assigns is kept', async () => {
    const { client } = make({ instanceId: async () => undefined });
    const done = client.register({ webrtcId: 'a@b.c', password: 'x' });
    await settle();
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.answer('auth', { ...GRANTED, instanceId: ID });
    await done;
    assert.equal(client.instanceId, ID);
});
