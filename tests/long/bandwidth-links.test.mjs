// SPDX-License-Identifier: Apache-2.0
// What the media centre finds of the links in front of its subscribers: 500 kbit/s, 2 and 5 Mbit/s, each
// whole and with 1 % loss, the estimate within a fifth of the link after ten seconds; two subscribers
// behind one link of 1 Mbit/s share it, and their audio is whole.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { Link } from '../support/link.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const DELAY = { delayMs: 20 };
let wmcf, control, address;
let legs = [], links = [];

before(async () => {
  wmcf = await Wmcf.start(['media.congestion_control=true']);
  control = await ControlLink.open(wmcf.url);
});
afterEach(async (t) => {
  if (t.passed === false) console.error(wmcf.log);
  for (const leg of legs) await leg.close();
  for (const link of links) link.stop();
  legs = [];
  links = [];
});
after(async () => {
  await control?.close();
  if (wmcf) assert.equal(await wmcf.stop(), 0);
});

const request = (method, members) => control.succeed(method, members);

async function join(contextId, direction, options, prefix) {
  const { sdpOffer, ...ids } = await request('add', { contextId,
    offerTemplate: { bundle: true, medias: [{ mid: '0', mediaType: 'audio', direction },
      { mid: '1', mediaType: 'video', direction, ...(direction === 'recvonly' && { simulcast: true }) }] },
    mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const leg = new GeneratedLeg(prefix);
  legs.push(leg);
  [, address] = sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
  const sdpAnswer = await leg.answer(sdpOffer, { bind: address, ...options });
  leg.ids = { contextId: ids.contextId, terminationId: ids.terminationId };
  await request('modify', { ...leg.ids, sdpAnswer });
  return leg;
}

// A publisher of three encodings (a sixteenth, a quarter and all of `bitrate`) and its subscribers.
async function conference(bitrate, link, subscribers) {
  const publisher = await join(undefined, 'recvonly', { direction: 1, simulcast: true, wide: true, bitrate });
  const { contextId, terminationId } = publisher.ids;
  const all = [];
  for (let n = 0; n < subscribers; n++)
    all.push(await join(contextId, 'sendonly', { direction: 2, wide: true, bind: link.far }, link.prefix));
  await request('modify', { ...all[0].ids, routes: all.flatMap((leg) => ['0', '1'].map((mid) => ({
    from: { terminationId, mid }, to: { terminationId: leg.ids.terminationId, mid } }))) });
  return all;
}

const statistics = async (leg) => {
  const { terminations: [termination] } = await request('audit', { ...leg.ids, what: ['statistics'] });
  return termination.rtcStats;
};
const estimate = async (leg) =>
  (await statistics(leg)).find((one) => one.type === 'candidate-pair')?.availableOutgoingBitrate ?? 0;
const sent = async (leg) => (await statistics(leg)).find((one) =>
  one.type === 'outbound-rtp' && one.kind === 'video').bytesSent;
const audio = (stats) => stats.receive.find((one) => one.kind === 'audio');
const video = (stats) => stats.receive.find((one) => one.kind === 'video');

async function start(seed, conditions) {
  const link = await Link.start({ seed });
  links.push(link);
  await link.set('down', { ...DELAY, ...conditions });
  await link.set('up', DELAY);
  return link;
}

for (const rate of [500e3, 2e6, 5e6]) {
  for (const loss of [0, 0.01]) {
    test(`${rate / 1e3} kbit/s, ${loss * 100} % loss`, async (t) => {
      const link = await start(rate / 1e5 + loss * 100, { rate, queueMs: 250, loss });
      const [leg] = await conference(1.2 * rate, link, 1);
      await leg.until((s) => video(s)?.packets > 0, 20);
      await sleep(10_000); // the claim: after ten seconds
      let sum = 0;
      const before = await leg.stats();
      const samples = [];
      for (let n = 0; n < 15; n++) {
        samples.push(await estimate(leg));
        sum += samples.at(-1) / 15;
        await sleep(200);
      }
      const now = await leg.stats();
      const heard = audio(now).packets - audio(before).packets;
      const unheard = audio(now).lost - audio(before).lost;
      t.diagnostic(`figures: ${(sum / rate).toFixed(2)} of the link (${Math.min(...samples)} to ` +
        `${Math.max(...samples)} bit/s), audio: ${unheard} of ${heard} lost`);
      assert.ok(sum > 0.8 * rate && sum < 1.2 * rate, `${Math.round(sum)} of ${rate}`);
    });
  }
}

test('two subscribers behind one link of 1 Mbit/s', async (t) => {
  const link = await start(7, { rate: 1e6, queueMs: 250 });
  const two = await conference(1.6e6, link, 2);
  for (const leg of two) await leg.until((s) => video(s)?.packets > 50 && audio(s)?.packets > 50, 20);
  await sleep(10_000); // until they have found each other
  const before = await Promise.all(two.map(async (leg) => [await leg.stats(), await sent(leg)]));
  await sleep(15_000); // the length of the measurement
  const after = await Promise.all(two.map(async (leg) => [await leg.stats(), await sent(leg)]));
  const figures = two.map((_, i) => {
    const since = (kind, member) => kind(after[i][0])[member] - kind(before[i][0])[member];
    return { video: (after[i][1] - before[i][1]) * 8 / 15, frames: since(video, 'decoded'),
      lost: since(audio, 'lost') / (since(audio, 'packets') + since(audio, 'lost')) };
  });
  for (const one of figures)
    t.diagnostic(`figures: video ${Math.round(one.video / 1e3)} kbit/s, ${one.frames} frames, audio lost ` +
      `${(100 * one.lost).toFixed(2)} %`);
  const rates = figures.map((one) => one.video);
  assert.ok(Math.min(...rates) * 2 >= Math.max(...rates), 'they share it');
  for (const one of figures) {
    assert.ok(one.lost < 0.01, `audio lost ${one.lost}`);
    assert.ok(one.frames > 100, 'both get video');
  }
});
