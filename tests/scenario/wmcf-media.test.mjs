// SPDX-License-Identifier: Apache-2.0
// Media through the real wmcf, driven over the control link, with generated legs: what flows, what
// must not, and what the WSF is told.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GeneratedLeg, connectTwo } from '../support/generated-leg.mjs';
import { floodMedia } from '../support/floods.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['iceConnected', 'dtlsConnected', 'dtlsFailed', 'iceFailed', 'consentExpired',
  'firstMedia', 'mediaGated', 'mediaInactivity', 'hangingTermination'];
let wmcf, link;
before(async () => {
  wmcf = await Wmcf.start(['media.consent_timeout=3', 'media.connect_timeout=2', 'media.inactivity=2']);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

const of = (leg, event) => (m) => m.terminationId === leg.terminationId && m.event === event;
const video = (stats) => stats.receive.find((r) => r.kind === 'video');
const audio = (stats) => stats.receive.find((r) => r.kind === 'audio');
async function end(legs) {
  const { success, terminations } = await link.request('subtract', { contextId: legs[0].contextId });
  assert.ok(success);
  await Promise.all(legs.map((leg) => leg.close()));
  return terminations;
}

test('sound and picture flow both ways, counted', async () => {
  const legs = await connectTwo(link, [{}, {}], EVENTS);
  for (const leg of legs) {
    const connected = await link.event(of(leg, 'iceConnected'));
    assert.ok(connected.details.local.port && connected.details.remote.port);
    await link.event(of(leg, 'dtlsConnected'));
    await link.event((m) => of(leg, 'firstMedia')(m) && m.mid === '1');
    const stats = await leg.until((s) => video(s)?.frames > 30 && audio(s)?.packets > 50);
    assert.equal(audio(stats).lost, 0);
    assert.equal(video(stats).lost, 0);
    assert.ok(video(stats).keyFrames >= 1);
  }
  const terminations = await end(legs);
  for (const t of terminations)
    for (const m of t.statistics) {
      assert.ok(m.uplink.packets > 30, JSON.stringify(m));
      assert.ok(m.downlink.packets > 30, JSON.stringify(m));
      assert.equal(m.uplink.gateDiscarded, 0);
    }
});

test('a certificate that does not match its fingerprint gets no media', async () => {
  const legs = await connectTwo(link, [{}, { faults: ['wrongFingerprint'] }], EVENTS);
  const failed = await link.event(of(legs[1], 'dtlsFailed'));
  assert.match(failed.details.reason, /fingerprint/i);
  await legs[0].until((s) => s.state === 'connected');
  await sleep(1000);
  assert.deepEqual((await legs[1].stats()).receive, []);
  assert.deepEqual((await legs[0].stats()).receive, []);
  const audit = await link.request('audit', { contextId: legs[1].contextId,
    terminationId: legs[1].terminationId });
  assert.equal(audit.terminations[0].state, 'failed');
  await end(legs);
});

test('what comes from an address that ICE has not validated is dropped and counted', async () => {
  const legs = await connectTwo(link);
  await legs[1].until((s) => video(s)?.frames > 10);
  const before = await wmcf.ctl('status');
  const count = (s) => s.workers.reduce((n, w) => n + w.unknownSourceDropped, 0);
  await legs[0].command('strangerRtp', { count: 100 });
  await legs[0].command('strangerDtls', { count: 100 });
  const deadline = Date.now() + 5000;
  while (count(await wmcf.ctl('status')) - count(before) < 200) {
    assert.ok(Date.now() < deadline, 'not counted');
    await sleep(50);
  }
  const stats = await legs[0].stats();
  assert.equal(stats.strangerIn, 0, 'the stranger was answered');
  await end(legs);
});

test('DTLS before ICE is not answered', async () => {
  const legs = await connectTwo(link, [{ faults: ['dtlsBeforeIce', 'noChecks'] }, {}], EVENTS);
  const told = await link.event(of(legs[0], 'hangingTermination'));
  assert.match(told.details.reason, /ICE/);
  assert.notEqual((await legs[0].stats()).state, 'connected');
  const { termination } = await wmcf.ctl('termination', legs[0].terminationId);
  assert.equal(termination.dtls.connected, false);
  await end(legs);
});

test('a wrong ICE password connects nothing', async () => {
  const legs = await connectTwo(link, [{ faults: ['wrongIcePassword'] }, {}], EVENTS);
  await link.event(of(legs[0], 'iceFailed'));
  assert.notEqual((await legs[0].stats()).state, 'connected');
  await end(legs);
});

test('a closed gate drops, tells once, and opens with a key frame', async () => {
  const legs = await connectTwo(link, [{ flowStatus: 'DISABLED' }, { flowStatus: 'DISABLED' }], EVENTS);
  await link.event((m) => of(legs[0], 'mediaGated')(m) && m.mid === '1');
  await legs[1].until((s) => s.state === 'connected');
  await sleep(500);
  assert.deepEqual((await legs[1].stats()).receive, []);
  assert.equal(link.events.filter((m) => of(legs[0], 'mediaGated')(m) && m.mid === '1' &&
    m.details.direction === 'uplink').length, 1);
  for (const leg of legs)
    await link.request('modify', { contextId: leg.contextId, terminationId: leg.terminationId,
      mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const stats = await legs[1].until((s) => video(s)?.frames > 10);
  assert.ok(video(stats).keyFrames >= 1);
  // One direction, one medium.
  await link.request('modify', { contextId: legs[0].contextId, terminationId: legs[0].terminationId,
    mediaPolicy: [{ mid: '1', flowStatus: 'ENABLED-DOWNLINK' }] });
  await sleep(300);
  const [shut, other] = [await legs[1].stats(), await legs[0].stats()];
  await sleep(1000);
  const [shutLater, otherLater] = [await legs[1].stats(), await legs[0].stats()];
  assert.equal(video(shutLater).packets, video(shut).packets);
  assert.ok(audio(shutLater).packets > audio(shut).packets + 30);
  assert.ok(video(otherLater).packets > video(other).packets + 30);
  const terminations = await end(legs);
  const gated = terminations.find((t) => t.terminationId === legs[0].terminationId).statistics
    .find((m) => m.mid === '1');
  assert.ok(gated.uplink.gateDiscarded > 30);
});

test('consent that is not renewed expires and is told', { timeout: 20000 }, async () => {
  const legs = await connectTwo(link, [{}, {}], EVENTS);
  await legs[1].until((s) => video(s)?.frames > 5);
  await legs[0].command('faults', { faults: ['noConsent'] });
  await link.event(of(legs[0], 'consentExpired'), 10);
  const before = audio(await legs[0].stats()).packets;
  await sleep(500);
  assert.equal(audio(await legs[0].stats()).packets, before, 'still sent to without consent');
  await end(legs);
});

test('a leg that has gone without a word is told as inactive', { timeout: 20000 }, async () => {
  const legs = await connectTwo(link, [{}, {}], EVENTS);
  await legs[1].until((s) => video(s)?.frames > 5);
  legs[0].process.kill('SIGKILL');
  await link.event(of(legs[0], 'mediaInactivity'), 10);
  await link.event(of(legs[0], 'consentExpired'), 10);
  await end([legs[1]]);
});

test('a flood of random datagrams costs a running call nothing', { timeout: 60000 }, async () => {
  const legs = await connectTwo(link);
  await legs[1].until((s) => video(s)?.frames > 10);
  const [local] = (await link.request('audit', { contextId: legs[0].contextId })).terminations
    .map((t) => t.ice.local);
  await floodMedia(local.ip, local.port, 10000);
  for (const leg of legs) {
    const stats = await leg.stats();
    for (const r of stats.receive) {
      assert.equal(r.lost, 0, JSON.stringify(r));
      assert.ok(r.longestSilenceUs < 500000, JSON.stringify(r));
    }
  }
  await end(legs);
});

test('legs that are subtracted in every state leave nothing', { timeout: 30000 }, async () => {
  for (const wait of [0, 5, 20, 60, 200]) {
    const legs = await connectTwo(link);
    await sleep(wait);
    await end(legs);
  }
  const deadline = Date.now() + 10000;
  for (;;) {
    const s = await wmcf.ctl('status');
    if (s.contexts + s.pipelines + s.reaping + s.workers.reduce((n, w) => n + w.legs, 0) === 0) break;
    assert.ok(Date.now() < deadline, JSON.stringify(s));
    await sleep(50);
  }
});

test('an unanswered offer is no burden', async () => {
  const { contextId } = await link.request('add', { offerTemplate:
    { medias: [{ mediaType: 'audio' }], bundle: true } });
  const leg = new GeneratedLeg();
  await assert.rejects(leg.answer('v=0\r\n'));
  await leg.close();
  assert.ok((await link.request('subtract', { contextId })).success);
});
