// SPDX-License-Identifier: Apache-2.0
// Gates, policing and marking, as a WSF commands them, held against packets that real endpoints have
// sent and received: the same for every level of enforcement (QOS_LEVEL), for IPv4 and IPv6.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Enforcement, FAMILIES, HEADERS, received } from '../support/far-side.mjs';

const LEVEL = process.env.QOS_LEVEL ?? 'tc-bpf';
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
const packetsIn = async (own) => (await own.wmcf.ctl('status')).workers
  .reduce((n, w) => n + w.packetsIn, 0);

// Opens gates of `leg`; `sender` has heard then that a key frame of its video is wanted.
async function open(leg, policies, sender = leg) {
  const asked = keyRequests(await sender.stats(), VIDEO);
  await e.policy(leg, policies);
  await sender.until((s) => keyRequests(s, VIDEO) > asked);
}

// Sends on one leg and tells what has been counted there for the medium and received on the other.
async function offer([from, to], mid, traffic, settled = true, own = e) {
  const before = await own.counters(from, mid);
  const beforeTo = received(await to.stats(), mid);
  const sent = await from.sendAll({ lines: [Number(mid)], ...traffic });
  assert.equal(sent.failed, 0);
  const difference = (now) => Object.fromEntries(Object.entries(now.uplink)
    .map(([key, value]) => [key, value - before.uplink[key]]));
  const all = (now) => {
    const { packets, gateDiscarded, policingDiscarded } = difference(now);
    return packets + gateDiscarded + policingDiscarded >= sent.packets;
  };
  const counted = difference(await own.counted(from, mid, all));
  assert.equal(counted.packets + counted.gateDiscarded + counted.policingDiscarded, sent.packets);
  const arrived = async () => received(await to.stats(), mid).packets - beforeTo.packets;
  if (settled) {
    for (const limit = Date.now() + 20_000; Date.now() < limit && await arrived() < counted.packets;) await sleep(20);
    assert.equal(await arrived(), counted.packets, 'what has passed arrives');
  }
  return { sent, counted, arrived: await arrived() };
}

// rate · time + burst to one per cent or one packet. How long it took from the first packet to the last is
// known as well as the machine let the sender know. TIME_SLIPS: who judges is held up as long as the sender
// was, which is so in a kernel of one processor that is a process itself.
function holds({ sent, counted }, rate, burst, size) {
  const slip = process.env.TIME_SLIPS ? rate * sent.longestGapUs / 1e6 : 0;
  const least = rate * (sent.leastUs - sent.fullUs) / 1e6 + burst - slip;
  const most = rate * (sent.lastUs - sent.firstUs - sent.fullUs) / 1e6 + burst + slip;
  const right = counted.octets >= least - Math.max(least / 100, size) &&
    counted.octets <= most + Math.max(most / 100, size);
  const told = `${rate} octets/s: ${counted.octets} octets have passed, ${least} to ${most} are right: ` +
    JSON.stringify(sent);
  return { right, told };
}

// Four times the rate for so long. On a machine that stops for a while packets are judged later than they
// were sent, and then the measurement says nothing and is made again; a wrong rate stays wrong. The kernel
// judges as they are sent; of the relay nobody sees here whether it stood for a while.
async function police(legs, mid, { policing, rate, burst, size, seconds }) {
  for (let attempt = 0; ; attempt++) {
    // Other numbers: a fresh bucket.
    await e.policy(legs[0], { [mid]: { policing: { ...policing, mbs: policing.mbs + attempt } } });
    const result = await offer(legs, mid, { seconds, rate: 4 * rate, size, sdr: rate, mbs: burst });
    const { right, told } = holds(result, rate, burst, size);
    const stopped = LEVEL === 'relay' || result.sent.longestGapUs > 50_000;
    if (right) return result;
    assert.ok(stopped && attempt < 5, told);
  }
}

describe(`enforcement by ${LEVEL}`, { concurrency: Number(process.env.AT_ONCE ?? 6) }, () => {
  for (const family of FAMILIES) { // these wait; the others run beside them
    test(`${family}: a leg whose gates are closed lives on`, { timeout: 80000 }, async () => {
      const legs = await e.pair(family);
      const [a, b] = legs;
      const asked = keyRequests(await a.stats(), VIDEO);
      const others = await b.stats();
      await e.policy(a, { '*': SHUT });
      const began = await a.stats();
      const frames = await Promise.all([0, 1].map((line) => a.send({ lines: [line], seconds: 36, size: 200,
        rate: 4000 })));
      await sleep(2000); // what was on its way
      const shut = await a.stats();
      await a.until((s) => frames.every((id) => s.traffic[id].done), 60);
      const lived = await a.stats();
      assert.equal(lived.state, 'connected');
      assert.ok(lived.nowUs - began.nowUs >= 35e6);
      assert.ok(lived.stunResponses - shut.stunResponses >= 8, 'consent is renewed');
      assert.equal(lived.srtcpIn, shut.srtcpIn, 'no SRTCP while everything is closed');
      for (const mid of [AUDIO, VIDEO]) {
        assert.equal(received(await b.stats(), mid).packets, received(others, mid).packets);
        assert.equal(gated(a, mid, 'uplink').length, 1);
        await e.counted(a, mid, (c) => c.uplink.gateDiscarded === 720);
      }
      const { ice, dtls } = (await e.link.request('audit', { contextId: a.contextId,
        terminationId: a.terminationId })).terminations[0];
      assert.ok(ice.connected && dtls.connected);
      await e.policy(a, { '*': OPEN });
      await a.until((s) => keyRequests(s, VIDEO) > asked && s.srtcpIn > lived.srtcpIn);
      assert.equal((await offer(legs, VIDEO, { count: 100, size: 300, rate: 30000 })).arrived, 100);
      assert.equal(received(await b.stats(), VIDEO).keyFrames, received(others, VIDEO).keyFrames + 1);
      await e.end(legs);
    });
  }

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
      await open(a, { '*': OPEN });
      const shut = received(await b.stats(), VIDEO);
      const again = await offer(legs, VIDEO, { count: 100, size, rate: 100000 });
      assert.equal(again.counted.packets, 100);
      assert.equal(received(await b.stats(), VIDEO).keyFrames, shut.keyFrames + 1);
      // The far end's downlink: counted there, and the uplink of the sender is open.
      await e.policy(b, { '*': NO_DOWNLINK });
      const down = (await e.counters(b, VIDEO)).downlink;
      const late = await offer(legs, VIDEO, { count: 1000, size, rate: 500000 }, false);
      assert.equal(late.counted.packets, 1000);
      assert.equal(late.arrived, 0);
      await e.counted(b, VIDEO, (c) => c.downlink.gateDiscarded - down.gateDiscarded === 1000);
      assert.equal((await offer([b, a], VIDEO, { count: 200, size, rate: 200000 })).arrived, 200);
      await open(b, { '*': OPEN }, a);
      assert.equal((await offer(legs, VIDEO, { count: 100, size, rate: 100000 })).arrived, 100);
      await e.end(legs);
    });

    test(`${family}: the video gate of a bundle is closed whatever the sender does`, async () => {
      const legs = await e.pair(family);
      const [a, b] = legs;
      const size = 300;
      await e.policy(a, { [VIDEO]: NO_UPLINK });
      const before = await b.stats();
      const audio = offer(legs, AUDIO, { count: 200, size, rate: 20000 }); // beside all the rest
      const send = (members) => a.sendAll({ lines: [1], size, ...members });
      for (const traffic of [{ count: 200, size, rate: 100000 }, { count: 200, size, gso: true },
        { count: 100, size: 1400, rate: 1000000 }, // in fragments
        { count: 250, size, rate: 25000, ssrcEveryMs: 1000 }])
        assert.equal((await offer(legs, VIDEO, traffic)).counted.gateDiscarded, traffic.count,
          JSON.stringify(traffic));
      await send({ count: 100, rate: 100000, ssrcEveryMs: -1 }); // more than a leg may have
      assert.equal((await audio).arrived, 200);
      const mixed = await e.counters(a, AUDIO);
      const shut = await e.counters(a, VIDEO);
      await a.sendAll({ lines: [0, 1], count: 200, size, gso: true }); // one and one in the same run
      await e.counted(a, AUDIO, (c) => c.uplink.packets - mixed.uplink.packets === 100);
      await e.counted(a, VIDEO, (c) => c.uplink.gateDiscarded - shut.uplink.gateDiscarded === 100);
      await b.until((s) => received(s, AUDIO).packets - received(before, AUDIO).packets === 300);
      assert.equal(received(await b.stats(), VIDEO).packets, received(before, VIDEO).packets);
      assert.equal((await e.counters(a, VIDEO)).uplink.packets, shut.uplink.packets);
      // With the SSRC of its audio: whoever judges them as what, they are not video that passes.
      await send({ count: 100, rate: 100000, ssrcOf: 0 });
      await sleep(1000); // a leg whose SSRCs wander is held back for so long
      await offer(legs, AUDIO, { count: 10, size, rate: 30000 });
      assert.equal(received(await b.stats(), VIDEO).packets, received(before, VIDEO).packets);
      assert.equal(gated(a, VIDEO, 'uplink').length, 1);
      assert.equal(gated(a, AUDIO, 'uplink').length, 0);
      await open(a, { [VIDEO]: OPEN });
      assert.equal((await offer(legs, VIDEO, { count: 100, size, rate: 100000 })).arrived, 100);
      await e.end(legs);
    });

    test(`${family}: excess is dropped, and what passes is the rate and the burst`, async () => {
      const pairs = await Promise.all([e.pair(family), e.pair(family), e.pair(family)]);
      const seconds = 5;
      const cases = [
        [pairs[0], AUDIO, 64_000 / 8, 200],
        [pairs[0], VIDEO, 500_000 / 8, 500],
        [pairs[1], VIDEO, 5_000_000 / 8, 1200],
        [pairs[1], AUDIO, 64_000 / 8, 200],
        [pairs[2], VIDEO, 500_000 / 8, 500],
      ];
      await Promise.all(cases.map(async ([legs, mid, sdr, size]) => {
        const mbs = sdr; // a second in which a busy machine may pause
        const { sent, counted } = await police(legs, mid,
          { policing: { sdr, mbs }, rate: sdr, burst: mbs, size, seconds });
        assert.equal(counted.octets, counted.packets * size);
        assert.ok(counted.policingDiscarded > sent.packets / 2);
        await e.link.event((m) => m.event === 'policingDiscard' && m.mid === mid &&
          m.terminationId === legs[0].terminationId);
        // Lifted.
        await e.policy(legs[0], { [mid]: { policing: false } });
        const free = await offer(legs, mid, { seconds: 0.5, rate: 4 * sdr, size });
        assert.equal(free.counted.packets, free.sent.packets);
      }));
      await Promise.all(pairs.map((legs) => e.end(legs)));
    });

    test(`${family}: a burst and a peak are exact to one packet`, async () => {
      const legs = await e.pair(family);
      const size = 500;
      for (const [more, gso] of [[0, false], [1, true]]) {
        // 20 packets and a part of one, and minutes until the next.
        const policing = { sdr: 1, mbs: 20 * size + 200 + more };
        await e.policy(legs[0], { [VIDEO]: { policing } });
        const burst = await offer(legs, VIDEO, { count: 60, size, gso });
        assert.equal(burst.counted.packets, 20, JSON.stringify({ gso }));
        assert.equal(burst.counted.policingDiscarded, 40);
        const none = await offer(legs, VIDEO, { count: 10, size, gso });
        assert.equal(none.counted.packets, 0);
      }
      for (const gso of [false, true]) {
        // The first packet, and as many as are early by no more than dvt.
        const dvt = 10 * size * 1e6 / 100 + (gso ? 1 : 0);
        await e.policy(legs[0], { [VIDEO]: { policing: { sdr: 100, mbs: 1_000_000, pdr: 100, dvt } } });
        const peak = await offer(legs, VIDEO, { count: 60, size, gso });
        assert.equal(peak.counted.packets, 11, JSON.stringify({ gso }));
      }
      const pdr = 50_000;
      const dvt = 1_000_000;
      await police(legs, VIDEO, { policing: { sdr: pdr, mbs: 10_000_000, pdr, dvt }, rate: pdr,
        burst: pdr * dvt / 1e6 + size, size, seconds: 2 });
      await e.end(legs);
    });

    test(`${family}: DSCP by medium, on the wire and counted; ECN and checksums as they are`, async () => {
      const legs = await e.pair(family, [{}, { policy: {
        [AUDIO]: { marking: { taggingBehaviour: 'mark', dscp: 46 } },
        [VIDEO]: { marking: { taggingBehaviour: 'mark', dscp: 36 } } } }]);
      const [a, b] = legs;
      await a.command('tos', { tos: 2 }); // ECT(0)
      const sizes = { [AUDIO]: 211, [VIDEO]: 622 };
      const look = async (dscp) => {
        const dump = await e.far.capture(b.address);
        const before = [await e.counters(b, AUDIO), await e.counters(b, VIDEO)];
        const was = await b.stats();
        await Promise.all([AUDIO, VIDEO].map((mid) =>
          offer(legs, mid, { count: 100, size: sizes[mid], rate: 100 * sizes[mid] })));
        for (const [i, mid] of [AUDIO, VIDEO].entries()) {
          const marked = (c) => c.downlink.marked - before[i].downlink.marked;
          assert.equal(marked(await e.counted(b, mid, (c) => marked(c) >= 100)), 100);
          const tos = String(dscp[mid] << 2 | e.ecn);
          const count = (s) => received(s, mid).tos[tos] ?? 0;
          assert.equal(count(await b.stats()) - count(was), 100, JSON.stringify(received(await b.stats(), mid)));
        }
        // Packets that left together are seen before they are cut: one header, several payloads.
        const segments = (p, mid) => (p.length - HEADERS[family]) / (sizes[mid] - HEADERS[family]);
        const mediaOf = (seen, mid) => seen.filter((p) => Number.isInteger(segments(p, mid)));
        const enough = (seen) => [AUDIO, VIDEO].every((mid) =>
          mediaOf(seen, mid).reduce((n, p) => n + segments(p, mid), 0) >= 90);
        const seen = await dump.stop(enough);
        assert.ok(enough(seen), JSON.stringify(seen.map((p) => p.length)));
        for (const mid of [AUDIO, VIDEO]) {
          for (const p of mediaOf(seen, mid)) {
            assert.equal(p.tos, dscp[mid] << 2 | e.ecn, p.packet);
            assert.ok(!p.wrong, p.packet);
          }
        }
      };
      await look({ [AUDIO]: 46, [VIDEO]: 36 });
      await e.policy(b, { [AUDIO]: { marking: { taggingBehaviour: 'mark', dscp: 10 } },
        [VIDEO]: { marking: { taggingBehaviour: 'mark', dscp: 63 } } });
      await look({ [AUDIO]: 10, [VIDEO]: 63 });
      await e.end(legs);
    });

    test(`${family}: RFC 8837 where nothing is said; "copy" from trusted networks alone`, async () => {
      const run = async (trusted, policy, tos, expected) => {
        const legs = await e.pair(family, [{ trusted }, { policy }]);
        await legs[0].command('tos', { tos });
        const before = await legs[1].stats();
        for (const mid of [AUDIO, VIDEO]) {
          const now = String(expected[mid] << 2 | e.ecn);
          await offer(legs, mid, { count: 50, size: 300, rate: 30000 });
          const count = (s) => received(s, mid).tos[now] ?? 0;
          assert.equal(count(await legs[1].stats()) - count(before), 50,
            `${mid}: ${JSON.stringify(received(await legs[1].stats(), mid))}`);
        }
        await e.end(legs);
      };
      const copy = { [AUDIO]: { marking: { taggingBehaviour: 'copy' } },
        [VIDEO]: { marking: { taggingBehaviour: 'copy' } } };
      await Promise.all([
        run(false, {}, 0, { [AUDIO]: 46, [VIDEO]: 36 }),
        run(true, copy, 26 << 2 | 2, { [AUDIO]: 26, [VIDEO]: 26 }),
        run(false, copy, 26 << 2, { [AUDIO]: 46, [VIDEO]: 36 }),
      ]);
    });

    test(`${family}: media decrypt after 70000 packets at a closed gate`, async () => {
      const legs = await e.pair(family);
      await e.policy(legs[0], { [VIDEO]: NO_UPLINK });
      await legs[0].sendAll({ lines: [1], count: 70000, size: 140 });
      const before = received(await legs[1].stats(), VIDEO);
      await e.policy(legs[0], { [VIDEO]: OPEN });
      // The first packets may show how often the numbers have rolled over, and a key frame comes again.
      const id = await legs[0].send({ lines: [1], count: 300, size: 300, rate: 30000 });
      await legs[1].until((s) => received(s, VIDEO).packets - before.packets > 0);
      await legs[0].until((s) => s.traffic[id].done);
      for (let settled = -1; settled !== received(await legs[1].stats(), VIDEO).packets; await sleep(100))
        settled = received(await legs[1].stats(), VIDEO).packets;
      assert.equal((await offer(legs, VIDEO, { count: 100, size: 300, rate: 100000 })).arrived, 100);
      await e.end(legs);
    });

    test(`${family}: data channels have a gate of their own`, async () => {
      const data = { data: true };
      const [a, b] = await e.pair(family, [{ ...data, policy: { 2: NO_UPLINK } }, data]);
      const records = { count: 200, size: 300 };
      const state = async () => (await e.link.request('audit', { contextId: a.contextId,
        terminationId: a.terminationId })).terminations[0];
      assert.equal((await a.command('application', records)).sent, 200);
      await e.counted(a, '2', (c) => c.uplink.gateDiscarded === 200);
      assert.equal((await e.counters(a, '2')).uplink.packets, 0);
      await e.link.event((m) => m.event === 'mediaGated' && m.terminationId === a.terminationId && m.mid === '2');
      // Sound and picture of the same transport go on.
      for (const mid of [AUDIO, VIDEO])
        assert.equal((await offer([a, b], mid, { count: 50, size: 300, rate: 50000 })).arrived, 50);
      await e.policy(a, { 2: OPEN });
      assert.equal((await a.command('application', records)).sent, 200);
      const opened = await e.counted(a, '2', (c) => c.uplink.packets >= 200);
      assert.equal(opened.uplink.packets, 200);
      assert.equal(opened.uplink.gateDiscarded, 200);
      const { ice, dtls } = await state();
      assert.ok(ice.connected && dtls.connected);
      assert.equal((await a.stats()).state, 'connected');
      await e.end([a, b]);
    });

    test(`${family}: a medium alone on its transport is known without its SSRC`, async () => {
      const alone = { sound: true };
      const legs = await e.pair(family, [alone, { ...alone,
        policy: { [AUDIO]: { marking: { taggingBehaviour: 'mark', dscp: 26 } } } }]);
      const [a, b] = legs;
      const size = 400;
      await e.policy(a, { [AUDIO]: NO_UPLINK });
      const before = received(await b.stats(), AUDIO);
      assert.equal((await offer(legs, AUDIO, { count: 500, size, rate: 400000 })).counted.gateDiscarded, 500);
      await a.sendAll({ lines: [0], count: 100, size, rate: 400000, ssrcEveryMs: -1 });
      assert.equal((await offer([b, a], AUDIO, { count: 200, size, rate: 200000 })).arrived, 200);
      assert.equal(received(await b.stats(), AUDIO).packets, before.packets);
      await e.policy(a, { [AUDIO]: { ...OPEN, policing: { sdr: 1, mbs: 20 * size + 100 } } });
      assert.equal((await offer(legs, AUDIO, { count: 60, size })).counted.packets, 20);
      await police(legs, AUDIO, { policing: { sdr: 62500, mbs: 62500 }, rate: 62500, burst: 62500, size,
        seconds: 5 });
      await e.policy(a, { [AUDIO]: { policing: false } });
      const was = received(await b.stats(), AUDIO).tos;
      assert.equal((await offer(legs, AUDIO, { count: 200, size, rate: 200000 })).arrived, 200);
      const tos = String(26 << 2 | e.ecn);
      assert.equal(received(await b.stats(), AUDIO).tos[tos] - was[tos], 200);
      await e.end(legs);
    });
  }
});

test(`${LEVEL}: who has dropped, and two media centres on one interface`, async () => {
  const other = await Enforcement.start(LEVEL, ['qos.default_marking=no'], e);
  try {
    for (const family of FAMILIES) {
      for (const sound of [false, true]) {
        const mid = sound ? AUDIO : VIDEO;
        // One medium of several is nothing that tc-flower can tell.
        const kernel = LEVEL === 'tc-bpf' || (LEVEL === 'tc-flower' && sound);
        const legs = await other.pair(family, [{ sound }, { sound }]);
        const policies = async () => (await other.wmcf.ctl('status')).policies;
        for (const [policy, counter] of [[NO_UPLINK, 'gateDiscarded'],
          [{ ...OPEN, policing: { sdr: 1000, mbs: 900 } }, 'policingDiscarded']]) {
          const before = [await policies(), await packetsIn(other)];
          await other.policy(legs[0], { [mid]: policy });
          const { counted } = await offer(legs, mid, { count: 1000, size: 300, rate: 500000 }, false, other);
          const dropped = 1000 - counted.packets;
          assert.equal(counted[counter], dropped);
          assert.ok(dropped > 900);
          const after = [await policies(), await packetsIn(other)];
          const by = (who) => after[0][who][counter] - before[0][who][counter];
          assert.equal(by('kernel') + by('relay'), dropped);
          assert.equal(by('kernel'), kernel ? dropped : 0);
          const seen = after[1] - before[1];
          assert.ok(kernel ? seen < 200 : seen >= 1000, `the relay has seen ${seen} packets`);
        }
        // Nothing is marked by itself here, and by its neighbour nothing of this one.
        const { packets, tos } = received(await legs[1].stats(), AUDIO);
        assert.deepEqual(tos, { [e.ecn]: packets });
        await other.end(legs);
      }
    }
  } finally {
    assert.equal(await other.stop(), 0);
  }
  // The neighbour's filters are still there.
  const legs = await e.pair('IPv4');
  await e.policy(legs[0], { [VIDEO]: NO_UPLINK });
  assert.equal((await offer(legs, VIDEO, { count: 100, size: 300, rate: 100000 })).counted.gateDiscarded, 100);
  await e.end(legs);
});
