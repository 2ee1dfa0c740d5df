// SPDX-License-Identifier: Apache-2.0
// A video of three encodings, generated, to a browser: it shows the size that is asked for or the best
// that is sent, and no change of it is seen as a break. A second subscriber keeps the top throughout.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from '../support/browser.mjs';
import { serveEmptyPage } from '../support/empty-page.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const WIDTH = { l: 160, m: 320, h: 640 };
const LONGEST = 1000; // ms between two pictures, by the page's own clock
const legs = [];
let wmcf, link, browser, site;
before(async () => {
  wmcf = await Wmcf.start(['media.workers=2']);
  link = await ControlLink.open(wmcf.url);
  site = await serveEmptyPage();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  for (const leg of legs) await leg.close?.();
  site?.close();
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

const request = (method, members) => link.succeed(method, members);

// A termination of the context, its offer answered by `answer`.
async function join(contextId, direction, answer, codecs) {
  const { sdpOffer, ...ids } = await request('add', { contextId,
    offerTemplate: { bundle: true, medias: [{ mid: '0', mediaType: 'video', direction,
      ...(codecs ? { codecs } : direction === 'recvonly' && { simulcast: true }) }] },
    mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const target = { contextId: ids.contextId, terminationId: ids.terminationId };
  await request('modify', { ...target, sdpAnswer: await answer(sdpOffer) });
  return target;
}

function generated(options) {
  const leg = new GeneratedLeg();
  legs.push(leg);
  return [leg, (sdp) => leg.answer(sdp, { medias: 2, lines: ['video'], ...options })];
}

// Runs in the page: shows what comes and remembers the longest time without a new picture, by a clock
// that stands still whenever the machine has no time for the page.
async function show(sdp) {
  const video = document.querySelector('video');
  const TICK = 20;
  window.seen = { longest: 0, pictures: 0 };
  let since, ticked = performance.now();
  setInterval(() => {
    const now = performance.now();
    since += Math.min(now - ticked, 2 * TICK);
    ticked = now;
  }, TICK);
  const onPicture = () => {
    if (since !== undefined) window.seen.longest = Math.max(window.seen.longest, since);
    since = 0;
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
  return { ...window.seen, width: inbound?.frameWidth, decoded: inbound?.framesDecoded,
    freezes: inbound?.freezeCount, dropped: inbound?.framesDropped, lost: inbound?.packetsLost };
};

test('a browser gets the encoding that fits', { timeout: 180_000 }, async () => {
  const [publisher, publish] = generated({ direction: 1, simulcast: true, temporal: true });
  const [other, subscribe] = generated({ direction: 2 });
  const page = await browser.newPage();
  await page.goto(site.url);

  const from = await join(undefined, 'recvonly', publish);
  const to = await join(from.contextId, 'sendonly', (sdp) => page.evaluate(show, sdp));
  const second = await join(from.contextId, 'sendonly', subscribe);
  const source = { terminationId: from.terminationId, mid: '0' };
  await request('modify', { ...to, routes: [to, second].map(({ terminationId }) =>
    ({ from: source, to: { terminationId, mid: '0' } })) });

  const until = async (rid) => {
    for (let i = 0; ; i++) {
      const seen = await page.evaluate(look);
      if (seen.width === WIDTH[rid]) return seen;
      assert.ok(i < 300, `${rid}: ${JSON.stringify(seen)}`);
      await sleep(100);
    }
  };
  const goesOn = async ({ decoded }, more) => {
    for (let i = 0; ; i++) {
      const seen = await page.evaluate(look);
      if (seen.decoded > decoded + more) return;
      assert.ok(i < 300, `${decoded} pictures, then ${JSON.stringify(seen)}`);
      await sleep(100);
    }
  };
  const prefer = (preference) =>
    request('modify', { ...to, preferredLayer: [{ mid: '0', ...preference }] });

  await goesOn(await until('h'), 20);
  // Until its address is proven a receiver gets three times what it has sent, which a busy one feels.
  const { lost } = await page.evaluate(look);
  await page.evaluate(() => { window.seen.longest = 0; });
  await other.command('reset');
  for (const [preference, rid] of [[{ rid: 'l' }, 'l'], [{ width: 330, height: 180 }, 'm'],
    [{ width: 100, height: 100 }, 'l'], [{}, 'h']]) {
    await prefer(preference);
    await goesOn(await until(rid), 12);
  }
  // A fourth of the pictures.
  await prefer({ temporal: 0 });
  for (let i = 0, fewer = false; !fewer; i++) {
    const before = [await page.evaluate(look), (await publisher.stats()).send[2]];
    await sleep(400);
    const now = [await page.evaluate(look), (await publisher.stats()).send[2]];
    const sent = now[1].frames - before[1].frames;
    fewer = sent > 6 && (now[0].decoded - before[0].decoded) * 2 < sent;
    assert.ok(i < 50, JSON.stringify([before, now]));
  }
  await prefer({});
  const top = (await publisher.stats()).send[2].ssrc;
  const { origins } = (await other.stats()).receive[0];
  assert.deepEqual(Object.keys(origins), [String(top)], 'the second subscriber had the top alone');

  // The publisher stops encodings, and starts them again.
  for (const [sent, rid] of [['lm', 'm'], ['l', 'l'], ['lmh', 'h']]) {
    await publisher.command('encodings', { rids: sent });
    await goesOn(await until(rid), 8);
  }
  const seen = await page.evaluate(look);
  assert.ok(seen.longest < LONGEST, JSON.stringify(seen));
  assert.equal(seen.lost, lost, JSON.stringify(seen));
  for (let i = 0, told; told !== 'h'; i++) {
    const { terminations } = await request('audit', { ...to, what: ['statistics'] });
    told = terminations[0].rtcStats.find(({ type }) => type === 'outbound-rtp').rid;
    assert.ok(i < 50, `told is ${told}`);
    if (told !== 'h') await sleep(100);
  }

  const refused = await link.request('modify', { ...to, preferredLayer: [{ mid: '7', rid: 'l' }] });
  assert.equal(refused.problemDetails.status, 400);
});

// Runs in the page: a picture that moves, as AV1 with these layers.
async function publish([sdp, scalabilityMode]) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  const context = canvas.getContext('2d');
  setInterval(() => {
    context.fillStyle = `hsl(${performance.now() / 10 % 360} 80% 50%)`;
    context.fillRect(Math.random() * 480, Math.random() * 240, 160, 120);
  }, 40);
  window.pc = new RTCPeerConnection();
  await pc.setRemoteDescription({ type: 'offer', sdp });
  const [transceiver] = pc.getTransceivers();
  transceiver.direction = 'sendonly';
  await transceiver.sender.replaceTrack(canvas.captureStream(25).getVideoTracks()[0]);
  window.layers = (mode) => {
    const parameters = transceiver.sender.getParameters();
    parameters.encodings[0].scalabilityMode = mode;
    return transceiver.sender.setParameters(parameters);
  };
  await layers(scalabilityMode);
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}

// Layers that build on one another, and layers that part at the key frame.
test('AV1 has layers to choose from', { timeout: 180_000 }, async () => {
  const pages = [await browser.newPage(), await browser.newPage()];
  for (const page of pages) await page.goto(site.url);
  const [sender, receiver] = pages;
  const from = await join(undefined, 'recvonly', (sdp) => sender.evaluate(publish, [sdp, 'L2T2']), ['AV1']);
  const to = await join(from.contextId, 'sendonly', (sdp) => receiver.evaluate(show, sdp), ['AV1']);
  await request('modify', { ...to, routes: [{ from: { terminationId: from.terminationId, mid: '0' },
    to: { terminationId: to.terminationId, mid: '0' } }] });

  const prefer = async (preference, width) => {
    await request('modify', { ...to, preferredLayer: [{ mid: '0', ...preference }] });
    const { decoded = 0 } = await receiver.evaluate(look);
    for (let i = 0; ; i++) {
      const seen = await receiver.evaluate(look);
      if (seen.width === width && seen.decoded > decoded + 4) return;
      assert.ok(i < 150, `${JSON.stringify(preference)}: ${JSON.stringify(seen)}`);
      await sleep(100);
    }
  };
  await prefer({}, 640);
  await receiver.evaluate(() => { window.seen.longest = 0; });
  await prefer({ spatial: 0 }, 320);
  await prefer({ width: 400, height: 400, temporal: 0 }, 320);
  await prefer({}, 640);
  await sender.evaluate(() => layers('L2T2_KEY'));
  await prefer({ spatial: 0 }, 320);
  await prefer({}, 640);
  const seen = await receiver.evaluate(look);
  assert.ok(seen.longest < LONGEST, JSON.stringify(seen));
  for (const page of pages) await page.close();
});
