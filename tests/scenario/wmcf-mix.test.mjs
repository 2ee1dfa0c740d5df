// SPDX-License-Identifier: Apache-2.0
// mix-audio: each member hears the others and not itself; they come and go without a gap for the
// rest, in a context of routes and in a mesh that selects videos alone. What is refused.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { speakingLeg } from '../support/speaking-leg.mjs';
import { Hearer, opusTone } from '../support/tones.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['endOfStream', 'resourceFailure'];
const TONES = [500, 900, 1300];
let wmcf, link, folder, tones;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'mix-'));
  // Breaks at the twentieth packet of whoever comes.
  writeFileSync(path.join(folder, 'fragile.pipeline'), `input member* audio opus
wmcfmix name=mix
each member: wmcfsrc mid=\${member} ! identity error-after=20 ! rtpopusdepay ! opusdec ! mix.sink_\${member}
each member: mix.src_\${member} ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=\${member} sync=false
`);
  writeFileSync(path.join(folder, 'pictures.pipeline'), `input member* video VP8
audiotestsrc is-live=true ! fakesink
each member: wmcfsrc mid=\${member} ! fakesink
each member: videotestsrc is-live=true ! video/x-raw,width=64,height=36,framerate=10/1
each member: ! vp8enc deadline=1 ! rtpvp8pay pt=96 ! wmcfsink mid=\${member} sync=false
`);
  // Gives a member what comes from it: nothing, as long as it has no source.
  writeFileSync(path.join(folder, 'echo.pipeline'), `input member* audio opus
audiotestsrc is-live=true ! fakesink
each member: wmcfsrc mid=\${member} ! wmcfsink mid=\${member} sync=false
`);
  tones = await Promise.all(TONES.map((frequency) => opusTone(frequency)));
  wmcf = await Wmcf.start(['limits.pipeline_members=3', `pipelines.folder=${folder}`]);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  const { contexts } = await link.request('audit');
  for (const { contextId } of contexts) await link.request('subtract', { contextId });
});

const change = ({ contextId, terminationId }, members) => link.request('modify', { contextId, terminationId, ...members });

/** A leg that sends a tone, on the first m-line of its termination. */
async function voice(n, members = {}) {
  const one = await speakingLeg(link, members, { kinds: ['audio'], payloads: [tones[n]] });
  return { ...one, hearer: new Hearer(one.leg, folder, n) };
}
const input = (voice, name) => ({ terminationId: voice.terminationId, mid: '0', input: name });
const routeTo = (mix, name, voice) => change(voice, { routes: [{ from: { terminationId: mix.terminationId, mid: name },
  to: { terminationId: voice.terminationId, mid: '0' } }] });
const names = ['ann', 'bob', 'cy'];

async function meet(members = {}) {
  const first = await voice(0, members);
  const voices = [first, await voice(1, { contextId: first.contextId }), await voice(2, { contextId: first.contextId })];
  const mix = await link.request('add', { contextId: first.contextId, pipeline: { template: 'mix-audio' }, events: EVENTS,
    inputs: [input(voices[0], 'ann'), input(voices[1], 'bob')] });
  assert.ok(mix.success, JSON.stringify(mix));
  assert.deepEqual(mix.medias.map((m) => [m.mid, m.direction, m.source.terminationId, ...m.codecs]), [
    ['ann', 'sendrecv', voices[0].terminationId, 'opus'], ['bob', 'sendrecv', voices[1].terminationId, 'opus']]);
  for (const n of [0, 1]) {
    const routed = await routeTo(mix, names[n], voices[n]);
    assert.ok(routed.success, JSON.stringify(routed));
  }
  return { mix, voices };
}

async function comeAndGo({ mix, voices }) {
  await voices[0].hearer.hears([TONES[1]], [TONES[0], TONES[2]]);
  await voices[1].hearer.hears([TONES[0]], [TONES[1], TONES[2]]);
  for (let round = 0; round < 2; round++) {
    const came = await change(mix, { inputs: [input(voices[2], 'cy')] });
    assert.ok(came.success, JSON.stringify(came));
    assert.equal(came.medias.length, 3);
    assert.ok((await routeTo(mix, 'cy', voices[2])).success);
    await voices[0].hearer.hears([TONES[1], TONES[2]], [TONES[0]]);
    await voices[1].hearer.hears([TONES[0], TONES[2]], [TONES[1]]);
    await voices[2].hearer.hears([TONES[0], TONES[1]], [TONES[2]]);
    const gone = await change(mix, { inputs: [{ input: 'cy', remove: true }] });
    assert.ok(gone.success, JSON.stringify(gone));
    assert.deepEqual(gone.medias.map((m) => m.mid), ['ann', 'bob']);
    await voices[0].hearer.hears([TONES[1]], [TONES[0], TONES[2]]);
  }
  // Nobody else has lost a packet, and the numbering has gone on.
  for (const n of [0, 1]) {
    const { receive } = await voices[n].leg.stats();
    assert.equal(receive[0].lost, 0, JSON.stringify(receive[0]));
  }
}

test('each hears the others and not itself', { timeout: 150_000 }, async () => {
  const met = await meet();
  await comeAndGo(met);
  for (const { leg } of met.voices) await leg.close();
});

test('a mesh that selects videos alone leaves the sound to routes', { timeout: 150_000 }, async () => {
  const met = await meet({ topology: 'mesh', mesh: { media: ['video'] } });
  const { mesh } = await link.request('audit', { contextId: met.mix.contextId });
  assert.deepEqual(mesh.media, ['video']);
  await comeAndGo(met);
  const video = await link.request('add', { contextId: met.mix.contextId, mesh: { media: ['audio'] },
    offerTemplate: { bundle: true, medias: [{ mediaType: 'video' }] } });
  assert.equal(video.problemDetails?.cause, 'INVALID_STATE', JSON.stringify(video));
  for (const { leg } of met.voices) await leg.close();
});

test('what cannot be is refused, and changes nothing', { timeout: 150_000 }, async () => {
  const { mix, voices } = await meet();
  const film = await link.request('add', { contextId: mix.contextId, pipeline: { template: 'test' } });
  const rows = [
    ['a picture', [{ terminationId: film.terminationId, mid: 'video', input: 'x' }], 'INVALID_MESSAGE', '/inputs/0'],
    ['no such mid', [{ terminationId: voices[2].terminationId, mid: '7', input: 'x' }], 'INVALID_MESSAGE', '/inputs/0'],
    ['itself', [{ terminationId: mix.terminationId, mid: 'ann', input: 'x' }], 'INVALID_MESSAGE', '/inputs/0'],
    ['a name that is no mid', [{ input: 'a b' }], 'INVALID_MESSAGE', '/inputs/0'],
    ['twice the same', [{ input: 'x' }, { input: 'x' }], 'INVALID_MESSAGE', '/inputs/1'],
    ['who is not there', [{ input: 'x', remove: true }], 'INVALID_MESSAGE', '/inputs/0'],
    ['too many', [{}, {}], 'RESOURCES_UNAVAILABLE', '/inputs'],
  ];
  for (const [what, inputs, cause, param] of rows) {
    const refused = await change(mix, { inputs });
    assert.equal(refused.problemDetails?.cause, cause, `${what}: ${JSON.stringify(refused)}`);
    assert.equal(refused.problemDetails.invalidParams?.[0].param, param, what);
  }
  const single = await change(film, { inputs: [{ input: 'x' }] });
  assert.equal(single.problemDetails?.cause, 'INVALID_MESSAGE', JSON.stringify(single));
  // Who only listens; a place that is made in the same request; another source for one who stays.
  const listener = await change(mix, { inputs: [{ input: 'bob', remove: true }, {}, input(voices[1], 'dan')] });
  assert.deepEqual(listener.medias?.map((m) => m.mid), ['ann', '1', 'dan'], JSON.stringify(listener));
  assert.equal(listener.medias[1].source, undefined);
  assert.ok((await routeTo(mix, '1', voices[2])).success);
  await voices[2].hearer.hears([TONES[0], TONES[1]], [TONES[2]]);
  const moved = await change(mix, { inputs: [input(voices[2], 'ann')] });
  assert.ok(moved.success, JSON.stringify(moved));
  await voices[2].hearer.hears([TONES[1], TONES[2]], [TONES[0]]);
  for (const { leg } of voices) await leg.close();
});

test('in a mesh members may give pictures', { timeout: 150_000 }, async () => {
  const film = await link.request('add', { topology: 'mesh',
    pipeline: { template: 'test', parameters: { width: 160, height: 90 } } });
  const { contextId, terminationId } = film;
  const given = await link.request('add', { contextId, pipeline: { template: 'pictures' },
    inputs: [{ terminationId, mid: 'video', input: 'ann' }] });
  assert.ok(given.success, JSON.stringify(given));
  assert.deepEqual(given.medias.map((m) => [m.mid, m.direction, ...m.codecs]), [['ann', 'sendrecv', 'VP8']]);
});

test('a member that breaks is gone alone, and may come again', { timeout: 150_000 }, async () => {
  const first = await voice(0);
  const { contextId } = first;
  const mix = await link.request('add', { contextId, pipeline: { template: 'fragile' }, events: EVENTS });
  assert.ok(mix.success, JSON.stringify(mix));
  for (let round = 0; round < 2; round++) {
    const known = link.events.length;
    const failed = link.event((m) => m.terminationId === mix.terminationId && m.event === 'resourceFailure' &&
      !link.events.slice(0, known).includes(m));
    const came = await change(mix, { inputs: [{ input: 'quiet' }, input(first, 'ann')].slice(round) });
    assert.ok(came.success, JSON.stringify(came));
    const { mid, details } = await failed;
    assert.equal(mid, 'ann');
    assert.match(details.reason, /fragile\.pipeline:3/);
    const { terminations: [state] } = await link.request('audit', { contextId, terminationId: mix.terminationId });
    assert.equal(state.state, 'connected');
    assert.deepEqual(state.medias.map((m) => m.mid), ['quiet']);
  }
  await first.leg.close();
});

test('members change when the add is answered, not before', { timeout: 150_000 }, async () => {
  const { contextId } = await link.request('add', { pipeline: { template: 'test' } });
  const inputs = [{ input: 'ann' }, { input: 'bob' }];
  for (const remove of [inputs, inputs.slice(1)]) {
    const adding = link.request('add', { contextId, pipeline: { template: 'echo' }, inputs });
    let mix;
    while (mix?.pipeline.state !== 'playing') {
      await sleep(20);
      const { terminations } = await link.request('audit', { contextId });
      mix = terminations.find((t) => t.pipeline?.template === 'echo');
    }
    const { terminationId } = mix;
    const refused = await change({ contextId, terminationId }, { inputs: remove.map((one) => ({ ...one, remove: true })) });
    assert.equal(refused.problemDetails?.cause, 'INVALID_STATE', JSON.stringify(refused));
    assert.ok((await link.request('subtract', { contextId, terminationId })).success);
    assert.equal((await adding).problemDetails?.cause, 'TERMINATION_NOT_FOUND', JSON.stringify(await adding));
  }
});
