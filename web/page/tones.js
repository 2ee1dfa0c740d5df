// SPDX-License-Identifier: Apache-2.0
// Ringing, made of two sine waves so that no sound file is needed: the European ringing tone for the
// caller (425 Hz, 1 s on, 4 s off), a softer trill for who is called. A browser that has not seen a
// click yet keeps silent; then the picture rings alone.

/** @type {AudioContext | undefined} */
let context;
/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;
/** @type {GainNode | undefined} */
let output;

/** What the caller hears while it rings at the far end. */
export function ringBack() {
    start(5000, (at) => beep(425, at, 1, 0.05));
}

/** What the called person hears. */
export function ring() {
    start(3000, (at) => {
        for (let i = 0; i < 4; i++) {
            beep(660, at + i * 0.25, 0.12, 0.12);
            beep(880, at + i * 0.25 + 0.12, 0.12, 0.12);
        }
    });
}

export function silence() {
    clearInterval(timer);
    timer = undefined;
    output?.disconnect();
    output = undefined;
}

/**
 * @param {number} period milliseconds
 * @param {(at: number) => void} play
 */
function start(period, play) {
    silence();
    context ??= new AudioContext();
    context.resume().catch(() => {});
    output = context.createGain();
    output.connect(context.destination);
    const once = () => context && play(context.currentTime + 0.05);
    once();
    timer = setInterval(once, period);
}

/**
 * @param {number} frequency
 * @param {number} at
 * @param {number} seconds
 * @param {number} level
 */
function beep(frequency, at, seconds, level) {
    if (!context || !output) return;
    const tone = context.createOscillator();
    const envelope = context.createGain();
    tone.frequency.value = frequency;
    // Soft edges, or each beep clicks.
    envelope.gain.setValueAtTime(0, at);
    envelope.gain.linearRampToValueAtTime(level, at + 0.02);
    envelope.gain.setValueAtTime(level, at + seconds - 0.03);
    envelope.gain.linearRampToValueAtTime(0, at + seconds);
    tone.connect(envelope).connect(output);
    tone.start(at);
    tone.stop(at + seconds);
}
