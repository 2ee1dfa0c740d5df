// SPDX-License-Identifier: Apache-2.0
// The connection patterns of clause 6.3.2.5.x.2, each end to end with media: two operators with a media
// centre each, generated peers as clients and as content providers' servers. Clients of one network with
// direct media are in e2e/direct.test.mjs; two browsers of one network in e2e/alone/call.test.mjs, of two in
// e2e/operators.test.mjs.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { Operators } from '../support/operators.mjs';
import { RoomParticipant } from '../support/room-participant.mjs';

const ALICE = 'alice@a.example';
const AMY = 'amy@a.example';
const BOB = 'bob@b.example';
const STUDIO = 'server@studio.example'; // content providers: of a …
const CINEMA = 'server@cinema.example'; // … and of b, which a reaches through b
const PASSWORD = 'correct horse';
/** Where all legs are: the host between those of the operators. */
const LEGS = '203.0.113.1';
const INACTIVE = 0;
const RECVONLY = 2;
const resources = `
[resource "test"]
parameters = width=320, height=180
[resource "short"]
[room "any"]
names = *
`;
const SHORT = `audiotestsrc is-live=true num-buffers=200 samplesperbuffer=960
  ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=audio\n`;
const provider = (name, id) =>
  `[peer "${name}"]\nkind = provider\nrealms = ${id.split('@')[1]}\nwebrtc_id = ${id}\n`;

let operators, templates;
const open = [];
before(async () => {
  templates = mkdtempSync(join(tmpdir(), 'templates-'));
  writeFileSync(join(templates, 'short.pipeline'), SHORT);
  operators = await Operators.start({
    tls: true,
    wmcf: [`pipelines.folder=${templates}`],
    a: { users: { [AMY]: PASSWORD, [STUDIO]: PASSWORD }, conf: resources + provider('studio', STUDIO) },
    b: { users: { [CINEMA]: PASSWORD }, conf: resources + provider('cinema', CINEMA),
      realms: ['cinema.example'] },
  });
});
afterEach(async (t) => {
  if (t.passed === false) console.error(operators?.logs());
  await Promise.all(open.splice(0).map((one) => one.close()));
  if (t.passed !== false) await empty();
});
after(async () => {
  await operators?.stop();
  rmSync(templates, { recursive: true });
});

const empty = () => Promise.all([operators.a, operators.b].map((one) => one.contextsBecome(0)));

/** A pre-offer as a page makes it: sound and picture both ways. */
const PRE_OFFER = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:a', 'a=sendrecv', 'a=rtpmap:111 opus/48000/2',
  'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=mid:v', 'a=sendrecv', 'a=rtpmap:96 VP8/90000', ''].join('\r\n');

/** The media that a description has: "audio opus", "video VP8", … */
const mediasOf = (sdp) => sdp.split(/^m=/m).slice(1).map((text) => {
  const codecs = [...text.matchAll(/^a=rtpmap:\d+ ([^/]+)\//gm)].map(([, name]) => name);
  return `${/^\w+/.exec(text)} ${codecs.filter((name) => name !== 'rtx').join(' ')}`;
});
const addressesOf = (sdp) =>
  [...new Set([...sdp.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) /gim)].map(([, address]) => address))];

/** A client or server: its connection to its own operator and, in a call, its leg. */
class Party {
  static async register(operator, webrtcId, password = PASSWORD) {
    const party = new Party();
    party.operator = operator;
    const ca = readFileSync(join(operator.folder, 'cert.pem'));
    const url = `${operator.secureUrl.replace('https', 'wss')}eirtcw/v1`;
    party.link = await Endpoint.connect(url, 'eirtcw.v1', { ca });
    const authorization = `Basic ${Buffer.from(`${webrtcId}:${password}`).toString('base64')}`;
    await party.request('auth', { authType: 'basic', webrtcId, authorization });
    open.push(party);
    return party;
  }

  /** `options` of the leg. */
  new(options = {}) {
    this.leg = new GeneratedLeg();
    this.options = { bind: LEGS, ...options };
    open.push(this.leg);
  }

  async request(method, members) {
    const response = await this.link.request(method, members);
    assert.ok(response.success, JSON.stringify(response));
    return response;
  }

  /** Answers an offer of the own operator, whose media centre is all that it names. */
  async answer({ sdpOffer, offerId }) {
    assert.deepEqual(addressesOf(sdpOffer), [this.operator.address]);
    this.medias = mediasOf(sdpOffer);
    const sdpAnswer = await this.leg.answer(sdpOffer, this.options);
    this.port = Number(/^a=candidate:\S+ 1 udp \d+ \S+ (\d+) /im.exec(sdpAnswer)[1]);
    await this.request('mupdate', { mediaSessionId: this.session, sdpAnswer, offerId });
  }

  /** Up to its answer, if somebody or something takes the call. */
  async call(resourceId, { preOfferDescription = PRE_OFFER, ...options } = {}) {
    this.new(options);
    const asked = await this.request('msetup', { resourceId, preOfferDescription });
    this.session = asked.mediaSessionId;
    let offered = asked;
    while (!offered.sdpOffer) {
      offered = await this.link.expect('mupdate');
      offered.reply();
    }
    await this.answer(offered);
    return offered;
  }

  /** Takes the next call; gives what it was asked. */
  async take(options) {
    this.new(options);
    const asked = await this.link.expect('msetup');
    asked.reply({ mediaSessionId: asked.mediaSessionId });
    this.session = asked.mediaSessionId;
    await this.answer(asked);
    return asked;
  }

  /** Another direction of an m-line, by an offer of its own. */
  async change(index, direction) {
    await this.leg.command('direction', { index, direction });
    const sdpOffer = await this.leg.offer();
    let changed = await this.request('mupdate', { mediaSessionId: this.session, sdpOffer });
    while (!changed.sdpAnswer) {
      changed = await this.link.expect('mupdate');
      changed.reply();
      assert.equal(changed.problemDetails, undefined, JSON.stringify(changed));
    }
    await this.leg.setAnswer(changed.sdpAnswer);
  }

  hangUp() {
    return this.request('mdisc', { mediaSessionId: this.session, cause: 'NORMAL' });
  }

  /** Is told that the call is over. */
  async ended(cause = 'NORMAL') {
    const over = await this.link.expect('mdisc');
    assert.equal(over.mediaSessionId, this.session);
    assert.equal(over.cause, cause);
    over.reply();
  }

  /** Receives sound and picture whole: what comes decrypts, is VP8 where it is the picture, none is lost. */
  async receives(packets = 25) {
    assert.deepEqual(this.medias, ['audio opus', 'video VP8']);
    const enough = (stats) => ['audio', 'video'].every((kind) =>
      stats.receive.some((one) => one.kind === kind && one.packets >= packets &&
        (kind === 'audio' || (one.frames > 10 && one.keyFrames > 0))));
    const { state, failure, receive } = await this.leg.until(enough);
    assert.deepEqual([state, failure, receive.length], ['connected', '', 2]);
    for (const one of receive) assert.equal(one.lost, 0, JSON.stringify(one));
  }

  close() {
    return this.link.close();
  }
}

/** The pairs that the one context of an operator has chosen: "remote address:port" or "pipeline". */
function paths(operator) {
  const contexts = operator.contexts();
  assert.equal(contexts.length, 1, JSON.stringify(contexts));
  return contexts[0].terminationIds.map((id) => {
    const { ice, pipeline } = operator.wmcfctl('termination', id).termination;
    if (pipeline) return 'pipeline';
    assert.ok(ice.connected, id);
    assert.equal(ice.local.ip, operator.address);
    return `${ice.remote.ip}:${ice.remote.port}`;
  }).sort();
}
const at = (party) => `${LEGS}:${party.port}`;
/** Each media centre is between its own client and the other, which is the media centre of the other operator. */
function throughBoth(caller, called) {
  for (const [one, other] of [[caller, called], [called, caller]]) {
    const [far, near] = paths(one.operator).sort((x, y) => (x === at(one)) - (y === at(one)));
    assert.equal(near, at(one));
    assert.equal(far.split(':')[0], other.operator.address);
  }
}

const registered = (...all) => Promise.all(all.map((args) => Party.register(...args)));
const connect = async (caller, called, resourceId, options = {}) => {
  const [, asked] = await Promise.all([caller.call(resourceId), called.take(options)]);
  await Promise.all([caller.receives(), called.receives()]);
  return asked;
};
const endedBy = (one, other) => Promise.all([one.hangUp(), other.ended()]).then(empty);

test('client – own media resource', async () => {
  const { a } = operators;
  const alice = await Party.register(a, ALICE, 'wonderland');
  await alice.call('media/test@a.example', { direction: RECVONLY });
  await alice.receives();
  assert.deepEqual(paths(a), [at(alice), 'pipeline']);
  assert.equal(operators.b.contexts().length, 0);
  await alice.hangUp();
  await empty();
});

test('client – content provider\'s resource', async () => {
  const { a } = operators;
  const [alice, studio] = await registered([a, ALICE, 'wonderland'], [a, STUDIO]);
  for (const lite of [false, true]) {
    const asked = await connect(alice, studio, 'live/1@studio.example', { lite });
    assert.equal(asked.resourceId, 'live/1@studio.example');
    assert.equal(asked.assertedOriginatingId, ALICE);
    assert.deepEqual(paths(a), [at(alice), at(studio)].sort());
    await (lite ? endedBy(studio, alice) : endedBy(alice, studio));
  }
  // The server may begin as well.
  const asked = await connect(studio, alice, ALICE);
  assert.equal(asked.assertedOriginatingId, STUDIO);
  assert.deepEqual(paths(a), [at(alice), at(studio)].sort());
  await endedBy(studio, alice);
});

test('client – client with media centre', async () => {
  const { a } = operators;
  const [alice, amy] = await registered([a, ALICE, 'wonderland'], [a, AMY]);
  await connect(alice, amy, AMY);
  assert.deepEqual(paths(a), [at(alice), at(amy)].sort());
  await endedBy(amy, alice);
});

test('client – other operator\'s resource', async () => {
  const { a, b } = operators;
  const alice = await Party.register(a, ALICE, 'wonderland');
  await alice.call('media/test@b.example', { direction: RECVONLY });
  await alice.receives();
  const [toB, toAlice] = paths(a).sort((x, y) => (x === at(alice)) - (y === at(alice)));
  assert.equal(toAlice, at(alice));
  assert.equal(toB.split(':')[0], b.address);
  const [toA, pipeline] = paths(b);
  assert.deepEqual([toA.split(':')[0], pipeline], [a.address, 'pipeline']);
  await alice.change(1, INACTIVE);
  await alice.change(1, RECVONLY);
  await alice.receives(80);
  await alice.hangUp();
  await empty();

  // The other side hangs up when there is no more to see.
  await alice.call('media/short@b.example', { direction: RECVONLY });
  await alice.ended();
});

test('client – resource of a content provider that is connected to the other operator', async () => {
  const { a, b } = operators;
  const [alice, cinema] = await registered([a, ALICE, 'wonderland'], [b, CINEMA]);
  for (const lite of [false, true]) {
    const asked = await connect(alice, cinema, 'film/7@cinema.example', { lite });
    assert.equal(asked.resourceId, 'film/7@cinema.example');
    assert.equal(asked.assertedOriginatingId, ALICE);
    throughBoth(alice, cinema);
    await (lite ? endedBy(cinema, alice) : endedBy(alice, cinema));
  }
});

test('client – client of another operator', async () => {
  const { a, b } = operators;
  const [alice, bob] = await registered([a, ALICE, 'wonderland'], [b, BOB, 'builder']);
  await connect(alice, bob, BOB);
  throughBoth(alice, bob);
  await endedBy(alice, bob);
  await connect(bob, alice, ALICE);
  throughBoth(bob, alice);
  await endedBy(alice, bob);
});

test('client – room of another operator: all are told of all, slots and words pass', async () => {
  const { a, b } = operators;
  const enter = async (operator, webrtcId, password) => {
    const one = await RoomParticipant.register({ webrtcId, password, bind: LEGS,
      url: `${operator.secureUrl.replace('https', 'wss')}eirtcw/v1`,
      socket: { ca: readFileSync(join(operator.folder, 'cert.pem')) } });
    open.push(one);
    return one.join('room/green@a.example');
  };
  const alice = await enter(a, ALICE, 'wonderland');
  const bob = await enter(b, BOB, 'builder');
  const amy = await enter(a, AMY, PASSWORD);
  const all = [alice, bob, amy];
  await Promise.all(all.map((one) => one.sees(all.filter((other) => other !== one), 2)));
  await Promise.all(all.map((one) => one.receives('video', 2)));
  assert.equal(alice.participants.find((one) => one.participantId === bob.participantId).displayName, BOB);
  const said = await amy.client.request('say.example.com', { mediaSessionId: amy.mediaSessionId, userData: 1 });
  assert.ok(said.success);
  const heard = await bob.until(({ requests }) => requests.find(({ method }) => method === 'say.example.com'));
  assert.deepEqual([heard.participantId, heard.userData], [amy.participantId, 1]);
  await amy.leave();
  await bob.sees([alice], 2);
});
