// SPDX-License-Identifier: Apache-2.0
// Films for tests, made by GStreamer's own tools.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A WebM file: a moving ball of 25 pictures a second with key frames each second, and a tone. */
export async function makeFilm(file, { seconds = 4, frequency = 1000, picture = true, sound = true } = {}) {
  await run('gst-launch-1.0', ['-q', ...'webmmux name=mux ! filesink'.split(' '), `location=${file}`,
    ...(picture ? (`videotestsrc num-buffers=${seconds * 25} pattern=ball motion=sweep ! ` +
      'video/x-raw,width=320,height=180,framerate=25/1 ! ' +
      'vp8enc deadline=1 cpu-used=8 keyframe-max-dist=25 ! queue ! mux.').split(' ') : []),
    ...(sound ? (`audiotestsrc num-buffers=${seconds * 50} samplesperbuffer=960 freq=${frequency} ` +
      'volume=0.5 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! queue ! mux.').split(' ') : [])],
  { env: { ...process.env, LD_PRELOAD: '' } });
}
