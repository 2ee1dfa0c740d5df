// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Client } from '../../../web/lib/index.js';
import { mediaDirections } from '../../../web/lib/sdp.js';
import { FakeConnection, offer, track } from './fake-connection.mjs';
import { FakeSocket, settle } from './fake-socket.mjs';

const GRANTED = {
    expirationTime: 3600,
    reAuthCredential: 'r-1',
    disconnectionTtl: 30,
    keepAliveInterval: 20,
    mediaSessions: [],
};
const TRACKS = [track('audio'), track('video')];
const BOTH = offer('sendrecv', 'sendrecv');
let client;
let nextId;

beforeEach(async () => {
    FakeSocket.reset();
    FakeConnection.made = [];
    FakeConnection.refuses = FakeConnection.gathers = false;
    nextId = 1;
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
    client = new Client({
        url: 'ws://x/',
        WebSocket: FakeSocket,
        RTCPeerConnection: FakeConnection,
        instanceId: 'i-1',
        random: () => 1,
    });
    const done = client.register({ webrtcId: 'alice@example.org', password: 'x' });
    await settle();
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.answer('auth', GRANTED);
    await done;
});
afterEach(() => {
    client.close();
    mock.timers.reset();
});

/** A request of the network; gives our response. */
async function network(method, members) {
    const transactionId = nextId;
    nextId += 2;
    FakeSocket.last.receive({ messageType: 'request', method, transactionId, ...members });
    await settle();
    return FakeSocket.last.sent.find(
        (m) => m.messageType === 'response' && m.transactionId === transactionId,
    );
}

function watch(session) {
    const seen = [];
    session.addEventListener('statechange', (event) => seen.push(event.detail.state));
    session.addEventListener('ended', (event) => seen.push(event.detail));
    return seen;
}

async function outgoing() {
    const session = client.call('bob@example.org', {
        tracks: TRACKS,
        userData: { subject: 'tea' },
    });
    const seen = watch(session);
    await settle();
    FakeSocket.last.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    return { session, seen };
}

async function incoming() {
    let session;
    client.addEventListener(
        'incoming',
        (event) => {
            session = event.detail.session;
        },
        { once: true },
    );
    const response = await network('msetup', {
        mediaSessionId: 'm-1',
        assertedOriginatingId: 'bob@example.org',
        sdpOffer: BOTH,
        offerId: '7',
    });
    return { session, seen: watch(session), response };
}

/** What the connection does in one answer. */
const ANSWERING = ['setRemoteDescription offer', 'setLocalDescription sendrecv sendrecv'];

async function established() {
    const made = await outgoing();
    await network('mupdate', {
        mediaSessionId: 'm-1',
        sdpOffer: BOTH,
        assertedTerminatingId: 'bob@example.org',
    });
    FakeSocket.last.answer('mupdate', { mediaSessionId: 'm-1' });
    await settle();
    assert.equal(made.session.state, 'established');
    return { ...made, connection: FakeConnection.made.at(-1) };
}

test('an outgoing call, from pre-offer to established', async () => {
    const { session, seen } = await outgoing();
    const msetup = FakeSocket.last.lastRequest('msetup');
    assert.equal(msetup.resourceId, 'bob@example.org');
    assert.equal(msetup.preOfferDescription, 'offer audio sendrecv, video sendrecv');
    assert.deepEqual(msetup.userData, { subject: 'tea' });
    assert.equal(
        FakeConnection.made[0].done.at(-1),
        'close',
        'the throw-away connection is closed',
    );
    assert.equal(session.mediaSessionId, 'm-1');

    const told = await network('mupdate', { mediaSessionId: 'm-1', mediaSessionState: 'alerting' });
    assert.deepEqual(told, {
        messageType: 'response',
        method: 'mupdate',
        transactionId: 1,
        success: true,
        mediaSessionId: 'm-1',
    });

    await network('mupdate', {
        mediaSessionId: 'm-1',
        sdpOffer: BOTH,
        offerId: '3',
        assertedTerminatingId: 'bobby@example.org',
    });
    const connection = FakeConnection.made[1];
    assert.deepEqual(connection.done, ANSWERING, 'the offer comes before the tracks');
    assert.deepEqual(
        connection.getSenders().map((sender) => sender.track),
        TRACKS,
    );
    const answer = FakeSocket.last.lastRequest('mupdate');
    assert.equal(answer.sdpAnswer, 'answer sendrecv sendrecv');
    assert.equal(answer.offerId, '3');
    assert.equal(session.peer, 'bobby@example.org');
    assert.equal(session.state, 'alerting');
    FakeSocket.last.answer('mupdate');
    await settle();
    assert.deepEqual(seen, ['proceeding', 'alerting', 'established']);

    session.hangUp();
    assert.equal(FakeSocket.last.lastRequest('mdisc').cause, 'NORMAL');
    assert.equal(connection.done.at(-1), 'close');
    assert.deepEqual(seen.slice(3), ['terminated', { cause: 'NORMAL', remote: false }]);
    assert.equal(client.sessions.length, 0);
});

test('without a camera: the answer receives only', async () => {
    const session = client.call('bob@example.org', { tracks: [TRACKS[0]] });
    await settle();
    assert.equal(
        FakeSocket.last.lastRequest('msetup').preOfferDescription,
        'offer audio sendrecv, video recvonly',
    );
    FakeSocket.last.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    assert.equal(FakeSocket.last.lastRequest('mupdate').sdpAnswer, 'answer sendrecv recvonly');
    assert.equal(session.state, 'proceeding');
});

test('directions follow the offer', async () => {
    await outgoing();
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer('recvonly', 'sendonly') });
    assert.equal(FakeSocket.last.lastRequest('mupdate').sdpAnswer, 'answer sendonly recvonly');
});

test('sound only when only sound is asked for', async () => {
    client.call('bob@example.org', { tracks: [TRACKS[0]], receive: ['audio'] });
    await settle();
    assert.equal(
        FakeSocket.last.lastRequest('msetup').preOfferDescription,
        'offer audio sendrecv',
    );
});

test('a refused call ends with the problem', async () => {
    const session = client.call('nobody@example.org', {});
    const seen = watch(session);
    await settle();
    FakeSocket.last.refuse('msetup', 404, 'RESOURCE_NOT_FOUND', { mediaSessionId: 'm-1' });
    await settle();
    assert.equal(seen[1].cause, 'RESOURCE_NOT_FOUND');
    assert.equal(seen[1].problem.status, 404);
    assert.equal(seen[1].remote, true);
    assert.equal(client.sessions.length, 0);
});

test('a set-up that fails behind the service', async () => {
    const { seen } = await outgoing();
    const response = await network('mdisc', {
        mediaSessionId: 'm-1',
        cause: 'NO_ANSWER',
        problemDetails: { status: 404, cause: 'USER_NOT_REGISTERED', title: 'x' },
    });
    assert.equal(response.success, true);
    assert.equal(seen.at(-1).cause, 'NO_ANSWER');
    assert.equal(seen.at(-1).problem.cause, 'USER_NOT_REGISTERED');
});

test('hung up before the network has named the session', async () => {
    const session = client.call('bob@example.org', {});
    const seen = watch(session);
    await settle();
    session.hangUp();
    assert.equal(FakeSocket.last.lastRequest('mdisc'), undefined);
    FakeSocket.last.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    assert.equal(FakeSocket.last.lastRequest('mdisc').mediaSessionId, 'm-1');
    assert.equal(seen.length, 2);
    assert.equal(client.sessions.length, 0);
});

test('hung up before anything was sent', async () => {
    client.call('bob@example.org', {}).hangUp();
    await settle();
    assert.equal(FakeSocket.last.lastRequest('msetup'), undefined);
});

test('a signal hangs up', async () => {
    const abort = new AbortController();
    const session = client.call('bob@example.org', { signal: abort.signal });
    await settle();
    FakeSocket.last.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    abort.abort();
    assert.equal(session.state, 'terminated');
    assert.equal(FakeSocket.last.lastRequest('mdisc').cause, 'NORMAL');
});

test('an incoming call rings, is answered, connects', async () => {
    const { session, seen, response } = await incoming();
    assert.deepEqual(response, {
        messageType: 'response',
        method: 'msetup',
        transactionId: 1,
        success: true,
        mediaSessionId: 'm-1',
        supportedExtension: ['trickle-ice', 'pre-offer-as-offer', 'datachannel', 'qos-report'],
    });
    assert.equal(FakeSocket.last.lastRequest('mupdate').mediaSessionState, 'alerting');
    assert.equal(session.state, 'alerting');
    assert.equal(session.peer, 'bob@example.org');
    assert.equal(FakeConnection.made.length, 0, 'nothing is gathered while it rings');
    session.answer({ tracks: TRACKS });
    await settle();
    assert.deepEqual(FakeConnection.made[0].done, ANSWERING);
    const answer = FakeSocket.last.lastRequest('mupdate');
    assert.equal(answer.sdpAnswer, 'answer sendrecv sendrecv');
    assert.equal(answer.offerId, '7');
    FakeSocket.last.answer('mupdate');
    await settle();
    assert.deepEqual(seen, ['established']);
    assert.throws(() => session.answer(), { cause: 'INVALID_STATE' });
});

test('declined', async () => {
    const { session, seen } = await incoming();
    session.decline();
    assert.equal(FakeSocket.last.lastRequest('mdisc').cause, 'DECLINED');
    assert.deepEqual(seen.at(-1), { cause: 'DECLINED', remote: false });
});

test('busy', async () => {
    client.addEventListener('incoming', (event) => event.preventDefault());
    const response = await network('msetup', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    assert.equal(response.success, false);
    assert.equal(response.mediaSessionId, 'm-1');
    assert.equal(response.problemDetails.cause, 'USER_BUSY');
    assert.equal(response.problemDetails.status, 409);
    assert.equal(client.sessions.length, 0);
});

test('answered elsewhere while ringing', async () => {
    const { seen } = await incoming();
    await network('mdisc', { mediaSessionId: 'm-1', cause: 'ANSWERED_ELSEWHERE' });
    assert.deepEqual(seen.at(-1), {
        cause: 'ANSWERED_ELSEWHERE',
        problem: undefined,
        remote: true,
    });
});

test('an offer in a call: same connection, state modifying in between', async () => {
    const { seen, connection } = await established();
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer('sendrecv', 'inactive') });
    assert.equal(FakeConnection.made.at(-1), connection);
    assert.equal(FakeSocket.last.lastRequest('mupdate').sdpAnswer, 'answer sendrecv inactive');
    assert.equal(seen.at(-1), 'modifying');
    FakeSocket.last.answer('mupdate');
    await settle();
    assert.equal(seen.at(-1), 'established');
});

test('an offer that cannot be applied is refused; the call stays', async () => {
    const { session } = await established();
    FakeConnection.refuses = true;
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: 'rubbish', offerId: '9' });
    const refusal = FakeSocket.last.lastRequest('mupdate');
    assert.equal(refusal.problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
    assert.equal(refusal.offerId, '9');
    FakeSocket.last.answer('mupdate');
    await settle();
    assert.equal(session.state, 'established');
});

test('a first offer that cannot be applied ends the call', async () => {
    const { seen } = await outgoing();
    FakeConnection.refuses = true;
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: 'rubbish' });
    FakeSocket.last.answer('mupdate');
    await settle();
    assert.equal(FakeSocket.last.lastRequest('mdisc').cause, 'MEDIA_FAILURE');
    assert.equal(seen.at(-1).cause, 'SDP_NOT_ACCEPTABLE');
});

test('a refused answer ends an initial session, not a running call', async () => {
    const { seen } = await outgoing();
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    FakeSocket.last.refuse('mupdate', 422, 'SDP_NOT_ACCEPTABLE');
    await settle();
    assert.equal(seen.at(-1).cause, 'SDP_NOT_ACCEPTABLE');

    nextId += 100;
    const second = await established();
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    FakeSocket.last.refuse('mupdate', 422, 'SDP_NOT_ACCEPTABLE');
    await settle();
    assert.equal(second.session.state, 'established');
});

test('a path that fails before it ever came ends the call with MEDIA_FAILURE', async () => {
    const { session, seen, connection } = await established();
    const paths = [];
    session.addEventListener('pathchange', (event) => paths.push(event.detail.state));
    for (const state of ['connecting', 'failed']) connection.become(state);
    assert.deepEqual(paths, ['connecting', 'failed']);
    assert.equal(FakeSocket.last.lastRequest('mdisc').cause, 'MEDIA_FAILURE');
    assert.deepEqual(seen.at(-1), { cause: 'MEDIA_FAILURE', remote: false });
});

test('a path that never comes ends the call, one that came does not', async () => {
    const { seen } = await established();
    mock.timers.tick(29_999);
    assert.equal(seen.at(-1), 'established');
    mock.timers.tick(1);
    assert.deepEqual(seen.at(-1), { cause: 'MEDIA_FAILURE', remote: false });

    nextId += 100;
    const second = await established();
    second.connection.become('connected');
    mock.timers.tick(60_000);
    assert.equal(second.session.state, 'established');
});

test('messages for a session that is not there', async () => {
    for (const method of ['mupdate', 'mdisc']) {
        const response = await network(method, { mediaSessionId: 'gone', sdpOffer: BOTH });
        assert.equal(response.problemDetails.cause, 'MEDIA_SESSION_NOT_FOUND');
    }
});

test('what the network does with single media is told and kept', async () => {
    const { session } = await established();
    const told = [];
    session.addEventListener('qos', ({ detail }) => told.push(detail.changed));
    const qos = [{ mid: '1', flowStatus: 'ENABLED-DOWNLINK', gated: 'uplink' }];
    assert.equal((await network('mupdate', { mediaSessionId: 'm-1', qos })).success, true);
    const none = { uplink: 0, downlink: 0 };
    assert.deepEqual(told, [[{ ...qos[0], policingDiscarded: none }]]);
    assert.deepEqual(session.qos, told[0]);
    for (const nonsense of ['x', null, [7], [{ mid: 3 }]])
        await network('mupdate', { mediaSessionId: 'm-1', qos: nonsense });
    assert.equal(told.length, 1);
    assert.equal(session.state, 'established');
});

test('messages that make no sense', async () => {
    await outgoing();
    for (const [method, members, cause] of [
        ['mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH, sdpAnswer: BOTH }, 'INVALID_MESSAGE'],
        ['mupdate', { mediaSessionId: 'm-1', sdpOffer: 5 }, 'INVALID_MESSAGE'],
        ['mupdate', { mediaSessionId: 'm-1', sdpAnswer: BOTH }, 'INVALID_STATE'],
        ['msetup', { sdpOffer: BOTH }, 'MISSING_PARAMETER'],
        ['nonsense', {}, 'METHOD_NOT_SUPPORTED'],
        ['chat.example.org', {}, 'APP_METHOD_UNKNOWN'],
    ]) {
        assert.equal(
            (await network(method, members)).problemDetails.cause,
            cause,
            `${method} ${JSON.stringify(members)}`,
        );
    }
    assert.equal((await network('keepalive', {})).success, true);
});

/** Loses the connection and registers again with these sessions listed. */
async function resume(mediaSessions) {
    FakeSocket.last.drop(1006);
    mock.timers.tick(1000);
    await settle();
    nextId = 1;
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.answer('auth', { ...GRANTED, mediaSessions });
    await settle();
}

const listed = (mediaSessionId, mediaSessionState = 'established') => ({
    mediaSessionId,
    mediaSessionState,
    offerPending: 'none',
});

test('a call outlives the connection', async () => {
    const { session, connection } = await established();
    await resume([listed('m-1')]);
    assert.equal(session.state, 'established');
    assert.equal(connection.done.includes('close'), false);
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    assert.equal(FakeSocket.last.lastRequest('mupdate').sdpAnswer, 'answer sendrecv sendrecv');
});

test('a session that is not listed has ended', async () => {
    const { seen } = await established();
    await resume([]);
    assert.deepEqual(seen.at(-1), { cause: 'SESSION_LOST', remote: true });
});

test('a session that only the network has is ended', async () => {
    await resume([listed('m-9')]);
    const mdisc = FakeSocket.last.lastRequest('mdisc');
    assert.equal(mdisc.mediaSessionId, 'm-9');
    assert.equal(mdisc.cause, 'NORMAL');
});

test('hung up without a connection: told afterwards, if it is still there', async () => {
    const { session } = await established();
    FakeSocket.last.drop(1006);
    session.hangUp();
    mock.timers.tick(1000);
    await settle();
    FakeSocket.last.open();
    await settle();
    FakeSocket.last.answer('auth', { ...GRANTED, mediaSessions: [listed('m-1')] });
    await settle();
    assert.equal(FakeSocket.last.sent.filter((m) => m.method === 'mdisc').length, 1);
    FakeSocket.last.answer('mdisc');
    await settle();
    await resume([]);
    assert.equal(FakeSocket.last.lastRequest('mdisc'), undefined);
});

test('an mdisc without a response is sent again', async () => {
    const { session } = await established();
    session.hangUp('NORMAL');
    assert.ok(FakeSocket.last.lastRequest('mdisc'));
    await resume([listed('m-1')]);
    assert.equal(FakeSocket.last.lastRequest('mdisc').mediaSessionId, 'm-1');
});

test('a call that the network has not named when the connection goes has failed', async () => {
    const session = client.call('bob@example.org', {});
    const seen = watch(session);
    await settle();
    FakeSocket.last.drop(1006);
    await settle();
    assert.equal(seen.at(-1).cause, 'CONNECTION_LOST');
});

test('an offer that waits while it rings is void after a loss; the new one is answered', async () => {
    const { session } = await incoming();
    await resume([listed('m-1', 'alerting')]);
    session.answer({ tracks: TRACKS });
    await settle();
    assert.equal(FakeSocket.last.lastRequest('mupdate'), undefined, 'nothing to answer yet');
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH, offerId: '8' });
    assert.equal(FakeSocket.last.lastRequest('mupdate').offerId, '8');
});

test('an answer that was lost on the way: a fresh connection for the fresh offer', async () => {
    const { session } = await outgoing();
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    const first = FakeConnection.made.at(-1);
    await resume([listed('m-1', 'alerting')]);
    assert.equal(session.state, 'proceeding');
    assert.equal(first.done.at(-1), 'close');
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    assert.notEqual(FakeConnection.made.at(-1), first);
    FakeSocket.last.answer('mupdate');
    await settle();
    assert.equal(session.state, 'established');
});

test('an answer that arrived although its response was lost: the connection stays', async () => {
    const { session } = await outgoing();
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    const first = FakeConnection.made.at(-1);
    await resume([listed('m-1', 'established')]);
    assert.equal(session.state, 'established');
    assert.equal(first.done.includes('close'), false);
});

test('an answer that is ready only after the loss is not sent', async () => {
    const { session } = await outgoing();
    FakeConnection.gathers = true;
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    await resume([listed('m-1', 'proceeding')]);
    mock.timers.tick(2000);
    await settle();
    assert.equal(FakeSocket.last.lastRequest('mupdate'), undefined);
    assert.equal(session.state, 'proceeding');
});

test('candidates are waited for, two seconds at most', async () => {
    await outgoing();
    FakeConnection.gathers = true;
    await network('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    assert.equal(FakeSocket.last.lastRequest('mupdate'), undefined);
    mock.timers.tick(2000);
    await settle();
    assert.equal(FakeSocket.last.lastRequest('mupdate').sdpAnswer, 'answer sendrecv sendrecv');
});

test('superseded: the sessions belong to the other page, nobody is told', async () => {
    const { seen } = await established();
    const socket = FakeSocket.last;
    socket.drop(4409);
    assert.equal(seen.at(-1).cause, 'SUPERSEDED');
    assert.equal(socket.lastRequest('mdisc'), undefined);
});

test('closing the client hangs up first, then signs out', async () => {
    await established();
    client.close();
    assert.deepEqual(
        FakeSocket.last.sent.slice(-2).map((m) => m.method),
        ['mdisc', 'auth'],
    );
});

test('replaceTrack on a sending m-line', async () => {
    const { session, connection } = await established();
    connection.transceivers[0].currentDirection = 'recvonly';
    const screen = track('video');
    assert.equal(await session.replaceTrack('video', screen), true);
    assert.equal(connection.transceivers[1].sender.track, screen);
    assert.equal(await session.replaceTrack('audio', null), false);
});

test('servers that the network names are used, unless the application names its own', async () => {
    assert.deepEqual(FakeSocket.last.lastRequest('getinfo').resources, ['iceServers']);
    const iceServers = [{ urls: ['turn:turn.example.org'], username: 'u', credential: 'c' }];
    FakeSocket.last.answer('getinfo', { resources: { iceServers } });
    await settle();
    const { connection } = await established();
    assert.deepEqual(connection.configuration.iceServers, iceServers);
});

test('servers are asked for again before a call, when their credentials may have run out', async () => {
    const asked = () => FakeSocket.last.sent.filter((m) => m.method === 'getinfo').length;
    FakeSocket.last.answer('getinfo', { resources: { iceServers: [] } });
    client.call('bob@example.org', { tracks: TRACKS });
    await settle();
    assert.equal(asked(), 1);
    mock.timers.tick(601_000);
    client.call('bob@example.org', { tracks: TRACKS });
    await settle();
    assert.equal(asked(), 2);
});

test('directions of an offer', () => {
    assert.deepEqual(
        [
            ...mediaDirections(
                'v=0\r\na=recvonly\r\nm=audio 9 X 0\r\na=mid:a\r\nm=video 0 X 96\r\na=mid:b\r\na=sendonly\r\n' +
                    'm=video 0 X 96\r\na=bundle-only\r\na=mid:c\r\na=inactive\r\n',
            ),
        ],
        [
            ['a', 'recvonly'],
            ['c', 'inactive'],
        ],
    );
});
