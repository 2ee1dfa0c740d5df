// SPDX-License-Identifier: Apache-2.0
// Simulcast as Chromium negotiates it, against the control link alone: offered by the media centre and
// by the page, held, resumed, refused, with offers of either side after it and ICE restarted.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../support/browser.mjs';
import { serveEmptyPage } from '../support/empty-page.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const FEATURES = ['rtx', 'congestion_control', 'simulcast', 'red'].map((key) => `media.${key}=true`);
let wmcf, link, browser, site;
before(async () => {
  wmcf = await Wmcf.start(FEATURES);
  link = await ControlLink.open(wmcf.url);
  site = await serveEmptyPage();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  site?.close();
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

const line = (sdp, name) => [...sdp.matchAll(new RegExp(`^a=${name}:(.*?)\r?$`, 'gm'))].map((m) => m[1]);

class Page {
  static async open() {
    const one = new Page();
    one.page = await browser.newPage();
    await one.page.goto(site.url);
    await one.page.evaluate(async () => {
      window.pc = new RTCPeerConnection();
      window.media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 1280, height: 720 } });
      window.offer = async () => {
        await pc.setLocalDescription();
        return pc.localDescription.sdp;
      };
      window.accept = (sdp) => pc.setRemoteDescription({ type: 'answer', sdp });
      // Tracks only after the offer: Chromium takes its rids from there.
      window.reply = async (sdp, attach) => {
        await pc.setRemoteDescription({ type: 'offer', sdp });
        for (const track of attach ? media.getTracks() : []) {
          const transceiver = pc.getTransceivers().find((t) => t.receiver.track.kind === track.kind);
          await transceiver.sender.replaceTrack(track);
          transceiver.direction = 'sendrecv';
        }
        await pc.setLocalDescription();
        return pc.localDescription.sdp;
      };
      window.encodings = () => pc.getSenders().find((s) => s.track?.kind === 'video')
        .getParameters().encodings.filter((e) => e.active).map((e) => e.rid ?? '');
    });
    return one;
  }

  run(fn, arg) { return this.page.evaluate(fn, arg); }

  async add(members) {
    const reply = await link.request('add', { mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }], ...members });
    assert.ok(reply.success, JSON.stringify(reply.problemDetails));
    Object.assign(this, { contextId: reply.contextId, terminationId: reply.terminationId });
    return reply;
  }

  async modify(members) {
    const reply = await link.request('modify',
      { contextId: this.contextId, terminationId: this.terminationId, ...members });
    assert.equal(reply.success, true, JSON.stringify(reply.problemDetails));
    return reply;
  }

  async reoffer(members, attach) {
    const { sdpOffer } = await this.modify(members);
    const sdpAnswer = await this.run(([sdp, a]) => reply(sdp, a), [sdpOffer, attach]);
    await this.modify({ sdpAnswer });
    return { sdpOffer, sdpAnswer };
  }

  async offer(members) {
    const sdpOffer = await this.run(() => offer());
    const { sdpAnswer } = await this.modify({ sdpOffer, ...members });
    await this.run((sdp) => accept(sdp), sdpAnswer);
    return { sdpOffer, sdpAnswer };
  }

  encodings() { return this.run(() => encodings()); }
}

const template = (direction, simulcast) => ({ bundle: true, medias: [{ mid: '0', mediaType: 'audio', direction },
  { mid: '1', mediaType: 'video', direction, simulcast }] });

test('the media centre offers simulcast', { timeout: 180_000 }, async () => {
  const page = await Page.open();
  const { sdpOffer } = await page.add({ offerTemplate: template('sendrecv', true) });
  assert.deepEqual(line(sdpOffer, 'simulcast'), ['recv l;m;h']);
  const sdpAnswer = await page.run((sdp) => reply(sdp, true), sdpOffer);
  assert.deepEqual(line(sdpAnswer, 'simulcast'), ['send l;m;h']);
  assert.ok(line(sdpAnswer, 'rtpmap').some((m) => m.endsWith(' rtx/90000')));
  assert.ok(line(sdpAnswer, 'rtcp-fb').some((m) => m.endsWith(' transport-cc')));
  assert.ok(line(sdpAnswer, 'rtpmap').some((m) => m.endsWith(' red/48000/2')));
  assert.ok(line(sdpAnswer, 'extmap').some((m) => m.endsWith(' urn:3gpp:video-orientation')));
  await page.modify({ sdpAnswer });

  for (const direction of ['inactive', 'sendrecv', 'recvonly', 'sendrecv'])
    await page.reoffer({ offerTemplate: template(direction, true) }, direction !== 'inactive');
  assert.deepEqual(await page.encodings(), ['l', 'm', 'h']);
  const restarted = await page.reoffer({ restartIce: true });
  assert.deepEqual(line(restarted.sdpAnswer, 'simulcast'), ['send l;m;h']);
  // The page's own offers.
  await page.run(() => pc.getTransceivers().forEach((t) => { t.direction = 'inactive'; }));
  await page.offer();
  await page.run(() => pc.getTransceivers().forEach((t) => { t.direction = 'sendrecv'; }));
  const resumed = await page.offer();
  assert.deepEqual(line(resumed.sdpAnswer, 'simulcast'), ['recv l;m;h']);
  assert.deepEqual(await page.encodings(), ['l', 'm', 'h']);
});

test('the page offers simulcast', { timeout: 180_000 }, async () => {
  const page = await Page.open();
  await page.run(() => {
    pc.addTransceiver(media.getAudioTracks()[0]);
    pc.addTransceiver(media.getVideoTracks()[0], { sendEncodings: [{ rid: 'q', scaleResolutionDownBy: 4 },
      { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' }] });
  });
  const { sdpAnswer } = await page.add({ sdpOffer: await page.run(() => offer()) });
  assert.deepEqual(line(sdpAnswer, 'simulcast'), ['recv q;h;f']);
  await page.run((sdp) => accept(sdp), sdpAnswer);
  for (const direction of ['sendrecv', 'inactive', 'sendrecv'])
    await page.reoffer({ offerTemplate: template(direction, true) });
  await page.run(() => pc.getTransceivers().forEach((t) => { t.direction = 'sendrecv'; }));
  assert.deepEqual(line((await page.offer()).sdpAnswer, 'simulcast'), ['recv q;h;f']);
  assert.deepEqual(await page.encodings(), ['q', 'h', 'f']);
});

test('the page offers simulcast, and one encoding is taken', { timeout: 180_000 }, async () => {
  const page = await Page.open();
  await page.run(() => {
    pc.addTransceiver(media.getAudioTracks()[0]);
    pc.addTransceiver(media.getVideoTracks()[0], { sendEncodings: [{ rid: 'q', scaleResolutionDownBy: 4 },
      { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' }] });
  });
  const { sdpAnswer } = await page.add({ sdpOffer: await page.run(() => offer()), answerTemplate: template('sendrecv') });
  assert.deepEqual(line(sdpAnswer, 'simulcast'), []);
  await page.run((sdp) => accept(sdp), sdpAnswer);
  assert.equal((await page.encodings()).length, 1);
  await page.offer({ answerTemplate: template('sendrecv') });
  for (const direction of ['sendrecv', 'inactive', 'sendrecv'])
    await page.reoffer({ offerTemplate: template(direction) });
  assert.equal((await page.encodings()).length, 1);
});
