// SPDX-License-Identifier: Apache-2.0
// Congestion control of the media centre with generated legs: one sends from a good place, others
// receive behind a link of 1 Mb/s that loses 1 % of its packets.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { connectTwo } from '../support/generated-leg.mjs';
import { Link } from '../support/link.mjs';
import { until } from '../support/stack.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const RATE = 1e6;
let wmcf, control, link;
const legs = [];

before(async () => {
  link = await Link.start({ seed: 5 });
  await link.set('down', { rate: RATE, queueMs: 250, loss: 0.01, delayMs: 20 });
  await link.set('up', { delayMs: 20 });
  wmcf = await Wmcf.start(['media.congestion_control=true', 'media.bitrate_start=300']);
  control = await ControlLink.open(wmcf.url);
});
afterEach((t) => { if (t.passed === false) console.error(wmcf?.log); });
after(async () => {
  await Promise.all(legs.map((leg) => leg.close()));
  control?.close();
  await wmcf?.stop();
  link?.stop();
});

const statistics = async (leg) => {
  const { terminations: [termination] } = await control.request('audit',
    { contextId: leg.contextId, terminationId: leg.terminationId, what: ['statistics'] });
  return termination;
};
const estimate = async (leg) =>
  (await statistics(leg)).rtcStats.find((one) => one.type === 'candidate-pair')?.availableOutgoingBitrate;
const audio = (stats) => stats.receive.find((one) => one.kind === 'audio');

test('what a slow and lossy link carries is found, and audio is not touched by it', async (t) => {
  legs.push(...await connectTwo(control, [
    { wide: true, direction: 1, bitrate: 700_000, bind: link.near },
    { wide: true, direction: 2, prefix: link.prefix, bind: link.far },
  ]));
  const [near, far] = legs;
  // The sender hears of every packet, and so do we.
  const sent = await near.until((s) => s.wideReports > 5 && s.wideToldReceived > 100);
  assert.equal(sent.wideToldMissing, 0);
  await far.until((s) => s.wideReported > 5 && s.wideReceived > 100);
  const found = await until(async () => {
    const now = await estimate(far);
    return now > 0.8 * RATE && now < 1.2 * RATE && now;
  }, 60_000, () => 'the estimate is not that of the link');
  t.diagnostic(`figures: ${found} of ${RATE} bits/s`);
  const before = await far.stats();
  const after = await far.until((s) => audio(s).packets > audio(before).packets + 100);
  const lost = audio(after).lost - audio(before).lost;
  assert.ok(lost <= 10, `${lost} of 100 packets of audio`);
});
