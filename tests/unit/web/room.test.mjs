// SPDX-License-Identifier: Apache-2.0
// Rooms (protocol A6): participants and whose track is whose, the active speaker, m-lines that the
// network adds, pictures in several sizes, how large they are shown.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, mock, test } from 'node:test';
import { FakeConnection, offer, track } from './fake-connection.mjs';
import { settle } from './fake-socket.mjs';
import { Network } from './network.mjs';

const [sound, picture] = [track('audio'), track('video')];
const TWO = offer('sendrecv', 'sendrecv');
let net;
let session;
let connection;
let told;

before(() => {
    globalThis.MediaStream = class {
        #tracks = new Set();
        addTrack = (one) => this.#tracks.add(one);
        removeTrack = (one) => this.#tracks.delete(one);
        getTracks = () => [...this.#tracks];
    };
});
after(() => {
    delete globalThis.MediaStream;
});

beforeEach(() => {
    FakeConnection.made = [];
    FakeConnection.refuses = FakeConnection.gathers = false;
    FakeConnection.layers = 1;
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
});
afterEach(() => {
    net.client.close();
    mock.timers.reset();
    FakeConnection.layers = 1;
});

const person = (name, ...mids) => ({ participantId: `p-${name}`, displayName: name, mids });
const update = (members) => net.request('mupdate', { mediaSessionId: 'm-1', ...members });
const names = (list) => list.map((one) => one.displayName);
const receiving = (mid) => connection.transceivers.find((one) => one.mid === mid).receiver.track;

async function inRoom({ sdpOffer = TWO, participants, media, ...options } = {}) {
    net = await Network.start({ ...options, granted: { supportedExtension: ['pre-offer-as-offer'] } });
    session = net.client.call('room/green@example.org', { tracks: [sound, picture], ...media });
    told = [];
    session.addEventListener('participantschange', ({ detail }) => told.push(detail));
    await settle();
    net.answer('msetup', { mediaSessionId: 'm-1', sdpOffer, participants });
    await settle();
    net.answer('mupdate');
    await settle();
    assert.equal(session.state, 'established');
    connection = FakeConnection.made.at(-1);
}

test('a room is joined without an offer of this side, own media in the first m-lines', async () => {
    await inRoom();
    assert.ok(!net.last('msetup').supportedExtension.includes('pre-offer-as-offer'));
    assert.equal(FakeConnection.made.length, 2, 'one for the pre-offer, one for the room');
    assert.deepEqual(
        connection.transceivers.map((one) => [one.sender.track, one.direction]),
        [[sound, 'sendrecv'], [picture, 'sendrecv']],
    );
    assert.deepEqual(session.participants, []);
});

test('people come and go; each has a stream that stays theirs', async () => {
    await inRoom({ participants: [person('bob', '0', '1')] });
    assert.deepEqual(names(session.participants), ['bob']);
    const [bob] = session.participants;
    assert.deepEqual(bob.stream.getTracks(), [receiving('0'), receiving('1')]);
    assert.deepEqual(names(told[0].joined), ['bob']);

    // carol needs more m-lines: the offer is answered without asking anybody.
    const answers = net.last('mupdate');
    await update({
        participants: [person('bob', '0', '1'), person('carol', '2', '3')],
        sdpOffer: offer('sendrecv', 'sendrecv', 'sendonly', 'sendonly'),
    });
    assert.notEqual(net.last('mupdate'), answers);
    assert.equal(net.last('mupdate').sdpAnswer, 'answer sendrecv sendrecv recvonly recvonly');
    assert.deepEqual(
        connection.transceivers.map((one) => one.sender.track),
        [sound, picture, null, null],
        'own media stay where they are',
    );
    net.answer('mupdate');
    await settle();
    const carol = session.participants[1];
    assert.equal(session.participants[0].stream, bob.stream);
    assert.deepEqual(carol.stream.getTracks(), [receiving('2'), receiving('3')]);
    assert.deepEqual(names(told.at(-1).changed), ['carol'], 'her m-lines are there now');

    // bob goes, and dave is brought by the m-lines that were his: no offer.
    const before = net.last('mupdate');
    await update({ participants: [person('carol', '2', '3'), person('dave', '0', '1')] });
    const [joined, left] = [told.at(-1).joined, told.at(-1).left];
    assert.deepEqual([names(joined), names(left)], [['dave'], ['bob']]);
    assert.deepEqual(bob.stream.getTracks(), []);
    assert.deepEqual(joined[0].stream.getTracks(), [receiving('0'), receiving('1')]);
    assert.deepEqual(told.at(-1).changed, []);
    assert.equal(net.last('mupdate'), before);

    // The same again is no news.
    const count = told.length;
    await update({ participants: [person('carol', '2', '3'), person('dave', '0', '1')] });
    assert.equal(told.length, count);
});

test('last-N: a picture passes from one to another', async () => {
    await inRoom({ participants: [person('bob', '0', '1'), person('carol')] });
    await update({ participants: [person('bob', '0'), person('carol', '1')] });
    const [bob, carol] = session.participants;
    assert.deepEqual(bob.stream.getTracks(), [receiving('0')]);
    assert.deepEqual(carol.stream.getTracks(), [receiving('1')]);
    assert.deepEqual(names(told.at(-1).changed), ['bob', 'carol']);
});

test('the event track says whose it is', async () => {
    await inRoom({ participants: [person('bob', '0', '1')] });
    const seen = [];
    session.addEventListener('track', ({ detail }) => seen.push(detail.participantId));
    for (const transceiver of connection.transceivers)
        connection.ontrack({ track: transceiver.receiver.track, transceiver, streams: [] });
    connection.ontrack({ track: track('video'), transceiver: { mid: '9' }, streams: [] });
    assert.deepEqual(seen, ['p-bob', 'p-bob', undefined]);
});

test('the active speaker', async () => {
    await inRoom({ participants: [person('bob'), person('carol')] });
    const seen = [];
    session.addEventListener('activespeakerchange', ({ detail }) => seen.push(detail.participantId));
    for (const activeSpeaker of ['p-bob', 'p-bob', undefined, 'p-carol', ''])
        await update({ activeSpeaker });
    assert.deepEqual(seen, ['p-bob', 'p-carol', undefined]);
    assert.equal(session.activeSpeaker, undefined);
});

test('whether it is recorded', async () => {
    await inRoom({ participants: [person('bob')] });
    const seen = [];
    session.addEventListener('recordingchange', ({ detail }) => seen.push(detail.recording));
    assert.equal(session.recording, false);
    for (const recording of [false, true, true, 'no', undefined]) await update({ recording });
    assert.equal(session.recording, true);
    await update({ recording: false });
    assert.deepEqual(seen, [true, false]);
});

test('a list that makes no sense does no harm', async () => {
    await inRoom({ participants: [person('bob', '0', '1')] });
    await update({ participants: 'x' });
    assert.deepEqual(names(session.participants), ['bob']);
    const count = told.length;
    await update({ participantId: 'p-alice' });
    assert.equal(session.participantId, 'p-alice');
    assert.equal(told.length, count);
    await update({
        participants: [null, 7, {}, { participantId: '' }, { participantId: 'p-x', mids: [1, '0'] },
            { participantId: 'p-x', displayName: 'twice' }],
    });
    const [{ stream, ...one }] = session.participants;
    assert.deepEqual(one, { participantId: 'p-x', displayName: '', mids: ['0'], noPicture: '' });
    assert.deepEqual(stream.getTracks(), [receiving('0')]);
    session.participants[0].mids.push('5');
    assert.deepEqual(session.participants[0].mids, ['0'], 'what is given out is a copy');
    await update({ participants: [{ participantId: 'p-x', mids: ['0'], noPicture: 'VP9' }] });
    assert.equal(told.at(-1).changed[0].noPicture, 'VP9');
});

test('a picture in three sizes where the network asks for it', async () => {
    FakeConnection.layers = 3;
    const camera = { ...track('video'), getSettings: () => ({ width: 1280, height: 720 }) };
    await inRoom({ media: { tracks: [sound, camera] } });
    const sender = connection.transceivers[1].sender;
    assert.deepEqual(
        sender.encodings.map((one) => [one.active, one.scaleResolutionDownBy]),
        [[true, 4], [true, 2], [true, 1]],
    );
    const rates = sender.encodings.map((one) => one.maxBitrate);
    assert.deepEqual(rates, [200_000, 700_000, 2_500_000]);
    const order = connection.done.join(' / ');
    assert.match(order, /setRemoteDescription offer \/ parameters \/ setLocalDescription/);

    // What the application sets later stays over an offer of the network.
    sender.encodings[2].maxBitrate = 1_000_000;
    await update({ sdpOffer: offer('sendrecv', 'sendrecv', 'sendonly') });
    net.answer('mupdate');
    await settle();
    assert.equal(sender.encodings[2].maxBitrate, 1_000_000);

    // Another camera is another matter.
    const small = { ...track('video'), getSettings: () => ({ width: 320, height: 240 }) };
    assert.equal(await session.replaceTrack('video', small), true);
    assert.deepEqual(sender.encodings.map((one) => one.active), [false, true, true]);
    assert.ok(sender.encodings[2].maxBitrate < 400_000);
});

test('one size only, if that is wanted', async () => {
    FakeConnection.layers = 3;
    await inRoom({ media: { simulcast: false } });
    const { encodings } = connection.transceivers[1].sender;
    assert.deepEqual(encodings.map((one) => one.active), [false, false, true]);
    const changed = session.change({ simulcast: true });
    await settle();
    net.answer('mupdate');
    await settle();
    await update({ sdpOffer: TWO });
    net.answer('mupdate');
    await changed;
    const now = connection.transceivers[1].sender.encodings;
    assert.deepEqual(now.map((one) => one.active), [true, true, true]);
});

test('parameters that the browser refuses do not end anything', async () => {
    FakeConnection.layers = 3;
    FakeConnection.keepsParameters = true;
    try {
        await inRoom();
        assert.equal(connection.transceivers[1].direction, 'sendrecv');
    } finally {
        FakeConnection.keepsParameters = false;
    }
});

test('in a room the network makes the offers of a change', async () => {
    await inRoom();
    const removed = session.removeVideo();
    await settle();
    assert.equal(net.last('mupdate').preOfferDescription, 'offer audio sendrecv, video recvonly');
    net.answer('mupdate');
    await settle();
    await update({ sdpOffer: TWO });
    assert.equal(net.last('mupdate').sdpAnswer, 'answer sendrecv recvonly');
    net.answer('mupdate');
    await removed;
});

const views = () => net.sent('view.example.org').map((message) => message.userData.views);

test('sizes are told at once, then twice a second at most, and only when they differ', async () => {
    await inRoom({ participants: [person('bob', '0', '1'), person('carol')] });
    const size = (width) => [{ participantId: 'p-bob', width, height: width / 2 }];
    const mid1 = (width) => [{ mid: '1', width, height: width / 2 }];
    session.view(size(640));
    await settle();
    assert.equal(net.last('view.example.org').mediaSessionId, 'm-1');
    for (const width of [642, 644, 800.4]) session.view(size(width));
    await settle();
    assert.deepEqual(views(), [mid1(640)]);
    net.answer('view.example.org');
    mock.timers.tick(500);
    await settle();
    assert.deepEqual(views(), [mid1(640), [{ mid: '1', width: 800, height: 400 }]]);
    net.answer('view.example.org');
    mock.timers.tick(500);
    session.view(size(800));
    mock.timers.tick(1000);
    await settle();
    assert.equal(views().length, 2);
});

test('the wish goes along when the m-line changes hands', async () => {
    await inRoom({ participants: [person('bob', '0', '1'), person('carol')] });
    session.view([
        { participantId: 'p-bob', width: 640, height: 360 },
        { participantId: 'p-carol', width: 160, height: 90 },
    ]);
    mock.timers.tick(500);
    await update({ participants: [person('bob', '0'), person('carol', '1')] });
    assert.deepEqual(views().at(-1), [{ mid: '1', width: 160, height: 90 }]);
});

test('told before the room is there, again after a lost connection, no more when refused', async () => {
    net = await Network.start();
    session = net.client.call('room/green@example.org', { tracks: [sound, picture] });
    session.view([{ mid: '1', width: 320, height: 180 }]);
    await settle();
    assert.deepEqual(views(), []);
    net.answer('msetup', { mediaSessionId: 'm-1', sdpOffer: TWO });
    await settle();
    net.answer('mupdate');
    await settle();
    assert.equal(views().length, 1);
    net.answer('view.example.org');
    mock.timers.tick(500);
    await net.lose();
    session.view([{ mid: '1', width: 320, height: 180 }]);
    await net.resume([['m-1', 'established']]);
    assert.equal(views().length, 1, 'on the new connection');
    net.refuse('view.example.org', 404, 'APP_METHOD_UNKNOWN');
    await settle();
    session.view([{ mid: '1', width: 640, height: 360 }]);
    mock.timers.tick(5000);
    await settle();
    assert.equal(views().length, 1);
});

test('what is refused for the moment is told again after a while', async () => {
    await inRoom({ participants: [person('bob', '0', '1')] });
    session.view([{ participantId: 'p-bob', width: 320, height: 180 }]);
    await settle();
    net.refuse('view.example.org', 404, 'MEDIA_NOT_FOUND');
    await settle();
    mock.timers.tick(1900);
    await settle();
    assert.equal(views().length, 1);
    mock.timers.tick(200);
    await settle();
    assert.equal(views().length, 2);
    net.answer('view.example.org');
    await settle();
    mock.timers.tick(2500);
    await settle();
    assert.equal(views().length, 2);
});
