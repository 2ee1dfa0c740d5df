// SPDX-License-Identifier: Apache-2.0
// A browser behind a link of 300 kbit/s, then of 2 Mbit/s, then without a limit, to which a video of three
// encodings and sound are sent: it gets the encoding that the link carries, soon, no change is seen as a
// freeze, and sound goes on. Then the link falls back to an eighth of what is being sent: what waits in
// its queue at that moment is lost, of sound too, before anybody can know, but only in that moment. A second
// subscriber without a limit keeps the top throughout.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../support/browser.mjs';
import { serveEmptyPage } from '../support/empty-page.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { Link } from '../support/link.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const WIDTH = { l: 160, m: 320, h: 640 }; // of 150, 600 and 2400 kbit/s
const SETTLED = 5; // s after a change, then it must stay
const FREEZE = 1000; // ms
const folder = mkdtempSync(path.join(tmpdir(), 'layers-'));
const legs = [];
let wmcf, control, browser, site, link;
before(async () => {
  link = await Link.start({ seed: 5 });
  wmcf = await Wmcf.start(['media.congestion_control=true', `media.bind=${link.near}`]);
  control = await ControlLink.open(wmcf.url);
  site = await serveEmptyPage({ address: link.near });
  browser = await launch({ executablePath: link.wrapper(folder) });
});
after(async () => {
  await browser?.close();
  for (const leg of legs) await leg.close();
  site?.close();
  await control.close();
  assert.equal(await wmcf.stop(), 0);
  link.stop();
  rmSync(folder, { recursive: true });
});

const request = (method, members) => control.succeed(method, members);

async function join(contextId, direction, answer) {
  const { sdpOffer, ...ids } = await request('add', { contextId,
    offerTemplate: { bundle: true, medias: [{ mid: '0', mediaType: 'audio', direction },
      { mid: '1', mediaType: 'video', direction, ...(direction === 'recvonly' && { simulcast: true }) }] },
    mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const target = { contextId: ids.contextId, terminationId: ids.terminationId };
  await request('modify', { ...target, sdpAnswer: await answer(sdpOffer) });
  return target;
}

function generated(options) {
  const leg = new GeneratedLeg();
  legs.push(leg);
  return [leg, (sdp) => leg.answer(sdp, { bind: link.near, ...options })];
}

// Runs in the page: shows what comes and remembers the longest time without a new picture.
async function show(sdp) {
  const video = document.querySelector('video');
  window.seen = { longest: 0 };
  let last = 0;
  const onPicture = (now) => {
    if (last) window.seen.longest = Math.max(window.seen.longest, now - last);
    last = now;
    video.requestVideoFrameCallback(onPicture);
  };
  video.requestVideoFrameCallback(onPicture);
  window.pc = new RTCPeerConnection();
  pc.ontrack = ({ track }) => {
    if (track.kind === 'video') video.srcObject = new MediaStream([track]);
    else Object.assign(new Audio(), { srcObject: new MediaStream([track]) }).play(); // else none is missed
  };
  await pc.setRemoteDescription({ type: 'offer', sdp });
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}

const look = async () => {
  const all = [...(await pc.getStats()).values()].filter((s) => s.type === 'inbound-rtp');
  const video = all.find((s) => s.kind === 'video'), audio = all.find((s) => s.kind === 'audio');
  return { longest: Math.round(window.seen.longest), width: video?.frameWidth,
    heard: audio?.packetsReceived, unheard: audio?.packetsLost,
    concealed: audio?.concealedSamples / 48, silent: audio?.silentConcealedSamples / 48 };
};

test('the encoding follows the link', { timeout: 180_000 }, async (t) => {
  const [, publish] = generated({ direction: 1, simulcast: true, bitrate: 2_400_000 });
  const [other, subscribe] = generated({ direction: 2 });
  const page = await browser.newPage();
  await page.goto(site.url);
  await link.set('down', { rate: 300e3, queueMs: 200 });
  const from = await join(undefined, 'recvonly', publish);
  const to = await join(from.contextId, 'sendonly', (sdp) => page.evaluate(show, sdp));
  const free = await join(from.contextId, 'sendonly', subscribe);
  await request('modify', { ...to, routes: [to, free].flatMap(({ terminationId }) =>
    ['0', '1'].map((mid) => ({ from: { terminationId: from.terminationId, mid }, to: { terminationId, mid } }))) });

  const reach = async (rid, seconds) => {
    const began = Date.now();
    for (;;) {
      const seen = await page.evaluate(look);
      if (seen.width === WIDTH[rid]) return (Date.now() - began) / 1000;
      if (Date.now() - began > seconds * 1000) {
        for (const who of [from, to])
          t.diagnostic(JSON.stringify(await request('audit', { ...who, what: ['statistics'] })));
        assert.fail(`${rid}: ${JSON.stringify(seen)}`);
      }
      await sleep(100);
    }
  };
  /** Packets of each encoding that the second subscriber has got, the present one's last. */
  const got = async () => {
    const count = async () => (await other.stats()).receive.find((one) => one.kind === 'video').origins;
    for (let before = await count(); ; ) {
      await sleep(500);
      const now = await count();
      const grown = Object.keys(now).filter((ssrc) => now[ssrc] !== before[ssrc]);
      if (grown.length === 1) return { ssrc: grown[0], rest: { ...now, [grown[0]]: 0 } };
      before = now;
    }
  };
  await reach('l', SETTLED);
  await sleep(3000);
  const second = await got();
  for (const [rate, rid, falls] of [[300e3, 'l'], [2e6, 'm'], [0, 'h'], [300e3, 'l', true]]) {
    await page.evaluate(() => { window.seen.longest = 0; });
    const before = await page.evaluate(look);
    await link.set('down', { rate, queueMs: 200 });
    const seconds = await reach(rid, SETTLED);
    await sleep(5000);
    const now = await page.evaluate(look);
    const lost = now.unheard - before.unheard;
    const concealed = Math.round(now.concealed - before.concealed);
    t.diagnostic(`${rate / 1e3} kbit/s: ${rid} after ${seconds} s, longest gap ${now.longest} ms, ` +
      `audio lost ${lost} of ${now.heard - before.heard + lost} packets, ${concealed} ms concealed`);
    assert.equal(now.width, WIDTH[rid], 'it stays');
    assert.ok(now.longest < FREEZE, 'a freeze');
    // 87 of 100 packets are too many until the first report of it has come and a sender has stopped.
    assert.ok(lost <= (falls ? 25 : 0), 'sound breaks');
  }
  assert.deepEqual(await got(), second, 'the second subscriber has what it had');
});
