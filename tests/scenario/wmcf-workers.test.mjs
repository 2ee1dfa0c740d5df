// SPDX-License-Identifier: Apache-2.0
// Contexts over two workers of the real wmcf, with generated legs that have ICE, DTLS and SRTP.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { IDENTITY, Wmcf, build } from '../support/wmcf.mjs';

const run = promisify(execFile);

// Runs the generator; `seen` hears how the workers stand while media flows.
async function load(wmcf, seen, ...more) {
  const generator = run(path.join(build, 'tests/support/wmcf-load'), ['control', '--url', wmcf.url,
    '--webrtc-id', IDENTITY, '--token-file', path.join(wmcf.folder, 'token'), '--pid',
    String(wmcf.process.pid), '--seconds', '1', '--warm-up', '1', '--parallel', '8', ...more]);
  let going = true;
  const watching = (async () => {
    for (; going; await sleep(100)) seen((await wmcf.ctl('status')).workers);
  })();
  try {
    return JSON.parse((await generator).stdout);
  } finally {
    going = false;
    await watching;
  }
}

async function workersBecome(wmcf, done) {
  for (let i = 0; ; i++) {
    const { workers } = await wmcf.ctl('status');
    if (workers.every(done)) return;
    assert.ok(i < 100, JSON.stringify(workers));
    await sleep(50);
  }
}

function check(media, ...never_too) {
  assert.equal(media.streams, media.streams_expected, JSON.stringify(media));
  for (const never of ['broken_payload', 'srtp_failed', ...never_too])
    assert.equal(media[never], 0, `${never} in ${JSON.stringify(media)}`);
}

test('a context of 40 legs is in two workers and complete, small ones are whole in either', { timeout: 150_000 },
  async () => {
    const wmcf = await Wmcf.start(['media.workers=2', 'media.bind=127.0.0.1']);
    let most = [0, 0], mirrors = 0;
    const report = await load(wmcf, (workers) => {
      most = most.map((legs, i) => Math.max(legs, workers[i].legs));
      mirrors = Math.max(mirrors, ...workers.map((w) => w.mirrors));
    }, '--fan-out', '39', '--audio', '--bitrate', '300000');
    const { media } = report;
    assert.ok(media.loss < 0.005, JSON.stringify(media));
    check(media, 'reordered', 'duplicates');
    assert.deepEqual(most.toSorted((a, b) => a - b), [8, 32]);
    assert.equal(mirrors, 2); // audio and video
    await workersBecome(wmcf, (w) => w.legs === 0 && w.mirrors === 0 && w.ringDropped === 0);
    // Small contexts: none is split, and both workers have some.
    [most, mirrors] = [[0, 0], 0];
    check((await load(wmcf, (workers) => {
      most = most.map((legs, i) => Math.max(legs, workers[i].legs));
      mirrors = Math.max(mirrors, ...workers.map((w) => w.mirrors));
    }, '--two-way', '--contexts', '8', '--audio', '--no-video')).media, 'reordered');
    assert.equal(most[0] + most[1], 16);
    assert.ok(Math.min(...most) >= 4, `${most}`);
    assert.equal(mirrors, 0);
    assert.equal(await wmcf.stop(), 0);
  });

test('a room whose four legs are in two workers, on a line that loses', { timeout: 150_000 },
  async () => {
    const wmcf = await Wmcf.start(['media.workers=2', 'media.bind=127.0.0.1', 'media.spread_legs=1']);
    let mirrors = 0;
    const report = await load(wmcf, (workers) => {
      mirrors = Math.max(mirrors, workers.reduce((n, w) => n + w.mirrors, 0));
    }, '--room', '4', '--audio', '--nack', '--drop-in', '0.05', '--drop-out',
      '0.05', '--bitrate', '500000');
    assert.ok(report.media.recovered > 0, JSON.stringify(report.media)); // video: what was lost
    check(report.media);
    assert.equal(mirrors, 8); // audio and video of each, in the other worker
    await workersBecome(wmcf, (w) => w.legs === 0 && w.mirrors === 0 && w.ringDropped === 0);
    assert.equal(await wmcf.stop(), 0);
  });
