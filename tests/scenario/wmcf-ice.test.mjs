// SPDX-License-Identifier: Apache-2.0
// Two media centres that connect to each other, with media from a generated peer through both:
// peer - wmcf A - wmcf B - peer. The test is the WSF of both.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, test } from 'node:test';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['iceConnected', 'iceFailed', 'consentExpired', 'dtlsConnected', 'dtlsFailed',
  'hangingTermination'];
const MEDIAS = [{ mid: '0', mediaType: 'audio', direction: 'sendrecv' },
  { mid: '1', mediaType: 'video', direction: 'sendrecv', codecs: ['VP8'] }];
const offerTemplate = { medias: MEDIAS, bundle: true };
const mediaPolicy = [{ mid: '*', flowStatus: 'ENABLED' }];

class Centre {
  static async start(settings = []) {
    const centre = new Centre();
    centre.wmcf = await Wmcf.start(['media.consent_timeout=6', 'media.connect_timeout=6', ...settings]);
    centre.link = await ControlLink.open(centre.wmcf.url);
    return centre;
  }

  async request(method, members) {
    const reply = await this.link.request(method, members);
    assert.equal(reply.success, true, JSON.stringify(reply.problemDetails));
    return reply;
  }

  add(members) {
    return this.request('add', { contextId: this.contextId, mediaPolicy, events: EVENTS, ...members })
      .then((added) => { this.contextId = added.contextId; return added; });
  }

  modify(terminationId, members) {
    return this.request('modify', { contextId: this.contextId, terminationId, ...members });
  }

  // A generated peer in the context.
  async addPeer() {
    const { terminationId, sdpOffer } = await this.add({ offerTemplate });
    const leg = new GeneratedLeg();
    const [, bind] = sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
    await this.modify(terminationId, { sdpAnswer: await leg.answer(sdpOffer, { bind }) });
    this.peer = leg;
    this.peerId = terminationId;
  }

  route(a, b) {
    const one = (from, to) => ['0', '1'].map((mid) => ({ from: { terminationId: from, mid },
      to: { terminationId: to, mid } }));
    return this.modify(a, { routes: [...one(a, b), ...one(b, a)] });
  }

  event(terminationId, event, matches = () => true) {
    return this.link.event((m) => m.terminationId === terminationId && m.event === event && matches(m));
  }

  async end() {
    const { terminations } = await this.request('subtract', { contextId: this.contextId });
    await this.peer?.close();
    this.peer = this.contextId = undefined;
    return terminations;
  }

  async stop() {
    await this.link.close();
    assert.equal(await this.wmcf.stop(), 0);
  }
}

let a, b;
before(async () => {
  [a, b] = await Promise.all([Centre.start(['ice.tcp=true']), Centre.start(['ice.tcp=true'])]);
});
after(() => Promise.all([a?.stop(), b?.stop()]));

const video = (stats) => stats.receive.find((r) => r.kind === 'video');
const audio = (stats) => stats.receive.find((r) => r.kind === 'audio');

/** Joins the two contexts by a termination in each; `change` may alter the offer on its way. */
async function join({ modeA, modeB, change = (sdp) => sdp }) {
  const offered = await a.add({ offerTemplate, iceMode: modeA });
  const answered = await b.add({ sdpOffer: change(offered.sdpOffer), iceMode: modeB });
  await a.modify(offered.terminationId, { sdpAnswer: answered.sdpAnswer });
  a.trunk = offered.terminationId;
  b.trunk = answered.terminationId;
  return { sdpOffer: offered.sdpOffer, sdpAnswer: answered.sdpAnswer };
}

async function call(options) {
  await Promise.all([a.addPeer(), b.addPeer()]);
  const sdp = await join(options);
  await Promise.all([a.route(a.peerId, a.trunk), b.route(b.peerId, b.trunk)]);
  const told = await Promise.all([a.event(a.trunk, 'iceConnected'), b.event(b.trunk, 'iceConnected')]);
  assert.deepEqual(told[0].details.local, told[1].details.remote);
  assert.deepEqual(told[0].details.remote, told[1].details.local);
  return { ...sdp, details: told[0].details };
}

/** `from` restarts ICE between the two. */
async function restart(from, to) {
  const told = [from, to].map((centre) => centre.link.events.length);
  const { sdpOffer } = await from.modify(from.trunk, { restartIce: true });
  const { sdpAnswer } = await to.modify(to.trunk, { sdpOffer });
  await from.modify(from.trunk, { sdpAnswer });
  await Promise.all([from, to].map((centre, i) => centre.event(centre.trunk, 'iceConnected',
    (m) => centre.link.events.indexOf(m) >= told[i])));
}

async function checkMedia() {
  for (const centre of [a, b]) {
    const had = video(await centre.peer.stats())?.frames ?? 0;
    const stats = await centre.peer.until((s) => video(s)?.frames > had + 20 && audio(s)?.packets > 20);
    assert.equal(video(stats).lost, 0);
    assert.equal(audio(stats).lost, 0);
  }
}

test('two full ends connect; media passes both', { timeout: 90000 }, async () => {
  const { sdpOffer, sdpAnswer } = await call({ modeA: 'full', modeB: 'full' });
  assert.doesNotMatch(sdpOffer, /a=ice-lite/);
  assert.doesNotMatch(sdpAnswer, /a=ice-lite/);
  await checkMedia();
  const [one] = (await a.request('audit', { contextId: a.contextId, terminationId: a.trunk })).terminations;
  assert.equal(one.ice.mode, 'full');
  for (const [from, to] of [[a, b], [b, a], [a, b]]) {
    await restart(from, to);
    await checkMedia();
  }
  await Promise.all([a.end(), b.end()]);
});

test('one with iceMode traversal connects to each kind; media passes both', { timeout: 120000 }, async () => {
  for (const modeB of ['traversal', 'full', 'lite']) {
    const { sdpOffer } = await call({ modeA: 'traversal', modeB });
    assert.doesNotMatch(sdpOffer, /a=ice-lite/);
    assert.match(sdpOffer, /a=candidate:\S+ 1 tcp .* tcptype passive/);
    const [one] = (await a.request('audit', { contextId: a.contextId, terminationId: a.trunk })).terminations;
    assert.equal(one.ice.mode, 'traversal');
    await checkMedia();
    await restart(a, b);
    await restart(b, a);
    await checkMedia();
    await Promise.all([a.end(), b.end()]);
  }
});

test('by TCP alone', { timeout: 90000 }, async () => {
  await call({ modeA: 'traversal', modeB: 'traversal',
    change: (sdp) => sdp.replace(/a=candidate:\S+ 1 udp .*\r\n/gi, '') });
  await checkMedia();
  await Promise.all([a.end(), b.end()]);
});

test('iceMode traversal where nothing is configured, and one that is taken away while it gathers', { timeout: 90000 },
  async () => {
    const silent = createSocket('udp4');
    await new Promise((bound) => silent.bind(0, '127.0.0.1', bound));
    const [none, slow] = await Promise.all([Centre.start(),
      Centre.start([`ice.servers=stun:127.0.0.1:${silent.address().port}`])]);
    const refused = await none.link.request('add', { offerTemplate, iceMode: 'traversal' });
    assert.equal(refused.problemDetails.cause, 'EXTENSION_NOT_SUPPORTED');
    assert.match(refused.problemDetails.detail, /ice\.servers/);
    const { capabilities } = await none.request('audit', { what: ['capabilities'] });
    assert.deepEqual(capabilities.iceModes, ['lite', 'full']);
    await slow.add({ offerTemplate });
    const pending = slow.link.request('add',
      { contextId: slow.contextId, offerTemplate, iceMode: 'traversal' });
    await slow.request('subtract', { contextId: slow.contextId });
    assert.equal((await pending).problemDetails.cause, 'INVALID_STATE');
    // Whoever waits gets what there is.
    slow.contextId = undefined;
    const { sdpOffer } = await slow.add({ offerTemplate, iceMode: 'traversal' });
    assert.match(sdpOffer, /a=candidate:\S+ 1 udp /);
    assert.doesNotMatch(sdpOffer, / tcp /);
    await Promise.all([none.stop(), slow.stop()]);
    silent.close();
  });

test('a full end connects to a lite one, whichever offers', { timeout: 90000 }, async () => {
  const offered = await call({ modeA: 'full', modeB: 'lite' });
  assert.match(offered.sdpAnswer, /a=ice-lite/);
  await checkMedia();
  await restart(b, a);
  await restart(a, b);
  await checkMedia();
  await Promise.all([a.end(), b.end()]);
  const answered = await call({});
  assert.match(answered.sdpOffer, /a=ice-lite/);
  assert.doesNotMatch(answered.sdpAnswer, /a=ice-lite/);
  await checkMedia();
  await Promise.all([a.end(), b.end()]);
});

test('many at once between the same two', { timeout: 90000 }, async () => {
  const trunks = [];
  for (let i = 0; i < 6; i++) {
    await join({ modeA: 'full', modeB: i % 2 ? 'full' : 'lite' });
    trunks.push([a, a.trunk], [b, b.trunk]);
  }
  await Promise.all(trunks.map(([centre, id]) => centre.event(id, 'dtlsConnected')));
  await Promise.all([a.end(), b.end()]);
});

test('IPv4 alone will do', { timeout: 90000 }, async () => {
  const { details } = await call({ modeA: 'full', modeB: 'full',
    change: (sdp) => sdp.replace(/a=candidate:.*:.* typ host\r\n/g, '') });
  assert.ok(details.local.ip && details.remote.ip);
  await checkMedia();
  await Promise.all([a.end(), b.end()]);
});

test('a full leg connects to an endpoint that is full, too', { timeout: 90000 }, async () => {
  const leg = new GeneratedLeg();
  const { terminationId, sdpOffer } = await a.add({ offerTemplate, iceMode: 'full' });
  const [, bind] = sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
  await a.modify(terminationId, { sdpAnswer: await leg.answer(sdpOffer, { bind }) });
  await leg.until((s) => s.state === 'connected');
  await a.event(terminationId, 'dtlsConnected');
  await a.end();
  await leg.close();
});

test('candidates that nobody answers at: iceFailed says so', { timeout: 90000 }, async () => {
  const offered = await a.add({ offerTemplate, iceMode: 'full' });
  const answered = await b.add({ sdpOffer: offered.sdpOffer, iceMode: 'lite' });
  await a.modify(offered.terminationId, { sdpAnswer: answered.sdpAnswer
    .replace(/a=ice-pwd:.*/g, 'a=ice-pwd:notthepasswordofthisone') });
  const failed = await a.event(offered.terminationId, 'iceFailed');
  assert.match(failed.details.reason, /answered/);
  // The termination lives: a restart with the right one heals it.
  a.trunk = offered.terminationId;
  b.trunk = answered.terminationId;
  await restart(a, b);
  await Promise.all([a.event(a.trunk, 'dtlsConnected'), b.event(b.trunk, 'dtlsConnected')]);
  await Promise.all([a.end(), b.end()]);
});
