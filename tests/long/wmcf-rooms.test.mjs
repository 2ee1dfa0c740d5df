// SPDX-License-Identifier: Apache-2.0
// Sixteen rooms of ten in which people speak in turn: every one sees and hears whom he should, and
// what that takes of the processor is told, against the same rooms in silence.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshParticipant, SILENCE, SPEECH } from '../support/mesh-participant.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const ROOMS = 16;
const PEOPLE = 10;
const MESH = { lastN: 4, loudestN: 3 };
const SECONDS = Number(process.env.SECONDS_EACH ?? 20);

const ticks = ({ pid }) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return Number(fields[11]) + Number(fields[12]);
};
const metrics = async (wmcf) => {
  const text = await (await fetch(`http://127.0.0.1:${wmcf.port}/metrics`)).text();
  const sum = (name, label = '') =>
    [...text.matchAll(new RegExp(`^${name}(?:{[^}]*${label}[^}]*})? ([0-9.e+]+)$`, 'gm'))]
    .reduce((all, [, value]) => all + Number(value), 0);
  return { speakers: sum('wmcf_speaker_changes_total'), slots: sum('wmcf_mesh_slot_changes_total'),
    meshes: sum('wmcf_meshes'), out: sum('wmcf_media_packets_total', 'direction="out"'),
    workers: sum('wmcf_media_worker_cpu_seconds_total') };
};

async function measure(wmcf, what, t, during) {
  const before = await metrics(wmcf);
  const used = ticks(wmcf.process);
  const began = Date.now();
  await during();
  const seconds = (Date.now() - began) / 1000;
  const after = await metrics(wmcf);
  const cpu = (ticks(wmcf.process) - used) / 100 / seconds;
  t.diagnostic(`${what}: ${(100 * cpu).toFixed(1)} % of a core, ` +
    `${(100 * (after.workers - before.workers) / seconds).toFixed(1)} of it on the packet path, ` +
    `${((after.out - before.out) / seconds).toFixed(0)} packets/s sent, ` +
    `${after.speakers - before.speakers} changes of speaker, ${after.slots - before.slots} of slots`);
  return { cpu, changes: after.speakers - before.speakers };
}

test('sixteen rooms of ten', { timeout: 600_000 }, async (t) => {
  const wmcf = await Wmcf.start();
  const link = await ControlLink.open(wmcf.url);
  const rooms = await Promise.all(Array.from({ length: ROOMS }, async () => {
    const people = [await MeshParticipant.join(link, { mesh: MESH }, { slots: 5 })];
    while (people.length < PEOPLE)
      people.push(await MeshParticipant.join(link, { contextId: people[0].contextId },
        { slots: 5, beside: people[0].leg }));
    return people;
  }));
  const all = rooms.flat();
  await Promise.all(all.map((one) => one.settled()));
  assert.equal((await metrics(wmcf)).meshes, ROOMS);
  await sleep(3000);
  await measure(wmcf, 'silence', t, () => sleep(SECONDS * 1000));
  const talking = await measure(wmcf, 'conversation', t, async () => {
    for (let turn = 0; turn < SECONDS / 2; turn++) {
      await Promise.all(rooms.map((people, i) => people[(turn * 3 + i) % PEOPLE].speak(
        [[0, SPEECH], [1700, SILENCE]])));
      await sleep(2000);
    }
  });
  assert.ok(talking.changes >= ROOMS * 5, `${talking.changes}`);
  for (const one of all) {
    const { receive } = await one.leg.stats();
    const videos = receive.filter((r) => r.kind === 'video' && r.packets > 0);
    assert.equal(videos.length, MESH.lastN);
    for (const r of receive)
      assert.ok(r.jumps === 0 && r.broken === 0, JSON.stringify(r));
    assert.ok(one.speakers.length >= 5);
  }
  for (const [first] of rooms)
    assert.ok((await link.request('subtract', { contextId: first.contextId })).success);
  await Promise.all(rooms.map(([first]) => first.leg.close()));
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});
