// SPDX-License-Identifier: Apache-2.0
// Extensions (protocol A3): a pre-offer that may be answered, trickled candidates, direct media, and
// what is said and refused about them.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { FakeConnection, offer, track } from './fake-connection.mjs';
import { settle } from './fake-socket.mjs';
import { Network } from './network.mjs';

const TRACKS = [track('audio'), track('video')];
const ALL = ['trickle-ice', 'pre-offer-as-offer', 'datachannel', 'qos-report', 'direct-media'];
/** A candidate of the far side, and the description that it belongs to. */
const candidate = (name) => ({
    candidate: `candidate:1 1 udp 1 192.0.2.7 4000 typ host ufrag ${name}`,
    sdpMid: '0',
    usernameFragment: name,
});
const described = (name, ...directions) => `${offer(...directions)}a=ice-ufrag:${name}\r\n`;
let net;

beforeEach(() => {
    FakeConnection.made = [];
    FakeConnection.refuses = FakeConnection.gathers = false;
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
});
afterEach(() => {
    net.client.close();
    mock.timers.reset();
});

const start = (supportedExtension, options) =>
    Network.start({ granted: supportedExtension ? { supportedExtension } : {}, options });

async function calling(options) {
    const session = net.client.call('bob@example.org', { tracks: TRACKS, ...options });
    await settle();
    return session;
}

test('what is told of extensions: at auth, and as far as the pre-offer allows at msetup', async () => {
    net = await start(undefined);
    assert.deepEqual(net.last('auth').supportedExtension, ALL.slice(0, 4));
    await calling();
    assert.deepEqual(net.last('msetup').supportedExtension, ['trickle-ice', 'datachannel', 'qos-report']);
    assert.equal(FakeConnection.made[0].done.at(-1), 'close', 'a throw-away connection');
});

test('a pre-offer that is answered in the response: its connection is the real one', async () => {
    net = await start(['pre-offer-as-offer']);
    const session = await calling();
    const msetup = net.last('msetup');
    assert.ok(msetup.supportedExtension.includes('pre-offer-as-offer'));
    assert.equal(msetup.preOfferDescription, 'offer audio sendrecv, video sendrecv');
    net.answer('msetup', { mediaSessionId: 'm-1', sdpAnswer: 'x' });
    await settle();
    assert.equal(session.state, 'established');
    assert.equal(FakeConnection.made.length, 1);
    assert.deepEqual(
        session.connection.getSenders().map((sender) => sender.track),
        TRACKS,
    );
    assert.equal(net.last('mupdate'), undefined, 'nothing more to say');
});

test('a pre-offer that is answered later', async () => {
    net = await start(ALL);
    const session = await calling();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    assert.equal(session.state, 'proceeding');
    const response = await net.request('mupdate', {
        mediaSessionId: 'm-1',
        sdpAnswer: 'x',
        assertedTerminatingId: 'bob@example.org',
    });
    assert.equal(response.success, true);
    assert.equal(session.state, 'established');
});

test('the network makes an offer all the same: the pre-offer’s connection is given up', async () => {
    net = await start(ALL);
    const session = await calling();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer('sendrecv', 'sendrecv') });
    net.answer('mupdate');
    await settle();
    assert.equal(session.state, 'established');
    assert.equal(FakeConnection.made[0].done.at(-1), 'close');
    assert.equal(session.connection, FakeConnection.made[1]);
});

test('an answer to the pre-offer that cannot be applied ends the call', async () => {
    net = await start(ALL);
    const session = await calling();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    FakeConnection.refuses = true;
    const response = await net.request('mupdate', { mediaSessionId: 'm-1', sdpAnswer: 'x' });
    assert.equal(response.problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
    assert.equal(session.end.cause, 'SDP_NOT_ACCEPTABLE');
});

test('a resource of the network: the offer is in the response', async () => {
    net = await start(undefined);
    const session = net.client.call('media/test@example.org');
    await settle();
    assert.equal(net.last('msetup').preOfferDescription, 'offer audio recvonly, video recvonly');
    net.answer('msetup', { mediaSessionId: 'm-1', sdpOffer: offer('sendonly', 'sendonly') });
    await settle();
    assert.equal(net.last('mupdate').sdpAnswer, 'answer recvonly recvonly');
    net.answer('mupdate');
    await settle();
    assert.equal(session.state, 'established');
    assert.equal(session.heldByPeer, false);
});

test('our candidates follow while the pre-offer is open, several in a message', async () => {
    net = await start(ALL);
    FakeConnection.gathers = true;
    const session = net.client.call('bob@example.org', { tracks: TRACKS });
    await settle();
    const [connection] = FakeConnection.made;
    const come = (candidate) => connection.onicecandidate({ candidate });
    come({ candidate: 'candidate:0', sdpMid: '0', usernameFragment: 'u' }); // is in the description
    mock.timers.tick(200); // not the two seconds without trickle-ice
    await settle();
    come({ candidate: 'candidate:1', sdpMid: '0', usernameFragment: 'u' });
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    come({ candidate: 'candidate:2', sdpMid: '0', usernameFragment: 'u' });
    mock.timers.tick(20);
    await settle();
    assert.deepEqual(
        net.last('mupdate').candidates.map((one) => one.candidate),
        ['candidate:1', 'candidate:2'],
    );
    come(null);
    mock.timers.tick(20);
    assert.equal(net.last('mupdate').endOfCandidates, true);
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpAnswer: 'x' });
    const before = net.last('mupdate');
    come({ candidate: 'candidate:3', sdpMid: '0', usernameFragment: 'u' });
    mock.timers.tick(100);
    assert.equal(net.last('mupdate'), before, 'no offer is outstanding any more');
    session.hangUp();
});

test('the far side’s candidates wait for their description', async () => {
    net = await start(ALL);
    const session = await calling();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    const [connection] = FakeConnection.made;
    for (const members of [{ candidates: [candidate('far')] }, { candidates: [candidate('other')] }])
        await net.request('mupdate', { mediaSessionId: 'm-1', ...members });
    assert.deepEqual(connection.candidates, []);
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpAnswer: described('far', 'sendrecv') });
    assert.deepEqual(
        connection.candidates.map((one) => one.usernameFragment),
        ['far'],
    );
    await net.request('mupdate', {
        mediaSessionId: 'm-1',
        candidates: [candidate('far')],
        endOfCandidates: true,
    });
    assert.deepEqual(
        connection.candidates.map((one) => one.usernameFragment ?? 'end'),
        ['far', 'far', 'end'],
    );
    assert.equal(session.state, 'established');
});

test('candidates that come while it rings', async () => {
    net = await start(ALL);
    let session;
    net.client.addEventListener('incoming', ({ detail }) => {
        session = detail.session;
    });
    const response = await net.request('msetup', {
        mediaSessionId: 'm-1',
        resourceId: 'alice@example.org',
        sdpOffer: described('far', 'sendrecv', 'sendrecv'),
    });
    assert.deepEqual(response.supportedExtension, ALL.slice(0, 4));
    await net.request('mupdate', { mediaSessionId: 'm-1', candidates: [candidate('far')] });
    session.answer({ tracks: TRACKS });
    await settle();
    assert.equal(FakeConnection.made[0].candidates.length, 1);
});

test('direct media is asked for only when the application wants it', async () => {
    net = await start(ALL, { directMedia: true });
    assert.deepEqual(net.last('auth').supportedExtension, ALL);
    await calling();
    assert.deepEqual(net.last('msetup').supportedExtension, ALL);
});

test('a network that does not say what it can do gets a whole pre-offer for direct media', async () => {
    net = await start(undefined, { directMedia: true });
    await calling();
    assert.deepEqual(net.last('msetup').supportedExtension, ALL);
    assert.equal(FakeConnection.made[0].signalingState, 'have-local-offer');
});

test('an extension that the application requires', async () => {
    net = await start(undefined);
    const session = await calling({ requiredExtension: ['telepathy'] });
    assert.deepEqual(net.last('msetup').requiredExtension, ['telepathy']);
    net.refuse('msetup', 501, 'EXTENSION_NOT_SUPPORTED', {
        mediaSessionId: 'm-1',
        unsupportedExtension: ['telepathy'],
    });
    await settle();
    assert.deepEqual(session.end.problem.unsupportedExtension, ['telepathy']);
});

test('a response that requires what the request did not offer ends the session', async () => {
    net = await start(undefined);
    const session = await calling();
    net.answer('msetup', { mediaSessionId: 'm-1' });
    await settle();
    await net.request('mupdate', { mediaSessionId: 'm-1', sdpOffer: offer('sendrecv', 'sendrecv') });
    net.answer('mupdate', { requiredExtension: ['telepathy'] });
    await settle();
    assert.equal(session.end.cause, 'PROTOCOL_ERROR');
    assert.equal(net.last('mdisc').cause, 'PROTOCOL_ERROR');
});

test('the same at msetup', async () => {
    net = await start(undefined);
    const session = await calling();
    net.answer('msetup', { mediaSessionId: 'm-1', requiredExtension: ['telepathy'] });
    await settle();
    assert.equal(session.end.cause, 'PROTOCOL_ERROR');
    assert.equal(net.last('mdisc').mediaSessionId, 'm-1');
});
