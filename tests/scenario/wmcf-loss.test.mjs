// SPDX-License-Identifier: Apache-2.0
// A call of two generated legs, one of them behind an access link that loses and jitters in both
// directions: what a decoder at either end would have shown of what the other has sent. Everything
// that is lost is repaired by retransmissions on SSRCs of their own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTwo } from '../support/generated-leg.mjs';
import { Link } from '../support/link.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const JITTER = { delayMs: 20, jitterMs: 20 };
let access, wmcf, link, legs;

before(async () => {
  access = await Link.start({ seed: 20 });
  wmcf = await Wmcf.start([`media.bind=${access.near}`]);
  link = await ControlLink.open(wmcf.url);
  legs = await connectTwo(link, [{}, { prefix: access.prefix, bind: access.far }]);
  await Promise.all(legs.map((leg) => leg.until((s) => video(s)?.decoded > 0, 30)));
});
after(async () => {
  access?.stop();
  await Promise.all((legs ?? []).map((leg) => leg.close()));
  await link?.close();
  if (wmcf) assert.equal(await wmcf.stop(), 0);
});

const video = (stats) => stats.receive.find((r) => r.kind === 'video');
const judged = (stats) => video(stats).decoded + video(stats).dropped;
const statsOfBoth = () => Promise.all(legs.map((leg) => leg.stats()));

// What becomes of the frames that both send within some seconds; until all of them are judged.
async function measure(conditions, seconds) {
  const start = await statsOfBoth();
  await access.set('both', conditions);
  await sleep(seconds * 1000); // the length of the measurement
  const sent = await statsOfBoth();
  const end = await Promise.all(legs.map((leg, i) => leg.until((s) =>
    judged(s) - judged(start[i]) >= sent[1 - i].send[1].frames - start[1 - i].send[1].frames, 30)));
  const [down, up] = [1, 0].map((to) => {
    const since = (member) => video(end[to])[member] - video(start[to])[member];
    const from = (member) => end[1 - to].send[1][member] - start[1 - to].send[1][member];
    return { frames: since('decoded') + since('dropped'), dropped: since('dropped'), rtx: since('rtx'),
      nacks: since('nackSent'), broken: since('broken'), publisherAsked: from('nackReceived'),
      publisherPackets: from('packets'), longestMs: Math.round(video(end[to]).longestFreezeUs / 1000) };
  });
  return { down, up };
}

const counters = (f) => Object.entries(f).map(([k, v]) => `${k} ${v}`).join(', ');

for (const [loss, seconds, limit] of [[0.05, 6, 0.01], [0.1, 4, 0.05]])
  test(`${loss * 100} % loss each way and 20 ms of jitter`, async (t) => {
    const all = await measure({ ...JITTER, loss }, seconds);
    const { down, up } = await access.counters();
    assert.ok(down.lost > 0 && up.lost > 0 && down.reordered > 0 && up.reordered > 0);
    for (const [direction, figures] of Object.entries(all)) {
      t.diagnostic(`${direction}: ${counters(figures)}`);
      assert.ok(figures.frames > 10 * seconds, `${direction}: only ${figures.frames} frames`);
      assert.ok(figures.dropped <= limit * figures.frames,
        `${direction}: ${figures.dropped} of ${figures.frames} frames were not shown`);
      assert.equal(figures.broken, 0);
    }
    assert.ok(all.down.rtx > 0, 'no retransmission came');
    // What is late and not lost is hardly asked for: 20 ms of jitter make every other packet late.
    assert.ok(all.up.publisherAsked < all.up.publisherPackets * (3 * loss + 0.1),
      `${all.up.publisherAsked} requests for ${all.up.publisherPackets} packets`);
  });

test('the media centre has had repaired what was lost on its side', async () => {
  const { terminations } = await link.request('subtract', { contextId: legs[0].contextId });
  const far = terminations.find((one) => one.terminationId === legs[1].terminationId);
  const { uplink } = far.statistics.find((one) => one.mid === '1');
  // Receiver reports tell of the network, so what was repaired counts as lost; no key frame was needed.
  assert.ok(uplink.lost > 0 && uplink.nack >= uplink.lost, JSON.stringify(uplink));
  assert.equal(uplink.pli, 0);
});
