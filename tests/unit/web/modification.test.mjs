// SPDX-License-Identifier: Apache-2.0
// Changes of a running call (protocol A6): offers of either side, refusals, glare, hold, pictures,
// another path, another resource; and what a lost connection does to them.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { FakeConnection, offer, track } from './fake-connection.mjs';
import { settle } from './fake-socket.mjs';
import { Network } from './network.mjs';

const [sound, picture] = [track('audio'), track('video')];
const SOUND = offer('sendrecv');
const ANSWERING = ['setRemoteDescription offer', 'setLocalDescription sendrecv sendrecv'];
const BOTH = offer('sendrecv', 'sendrecv');
let net;
let session;
let connection;
let states;

beforeEach(() => {
    FakeConnection.made = [];
    FakeConnection.refuses = FakeConnection.gathers = false;
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
});
afterEach(() => {
    net.client.close();
    mock.timers.reset();
});

/** Alice in a call with bob. */
async function inCall({ tracks = [sound, picture], sdpOffer = BOTH, ...options } = {}) {
    net = await Network.start(options);
    session = net.client.call('bob@example.org', { tracks, ...options.media });
    await settle();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer });
    net.answer('mupdate');
    await settle();
    assert.equal(session.state, 'established');
    connection = FakeConnection.made.at(-1);
    connection.become('connected');
    states = [];
    session.addEventListener('statechange', ({ detail }) => states.push(detail.state));
}

/** The sdpOffer that this side has sent last. */
const offered = () => net.last('mupdate').sdpOffer;
const outcome = (promise) =>
    promise.then(
        () => 'agreed',
        (error) => error.cause,
    );
const tracks = () => connection.getSenders().map((sender) => sender.track);

test('hold and resume by direction; sending stops at once', async () => {
    await inCall();
    const changes = [];
    session.addEventListener('holdchange', ({ detail }) => changes.push(detail));
    const held = session.hold();
    await settle();
    assert.equal(offered(), 'offer audio inactive, video inactive');
    assert.deepEqual(tracks(), [null, null]);
    assert.equal(session.held, true);
    assert.equal(session.state, 'modifying');
    net.answer('mupdate', { sdpAnswer: 'x' });
    await held;
    assert.equal(session.state, 'established');

    const resumed = session.resume();
    await settle();
    assert.equal(offered(), 'offer audio sendrecv, video sendrecv');
    net.answer('mupdate', { sdpAnswer: 'x' });
    await resumed;
    assert.deepEqual(tracks(), [sound, picture]);
    assert.deepEqual(
        changes.map(({ held: on }) => on),
        [true, false],
    );
    assert.deepEqual(states, ['modifying', 'established', 'modifying', 'established']);
});

test('the answer comes later, in a request that names the offer', async () => {
    await inCall();
    const held = session.hold();
    await settle();
    const { offerId } = net.last('mupdate');
    net.answer('mupdate');
    await settle();
    assert.equal(session.state, 'modifying');
    const wrong = await net.request('mupdate', {
        mediaSessionId: 'm-1',
        sdpAnswer: 'x',
        offerId: 'other',
    });
    assert.equal(wrong.problemDetails.cause, 'INVALID_STATE');
    const right = await net.request('mupdate', { mediaSessionId: 'm-1', sdpAnswer: 'x', offerId });
    assert.equal(right.success, true);
    await held;
    assert.equal(session.state, 'established');
});

test('an answer that nobody waits for is refused', async () => {
    await inCall();
    const response = await net.request('mupdate', { mediaSessionId: 'm-1', sdpAnswer: 'x' });
    assert.equal(response.problemDetails.status, 409);
});

test('refused in the response: all is as it was', async () => {
    await inCall();
    const before = connection.done.length;
    const held = outcome(session.hold());
    await settle();
    assert.deepEqual(tracks(), [null, null]);
    net.refuse('mupdate', 422, 'SDP_NOT_ACCEPTABLE');
    assert.equal(await held, 'SDP_NOT_ACCEPTABLE');
    assert.equal(session.held, false);
    // Chromium shows nothing more of what an offer has made inactive and a rollback brings back.
    assert.equal(connection.done.length, before, 'nothing was applied');
    assert.equal(connection.shape(), 'audio sendrecv, video sendrecv');
    assert.deepEqual(tracks(), [sound, picture], 'what was sent is sent again');
    assert.equal(session.state, 'established');
});

test('refused later, by problemDetails', async () => {
    await inCall({ tracks: [sound], sdpOffer: SOUND, media: { receive: ['audio'] } });
    const added = outcome(session.addVideo(picture));
    await settle();
    assert.equal(offered(), 'offer audio sendrecv, video sendrecv');
    const { offerId } = net.last('mupdate');
    net.answer('mupdate');
    await settle();
    const response = await net.request('mupdate', {
        mediaSessionId: 'm-1',
        offerId,
        problemDetails: { status: 403, cause: 'DECLINED', title: 'no' },
    });
    assert.equal(response.success, true);
    assert.equal(await added, 'DECLINED');
    assert.deepEqual(session.tracks, [sound]);
    assert.equal(connection.signalingState, 'stable');
    assert.equal(connection.transceivers[1].direction, 'stopped');
});

test('nobody answers: the offer is withdrawn', async () => {
    await inCall();
    const held = outcome(session.hold());
    await settle();
    net.answer('mupdate');
    await settle();
    mock.timers.tick(35_000);
    assert.equal(await held, 'PEER_TIMEOUT');
    assert.equal(connection.signalingState, 'stable');
});

test('a picture is added and removed; its m-line is used again', async () => {
    await inCall({ tracks: [sound], sdpOffer: SOUND, media: { receive: ['audio'] } });
    const added = session.addVideo(picture);
    await settle();
    net.answer('mupdate', { sdpAnswer: 'x' });
    await added;
    const removed = session.removeVideo();
    await settle();
    assert.equal(offered(), 'offer audio sendrecv, video recvonly');
    net.answer('mupdate', { sdpAnswer: 'x' });
    await removed;
    const screen = track('video');
    const again = session.addVideo(screen);
    await settle();
    assert.equal(offered(), 'offer audio sendrecv, video sendrecv');
    net.answer('mupdate', { sdpAnswer: 'x' });
    await again;
    assert.deepEqual(tracks(), [sound, screen]);
});

test('changes wait for one another', async () => {
    await inCall();
    const [one, two] = [session.hold(), session.resume()];
    await settle();
    assert.equal(offered(), 'offer audio inactive, video inactive');
    net.answer('mupdate', { sdpAnswer: 'x' });
    await one;
    await settle();
    assert.equal(offered(), 'offer audio sendrecv, video sendrecv');
    net.answer('mupdate', { sdpAnswer: 'x' });
    await two;
});

test('a change before the call is established waits for it', async () => {
    net = await Network.start();
    session = net.client.call('bob@example.org', { tracks: [sound] });
    const held = outcome(session.hold());
    await settle();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: SOUND });
    assert.equal(net.last('mupdate').sdpAnswer, 'answer sendrecv');
    net.answer('mupdate');
    await settle();
    assert.equal(offered(), 'offer audio inactive');
    net.answer('mupdate', { sdpAnswer: 'x' });
    assert.equal(await held, 'agreed');
});

test('the end of the call ends what waits', async () => {
    await inCall();
    const [one, two] = [outcome(session.hold()), outcome(session.resume())];
    await settle();
    await net.request('mdisc', { mediaSessionId: 'm-1', cause: 'NORMAL' });
    await settle();
    net.answer('mupdate', { sdpAnswer: 'x' });
    assert.notEqual(await one, 'agreed');
    assert.equal(await two, 'MEDIA_SESSION_GONE');
});

test('glare: the network’s offer is applied at once, ours comes again after retryAfter', async () => {
    await inCall();
    const held = outcome(session.hold());
    await settle();
    const ours = net.last('mupdate');
    // The network's offer crosses ours.
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH, offerId: '77' });
    const answer = net.last('mupdate');
    assert.equal(answer.offerId, '77');
    assert.equal(answer.sdpAnswer, 'answer inactive inactive', 'as it is wanted by now');
    net.respond(ours, { retryAfter: 1, ...problem(409, 'OFFER_GLARE') }, false);
    net.respond(answer, {});
    await settle();
    mock.timers.tick(900);
    await settle();
    assert.equal(net.last('mupdate'), answer, 'not before its time');
    mock.timers.tick(1200);
    await settle();
    assert.equal(offered(), 'offer audio inactive, video inactive');
    net.answer('mupdate', { sdpAnswer: 'x' });
    assert.equal(await held, 'agreed');
    assert.equal(session.state, 'established');
});

test('glare while adding a picture: the track moves to the m-line that the network brings', async () => {
    await inCall({ tracks: [sound], sdpOffer: SOUND, media: { receive: ['audio'] } });
    const added = outcome(session.addVideo(picture));
    await settle();
    const ours = net.last('mupdate');
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    const live = connection.transceivers.filter((one) => one.direction !== 'stopped');
    assert.deepEqual(
        live.map((one) => one.sender.track),
        [sound, picture],
    );
    const answer = net.last('mupdate');
    net.respond(ours, { retryAfter: 0, ...problem(409, 'OFFER_GLARE') }, false);
    net.respond(answer, {});
    await settle();
    mock.timers.tick(1000);
    await settle();
    net.answer('mupdate', { sdpAnswer: 'x' });
    assert.equal(await added, 'agreed');
});

test('a glare that does not end is given up', async () => {
    await inCall();
    const held = outcome(session.hold());
    for (let i = 0; i < 10; i++) {
        await settle();
        net.refuse('mupdate', 409, 'OFFER_GLARE', { retryAfter: 1 });
        await settle();
        mock.timers.tick(2000);
    }
    assert.equal(await held, 'OFFER_GLARE');
});

test('held by the other side, and back', async () => {
    await inCall();
    const changes = [];
    session.addEventListener('holdchange', ({ detail }) => changes.push(detail.heldByPeer));
    for (const direction of ['sendonly', 'sendrecv', 'inactive', 'sendrecv']) {
        await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer(direction, direction) });
        net.answer('mupdate');
        await settle();
    }
    assert.deepEqual(changes, [true, false, true, false]);
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer('sendrecv', 'sendonly') });
    net.answer('mupdate');
    await settle();
    assert.equal(session.heldByPeer, false, 'only the picture is not taken');
});

test('on hold here, an offer of the other side is answered without resuming', async () => {
    await inCall();
    const held = session.hold();
    await settle();
    net.answer('mupdate', { sdpAnswer: 'x' });
    await held;
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH });
    assert.equal(net.last('mupdate').sdpAnswer, 'answer inactive inactive');
});

test('codecs in order of preference', async () => {
    globalThis.RTCRtpReceiver = {
        getCapabilities: (kind) => ({
            codecs: (kind === 'video' ? ['VP8', 'rtx', 'H264', 'VP9'] : ['opus', 'PCMU']).map(
                (name) => ({ mimeType: `${kind}/${name}` }),
            ),
        }),
    };
    try {
        await inCall();
        const set = session.setCodecs('video', ['VP9', 'h264']);
        await settle();
        net.answer('mupdate', { sdpAnswer: 'x' });
        await set;
        assert.deepEqual(connection.transceivers[1].codecs, [
            'video/VP9',
            'video/H264',
            'video/VP8',
            'video/rtx',
        ]);
    } finally {
        delete globalThis.RTCRtpReceiver;
    }
});

test('a failed path gets a new one', async () => {
    await inCall();
    connection.become('failed');
    await settle();
    assert.equal(offered(), 'restart offer audio sendrecv, video sendrecv');
    net.answer('mupdate', { sdpAnswer: 'x' });
    await settle();
    connection.become('connected');
    mock.timers.tick(60_000);
    assert.equal(session.state, 'established');
});

test('a failed path that does not come back ends the call', async () => {
    await inCall();
    connection.become('failed');
    await settle();
    net.answer('mupdate', { sdpAnswer: 'x' });
    await settle();
    mock.timers.tick(30_000);
    assert.equal(session.end.cause, 'MEDIA_FAILURE');
});

test('a failed path whose mending is refused ends the call', async () => {
    await inCall();
    connection.become('failed');
    await settle();
    net.refuse('mupdate', 501, 'METHOD_NOT_SUPPORTED');
    await settle();
    assert.equal(session.end.cause, 'MEDIA_FAILURE');
});

test('failed DTLS is not mended', async () => {
    await inCall();
    connection.become('failed', 'connected');
    assert.equal(session.end.cause, 'MEDIA_FAILURE');
});

test('another network: only a path that is gone is replaced', async () => {
    await inCall();
    net.client.networkChanged();
    await settle();
    assert.equal(offered(), undefined);
    connection.become('disconnected');
    await settle();
    assert.match(offered(), /^restart/);
});

test('another network: a path on which nothing comes any more is replaced', async () => {
    await inCall();
    connection.become('connected');
    let octets = 100;
    connection.getStats = async () =>
        new Map([
            ['T', { id: 'T', type: 'transport', selectedCandidatePairId: 'P' }],
            ['P', { id: 'P', type: 'candidate-pair', bytesReceived: octets }],
        ]);
    net.client.networkChanged();
    await settle();
    octets += 1; // it has outlived the change
    mock.timers.tick(600);
    await settle();
    assert.equal(offered(), undefined);
    net.client.networkChanged();
    net.client.networkChanged();
    await settle();
    mock.timers.tick(600);
    await settle();
    assert.match(offered(), /^restart/);
});

test('the network asks for a new path', async () => {
    await inCall();
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: BOTH, offerId: '5' });
    assert.equal(net.last('mupdate').sdpAnswer, 'answer sendrecv sendrecv');
    assert.equal(FakeConnection.made.at(-1), connection);
});

test('a change asked of the network by a pre-offer', async () => {
    await inCall();
    const removed = session.change({ tracks: [sound] }, { byNetwork: true });
    await settle();
    assert.equal(
        net.last('mupdate').preOfferDescription,
        'offer audio sendrecv, video recvonly',
    );
    net.answer('mupdate');
    await settle();
    assert.equal(connection.signalingState, 'stable');
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer('sendrecv', 'sendonly') });
    assert.equal(net.last('mupdate').sdpAnswer, 'answer sendrecv recvonly');
    net.answer('mupdate');
    await removed;
});

test('another resource: the offer in the response, the answer in a new request', async () => {
    await inCall();
    const changed = session.changeResource('media/news@example.org');
    await settle();
    assert.equal(net.last('mupdate').resourceId, 'media/news@example.org');
    net.answer('mupdate', { sdpOffer: offer('sendonly', 'sendonly'), offerId: '3' });
    await settle();
    const answer = net.last('mupdate');
    assert.equal(answer.sdpAnswer, 'answer recvonly recvonly');
    assert.equal(answer.offerId, '3');
    net.answer('mupdate');
    await changed;
    assert.equal(session.peer, 'media/news@example.org');

    const refused = outcome(session.changeResource('media/none@example.org'));
    await settle();
    net.refuse('mupdate', 404, 'RESOURCE_NOT_FOUND');
    assert.equal(await refused, 'RESOURCE_NOT_FOUND');
    assert.equal(session.peer, 'media/news@example.org');
});

test('the connection goes while an offer is outstanding: it is rolled back and made again', async () => {
    await inCall();
    const held = outcome(session.hold());
    await settle();
    await net.lose();
    assert.equal(connection.signalingState, 'stable');
    assert.equal(session.held, true, 'still wanted');
    await net.resume([['m-1', 'established']]);
    assert.equal(offered(), 'offer audio inactive, video inactive');
    net.answer('mupdate', { sdpAnswer: 'x' });
    assert.equal(await held, 'agreed');
});

test('the same while the answer is to come later, and the call is gone afterwards', async () => {
    await inCall();
    const held = outcome(session.hold());
    await settle();
    net.answer('mupdate');
    await settle();
    await net.lose();
    await net.resume([]);
    assert.equal(await held, 'MEDIA_SESSION_GONE');
    assert.equal(session.end.cause, 'SESSION_LOST');
});

test('on hold without a connection: silent at once, agreed afterwards', async () => {
    await inCall();
    await net.lose();
    const held = outcome(session.hold());
    await settle();
    assert.deepEqual(tracks(), [null, null]);
    await net.resume([['m-1', 'established']]);
    assert.equal(offered(), 'offer audio inactive, video inactive');
    net.answer('mupdate', { sdpAnswer: 'x' });
    assert.equal(await held, 'agreed');
});

test('a path that fails without a connection is mended after the resumption', async () => {
    await inCall();
    await net.lose();
    connection.become('failed');
    await settle();
    await net.resume([['m-1', 'established']]);
    assert.match(offered(), /^restart/);
});

const problem = (status, cause) => ({ problemDetails: { status, cause, title: cause } });
