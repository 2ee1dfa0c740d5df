// SPDX-License-Identifier: Apache-2.0
// Tones as opus for generated legs, and which of them one hears.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { build } from './wmcf.mjs';

const run = promisify(execFile);
const LEVEL = 0.2;

/** A second of a tone in packets of 20 ms, in hexadecimal, for "tone" of generated-leg.c. */
export async function opusTone(frequency) {
  const folder = mkdtempSync(path.join(tmpdir(), 'tone-'));
  await run('gst-launch-1.0', ['-q', 'audiotestsrc', 'num-buffers=50', 'samplesperbuffer=960', `freq=${frequency}`,
    `volume=${LEVEL}`, '!', 'audio/x-raw,rate=48000,channels=1', '!', 'opusenc', 'bitrate=32000', '!',
    'multifilesink', `location=${folder}/%03d`]);
  const payloads = readdirSync(folder).sort().slice(0, 50).map((file) => readFileSync(path.join(folder, file)).toString('hex'));
  rmSync(folder, { recursive: true });
  return payloads;
}

/** What a leg, alone in its process, is sent. */
export class Hearer {
  constructor(leg, folder, name) {
    this.leg = leg;
    this.file = path.join(folder, `${name}.capture`);
  }

  /** How strong each frequency is, as a part of what opusTone() makes. */
  async listen(frequencies, ms = 400) {
    await this.leg.command('capture', { file: this.file });
    await sleep(ms);
    await this.leg.command('capture');
    const { stdout } = await run(path.join(build, 'tests/support/rtp-look'), [this.file, 'VP8', ...frequencies.map(String)]);
    return JSON.parse(stdout).audio.tones.map((level) => level / LEVEL);
  }

  /** Waits until just these are heard. */
  async hears(there, absent, seconds = 20) {
    for (const limit = Date.now() + seconds * 1000; ;) {
      const levels = await this.listen([...there, ...absent]);
      if (levels.every((level, i) => i < there.length ? level > 0.4 && level < 2 : level < 0.06)) return levels;
      assert.ok(Date.now() < limit, `${this.file}: ${there} but not ${absent}: ${levels}`);
    }
  }
}
