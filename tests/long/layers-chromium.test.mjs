// SPDX-License-Identifier: Apache-2.0
// Chromium sends a picture of 960×540 as three encodings with temporal layers, another Chromium gets one
// after the other of them, and fewer pictures a second: what it shows never breaks.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../support/browser.mjs';
import { serveEmptyPage } from '../support/empty-page.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const WIDTH = { l: 240, m: 480, h: 960 };
const LONGEST = 1000; // ms between two pictures
let wmcf, link, browser, site;
before(async () => {
  wmcf = await Wmcf.start(['media.workers=2', 'media.congestion_control=true']);
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

const request = (method, members) => link.succeed(method, members);

async function join(contextId, direction, page, run) {
  const { sdpOffer, ...ids } = await request('add', { contextId,
    offerTemplate: { bundle: true, medias: [{ mid: '0', mediaType: 'video', direction, codecs: ['VP8'],
      ...(direction === 'recvonly' && { simulcast: true }) }] },
    mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const target = { contextId: ids.contextId, terminationId: ids.terminationId };
  await request('modify', { ...target, sdpAnswer: await page.evaluate(run, sdpOffer) });
  return target;
}

async function publish(sdp) {
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: 960, height: 540 } });
  window.pc = new RTCPeerConnection();
  await pc.setRemoteDescription({ type: 'offer', sdp });
  const [transceiver] = pc.getTransceivers();
  await transceiver.sender.replaceTrack(media.getVideoTracks()[0]);
  transceiver.direction = 'sendonly';
  await pc.setLocalDescription();
  const parameters = transceiver.sender.getParameters();
  parameters.encodings.forEach((one, i, all) => {
    one.scaleResolutionDownBy = 2 ** (all.length - 1 - i);
    one.scalabilityMode = 'L1T3';
  });
  await transceiver.sender.setParameters(parameters);
  return pc.localDescription.sdp;
}

// Remembers the longest time without a new picture.
async function show(sdp) {
  const video = document.querySelector('video');
  window.seen = { longest: 0, pictures: 0 };
  let last = 0;
  const onPicture = (now) => {
    if (last) window.seen.longest = Math.max(window.seen.longest, now - last);
    last = now;
    window.seen.pictures++;
    video.requestVideoFrameCallback(onPicture);
  };
  video.requestVideoFrameCallback(onPicture);
  window.pc = new RTCPeerConnection();
  pc.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); };
  await pc.setRemoteDescription({ type: 'offer', sdp });
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}

const look = async () => {
  const inbound = [...(await pc.getStats()).values()].find((s) => s.type === 'inbound-rtp');
  return { ...window.seen, width: inbound?.frameWidth, rate: inbound?.framesPerSecond,
    decoded: inbound?.framesDecoded, freezes: inbound?.freezeCount, lost: inbound?.packetsLost };
};

test('encodings of Chromium to Chromium', { timeout: 180_000 }, async (t) => {
  const pages = [await browser.newPage(), await browser.newPage()];
  for (const page of pages) await page.goto(site.url);
  const from = await join(undefined, 'recvonly', pages[0], publish);
  const to = await join(from.contextId, 'sendonly', pages[1], show);
  await request('modify', { ...to, routes: [{ from: { terminationId: from.terminationId, mid: '0' },
    to: { terminationId: to.terminationId, mid: '0' } }] });
  const until = async (what, done) => {
    for (let i = 0; ; i++) {
      const seen = await pages[1].evaluate(look);
      if (done(seen)) return seen;
      assert.ok(i < 300, `${what}: ${JSON.stringify(seen)}`);
      await sleep(100);
    }
  };
  const prefer = (preference) => request('modify', { ...to, preferredLayer: [{ mid: '0', ...preference }] });
  // Its own estimate lets the encoder begin with the small ones.
  await until('the top', ({ width }) => width === WIDTH.h);
  await sleep(3000);
  await pages[1].evaluate(() => { window.seen.longest = 0; });
  for (const rid of ['l', 'm', 'h', 'l', 'h']) {
    await prefer({ rid });
    const { decoded } = await until(rid, ({ width }) => width === WIDTH[rid]);
    await sleep(2000);
    const now = await pages[1].evaluate(look);
    assert.ok(now.decoded > decoded + 10, JSON.stringify(now));
  }
  const full = await pages[1].evaluate(look);
  t.diagnostic(JSON.stringify(full));
  await prefer({ rid: 'h', temporal: 0 });
  const few = await until('fewer pictures', ({ rate }) => rate > 0 && rate < 0.6 * full.rate);
  await prefer({});
  await until('all pictures', ({ rate }) => rate > 0.8 * full.rate);
  const last = await pages[1].evaluate(look);
  t.diagnostic(`${few.rate} of ${full.rate} pictures a second; ${JSON.stringify(last)}`);
  assert.ok(last.longest < LONGEST, JSON.stringify(last));
});
