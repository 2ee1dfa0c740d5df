// SPDX-License-Identifier: Apache-2.0
// Fifty viewers of one shared film, each in a context of its own: one pipeline, one encoder, every frame
// encoded once, and what a further viewer costs is the relay's price for its packets. The figures are
// printed; how much time a packet takes is the machine's matter.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFilm } from '../support/films.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const VIEWERS = 50;
let wmcf, link, folder;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'films-'));
  await makeFilm(path.join(folder, 'film.webm'), { seconds: 10 });
  wmcf = await Wmcf.start([`pipelines.media_folder=${folder}`]);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
  rmSync(folder, { recursive: true });
});

// Of a pipeline of its own context's, or of one that others have in theirs.
async function viewer(usual) {
  const source = usual ?? await link.request('add', { pipeline: { template: 'play', share: 'film',
    parameters: { source: 'film.webm', width: 320, height: 180, loop: true } } });
  assert.ok(source.success, JSON.stringify(source));
  const { contextId, terminationId } = source;
  const added = await link.request('add', { contextId, offerTemplate: { bundle: true, medias: [
    { mediaType: 'audio', direction: 'sendonly' },
    { mediaType: 'video', direction: 'sendonly', codecs: ['VP8'] }] },
  mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const leg = new GeneratedLeg();
  const [, bind] = added.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
  const sdpAnswer = await leg.answer(added.sdpOffer, { bind, direction: 2 });
  const routed = await link.request('modify', { contextId, terminationId: added.terminationId, sdpAnswer,
    routes: ['audio', 'video'].map((mid, i) => ({ from: { terminationId, mid },
      to: { terminationId: added.terminationId, mid: String(i) } })) });
  assert.ok(routed.success, JSON.stringify(routed));
  await leg.until((s) => s.receive.length === 2 && s.receive.every((r) => r.packets > 10));
  return leg;
}

// Names of the process's threads, numbers behind them left out.
function threads() {
  const names = readdirSync(`/proc/${wmcf.process.pid}/task`).map((id) =>
    readFileSync(`/proc/${wmcf.process.pid}/task/${id}/comm`, 'utf8').trim().replace(/\d+$/, ''));
  return names.filter((name) => !/^(pool|templates)/.test(name)).sort();
}

const out = (status) => status.workers.reduce((n, w) => n + w.packetsOut, 0);
async function interval(ms) {
  const from = await wmcf.ctl('status');
  await sleep(ms);
  const to = await wmcf.ctl('status');
  const seconds = to.uptimeSeconds - from.uptimeSeconds;
  return { cpu: (to.cpuSeconds - from.cpuSeconds) / seconds, packets: (out(to) - out(from)) / seconds };
}

async function leave(legs) {
  await Promise.all(legs.map((leg) => leg.close()));
  const { contexts } = await link.request('audit');
  for (const { contextId } of contexts) await link.request('subtract', { contextId });
  while ((await wmcf.ctl('status')).mediaResources > 0) await sleep(20);
}

const figures = (what, one, all) => console.log(`${what}: 1 viewer ${(100 * one.cpu).toFixed(1)} % of a core at ` +
  `${one.packets.toFixed(0)} packets/s; ${VIEWERS}: ${(100 * all.cpu).toFixed(1)} % at ${all.packets.toFixed(0)}; ` +
  `${(1e6 * (all.cpu - one.cpu) / (all.packets - one.packets)).toFixed(2)} µs of CPU for each packet more`);

test('fifty viewers, one encoder', { timeout: 180000 }, async () => {
  const legs = [await viewer()];
  const one = await interval(4000);
  const streaming = () => threads().filter((name) => /^(queue|qtdemux|matroska|multiqueue|typefind|src)/.test(name) ||
    name.includes(':src'));
  const alone = streaming();
  while (legs.length < VIEWERS) legs.push(await viewer());
  const { mediaResources, contexts } = await wmcf.ctl('status');
  assert.deepEqual([mediaResources, contexts], [1, VIEWERS + 1]);
  assert.deepEqual(streaming(), alone);
  // Frames that are made in a while, by the host's counters, and that each viewer gets.
  const host = (await wmcf.ctl('contexts')).contexts.find((c) => c.owner === '(shared)').terminationIds[0];
  const made = async () => (await wmcf.ctl('termination', host)).termination.statistics
    .find((m) => m.mediaType === 'video').uplink.packets;
  const video = async (leg) => (await leg.stats()).receive.find((r) => r.kind === 'video').packets;
  const from = { made: await made(), got: await Promise.all(legs.map(video)) };
  const all = await interval(8000);
  const to = { got: await Promise.all(legs.map(video)), made: await made() };
  const packets = to.made - from.made;
  for (const [i, got] of to.got.entries()) {
    const share = (got - from.got[i]) / packets;
    assert.ok(share > 0.9 && share < 1.1, `viewer ${i} got ${share} of what was made`);
  }
  figures('shared', one, all);
  await leave(legs);
});

test('what the same costs within one context', { timeout: 180000 }, async () => {
  const source = await link.request('add', { pipeline: { template: 'play',
    parameters: { source: 'film.webm', width: 320, height: 180, loop: true } } });
  const legs = [await viewer(source)];
  const one = await interval(4000);
  while (legs.length < VIEWERS) legs.push(await viewer(source));
  figures('one context', one, await interval(8000));
  await leave(legs);
});
