// SPDX-License-Identifier: Apache-2.0
// Devices, routes and kernels that do not take runs of packets: endpoints see no difference.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Enforcement, received } from '../support/far-side.mjs';
import { connectTwo } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf, build } from '../support/wmcf.mjs';

const VIDEO = '1';
const PACKETS = 1500;
const BURST = { lines: [Number(VIDEO)], count: PACKETS, size: 1000, rate: 4000000 };
let bed;

function command(program, ...args) {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
}

// Sums over the workers, by family and, where there is one, direction.
async function figures(wmcf) {
  const text = await (await fetch(`http://127.0.0.1:${wmcf.port}/metrics`)).text();
  const sum = {};
  for (const [, name, direction, value] of
    text.matchAll(/^wmcf_media_(\w+)_total\{worker="\d+"(?:,direction="(\w+)")?\} (\S+)$/gm)) {
    const key = direction ? `${name}_${direction}` : name;
    sum[key] = (sum[key] ?? 0) + Number(value);
  }
  return sum;
}

async function difference(wmcf, action) {
  const from = await figures(wmcf);
  await action();
  const to = await figures(wmcf);
  return Object.fromEntries(Object.entries(to).map(([key, value]) => [key, value - (from[key] ?? 0)]));
}

// Both legs send a burst to each other; all of it arrives, each packet as it was sent.
async function exchange(legs) {
  const had = await Promise.all(legs.map(async (leg) => received(await leg.stats(), VIDEO)));
  await Promise.all(legs.map((leg) => leg.sendAll(BURST)));
  for (const [i, leg] of legs.entries()) {
    const stats = await leg.until((s) => received(s, VIDEO).packets >= had[i].packets + PACKETS);
    const now = received(stats, VIDEO);
    assert.equal(now.packets, had[i].packets + PACKETS);
    assert.equal(now.lost, 0);
    assert.equal(now.broken, 0);
  }
}

before(async () => { bed = await Enforcement.start('relay', ['media.workers=1']); });
after(async () => { assert.equal(await bed.stop(), 0); });

test('a device with every offload', async () => {
  const legs = await bed.pair('IPv4');
  const counted = await difference(bed.wmcf, () => exchange(legs));
  assert.equal(counted.segmentation_fallbacks, 0);
  assert.ok(counted.runs_out < counted.packets_out, JSON.stringify(counted));
  await bed.end(legs);
});

// Kernels before 6.11 refuse runs then, later ones cut them by themselves.
test('a device without checksum and segmentation offload', async () => {
  for (const what of [['tx-udp-segmentation'], ['tx']]) command('ethtool', '-K', 'media0', ...what, 'off');
  for (const family of ['IPv4', 'IPv6']) {
    const legs = await bed.pair(family);
    const counted = await difference(bed.wmcf, () => exchange(legs));
    assert.ok(counted.segmentation_fallbacks <= 2, JSON.stringify(counted));
    await bed.end(legs);
  }
  for (const what of [['tx'], ['tx-udp-segmentation']]) command('ethtool', '-K', 'media0', ...what, 'on');
});

test('a path whose MTU is below the packets costs the others nothing', async () => {
  const legs = await bed.pair('IPv4');
  const route = [`${legs[0].address}/32`, 'dev', 'media0', 'mtu', '600'];
  command('ip', 'route', 'add', ...route);
  const counted = await difference(bed.wmcf, () => exchange(legs));
  // Refused once, or twice when it was a slow moment, and not for every batch.
  assert.ok(counted.segmentation_fallbacks >= 1, JSON.stringify(counted));
  assert.ok(counted.segmentation_fallbacks <= 20, JSON.stringify(counted));
  assert.ok(counted.runs_out >= PACKETS, JSON.stringify(counted)); // those to it
  assert.ok(counted.runs_out < 2 * PACKETS, JSON.stringify(counted)); // the others in runs still
  command('ip', 'route', 'del', ...route);
  await bed.end(legs);
});

test('a kernel without UDP_GRO and UDP_SEGMENT', async () => {
  const wmcf = await Wmcf.start(['media.workers=1'], [path.join(build, 'tests/support/refuse-udp-options')]);
  const link = await ControlLink.open(wmcf.url);
  const legs = await connectTwo(link);
  for (const leg of legs) {
    const { receive } = await leg.until((s) => s.receive.find((r) => r.kind === 'video')?.frames > 15);
    for (const r of receive) assert.equal(r.lost, 0, JSON.stringify(r));
  }
  const counted = await figures(wmcf);
  assert.ok(counted.packets_out > 0);
  assert.equal(counted.runs_out, counted.packets_out);
  assert.equal(counted.runs_in, counted.packets_in);
  await link.request('subtract', { contextId: legs[0].contextId });
  await Promise.all(legs.map((leg) => leg.close()));
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});
