// SPDX-License-Identifier: Apache-2.0
// What a browser does to a running connection, against the control link alone: one page on a
// termination that checks by itself (iceMode full), one on a lite one. Hold, a track replaced, a
// picture added, a transceiver stopped and its m-line used again, ICE restarted from either side.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../support/browser.mjs';
import { serveEmptyPage } from '../support/empty-page.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['iceConnected', 'iceFailed', 'consentExpired', 'dtlsConnected', 'dtlsFailed',
  'hangingTermination'];
const ENABLED = [{ mid: '*', flowStatus: 'ENABLED' }];
let wmcf, link, browser, site;
before(async () => {
  wmcf = await Wmcf.start();
  link = await ControlLink.open(wmcf.url);
  site = await serveEmptyPage();
  // Cryptex (RFC 9335) both ways: what the browser shows by then has been ciphered with its headers.
  browser = await launch({ args: ['--enable-blink-features=RtcRtpHeaderEncryptionPolicy'] });
});
after(async () => {
  await browser?.close();
  site?.close();
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

class Page {
  static async open() {
    const one = new Page();
    one.page = await browser.newPage();
    await one.page.goto(site.url);
    await one.page.evaluate(async () => {
      window.pc = new RTCPeerConnection();
      window.media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      pc.addTrack(media.getAudioTracks()[0], media);
      window.described = async () => {
        if (pc.iceGatheringState !== 'complete')
          await new Promise((done) => pc.addEventListener('icegatheringstatechange',
            () => pc.iceGatheringState === 'complete' && done()));
        return pc.localDescription.sdp;
      };
      window.offer = async (options) => { await pc.setLocalDescription(await pc.createOffer(options)); return described(); };
      window.accept = (sdp) => pc.setRemoteDescription({ type: 'answer', sdp });
      window.reply = async (sdp) => {
        await pc.setRemoteDescription({ type: 'offer', sdp });
        await pc.setLocalDescription();
        return described();
      };
      window.seen = async () => {
        const all = [...(await pc.getStats()).values()];
        const pair = all.find((s) => s.type === 'candidate-pair' && s.id ===
          all.find((t) => t.type === 'transport').selectedCandidatePairId);
        const of = (kind) => all.filter((s) => s.type === 'inbound-rtp' && s.kind === kind)
          .reduce((n, s) => n + (kind === 'video' ? s.framesDecoded : s.packetsReceived), 0);
        return { srtp: all.find((t) => t.type === 'transport').srtpCipher, audio: of('audio'), video: of('video'), pair: pair?.localCandidateId };
      };
    });
    return one;
  }

  run(fn, arg) { return this.page.evaluate(fn, arg); }

  async modify(members) {
    const reply = await link.request('modify',
      { contextId: this.contextId, terminationId: this.terminationId, ...members });
    assert.equal(reply.success, true, JSON.stringify(reply.problemDetails));
    return reply;
  }

  // The page offers.
  async offer(options) {
    const sdpOffer = await this.run((o) => offer(o), options);
    const reply = await this.modify({ sdpOffer });
    assert.match(sdpOffer, /^a=cryptex\r$/m);
    assert.match(reply.sdpAnswer, /^a=cryptex\r$/m);
    await this.run((sdp) => accept(sdp), reply.sdpAnswer);
    return reply;
  }

  // The media centre offers.
  async reoffer(members) {
    const { sdpOffer } = await this.modify(members);
    return this.modify({ sdpAnswer: await this.run((sdp) => reply(sdp), sdpOffer) });
  }

  async flows(...kinds) {
    const from = await this.run(() => seen());
    for (let left = 100; ; left--) {
      const now = await this.run(() => seen());
      if (kinds.every((kind) => now[kind] > from[kind] + 10)) return now;
      assert.ok(left > 0, `${JSON.stringify(from)} is ${JSON.stringify(now)}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  event(event) {
    return link.event((m) => m.terminationId === this.terminationId && m.event === event, 20);
  }

  async connections(n) {
    for (let left = 200; link.events.filter((m) => m.terminationId === this.terminationId &&
      m.event === 'iceConnected').length < n; left--) {
      assert.ok(left > 0, `no iceConnected number ${n}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

const route = (from, fromMid, to, toMid) => ({ from: { terminationId: from.terminationId, mid: fromMid },
  to: { terminationId: to.terminationId, mid: toMid } });

test('a browser changes its connection in every way', { timeout: 180_000 }, async () => {
  const [a, b] = [await Page.open(), await Page.open()];
  for (const [one, iceMode] of [[a, 'full'], [b, 'lite']]) {
    const added = await link.request('add', { contextId: a.contextId, iceMode, events: EVENTS,
      mediaPolicy: ENABLED, sdpOffer: await one.run(() => offer()) });
    assert.ok(added.success, JSON.stringify(added.problemDetails));
    assert.equal(/a=ice-lite/.test(added.sdpAnswer), iceMode === 'lite');
    Object.assign(one, { contextId: added.contextId, terminationId: added.terminationId });
    await one.run((sdp) => accept(sdp), added.sdpAnswer);
  }
  await a.modify({ routes: [route(a, '0', b, '0'), route(b, '0', a, '0')] });
  await Promise.all([a.event('dtlsConnected'), b.event('dtlsConnected')]);
  // The browsers have offered.
  for (const { srtp } of await Promise.all([a.flows('audio'), b.flows('audio')]))
    assert.equal(srtp, 'SRTP_AEAD_AES_128_GCM');

  // A picture is added by both.
  for (const one of [a, b]) {
    await one.run(() => { pc.addTrack(media.getVideoTracks()[0], media); });
    assert.deepEqual((await one.offer()).medias.map((m) => m.direction), ['sendrecv', 'sendrecv']);
  }
  await a.modify({ routes: [route(a, '1', b, '1'), route(b, '1', a, '1')] });
  await Promise.all([a.flows('audio', 'video'), b.flows('audio', 'video')]);

  // Held and resumed; another track in place of the first, without a word to anybody.
  await a.run(() => pc.getTransceivers().forEach((t) => { t.direction = 'sendonly'; }));
  assert.deepEqual((await a.offer()).medias.map((m) => m.direction), ['recvonly', 'recvonly']);
  await b.flows('audio', 'video');
  await a.run(() => pc.getTransceivers().forEach((t) => { t.direction = 'sendrecv'; }));
  await a.offer();
  await a.run(async () => {
    const other = await navigator.mediaDevices.getUserMedia({ video: { width: 320 } });
    await pc.getSenders().find((s) => s.track?.kind === 'video').replaceTrack(other.getVideoTracks()[0]);
  });
  await Promise.all([a.flows('audio', 'video'), b.flows('audio', 'video')]);

  // Another codec.
  for (const codecs of [['VP9'], ['VP8']]) {
    for (const one of [a, b]) {
      const { medias } = await one.reoffer({ offerTemplate: { bundle: true, medias: [
        { mid: '0', mediaType: 'audio' }, { mid: '1', mediaType: 'video', codecs }] } });
      assert.deepEqual(medias[1].codecs, codecs);
    }
    await Promise.all([a.flows('audio', 'video'), b.flows('audio', 'video')]);
  }

  // ICE restarts, twice from either side, on both kinds of terminations.
  for (const one of [a, b]) {
    for (let n = 2; n < 4; n++) {
      await one.offer({ iceRestart: true });
      await one.connections(n);
    }
    for (let n = 4; n < 6; n++) {
      await one.reoffer({ restartIce: true });
      await one.connections(n);
    }
    await Promise.all([a.flows('audio', 'video'), b.flows('audio', 'video')]);
  }

  // A transceiver stops; its m-line is used again by an offer of the media centre.
  await a.run(() => pc.getTransceivers()[1].stop());
  const stopped = await a.offer();
  assert.match(stopped.sdpAnswer, /^m=video 0 /m);
  await Promise.all([a.flows('audio'), b.flows('audio')]);
  const again = await a.reoffer({ offerTemplate: { bundle: true, medias: [
    { mid: '0', mediaType: 'audio' }, { mediaType: 'video', codecs: ['VP8'] }] } });
  assert.equal(again.medias.length, 2);
  const { mid } = again.medias[1];
  assert.notEqual(mid, '1');
  await a.run(async () => {
    const transceiver = pc.getTransceivers().find((t) => t.receiver.track.kind === 'video' && !t.stopped &&
      t.currentDirection !== 'stopped');
    await transceiver.sender.replaceTrack(media.getVideoTracks()[0]);
    transceiver.direction = 'sendrecv';
  });
  await a.offer();
  await a.modify({ routes: [route(a, mid, b, '1'), route(b, '1', a, mid)] });
  await Promise.all([a.flows('audio', 'video'), b.flows('audio', 'video')]);

  for (const never of ['iceFailed', 'consentExpired', 'dtlsFailed', 'hangingTermination'])
    assert.equal(link.events.filter((m) => m.event === never).length, 0, never);
  const { terminations } = await link.request('audit', { contextId: a.contextId });
  assert.deepEqual(terminations.map((t) => t.ice.mode).sort(), ['full', 'lite']);
  assert.ok((await link.request('subtract', { contextId: a.contextId })).success);
});
