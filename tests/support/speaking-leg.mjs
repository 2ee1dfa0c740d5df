// SPDX-License-Identifier: Apache-2.0
// Generated legs of whom one can see and hear something: a termination driven over the control link
// with the leg that answers its offer, what such a leg can be given to send, and what one perceives
// of what it is sent.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { GeneratedLeg } from './generated-leg.mjs';
import { build } from './wmcf.mjs';

const run = promisify(execFile);
const MEDIAS = { audio: { mediaType: 'audio' }, video: { mediaType: 'video', codecs: ['VP8'] } };

/**
 * @param link ControlLink
 * @param members of `add` besides (contextId, topology, mediaPath …)
 * @param options of GeneratedLeg.answer(); `kinds`: its m-lines, `payloads`: what those send, by index
 */
export async function speakingLeg(link, members = {}, { kinds = ['audio', 'video'], payloads = [], ...options } = {}) {
    const added = await link.request('add', {
        offerTemplate: { bundle: true, medias: kinds.map((kind) => MEDIAS[kind]) },
        mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }], ...members });
    assert.ok(added.success, JSON.stringify(added));
    const leg = new GeneratedLeg();
    const [, bind] = added.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
    const sdpAnswer = await leg.answer(added.sdpOffer, { bind, medias: kinds.length, ...options });
    for (const [index, list] of payloads.entries())
        await leg.command('tone', { index, payloads: list });
    const { contextId, terminationId } = added;
    const answered = await link.request('modify', { contextId, terminationId, sdpAnswer });
    assert.ok(answered.success, JSON.stringify(answered));
    return { leg, contextId, terminationId };
}

/** Colour bars, bright on the left and dark on the right, for "tone" of generated-leg.c: one key frame. */
export async function vp8Bars() {
    const folder = mkdtempSync(path.join(tmpdir(), 'bars-'));
    const file = path.join(folder, 'frame');
    await run('gst-launch-1.0', ['-q', 'videotestsrc', 'num-buffers=1', 'pattern=smpte75', '!',
        'video/x-raw,width=160,height=90', '!', 'vp8enc', 'min-quantizer=40', '!', 'filesink', `location=${file}`]);
    const frame = readFileSync(file).toString('hex');
    rmSync(folder, { recursive: true });
    return [`10${frame}`]; // the descriptor says: begins partition 0 (RFC 7741 4.2)
}

const received = (stats, kind) => stats.receive.find((one) => one.kind === kind);

/** Waits until so many more packets of sound have come, and a quarter of that of the picture. */
export async function flows({ leg }, packets = 20) {
    const from = await leg.stats();
    await leg.until((stats) => [['audio', packets], ['video', packets / 4]].every(([kind, more]) =>
        (received(stats, kind)?.packets ?? 0) >= (received(from, kind)?.packets ?? 0) + more), 60);
}

/**
 * What somebody sees and hears who looks at a leg, alone in its process, for a moment from a key frame
 * on. `frequency`: how loud that is at its end counts, and not what may have been heard before.
 */
export async function look({ leg }, folder, frequency) {
    const file = path.join(folder, `seen-${Math.random()}`);
    await leg.command('capture', { file });
    await leg.command('keyFrame');
    await flows({ leg }, 40);
    await leg.command('capture');
    const { stdout } = await run(path.join(build, 'tests/support/rtp-look'), [file, 'VP8', ...(frequency ? [`${frequency}`] : [])]);
    const seen = JSON.parse(stdout);
    return { ...seen, loudness: frequency ? seen.audio.tones[0] : seen.audio.level };
}

/** Which way round bars are, 'straight', 'turned' or the whole that was seen. */
export function side({ video }) {
    if (video.left > video.right + 60) return 'straight';
    return video.right > video.left + 60 ? 'turned' : JSON.stringify(video);
}

/** How much louder one is than the other, in dB. */
export const decibel = (one, other) => 20 * Math.log10(one.loudness / other.loudness);
