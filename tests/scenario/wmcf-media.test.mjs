// SPDX-License-Identifier: Apache-2.0
// Media through the real wmcf, driven over the control link, with generated legs: what flows, what
// must not, and what the WSF is told.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GeneratedLeg, connectTwo } from '../support/generated-leg.mjs';
import { floodHellos, floodMedia } from '../support/floods.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['iceConnected', 'dtlsConnected', 'dtlsFailed', 'iceFailed', 'consentExpired',
  'firstMedia', 'mediaGated', 'mediaInactivity', 'hangingTermination', 'qosReport'];
let wmcf, link;
before(async () => {
  // Longer than a busy machine lets anybody wait, but for inactivity.
  wmcf = await Wmcf.start(['media.consent_timeout=6', 'media.connect_timeout=5', 'media.inactivity=1',
    'media.qos_report_interval=1', 'media.socket_buffer=67108864']); // a flood waits with the rest
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

const of = (leg, event) => (m) => m.terminationId === leg.terminationId && m.event === event;
const video = (stats) => stats.receive.find((r) => r.kind === 'video');
const audio = (stats) => stats.receive.find((r) => r.kind === 'audio');
// What has been sent to a leg, as the media centre counts it.
async function sentTo({ contextId, terminationId }, mid) {
  const { terminations } = await link.request('audit', { contextId, terminationId, what: ['statistics'] });
  return terminations[0].statistics.find((m) => m.mid === mid).downlink.packets;
}
/** Nothing more is sent to it, and what was on its way has come. */
async function stopped(leg, mid, ms) {
  const counted = (stats) => stats.receive.filter((r) => r.mid === mid).reduce((n, r) => n + r.packets, 0);
  const all = await sentTo(leg, mid);
  await leg.until((s) => counted(s) >= all);
  await sleep(ms);
  assert.equal(counted(await leg.stats()), all);
  assert.equal(await sentTo(leg, mid), all);
}
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
    for (const mid of ['0', '1']) {
      const { details } = await link.event((m) => of(leg, 'qosReport')(m) && m.mid === mid && m.details.downlink?.roundTrip);
      assert.ok(details.seconds >= 0.5, JSON.stringify(details));
      assert.ok(details.uplink.bitrate > 0 && details.downlink.bitrate > 0, JSON.stringify(details));
      assert.equal(details.uplink.loss, 0);
    }
  }
  const terminations = await end(legs);
  for (const t of terminations) {
    const found = (type) => t.rtcStats.filter((s) => s.type === type);
    assert.deepEqual(found('inbound-rtp').map((s) => s.mid), ['0', '1']);
    assert.deepEqual(found('outbound-rtp').map((s) => s.mid), ['0', '1']);
    assert.ok(found('outbound-rtp').every((s) => s.packetsSent > 30 && s.bytesSent > 0), JSON.stringify(t.rtcStats));
    assert.ok(found('remote-inbound-rtp').some((s) => s.roundTripTime > 0), JSON.stringify(t.rtcStats));
    assert.ok(found('candidate-pair')[0].requestsReceived > 0);
    for (const m of t.statistics) {
      assert.ok(m.uplink.packets > 30, JSON.stringify(m));
      assert.ok(m.downlink.packets > 30, JSON.stringify(m));
      assert.equal(m.uplink.gateDiscarded, 0);
    }
  }
});

// Each leg is keyed for itself: what arrives under one profile leaves under the other's.
test('legs with different SRTP profiles in one context', async () => {
  for (const [profiles, expected] of [
    [[['gcm', 'cm'], ['cm']], ['gcm', 'cm']],
    [[['cm', 'gcm256', 'gcm'], ['gcm256']], ['gcm', 'gcm256']],
  ]) {
    const legs = await connectTwo(link, profiles.map((srtpProfiles) => ({ srtpProfiles })), EVENTS);
    for (const [i, leg] of legs.entries()) {
      const stats = await leg.until((s) => video(s)?.frames > 5 && audio(s)?.packets > 5
        && s.srtcpIn > 0);
      assert.equal(stats.srtpProfile, expected[i]);
      assert.equal(stats.srtpFailed + stats.srtcpFailed, 0);
      const connected = await link.event(of(leg, 'dtlsConnected'));
      assert.equal(connected.details.srtpProfile, { gcm: 'SRTP_AEAD_AES_128_GCM',
        gcm256: 'SRTP_AEAD_AES_256_GCM', cm: 'SRTP_AES128_CM_HMAC_SHA1_80' }[expected[i]]);
    }
    await end(legs);
  }
});

// RFC 9335 is negotiated leg by leg.
test('legs with Cryptex and without in one context', async () => {
  for (const [srtpProfile, ...options] of [
    ['gcm', { cryptex: true }, { csrcs: 1 }],
    ['cm', { cryptex: true, csrcs: 2 }, { cryptex: true }],
  ]) {
    const legs = await connectTwo(link, options.map((o) => ({ ...o, srtpProfiles: [srtpProfile] })));
    for (const [i, leg] of legs.entries()) {
      const stats = await leg.until((s) => video(s)?.frames > 5 && audio(s)?.packets > 5);
      const all = stats.receive.reduce((n, r) => n + r.packets, 0);
      assert.equal(stats.cryptexIn, options[i].cryptex ? all : 0);
      assert.equal(video(stats).lost + audio(stats).lost + stats.srtpFailed, 0);
    }
    await end(legs);
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
  const deadline = Date.now() + 20000;
  while (count(await wmcf.ctl('status')) - count(before) < 200) {
    assert.ok(Date.now() < deadline, 'not counted');
    await sleep(50);
  }
  const stats = await legs[0].stats();
  assert.equal(stats.strangerIn, 0, 'the stranger was answered');
  await end(legs);
});

const dropped = async (what) =>
  (await wmcf.ctl('status')).workers.reduce((n, w) => n + w[what], 0);
async function atLeast(what, n) {
  for (let left = 600; await dropped(what) < n; left--) {
    assert.ok(left > 0, `${what} is below ${n}`);
    await sleep(50);
  }
}
async function goesOn(...legs) {
  for (const leg of legs) {
    const { frames } = video(await leg.stats());
    await leg.until((s) => video(s).frames > frames + 10);
  }
}

test('1000 ClientHellos from addresses that ICE has not validated', { timeout: 150_000 }, async () => {
  const legs = await connectTwo(link);
  await legs[1].until((s) => video(s)?.frames > 10);
  const { terminations } = await link.request('audit', { contextId: legs[0].contextId });
  const { local } = terminations[0].ice;
  const { hex } = await legs[0].command('hello');
  const [before, unknown] = [wmcf.resources(), await dropped('unknownSourceDropped')];
  assert.equal(await floodHellos(local.ip, local.port, 1000, 50, hex,
    () => atLeast('unknownSourceDropped', unknown + 1000)), 0, 'a stranger was answered');
  await goesOn(...legs);
  for (const leg of legs)
    for (const r of (await leg.stats()).receive) assert.equal(r.lost, 0, JSON.stringify(r));
  const after = wmcf.resources();
  // Fewer, where those of legs before were still on their way out.
  assert.ok(after.threads <= before.threads, `${before.threads} threads have become ${after.threads}`);
  assert.ok(after.rss - before.rss < 2048, `${before.rss} KiB have become ${after.rss}`);
  await end(legs);
});

// Who is validated is heard, but not without end: its handshake is over, and the threads that work on
// DTLS are everybody's.
test('20 000 ClientHellos from the address of a leg', { timeout: 150_000 }, async () => {
  const legs = await connectTwo(link);
  await legs[1].until((s) => video(s)?.frames > 10);
  const [before, least] = [wmcf.resources(), await dropped('dtlsDropped')];
  for (let i = 0; i < 20; i++) {
    await legs[0].command('ownDtls', { count: 1000 });
    await sleep(5);
  }
  await atLeast('dtlsDropped', least + 1000);
  assert.ok((await link.request('audit', { contextId: legs[0].contextId })).success);
  await goesOn(...legs);
  for (const leg of legs) assert.equal((await leg.stats()).state, 'connected');
  const after = wmcf.resources();
  // Fewer, where those of legs before were still on their way out.
  assert.ok(after.threads <= before.threads, `${before.threads} threads have become ${after.threads}`);
  assert.ok(after.rss - before.rss < 4096, `${before.rss} KiB have become ${after.rss}`);
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
  const [shut, other] = [await legs[1].stats(), await legs[0].stats()];
  await Promise.all([stopped(legs[1], '1', 1000),
    legs[1].until((s) => audio(s).packets > audio(shut).packets + 30),
    legs[0].until((s) => video(s).packets > video(other).packets + 30)]);
  const terminations = await end(legs);
  const gated = terminations.find((t) => t.terminationId === legs[0].terminationId).statistics
    .find((m) => m.mid === '1');
  assert.ok(gated.uplink.gateDiscarded > 30);
});

test('consent that is not renewed expires and is told', { timeout: 150_000 }, async () => {
  const legs = await connectTwo(link, [{}, {}], EVENTS);
  await legs[1].until((s) => video(s)?.frames > 5);
  await legs[0].command('faults', { faults: ['noConsent'] });
  await link.event(of(legs[0], 'consentExpired'));
  await stopped(legs[0], '0', 500);
  await end(legs);
});

test('a leg that has gone without a word is told as inactive', { timeout: 150_000 }, async () => {
  const legs = await connectTwo(link, [{}, {}], EVENTS);
  await legs[1].until((s) => video(s)?.frames > 5);
  // It goes just after it has consented: without consent there is no path that could be inactive.
  const { stunResponses } = await legs[0].stats();
  await legs[0].until((s) => s.stunResponses > stunResponses);
  legs[0].process.kill('SIGKILL');
  await link.event(of(legs[0], 'mediaInactivity'));
  await link.event(of(legs[0], 'consentExpired'));
  await end([legs[1]]);
});

test('a flood of random datagrams costs a running call nothing', { timeout: 150_000 }, async () => {
  const legs = await connectTwo(link);
  await legs[1].until((s) => video(s)?.frames > 10);
  const [local] = (await link.request('audit', { contextId: legs[0].contextId })).terminations
    .map((t) => t.ice.local);
  await floodMedia(local.ip, local.port, 10000);
  await goesOn(...legs);
  for (const leg of legs) {
    const stats = await leg.stats();
    for (const r of stats.receive) {
      assert.equal(r.lost, 0, JSON.stringify(r));
    }
  }
  await end(legs);
});

test('legs that are subtracted in every state leave nothing', { timeout: 150_000 }, async () => {
  for (const wait of [0, 5, 20, 60, 200]) {
    const legs = await connectTwo(link);
    await sleep(wait);
    await end(legs);
  }
  const deadline = Date.now() + 30000;
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
