// SPDX-License-Identifier: Apache-2.0
// What one termination sends, recorded by a pipeline termination: a whole file that lasts as long as
// it was told, one that plays although the media centre was killed, and what is refused.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const run = promisify(execFile);
const PACKET_S = 0.02; // of sound
const EVENTS = ['endOfStream', 'resourceFailure'];
let wmcf, link, folder;

async function begin() {
  wmcf = await Wmcf.start([`pipelines.record_folder=${folder}/recordings`]);
  link = await ControlLink.open(wmcf.url);
}
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'recordings-'));
  mkdirSync(path.join(folder, 'recordings/today'), { recursive: true });
  symlinkSync('..', path.join(folder, 'recordings/out'));
  await begin();
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

const file = (name) => path.join(folder, 'recordings', name);
const source = (parameters = {}) => link.request('add', { events: EVENTS,
  pipeline: { template: 'test', parameters: { width: 320, height: 180, ...parameters } } });
const record = (from, name, parameters = {}, mids = ['audio', 'video'], template = 'record') => link.request('add', {
  contextId: from.contextId, events: EVENTS, pipeline: { template, parameters: { file: name, ...parameters } },
  inputs: mids.map((mid) => ({ terminationId: from.terminationId, mid })) });
const end = ({ contextId, terminationId }) => link.request('subtract', { contextId, terminationId });
const audit = async ({ contextId, terminationId }) =>
  (await link.request('audit', { contextId, terminationId })).terminations[0];
async function until(condition, what) {
  for (const limit = Date.now() + 40000; !(await condition());) {
    assert.ok(Date.now() < limit, `not within 40 s: ${what}`);
    await sleep(50);
  }
}

/** What is in a file: codecs, seconds, and that every frame of it can be decoded. */
async function look(name) {
  const { stdout } = await run('gst-discoverer-1.0', ['-v', `file://${file(name)}`]);
  const [, h, m, s] = stdout.match(/Duration: (\d+):(\d+):([\d.]+)/) ?? [];
  const decoded = await run('gst-launch-1.0', ['-m', 'filesrc', `location=${file(name)}`, '!', 'decodebin', 'name=d',
    'd.', '!', 'queue', '!', 'fakesink', 'sync=false'], { maxBuffer: 64 << 20 });
  assert.match(decoded.stdout, /eos/i);
  return { stdout, seconds: h === undefined ? undefined : +h * 3600 + +m * 60 + +s };
}

/** Seconds between the first and the last frame of the picture. */
async function span(name) {
  const { stdout } = await run('gst-launch-1.0', ['-v', 'filesrc', `location=${file(name)}`, '!', 'matroskademux', 'name=d',
    'd.video_0', '!', 'identity', 'silent=false', '!', 'fakesink', 'silent=true'], { maxBuffer: 64 << 20 });
  const times = [...stdout.matchAll(/pts: (\d+):(\d+):([\d.]+)/g)].map(([, h, m, s]) => +h * 3600 + +m * 60 + +s);
  return { first: Math.min(...times), last: Math.max(...times), frames: times.length };
}

test('sound and picture are recorded, as long as they were', { timeout: 120000 }, async () => {
  const from = await source();
  const asked = performance.now();
  const to = await record(from, 'today/call.webm', { format: 'webm' });
  assert.ok(to.success, JSON.stringify(to));
  assert.deepEqual(to.medias.map((m) => [m.mid, m.direction, m.source, ...m.codecs]), [
    ['audio', 'sendonly', { terminationId: from.terminationId, mid: 'audio' }, 'opus'],
    ['video', 'sendonly', { terminationId: from.terminationId, mid: 'video' }, 'VP8']]);
  const began = performance.now();
  await until(async () => (await audit(to)).pipeline.inputs.every((i) => i.packets > 100), 'packets at both inputs');
  await sleep(3000 - Math.min(performance.now() - began, 2900));
  const { pipeline } = await audit(to);
  assert.deepEqual(pipeline.inputs.map((i) => [i.input, i.overrun]), [['audio', 0], ['video', 0]]);
  await end(to);
  // All that had come is in it, and nothing of other times.
  const least = pipeline.inputs[0].packets * PACKET_S, most = (performance.now() - asked) / 1000;
  // The answer does not wait for the disk; the file is whole soon after.
  await until(async () => (await look('today/call.webm').catch(() => ({}))).seconds !== undefined, 'a whole file');
  const { stdout, seconds } = await look('today/call.webm');
  assert.match(stdout, /audio.*Opus/i);
  assert.match(stdout, /video.*VP8/i);
  assert.ok(seconds > least - 0.5 && seconds < most + 0.5, `${seconds} s of ${least} to ${most} s`);
});

test('a file that a crash has left plays up to the last two seconds', { timeout: 120000 }, async () => {
  const from = await source({ framerate: 25 });
  const to = await record(from, 'crash.mkv');
  assert.ok(to.success, JSON.stringify(to));
  const began = performance.now();
  await until(async () => (await audit(to)).pipeline.inputs.every((i) => i.packets > 150), 'packets at both inputs');
  await sleep(5000 - Math.min(performance.now() - began, 4900));
  const wanted = (await audit(to)).pipeline.inputs[0].packets * PACKET_S;
  assert.equal(await wmcf.stop('SIGKILL'), 'SIGKILL');
  await link.close().catch(() => {});
  const { first, last, frames } = await span('crash.mkv');
  assert.ok(last - first > wanted - 2 - 0.5, `${first} s to ${last} s of ${wanted} s`);
  assert.ok(frames > 10 * (last - first), `${frames} frames`);
  await begin();
});

test('a recording to which nothing came leaves no file', { timeout: 120000 }, async () => {
  const from = await source();
  await until(async () => (await audit(from)).pipeline.state === 'playing', 'a picture');
  const { contextId, terminationId } = from;
  assert.ok((await link.request('modify', { contextId, terminationId, pause: true })).success);
  const made = [];
  for (const [name, template] of [['none.mkv'], ['none.mp4', 'record-mp4']]) {
    // A packet that is under way when it halts is one.
    await until(async () => {
      const to = await record(from, name, {}, ['audio'], template);
      assert.ok(to.success, JSON.stringify(to));
      await sleep(300);
      const silent = (await audit(to)).pipeline.inputs.every(({ packets }) => packets === 0);
      if (silent) made.push(to);
      else await end(to);
      if (!silent) rmSync(file(name), { force: true });
      return silent;
    }, 'silence');
    assert.ok(existsSync(file(name)), name);
  }
  for (const to of made) await end(to);
  await until(() => !existsSync(file('none.mkv')) && !existsSync(file('none.mp4')), 'no files');
  await end(from);
});

test('H264 goes into Matroska and MP4, sound alone into WebM', { timeout: 120000 }, async () => {
  const from = await source({ video: 'H264' });
  const made = [await record(from, 'a.mkv'), await record(from, 'a.mp4', {}, undefined, 'record-mp4'),
    await record(from, 'sound.webm', { format: 'webm' }, ['audio'])];
  for (const one of made) assert.ok(one.success, JSON.stringify(one));
  await until(async () => (await Promise.all(made.map(audit))).every((t) => t.pipeline.inputs.every((i) => i.packets > 60)),
    'packets at all inputs');
  for (const one of made) await end(one);
  for (const name of ['a.mkv', 'a.mp4', 'sound.webm'])
    await until(async () => (await look(name).catch(() => ({}))).seconds > 0.5, `a whole ${name}`);
  assert.match((await look('a.mp4')).stdout, /H\.264/);
  assert.doesNotMatch((await look('sound.webm')).stdout, /video/i);
  // The wrong one for it is told in GStreamer's words, and the others go on.
  const wrong = await record(from, 'wrong.webm', { format: 'webm' });
  assert.equal(wrong.success, false);
  assert.equal(wrong.problemDetails.cause, 'WMCF_ERROR', JSON.stringify(wrong));
});

test('what cannot be is refused, and leaves the rest as it was', { timeout: 120000 }, async () => {
  const from = await source();
  assert.ok((await record(from, 'there.webm')).success);
  const rows = [
    ['another file of this name', () => record(from, 'there.webm'), 'INVALID_MESSAGE', '/pipeline/parameters/file'],
    ['outside of the folder', () => record(from, '../a.webm'), 'INVALID_MESSAGE', '/pipeline/parameters/file'],
    ['outside by a link', () => record(from, 'out/a.webm'), 'INVALID_MESSAGE', '/pipeline/parameters/file'],
    ['no folder', () => record(from, 'nowhere/a.webm'), 'WMCF_ERROR', '/pipeline/parameters/file'],
    ['no name', () => record(from, ''), 'INVALID_MESSAGE', '/pipeline/parameters/file'],
    ['no such mid', () => record(from, 'b.webm', {}, ['film']), 'INVALID_STATE', '/inputs/0'],
    ['twice the same', () => record(from, 'b.webm', {}, ['audio', 'audio']), 'INVALID_MESSAGE', '/inputs/1'],
    ['an input as a parameter', () => record(from, 'b.webm', { audio: 'opus' }), 'INVALID_MESSAGE', '/pipeline/parameters/audio'],
    ['inputs of what takes none', () => record(from, undefined, {}, ['audio'], 'test'), 'INVALID_MESSAGE', '/inputs/0'],
    ['no such termination', () => record({ ...from, terminationId: 't-none' }, 'b.webm'), 'TERMINATION_NOT_FOUND', undefined],
  ];
  for (const [what, ask, cause, param] of rows) {
    const refused = await ask();
    assert.equal(refused.success, false, what);
    assert.equal(refused.problemDetails.cause, cause, `${what}: ${JSON.stringify(refused)}`);
    if (param) assert.equal(refused.problemDetails.invalidParams?.[0].param, param, what);
  }
  assert.equal(existsSync(path.join(folder, 'a.webm')), false);
  await until(() => statSync(file('there.webm')).size > 10000, 'the recording goes on');
});
