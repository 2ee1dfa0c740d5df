// SPDX-License-Identifier: Apache-2.0
// Microphone and camera, or as much of them as there is. A call is possible with less, even with
// nothing: what is missing is said in a sentence and the rest goes on.

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** @typedef {{ stream: MediaStream | undefined, sentence: string | undefined }} LocalMedia */

/**
 * Never rejects.
 * @param {{ picture?: boolean }} [wanted]
 * @returns {Promise<LocalMedia>}
 */
export async function openMedia({ picture: withPicture = true } = {}) {
    if (!navigator.mediaDevices?.getUserMedia) {
        return {
            stream: undefined,
            sentence:
                'This page was not opened over a secure connection, so the browser gives it neither ' +
                'microphone nor camera. Open it with https:// (or as http://localhost on the same ' +
                'machine). You see and hear the other side, but are not seen or heard.',
        };
    }
    if (!withPicture) {
        const { stream, reason } = await ask({ audio: AUDIO });
        return { stream, sentence: stream ? undefined : withoutSound(reason) };
    }
    const both = await ask({ audio: AUDIO, video: VIDEO });
    if (both.stream) return { stream: both.stream, sentence: undefined };
    const sound = await ask({ audio: AUDIO });
    if (sound.stream) return { stream: sound.stream, sentence: withoutCamera(both.reason) };
    const picture = await ask({ video: VIDEO });
    if (picture.stream)
        return { stream: picture.stream, sentence: withoutMicrophone(sound.reason) };
    return { stream: undefined, sentence: withoutBoth(both.reason) };
}

/**
 * The camera alone, in a call that is without.
 * @returns {Promise<{ track: MediaStreamTrack | undefined, sentence: string }>}
 */
export async function openCamera() {
    const { stream, reason } = await ask({ video: VIDEO });
    return { track: stream?.getVideoTracks()[0], sentence: withoutCamera(reason) };
}

/** @param {MediaStream | undefined} stream */
export function closeMedia(stream) {
    for (const track of stream?.getTracks() ?? []) track.stop();
}

/**
 * @param {MediaStreamConstraints} constraints
 * @returns {Promise<{ stream?: MediaStream, reason: string }>}
 */
async function ask(constraints) {
    try {
        return { stream: await navigator.mediaDevices.getUserMedia(constraints), reason: '' };
    } catch (error) {
        return { reason: error instanceof Error ? error.name : '' };
    }
}

/** @param {string} reason */
function withoutCamera(reason) {
    switch (reason) {
        case 'NotAllowedError':
            return 'The browser does not allow the camera, so you are heard but not seen.';
        case 'NotReadableError':
            return 'The camera is used by another program, so you are heard but not seen.';
        default:
            return 'No camera was found, so you are heard but not seen.';
    }
}

/** @param {string} reason */
function withoutMicrophone(reason) {
    switch (reason) {
        case 'NotAllowedError':
            return 'The browser does not allow the microphone, so you are seen but not heard.';
        case 'NotReadableError':
            return 'The microphone is used by another program, so you are seen but not heard.';
        default:
            return 'No microphone was found, so you are seen but not heard.';
    }
}

/** @param {string} reason */
function withoutSound(reason) {
    switch (reason) {
        case 'NotAllowedError':
            return 'The browser does not allow the microphone, so you are not heard.';
        case 'NotReadableError':
            return 'The microphone is used by another program, so you are not heard.';
        default:
            return 'No microphone was found, so you are not heard.';
    }
}

/** @param {string} reason */
function withoutBoth(reason) {
    switch (reason) {
        case 'NotAllowedError':
            return (
                'The browser does not allow microphone and camera. Allow them with the symbol beside ' +
                'the address, then call again. Until then you see and hear the other side only.'
            );
        case 'NotReadableError':
            return 'Microphone and camera are used by another program. You see and hear the other side only.';
        default:
            return 'No microphone and no camera were found. You see and hear the other side only.';
    }
}
