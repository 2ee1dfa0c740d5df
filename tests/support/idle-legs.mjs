// SPDX-License-Identifier: Apache-2.0
// Many legs that are connected, say nothing and go away at once, while one call runs through the same
// media centre: the call must not notice, and what the legs have taken must come back.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTwo } from './generated-leg.mjs';
import { ControlLink, TOKEN, Wmcf, build } from './wmcf.mjs';

const run = promisify(execFile);
const OTHER = 'other@example.org'; // the WSF of the idle legs

function taken(wmcf) {
  return { ...wmcf.resources(), fds: readdirSync(`/proc/${wmcf.process.pid}/fd`).length };
}

// Sets up `legs`, leaves them for `seconds`, takes them down: the generator's report.
async function idle(wmcf, token, legs, seconds) {
  const { stdout } = await run(path.join(build, 'tests/support/wmcf-load'), ['control', '--url', wmcf.url,
    '--webrtc-id', OTHER, '--token-file', token,
    '--pid', String(wmcf.process.pid), '--contexts', String(legs / 2), '--two-way', '--audio', '--idle',
    '--parallel', '20', '--warm-up', '0', '--seconds', String(seconds)]);
  return JSON.parse(stdout);
}

// Until nobody but the call's two legs is there, and the reaper is done.
async function until(done, what) {
  const deadline = Date.now() + 20_000;
  while (!await done()) {
    assert.ok(Date.now() < deadline, await what());
    await sleep(50);
  }
}

const received = async (legs) => (await Promise.all(legs.map((l) => l.stats()))).flatMap((s) => s.receive);
const silence = (streams) => Math.max(...streams.map((r) => r.longestSilenceUs)) / 1000;

// `cycles` times: what is kept after the first is what the process needs, what comes on top of it later
// would be a leak. `say` prints the figures.
export async function idleLegs({ legs, seconds, cycles, say }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'idle-legs-')), token = path.join(folder, 'token');
  writeFileSync(token, TOKEN);
  const wmcf = await Wmcf.start([`wsf "other".token_file=${token}`, `wsf "other".webrtc_id=${OTHER}`,
    'limits.terminations=2000']);
  const link = await ControlLink.open(wmcf.url);
  const call = await connectTwo(link);
  for (const leg of call) await leg.until((s) => s.receive.length === 2 && s.receive[0].packets > 50);
  const rest = taken(wmcf);
  const before = silence(await received(call)), pauses = [];
  let first;
  for (let i = 0; i < cycles; i++) {
    await Promise.all(call.map((leg) => leg.command('reset')));
    const report = await idle(wmcf, token, legs, seconds);
    assert.equal(report.setup.failed, 0, JSON.stringify(report));
    assert.equal(report.setup.legs, legs);
    await until(async () => (await wmcf.ctl('status')).terminations === 2 &&
      taken(wmcf).threads <= rest.threads && taken(wmcf).fds <= rest.fds,
    async () => `${JSON.stringify(rest)} has become ${JSON.stringify(taken(wmcf))}`);
    const streams = await received(call), after = taken(wmcf);
    // Nothing of the call is lost.
    for (const r of streams) {
      assert.equal(r.lost, 0, JSON.stringify(r));
      assert.equal(r.jumps, 0, JSON.stringify(r));
    }
    say(`${legs} legs, cycle ${i + 1}: ${((report.setup.process.resident_kb - rest.rss) / legs)
      .toFixed(0)} KiB, ${((report.setup.process.threads - rest.threads) / legs).toFixed(2)} threads each; ` +
      `kept ${after.rss - rest.rss} KiB; taken down in ${report.teardown.seconds} s; ` +
      `longest silence of the call ${silence(streams).toFixed(0)} ms, ${before.toFixed(0)} ms before`);
    pauses.push(silence(streams));
    first ??= after;
    // A leg has taken 200 KiB: a tenth of one in hundred is what fragmentation may do.
    if (!process.env.SANITIZED)
      assert.ok(after.rss - first.rss < 2048 + 20 * legs, `${first.rss} KiB have become ${after.rss}`);
  }
  // Where legs stop the call they do so each time; a machine that stands for a while does it once.
  assert.ok(Math.min(...pauses) < before + 1000, `silences of ${pauses} ms, ${before} before`);
  const { terminations } = await link.request('subtract', { contextId: call[0].contextId });
  for (const t of terminations)
    for (const m of t.statistics) assert.ok(m.uplink.packets > 50, JSON.stringify(m));
  await Promise.all(call.map((leg) => leg.close()));
  await link.close();
  assert.equal(await wmcf.stop(), 0);
  rmSync(folder, { recursive: true, force: true });
}
