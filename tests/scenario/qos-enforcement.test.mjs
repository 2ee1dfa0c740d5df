// SPDX-License-Identifier: Apache-2.0
// Gates, policing and marking, as a WSF commands them, held against packets that real endpoints have
// sent and received: the same for every level of enforcement (QOS_LEVEL), for IPv4 and IPv6.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Enforcement, FAMILIES, received } from '../support/far-side.mjs';

const LEVEL = process.env.QOS_LEVEL ?? 'relay';
const AUDIO = '0';
const VIDEO = '1';
const OPEN = { flowStatus: 'ENABLED' };
const NO_UPLINK = { flowStatus: 'ENABLED-DOWNLINK' };
const NO_DOWNLINK = { flowStatus: 'ENABLED-UPLINK' };
const SHUT = { flowStatus: 'DISABLED' };
let e;
before(async () => { e = await Enforcement.start(LEVEL); });
after(async () => assert.equal(await e.stop(), 0));

const gated = (leg, mid, direction) => e.link.events.filter((m) => m.event === 'mediaGated' &&
  m.terminationId === leg.terminationId && m.mid === mid && m.details.direction === direction);
const keyRequests = (stats, mid) => {
  const send = stats.send.find((s) => s.mid === mid);
  return send.pliReceived + send.firReceived;
};
const packetsIn = async () => (await e.wmcf.ctl('status')).workers.reduce((n, w) => n + w.packetsIn, 0);

// Sends on one leg and tells what has been counted there for the medium and received on the other.
async function offer([from, to], mid, traffic, settled) {
  const before = await e.counters(from, mid);
  const beforeTo = received(await to.stats(), mid);
  const sent = await from.sendAll({ lines: [Number(mid)], ...traffic });
  assert.equal(sent.failed, 0);
  const difference = (now) => Object.fromEntries(Object.entries(now.uplink)
    .map(([key, value]) => [key, value - before.uplink[key]]));
  const all = (now) => {
    const { packets, gateDiscarded, policingDiscarded } = difference(now);
    return packets + gateDiscarded + policingDiscarded >= sent.packets;
  };
  const counted = difference(await e.counted(from, mid, all));
  assert.equal(counted.packets + counted.gateDiscarded + counted.policingDiscarded, sent.packets);
  const arrived = async () => received(await to.stats(), mid).packets - beforeTo.packets;
  if (settled !== false) {
    for (let i = 0; i < 100 && await arrived() < counted.packets; i++) await sleep(20);
    assert.equal(await arrived(), counted.packets, 'what has passed arrives');
  }
  return { sent, counted, arrived: await arrived() };
}

describe(`enforcement by ${LEVEL}`, { concurrency: 6 }, () => {
  for (const family of FAMILIES) {
    test(`${family}: a closed gate drops all of one direction and nothing of the other`, async () => {
      const legs = await e.pair(family);
      const [a, b] = legs;
      const size = 300;
      await e.policy(a, { '*': NO_UPLINK });
      const before = [await a.stats(), await b.stats()];
      const [up] = await Promise.all([offer(legs, VIDEO, { count: 1000, size, rate: 500000 }),
        offer([b, a], VIDEO, { count: 1000, size, rate: 500000 }),
        offer([b, a], AUDIO, { count: 1000, size, rate: 500000 })]);
      assert.equal(up.counted.gateDiscarded, 1000);
      for (const mid of [AUDIO, VIDEO]) {
        assert.equal(received(await b.stats(), mid).packets, received(before[1], mid).packets);
        await a.until((s) => received(s, mid).packets - received(before[0], mid).packets === 1000);
      }
      // Opened: no further loss, a key frame at once.
      const asked = keyRequests(await a.stats(), VIDEO);
      await e.policy(a, { '*': OPEN });
      await a.until((s) => keyRequests(s, VIDEO) > asked);
      const shut = received(await b.stats(), VIDEO);
      const open = await offer(legs, VIDEO, { count: 100, size, rate: 100000 });
      assert.equal(open.counted.packets, 100);
      assert.equal(received(await b.stats(), VIDEO).keyFrames, shut.keyFrames + 1);
      // The far end's downlink: counted there, and the uplink of the sender is open.
      await e.policy(b, { '*': NO_DOWNLINK });
      const down = (await e.counters(b, VIDEO)).downlink;
      const late = await offer(legs, VIDEO, { count: 1000, size, rate: 500000 }, false);
      assert.equal(late.counted.packets, 1000);
      assert.equal(late.arrived, 0);
      await e.counted(b, VIDEO, (c) => c.downlink.gateDiscarded - down.gateDiscarded === 1000);
      assert.equal((await offer([b, a], VIDEO, { count: 200, size, rate: 200000 })).arrived, 200);
      await e.policy(b, { '*': OPEN });
      assert.equal((await offer(legs, VIDEO, { count: 100, size, rate: 100000 })).arrived, 100);
      await e.end(legs);
    });
  }
});
