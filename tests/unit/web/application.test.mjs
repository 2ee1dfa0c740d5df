// SPDX-License-Identifier: Apache-2.0
// What is beside calls: an application's own methods, information, attributes, and where a realm's
// service is.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Client, ProblemError, discover } from '../../../web/lib/index.js';
import { FakeConnection, offer, track } from './fake-connection.mjs';
import { FakeSocket, settle } from './fake-socket.mjs';
import { Network } from './network.mjs';

let net;

beforeEach(() => {
    FakeConnection.made = [];
    FakeConnection.refuses = FakeConnection.gathers = false;
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
});
afterEach(() => {
    net?.client.close();
    net = undefined;
    mock.timers.reset();
});

async function inCall() {
    net = await Network.start();
    const session = net.client.call('bob@example.org', { tracks: [track('audio')] });
    await settle();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer('sendrecv') });
    net.answer('mupdate');
    await settle();
    return session;
}

test('a method of the application, to the far end and back', async () => {
    const session = await inCall();
    const reply = session.request('chat.example.org', { text: 'hello' });
    assert.deepEqual(net.last('chat.example.org').userData, { text: 'hello' });
    assert.equal(net.last('chat.example.org').mediaSessionId, 'm-1');
    net.answer('chat.example.org', { userData: { seen: true } });
    assert.deepEqual(await reply, { seen: true });
});

test('the far end’s methods: answered by a handler, refused by it, unknown', async () => {
    const session = await inCall();
    net.client.handle('chat.example.org', async (userData, context) => {
        assert.equal(context.session, session);
        if (userData.text === '') throw new ProblemError({ status: 403, cause: 'NOT_AUTHORIZED' });
        return { length: userData.text.length };
    });
    const ask = (method, userData) => net.request(method, { mediaSessionId: 'm-1', userData });
    const heard = await ask('chat.example.org', { text: 'hello' });
    assert.deepEqual(heard.userData, { length: 5 });
    assert.equal(heard.mediaSessionId, 'm-1');
    assert.equal((await ask('chat.example.org', { text: '' })).problemDetails.cause, 'NOT_AUTHORIZED');
    assert.equal((await ask('pay.example.org', 1)).problemDetails.cause, 'APP_METHOD_UNKNOWN');
    net.client.handle('chat.example.org', null);
    assert.equal((await ask('chat.example.org', 1)).problemDetails.status, 404);
    assert.throws(() => net.client.handle('chat', () => {}), TypeError);
    assert.throws(() => net.client.handle('chat.localhost', () => {}), TypeError);
});

test('a method that goes to a resource, without a session', async () => {
    net = await Network.start();
    net.client.handle('door.example.org', (_, { session, message }) => ({
        without: session === undefined,
        asked: message.resourceId,
    }));
    const response = await net.request('door.example.org', { resourceId: 'gate@example.org' });
    assert.deepEqual(response.userData, { without: true, asked: 'gate@example.org' });
});

test('the directory', async () => {
    net = await Network.start();
    const found = net.client.directory({ kind: 'camera' });
    assert.deepEqual(net.last('getinfo').resources, ['directory']);
    assert.deepEqual(net.last('getinfo').match, { kind: 'camera' });
    net.answer('getinfo', { resources: { directory: [{ resourceId: 'gate@example.org' }] } });
    assert.deepEqual(await found, [{ resourceId: 'gate@example.org' }]);
});

test('other attributes are told at once, and kept for later authentications', async () => {
    net = await Network.start();
    const told = net.client.setAttributes({ mood: 'busy' });
    assert.deepEqual(net.last('auth').attributes, { mood: 'busy' });
    assert.equal(net.last('auth').authType, 'reauth');
    net.answer('auth', net.granted);
    await told;
    await net.lose();
    await net.resume([]);
    assert.deepEqual(net.last('auth').attributes, { mood: 'busy' });
});

test('every message can be looked at', async () => {
    net = await Network.start();
    const seen = [];
    net.client.addEventListener('message', ({ detail }) => seen.push(detail));
    void net.client.getInfo(['serverInfo']);
    net.answer('getinfo', { resources: {} });
    assert.deepEqual(
        seen.map(({ direction, text }) => [direction, JSON.parse(text).method]),
        [
            ['sent', 'getinfo'],
            ['received', 'getinfo'],
        ],
    );
});

const answering = (status, body) => async (url) => {
    assert.equal(url, 'https://example.org/.well-known/eirtcw');
    return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status });
};

test('discovery', async () => {
    const wsf = ['wss://one.example.org/eirtcw/v1', 'wss://two.example.org/eirtcw/v1'];
    assert.deepEqual(await discover('example.org', { fetch: answering(200, { wsf }) }), wsf);
    for (const fetch of [
        answering(404, {}),
        answering(200, 'no JSON'),
        answering(200, {}),
        answering(200, { wsf: ['http://example.org', 5] }),
        async () => {
            throw new TypeError('no network');
        },
    ]) {
        await assert.rejects(discover('example.org', { fetch }), { cause: 'CONNECTION_FAILED' });
    }
});

test('without an address the realm is asked; the next one is tried when one is away', async (t) => {
    const wsf = ['wss://one.example.org/eirtcw/v1', 'wss://two.example.org/eirtcw/v1'];
    t.mock.method(globalThis, 'fetch', answering(200, { wsf }));
    FakeSocket.reset();
    const client = new Client({
        WebSocket: FakeSocket,
        RTCPeerConnection: FakeConnection,
        instanceId: 'i-1',
        iceServers: [],
        random: () => 1,
    });
    const done = client.register({ webrtcId: 'alice@example.org', password: 'x' });
    for (let i = 0; i < 5; i++) await settle();
    assert.equal(FakeSocket.last.url, wsf[0]);
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.answer('auth', { reAuthCredential: 'r', mediaSessions: [] });
    await done;
    FakeSocket.last.drop(1006);
    mock.timers.tick(1000);
    await settle();
    assert.equal(FakeSocket.last.url, wsf[0]);
    FakeSocket.last.drop(1006);
    await settle();
    mock.timers.tick(2000);
    await settle();
    assert.equal(FakeSocket.last.url, wsf[1]);
    client.close();
});
