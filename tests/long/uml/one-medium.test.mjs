// SPDX-License-Identifier: Apache-2.0
// A wmcf at the level tc-flower and legs with a single medium, which this level holds whole: the kernel drops,
// counts and marks, and the relay does not see what is dropped. Run by ../qos-flower.test.mjs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Enforcement, FAMILIES, received } from '../../support/far-side.mjs';
import { GeneratedLeg } from '../../support/generated-leg.mjs';
import { Wmcf } from '../../support/wmcf.mjs';

const MID = '0';
const SIZE = 300;
let e;
before(async () => { e = await Enforcement.start('tc-flower'); });
after(async () => assert.equal(await e.stop(), 0));

const byKernel = async (counter) => (await e.wmcf.ctl('status')).policies.kernel[counter];
const packetsIn = async () => (await e.wmcf.ctl('status')).workers.reduce((n, w) => n + w.packetsIn, 0);

async function pair(family) {
  const legs = [];
  let contextId;
  for (let i = 0; i < 2; i++) {
    const added = await e.link.request('add', { contextId, events: ['mediaGated', 'policingDiscard'],
      offerTemplate: { medias: [{ mediaType: 'audio', direction: 'sendrecv' }], bundle: true },
      mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
    assert.ok(added.success, JSON.stringify(added));
    contextId = added.contextId;
    const leg = new GeneratedLeg(e.far.prefix);
    e.legs.add(leg);
    Object.assign(leg, { contextId, terminationId: added.terminationId, address: e.far.address(family) });
    const sdpAnswer = await leg.answer(added.sdpOffer, { bind: leg.address, hold: true, plain: true });
    await e.modify(leg, { sdpAnswer });
    legs.push(leg);
  }
  const [a, b] = legs.map((l) => l.terminationId);
  await e.modify(legs[0], { routes: [[a, b], [b, a]].map(([from, to]) => ({
    from: { terminationId: from, mid: MID }, to: { terminationId: to, mid: MID } })) });
  for (const leg of legs) await leg.until((s) => s.state === 'connected');
  return legs;
}

// Sends 1000 packets and tells how the counters have changed.
async function offer(leg) {
  const was = (await e.counters(leg, MID)).uplink;
  const sent = await leg.sendAll({ lines: [0], count: 1000, size: SIZE, rate: 600000 });
  assert.equal(sent.failed, 0);
  const all = (u) => u.packets + u.gateDiscarded + u.policingDiscarded;
  const now = (await e.counted(leg, MID, (c) => all(c.uplink) - all(was) >= 1000)).uplink;
  return Object.fromEntries(Object.entries(now).map(([key, value]) => [key, value - was[key]]));
}

for (const family of FAMILIES) {
  test(`${family}: the kernel drops, counts and marks`, async () => {
    const [a, b] = await pair(family);
    const open = await offer(a);
    assert.equal(open.packets, 1000);
    assert.equal(open.octets, 1000 * SIZE);
    await b.until((s) => received(s, MID).packets === 1000);
    const { marked } = (await e.counters(b, MID)).downlink;
    assert.equal(marked, 1000, 'counted once, by whom ever');
    const { tos } = received(await b.stats(), MID);
    assert.equal(tos[String(46 << 2 | e.ecn)], 1000, JSON.stringify(tos)); // EF, RFC 8837

    for (const [policy, counter, event] of [
      [{ flowStatus: 'ENABLED-DOWNLINK' }, 'gateDiscarded', 'mediaGated'],
      [{ flowStatus: 'ENABLED', policing: { sdr: 10, mbs: SIZE } }, 'policingDiscarded', 'policingDiscard']]) {
      const was = [await byKernel(counter), await packetsIn()];
      await e.policy(a, { [MID]: policy });
      const counted = await offer(a);
      assert.ok(counted[counter] >= 999, JSON.stringify(counted));
      assert.equal(counted[counter] + counted.packets, 1000);
      assert.equal(await byKernel(counter) - was[0], counted[counter]);
      const seen = await packetsIn() - was[1];
      assert.ok(seen < 100, `the relay has seen ${seen} packets`);
      await e.link.event((m) => m.event === event && m.terminationId === a.terminationId);
    }
    await e.policy(a, { [MID]: { policing: false } });
    assert.equal((await offer(a)).packets, 1000);
    await e.end([a, b]);
  });
}

// Where bpf() is refused "auto" takes this level; killed, its filters and actions are replaced by the next one.
test('CAP_NET_ADMIN is enough, and a crash leaves nothing', async (t) => {
  const one = '-all,+net_admin';
  const shown = (...args) => execFileSync('tc', args, { encoding: 'utf8' });
  // The one beside has filters as well; ours carry our name.
  const cookie = Buffer.from('wmcf-41000').toString('hex');
  const count = () => ['ingress', 'egress'].map((hook) =>
    shown('filter', 'show', 'dev', 'media0', hook).split(cookie).length - 1);
  const wmcf = await Wmcf.start(['media.port=41000', 'media.bind=192.0.2.10', 'qos.level=auto'],
    ['sh', '-c', `chown -R nobody "$(dirname "$3")"
      exec setpriv --reuid nobody --clear-groups --inh-caps=${one} --ambient-caps=${one} \\
        --bounding-set=${one} "$@"`, 'sh']);
  t.after(() => wmcf.process.kill('SIGKILL'));
  assert.match(wmcf.log, /enforcement by \\?"tc-flower/);
  const had = count();
  assert.ok(had.every((n) => n > 0), JSON.stringify(had));
  wmcf.process.kill('SIGKILL');
  await wmcf.exited;
  assert.deepEqual(count(), had, 'they go on');
  rmSync(`${wmcf.folder}/wmcf.sock`, { force: true });
  await wmcf.run();
  assert.deepEqual(count(), had, 'replaced, not doubled');
  assert.equal(await wmcf.stop('SIGTERM'), 0);
  assert.deepEqual(count(), [0, 0]);
});
