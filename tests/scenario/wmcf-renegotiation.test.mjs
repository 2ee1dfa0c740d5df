// SPDX-License-Identifier: Apache-2.0
// Changes of running terminations over the control link, with generated legs: hold and resume, media
// added, removed and used again, ICE restart from either side, rollback, and messages that are refused
// as a whole. What goes on must go on unharmed: numbering, SSRC, counters.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GeneratedLeg, connectTwo } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['iceConnected', 'dtlsConnected', 'dtlsFailed', 'iceFailed', 'consentExpired',
  'hangingTermination', 'negotiationNeeded'];
const ENABLED = [{ mid: '*', flowStatus: 'ENABLED' }];
const SENDONLY = 1, SENDRECV = 3;

let wmcf, link;
before(async () => {
  wmcf = await Wmcf.start(['media.consent_timeout=5', 'media.connect_timeout=5',
    'media.restart_timeout=2']);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

const of = (leg, event) => (m) => m.terminationId === leg.terminationId && m.event === event;
const received = (stats, kind) => stats.receive.findLast((r) => r.kind === kind);
const audio = (stats) => received(stats, 'audio');
const video = (stats) => received(stats, 'video');

async function modify(leg, members) {
  const reply = await link.request('modify',
    { contextId: leg.contextId, terminationId: leg.terminationId, ...members });
  assert.equal(reply.success, true, JSON.stringify(reply.problemDetails));
  return reply;
}
async function refused(leg, cause, members) {
  const reply = await link.request('modify',
    { contextId: leg.contextId, terminationId: leg.terminationId, ...members });
  assert.equal(reply.success, false);
  assert.equal(reply.problemDetails.cause, cause, JSON.stringify(reply.problemDetails));
  return reply.problemDetails;
}
async function audit(leg) {
  const { terminations } = await link.request('audit', { contextId: leg.contextId,
    terminationId: leg.terminationId, what: ['state', 'statistics'] });
  return terminations[0];
}
async function end(legs) {
  assert.ok((await link.request('subtract', { contextId: legs[0].contextId })).success);
  await Promise.all(legs.map((leg) => leg.close()));
}

/** The endpoint offers, the media centre answers. */
async function offer(leg, members = {}) {
  const reply = await modify(leg, { sdpOffer: await leg.offer(), ...members });
  await leg.setAnswer(reply.sdpAnswer);
  return reply;
}
/** The media centre offers, the endpoint answers. */
async function reoffer(leg, members, withAnswer = {}) {
  const { sdpOffer } = await modify(leg, members);
  const sdpAnswer = await leg.answer(sdpOffer);
  const reply = await modify(leg, { sdpAnswer, ...withAnswer });
  return { ...reply, sdpOffer, sdpAnswer };
}

async function connected() {
  const legs = await connectTwo(link, [{}, {}], EVENTS);
  for (const leg of legs) await leg.until((s) => video(s)?.frames > 10 && audio(s)?.packets > 10);
  return legs;
}
/** Nothing comes for a while, but for what may be late on its way. */
async function stops(leg, kind) {
  const deadline = Date.now() + 10000;
  for (let before = -1, now; before !== (now = received(await leg.stats(), kind).packets); before = now) {
    assert.ok(Date.now() < deadline, `${kind} still flows`);
    await sleep(400);
  }
}
async function flows(leg, kind, more = 20) {
  const before = received(await leg.stats(), kind)?.packets ?? 0;
  return received(await leg.until((s) => (received(s, kind)?.packets ?? 0) > before + more), kind);
}
const ufrag = (sdp) => sdp.match(/a=ice-ufrag:(\S+)/)[1];
const mLines = (sdp) => sdp.match(/^m=\S+ \d+/gm);
const directions = (reply) => reply.medias.map((m) => m.direction);

test('the endpoint holds and resumes', { timeout: 90000 }, async () => {
  const legs = await connected();
  const [a, b] = legs;
  const ssrc = video(await a.stats()).ssrc;
  for (const index of [0, 1]) await a.command('direction', { index, direction: SENDONLY });
  assert.deepEqual(directions(await offer(a)), ['recvonly', 'recvonly']);
  await Promise.all([stops(a, 'audio'), stops(a, 'video')]);
  await Promise.all([flows(b, 'audio'), flows(b, 'video')]);
  const pli = (await b.stats()).send.find((s) => s.kind === 'video').pliReceived;
  for (const index of [0, 1]) await a.command('direction', { index, direction: SENDRECV });
  assert.deepEqual(directions(await offer(a)), ['sendrecv', 'sendrecv']);
  const [sound, picture] = await Promise.all([flows(a, 'audio'), flows(a, 'video')]);
  assert.equal(picture.ssrc, ssrc);
  assert.equal(picture.lost, 0);
  assert.equal(picture.jumps + sound.jumps, 0);
  await b.until((s) => s.send.find((w) => w.kind === 'video').pliReceived > pli);
  const statistics = (await audit(a)).statistics.find((m) => m.mid === '1');
  assert.ok(statistics.downlink.packets >= picture.packets, 'the counters went on');
  await end(legs);
});

test('the WSF holds and resumes', { timeout: 90000 }, async () => {
  const legs = await connected();
  const [a, b] = legs;
  const medias = (direction) => ({ bundle: true, medias: [
    { mid: '0', mediaType: 'audio', direction }, { mid: '1', mediaType: 'video', direction, codecs: ['VP8'] }] });
  const held = await reoffer(a, { offerTemplate: medias('inactive') });
  assert.deepEqual(directions(held), ['inactive', 'inactive']);
  await Promise.all([stops(a, 'audio'), stops(b, 'video')]);
  const resumed = await reoffer(a, { offerTemplate: medias('sendrecv') });
  assert.deepEqual(directions(resumed), ['sendrecv', 'sendrecv']);
  for (const leg of legs) {
    const picture = await flows(leg, 'video');
    assert.equal(picture.jumps, 0);
    assert.equal(picture.lost, 0);
    await flows(leg, 'audio');
  }
  await end(legs);
});

async function soundOnly() {
  const legs = [];
  for (let i = 0; i < 2; i++) {
    const leg = new GeneratedLeg();
    const added = await link.request('add', { contextId: legs[0]?.contextId, events: EVENTS,
      mediaPolicy: ENABLED, sdpOffer: await leg.offer({ medias: 1, bind: '192.0.2.10' }),
      answerTemplate: { medias: [{ mediaType: 'audio' }], bundle: true } });
    assert.ok(added.success, JSON.stringify(added.problemDetails));
    Object.assign(leg, { contextId: added.contextId, terminationId: added.terminationId });
    await leg.setAnswer(added.sdpAnswer);
    legs.push(leg);
  }
  await modify(legs[0], { routes: [route(legs[0], '0', legs[1], '0'), route(legs[1], '0', legs[0], '0')] });
  for (const leg of legs) await leg.until((s) => audio(s)?.packets > 10);
  return legs;
}
const route = (from, fromMid, to, toMid) => ({ from: { terminationId: from.terminationId, mid: fromMid },
  to: { terminationId: to.terminationId, mid: toMid } });

test('video is added, stopped, and its m-line used again', { timeout: 90000 }, async () => {
  const legs = await soundOnly();
  const [a, b] = legs;
  // The endpoint adds it; the far side gets an offer, with the route in the same message.
  await a.command('addVideo');
  const added = await offer(a, { answerTemplate: { bundle: true, medias: [
    { mid: '0', mediaType: 'audio' }, { mediaType: 'video', codecs: ['VP8'] }] } });
  assert.deepEqual(added.medias.map((m) => m.codecs), [['opus'], ['VP8']]);
  await b.command('addVideo');
  const both = { bundle: true, medias: [{ mid: '0', mediaType: 'audio' },
    { mid: 'pictures', mediaType: 'video', codecs: ['VP8'] }] };
  await reoffer(b, { offerTemplate: both, routes: [route(a, '1', b, 'pictures')] },
    { routes: [route(b, 'pictures', a, '1')] });
  const [seen] = await Promise.all([flows(b, 'video'), flows(a, 'video')]);
  assert.ok(seen.keyFrames >= 1);
  assert.equal(audio(await b.stats()).lost, 0);
  // It stops: the m-line is rejected, the far side's goes silent.
  await a.command('stop', { index: 1 });
  const stopped = await offer(a);
  assert.match(stopped.sdpAnswer, /^m=video 0 /m);
  assert.deepEqual(directions(stopped), ['sendrecv', 'inactive']);
  await Promise.all([stops(b, 'video'), stops(a, 'video'), flows(b, 'audio')]);
  // A new picture takes the place of the rejected m-line, under another mid and with new counters.
  await a.command('addVideo');
  const again = await reoffer(a, { offerTemplate: { bundle: true, medias: [{ mid: '0', mediaType: 'audio' },
    { mediaType: 'video', codecs: ['VP8'] }] } });
  assert.equal(mLines(again.sdpOffer).length, 2);
  const { mid } = again.medias[1];
  assert.notEqual(mid, '1');
  await modify(a, { routes: [route(a, mid, b, 'pictures'), route(b, 'pictures', a, mid)] });
  await Promise.all([flows(a, 'video'), flows(b, 'video')]);
  const statistics = (await audit(a)).statistics;
  assert.deepEqual(statistics.map((s) => s.mid), ['0', mid]);
  assert.equal(audio(await a.stats()).lost, 0);
  await end(legs);
});

test('an m-line that the endpoint rejects is used again', { timeout: 90000 }, async () => {
  const legs = await connected();
  const [a, b] = legs;
  const medias = (video) => ({ bundle: true, medias: [{ mid: '0', mediaType: 'audio' }, video] });
  const rejected = await reoffer(a,
    { offerTemplate: medias({ mid: '1', mediaType: 'video', codecs: ['H264'] }) });
  assert.match(rejected.sdpAnswer, /^m=video 0 /m);
  assert.deepEqual(directions(rejected), ['sendrecv', 'inactive']);
  await Promise.all([stops(a, 'video'), stops(b, 'video'), flows(a, 'audio'), flows(b, 'audio')]);
  await refused(a, 'SDP_NOT_ACCEPTABLE',
    { offerTemplate: medias({ mid: '1', mediaType: 'video', codecs: ['VP8'] }) });
  const again = await reoffer(a,
    { offerTemplate: medias({ mid: 'again', mediaType: 'video', codecs: ['VP8'] }) },
    { routes: [route(a, 'again', b, '1'), route(b, '1', a, 'again')] });
  assert.equal(mLines(again.sdpOffer).length, 2);
  await Promise.all([flows(a, 'video'), flows(b, 'video')]);
  await end(legs);
});

test('what is refused leaves everything as it was', { timeout: 90000 }, async () => {
  const legs = await connected();
  const [a, b] = legs;
  const before = await audit(a);
  const sdpOffer = await a.offer();
  await refused(a, 'TERMINATION_NOT_FOUND', { sdpOffer,
    routes: [{ from: { terminationId: 't-0-0', mid: '0' }, to: { terminationId: a.terminationId, mid: '0' } }] });
  await refused(a, 'INVALID_MESSAGE', { sdpOffer, routes: [route(b, '9', a, '0')] });
  await refused(a, 'INVALID_MESSAGE', { sdpOffer,
    mediaPolicy: [{ mid: '0', policing: { sdr: 1000, mbs: -1 } }] });
  const { invalidParams } = await refused(a, 'INVALID_MESSAGE',
    { sdpOffer, candidates: [{ candidate: '' }, { candidate: 'candidate:1 1 udp' }] });
  assert.equal(invalidParams[0].param, '/candidates/1');
  await refused(a, 'INVALID_MESSAGE', { sdpOffer, restartIce: true });
  await refused(a, 'SDP_NOT_ACCEPTABLE', { sdpOffer: sdpOffer.replace(/(a=fingerprint:sha-256 )../g, '$1' + '00')
    .replace(/(a=fingerprint:sha-256 00:)../g, '$1' + '00') });
  await refused(a, 'SDP_NOT_ACCEPTABLE', { sdpOffer: sdpOffer.replace(/a=setup:actpass/g,
    `a=setup:${(await lastAnswerSetup(a))}`) });
  // An offer of ours with another picture, withdrawn.
  const template = { bundle: true, medias: [{ mid: '0', mediaType: 'audio' }, { mid: '1', mediaType: 'video' },
    { mid: '2', mediaType: 'video' }] };
  const offered = await modify(a, { offerTemplate: template });
  assert.equal(offered.medias.length, 3);
  await refused(a, 'INVALID_STATE', { sdpOffer });
  await refused(a, 'INVALID_STATE', { restartIce: true });
  await refused(a, 'INVALID_MESSAGE', { rollback: true, routes: [route(b, '1', a, '2')] });
  await modify(a, { rollback: true });
  const after = await audit(a);
  assert.deepEqual(after.medias, before.medias);
  assert.equal(after.state, 'connected');
  await Promise.all([flows(a, 'video'), flows(b, 'video')]);
  assert.equal(video(await b.stats()).lost, 0);
  assert.deepEqual(directions(await offer(a)), ['sendrecv', 'sendrecv']);
  await end(legs);
});
/** The setup that would turn the roles round: what the media centre says itself. */
async function lastAnswerSetup(leg) {
  const { sdpAnswer } = await modify(leg, { sdpOffer: await leg.offer() });
  return sdpAnswer.match(/a=setup:(\S+)/)[1];
}

async function losesNothing(legs, doing) {
  const before = await Promise.all(legs.map((leg) => leg.stats()));
  const result = await doing();
  for (const [i, leg] of legs.entries()) {
    for (const kind of ['audio', 'video']) await flows(leg, kind);
    const stats = await leg.stats();
    for (const kind of ['audio', 'video']) {
      const now = received(stats, kind);
      assert.equal(now.ssrc, received(before[i], kind).ssrc);
      assert.equal(now.lost, 0, JSON.stringify(now));
    }
  }
  return result;
}
const connections = (leg) => link.events.filter(of(leg, 'iceConnected')).length;
async function connectedAgain(leg, times) {
  const deadline = Date.now() + 30000;
  while (connections(leg) < times) {
    assert.ok(Date.now() < deadline, 'iceConnected was not told again');
    await sleep(20);
  }
}

test('ICE restarts from either side, and media goes on', { timeout: 90000 }, async () => {
  const legs = await connected();
  const [a, b] = legs;
  await losesNothing(legs, async () => {
    await a.command('restartIce');
    const first = await offer(a);
    await connectedAgain(a, 2);
    await a.command('restartIce');
    const second = await offer(a);
    assert.notEqual(ufrag(first.sdpAnswer), ufrag(second.sdpAnswer));
    await connectedAgain(a, 3);
  });
  await losesNothing(legs, async () => {
    const alone = await reoffer(b, { restartIce: true });
    await connectedAgain(b, 2);
    const offerTemplate = { bundle: true, medias: [{ mid: '0', mediaType: 'audio' },
      { mid: '1', mediaType: 'video', codecs: ['VP8'] }] };
    const withTemplate = await reoffer(b, { restartIce: true, offerTemplate });
    assert.notEqual(ufrag(alone.sdpOffer), ufrag(withTemplate.sdpOffer));
    await connectedAgain(b, 3);
  });
  // Withdrawn, and answered without new credentials.
  await losesNothing(legs, async () => {
    const { sdpOffer } = await modify(b, { restartIce: true });
    await refused(b, 'SDP_NOT_ACCEPTABLE', { sdpAnswer: (await b.offer())
      .replace(/actpass/g, 'active') });
    await modify(b, { rollback: true });
    assert.notEqual(ufrag((await modify(b, { restartIce: true })).sdpOffer), ufrag(sdpOffer));
    await modify(b, { rollback: true });
  });
  assert.equal(link.events.filter(of(b, 'consentExpired')).length, 0);
  assert.equal((await audit(b)).state, 'connected');
  await end(legs);
});

test('a lost path is healed by an ICE restart; one that is not is told', { timeout: 90000 }, async () => {
  const legs = await connected();
  const [a, b] = legs;
  const lose = async (leg) => {
    await leg.command('faults', { faults: ['noConsent'] });
    await link.event(of(leg, 'consentExpired'));
    await leg.command('faults', { faults: [] });
  };
  await lose(a);
  assert.equal((await audit(a)).state, 'disconnected');
  await reoffer(a, { restartIce: true });
  await connectedAgain(a, 2);
  assert.equal((await audit(a)).state, 'connected');
  await Promise.all([flows(a, 'video'), flows(b, 'video'), flows(a, 'audio')]);
  await b.command('faults', { faults: ['noConsent'] });
  const told = await link.event(of(b, 'hangingTermination'));
  assert.match(told.details.reason, /consent/);
  assert.equal(link.events.filter(of(b, 'iceFailed')).length, 0);
  assert.equal(link.events.filter(of(a, 'hangingTermination')).length, 0);
  await end(legs);
});

test('an endpoint that closes in order is told apart from a failure', { timeout: 90000 }, async () => {
  const legs = await connected();
  await legs[0].command('close');
  const closed = await link.event(of(legs[0], 'dtlsFailed'));
  assert.equal(closed.details.closedByEndpoint, true);
  assert.match(closed.details.reason, /closed by the endpoint/);
  await end(legs);
});

test('candidates come by themselves, early and late', { timeout: 90000 }, async () => {
  const offerTemplate = { bundle: true, medias: [{ mid: '0', mediaType: 'audio' }] };
  for (const early of [true, false]) {
    const leg = new GeneratedLeg();
    const added = await link.request('add', { offerTemplate, iceMode: 'full', events: EVENTS });
    Object.assign(leg, { contextId: added.contextId, terminationId: added.terminationId });
    const whole = await leg.answer(added.sdpOffer, { bind: '192.0.2.10', lite: true, medias: 1 });
    const candidate = whole.match(/a=(candidate:\S+.*)\r/)[1];
    const sdpAnswer = whole.replace(/a=(candidate|end-of-candidates).*\r\n/g, '')
      .replace('t=0 0\r\n', 't=0 0\r\na=ice-options:trickle\r\n');
    const trickled = { candidates: [{ candidate, sdpMid: '0', usernameFragment: ufrag(whole) }] };
    if (early) {
      await refused(leg, 'INVALID_STATE', { candidates: [{ candidate }] });
      await modify(leg, trickled);
    }
    await modify(leg, { sdpAnswer });
    if (!early) {
      for (const bad of ['candidate:', 'candidate:1 1 udp x 192.0.2.1 9 typ host', 'hello', 'a=mid:0'])
        await refused(leg, 'INVALID_MESSAGE', { candidates: [{ candidate: bad }] });
      await refused(leg, 'INVALID_MESSAGE', { candidates: [{ candidate, sdpMid: '7' }] });
      await modify(leg, { candidates: Array.from({ length: 64 }, () => ({ candidate, usernameFragment: 'other' })) });
      assert.equal(link.events.filter(of(leg, 'iceConnected')).length, 0);
      await modify(leg, { ...trickled, endOfCandidates: true });
    }
    await link.event(of(leg, 'iceConnected'));
    await link.event(of(leg, 'dtlsConnected'));
    await end([leg]);
  }
});

test('a mesh grows by the m-lines that it asks for', { timeout: 90000 }, async () => {
  const legs = [];
  let contextId;
  for (let i = 0; i < 3; i++) {
    const leg = new GeneratedLeg();
    const added = await link.request('add', { contextId, topology: 'mesh', events: EVENTS, mediaPolicy: ENABLED,
      sdpOffer: await leg.offer({ medias: 1, bind: '192.0.2.10' }) });
    assert.ok(added.success, JSON.stringify(added.problemDetails));
    ({ contextId } = added);
    Object.assign(leg, { contextId, terminationId: added.terminationId });
    await leg.setAnswer(added.sdpAnswer);
    legs.push(leg);
  }
  for (const leg of legs) {
    const { details } = await link.event(of(leg, 'negotiationNeeded'));
    await leg.command('addAudio');
    await reoffer(leg, { offerTemplate: details.offerTemplate });
  }
  for (const leg of legs)
    await leg.until((s) => s.receive.filter((r) => r.kind === 'audio' && r.packets > 20).length === 2);
  await end(legs);
});
