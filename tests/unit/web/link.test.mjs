// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Link } from '../../../web/lib/link.js';
import { ProblemError } from '../../../web/lib/problem.js';
import { FakeSocket, settle } from './fake-socket.mjs';

beforeEach(() => {
    FakeSocket.reset();
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
});
afterEach(() => mock.timers.reset());

function opened({ handler = (message, respond) => respond(), extensions } = {}) {
    const link = new Link('ws://x/', { WebSocket: FakeSocket, handler, extensions });
    const socket = FakeSocket.last;
    const closes = [];
    link.addEventListener('close', (event) => closes.push(event.detail.code));
    socket.open();
    return { link, socket, closes };
}

test('asks for the subprotocol', () => {
    assert.deepEqual(opened().socket.protocols, ['eirtcw.v1']);
});

test('ids are even, from 0', () => {
    const { link, socket } = opened();
    for (let i = 0; i < 3; i++) link.request('keepalive').catch(() => {});
    assert.deepEqual(
        socket.sent.map((m) => m.transactionId),
        [0, 2, 4],
    );
});

test('a response settles its own request', async () => {
    const { link, socket } = opened();
    const first = link.request('getinfo');
    const second = link.request('keepalive');
    socket.answer('keepalive', { userData: 2 });
    socket.answer('getinfo', { resources: {} });
    assert.equal((await second).userData, 2);
    assert.deepEqual((await first).resources, {});
});

test('a failed response is a ProblemError with the response', async () => {
    const { link, socket } = opened();
    const request = link.request('msetup');
    socket.refuse('msetup', 404, 'RESOURCE_NOT_FOUND', { mediaSessionId: 'm-1', retryAfter: 3 });
    await assert.rejects(
        request,
        (error) =>
            error instanceof ProblemError &&
            error.status === 404 &&
            error.cause === 'RESOURCE_NOT_FOUND' &&
            error.retryAfter === 3 &&
            error.response.mediaSessionId === 'm-1',
    );
});

test('one retransmission with the same id, then a time-out', async () => {
    const { link, socket } = opened();
    const request = link.request('getinfo');
    mock.timers.tick(5000);
    assert.equal(socket.sent.length, 2);
    assert.deepEqual(socket.sent[0], socket.sent[1]);
    mock.timers.tick(4999);
    assert.equal(socket.sent.length, 2);
    mock.timers.tick(1);
    await assert.rejects(request, { cause: 'PEER_TIMEOUT', status: 504 });
    socket.answer('getinfo'); // a late one is nobody's
});

test('an answered request is not sent again', async () => {
    const { link, socket } = opened();
    const request = link.request('getinfo');
    socket.answer('getinfo');
    await request;
    mock.timers.tick(20_000);
    assert.equal(socket.sent.length, 1);
});

test('an aborted request rejects with the reason', async () => {
    const { link, socket } = opened();
    const abort = new AbortController();
    const request = link.request('getinfo', {}, { signal: abort.signal });
    abort.abort(new Error('changed my mind'));
    await assert.rejects(request, /changed my mind/);
    await assert.rejects(link.request('getinfo', {}, { signal: abort.signal }), /changed my mind/);
    assert.equal(socket.sent.length, 1);
});

test('the end of the connection fails what is outstanding', async () => {
    const { link, socket, closes } = opened();
    const request = link.request('getinfo');
    socket.drop(1012);
    await assert.rejects(request, { cause: 'CONNECTION_LOST', status: 0 });
    await assert.rejects(link.request('getinfo'), { cause: 'CONNECTION_LOST' });
    assert.deepEqual(closes, [1012]);
});

test('a connection that does not open is CONNECTION_FAILED', async () => {
    const link = new Link('ws://x/', { WebSocket: FakeSocket, handler() {} });
    FakeSocket.last.drop(1006);
    await assert.rejects(link.opened, { cause: 'CONNECTION_FAILED' });
});

test('a request of the peer is answered once and replayed when it comes again', async () => {
    let calls = 0;
    const { socket } = opened({
        handler: (message, respond) => respond({ call: ++calls, mediaSessionId: 'm' }),
    });
    const request = { messageType: 'request', method: 'mdisc', transactionId: 1 };
    socket.receive(request);
    socket.receive(request);
    assert.equal(calls, 1);
    assert.equal(socket.sent.length, 2);
    assert.deepEqual(socket.sent[0], {
        messageType: 'response',
        method: 'mdisc',
        transactionId: 1,
        success: true,
        call: 1,
        mediaSessionId: 'm',
    });
    assert.deepEqual(socket.sent[0], socket.sent[1]);
});

test('a retransmission while the first is in progress gets nothing', () => {
    let later;
    const { socket } = opened({
        handler: (message, respond) => {
            later = respond;
        },
    });
    socket.receive({ messageType: 'request', method: 'mupdate', transactionId: 1 });
    socket.receive({ messageType: 'request', method: 'mupdate', transactionId: 1 });
    assert.equal(socket.sent.length, 0);
    later();
    later();
    assert.equal(socket.sent.length, 1);
});

test('responses are kept, but not without end', () => {
    let calls = 0;
    const { socket } = opened({ handler: (message, respond) => respond({ call: ++calls }) });
    for (let id = 1; id <= 601; id += 2)
        socket.receive({ messageType: 'request', method: 'keepalive', transactionId: id });
    assert.equal(calls, 301);
    socket.receive({ messageType: 'request', method: 'keepalive', transactionId: 601 });
    assert.equal(calls, 301);
    socket.receive({ messageType: 'request', method: 'keepalive', transactionId: 1 });
    assert.equal(calls, 302);
});

test('a handler that throws gives the problem, sync or later', async () => {
    const problem = new ProblemError({ status: 404, cause: 'MEDIA_SESSION_NOT_FOUND' });
    for (const handler of [
        () => {
            throw problem;
        },
        async () => {
            throw problem;
        },
    ]) {
        const { socket } = opened({ handler });
        socket.receive({
            messageType: 'request',
            method: 'mdisc',
            transactionId: 1,
            mediaSessionId: 'm-9',
        });
        await settle();
        assert.equal(socket.sent[0].success, false);
        assert.equal(socket.sent[0].mediaSessionId, 'm-9');
        assert.equal(socket.sent[0].problemDetails.cause, 'MEDIA_SESSION_NOT_FOUND');
        assert.equal(
            socket.sent[0].problemDetails.type,
            'urn:eirtcw:problem:media_session_not_found',
        );
    }
});

test('any other error is INTERNAL_ERROR to the peer and told here', async () => {
    const { link, socket } = opened({
        handler: () => {
            throw new TypeError('oops');
        },
    });
    const errors = [];
    link.addEventListener('error', (event) => errors.push(event.detail));
    socket.receive({ messageType: 'request', method: 'mdisc', transactionId: 1 });
    assert.equal(socket.sent[0].problemDetails.cause, 'INTERNAL_ERROR');
    assert.equal(JSON.stringify(socket.sent[0]).includes('oops'), false);
    assert.match(errors[0].message, /oops/);
});

test('wrong parity', () => {
    const { socket } = opened();
    socket.receive({ messageType: 'request', method: 'keepalive', transactionId: 2 });
    assert.equal(socket.sent[0].problemDetails.cause, 'TRANSACTION_ID_PARITY');
});

test('a required extension that is not supported', () => {
    const { socket } = opened({ extensions: ['trickle-ice'] });
    socket.receive({
        messageType: 'request',
        method: 'keepalive',
        transactionId: 1,
        requiredExtension: ['trickle-ice', 'x'],
    });
    assert.equal(socket.sent[0].problemDetails.cause, 'EXTENSION_NOT_SUPPORTED');
    assert.deepEqual(socket.sent[0].unsupportedExtension, ['x']);
    socket.receive({
        messageType: 'request',
        method: 'keepalive',
        transactionId: 3,
        requiredExtension: ['trickle-ice'],
    });
    assert.equal(socket.sent[1].success, true);
});

test('what cannot be read closes with 4400', () => {
    const { socket, closes } = opened();
    socket.receive('{');
    assert.equal(socket.closed.code, 4400);
    assert.deepEqual(closes, [4400]);
});

test('keep-alive asks only when nothing came, and gives up without a response', async () => {
    const { link, socket, closes } = opened();
    link.keepAlive(20);
    mock.timers.tick(20_000);
    assert.equal(socket.sent.length, 0, 'just heard');
    mock.timers.tick(20_000);
    assert.equal(socket.lastRequest('keepalive').transactionId, 0);
    socket.answer('keepalive');
    await settle();
    mock.timers.tick(20_000);
    assert.equal(socket.sent.length, 1);
    mock.timers.tick(20_000);
    assert.equal(socket.sent.length, 2);
    mock.timers.tick(10_000);
    await settle();
    assert.equal(socket.closed.code, 4408);
    assert.deepEqual(closes, [4408]);
});
