// SPDX-License-Identifier: Apache-2.0
// What the person wants of a call, apart from what was agreed: which tracks to send, which kinds to
// receive, data channels, whether it is on hold, codecs in order of preference, pictures in several
// sizes. A value, never changed in place: a change of a call is a new value, and a refused change goes
// back to the former one.

export const KINDS = /** @type {const} */ (['audio', 'video']);

/** @typedef {import('./index.js').Wants} Wants */

/** @type {Wants} */
export const NOTHING = Object.freeze({
    tracks: [],
    receive: [...KINDS],
    data: false,
    held: false,
    codecs: {},
    simulcast: true,
});

/**
 * @param {import('./index.js').MediaChoice} choice
 * @param {Wants} [wants]
 * @returns {Wants}
 */
export function choose({ stream, tracks, receive, data, codecs, simulcast }, wants = NOTHING) {
    return {
        ...wants,
        tracks: tracks ?? stream?.getTracks() ?? wants.tracks,
        receive: receive ?? wants.receive,
        data: data ?? wants.data,
        codecs: codecs ?? wants.codecs,
        simulcast: simulcast ?? wants.simulcast,
    };
}

/**
 * @param {boolean} sends
 * @param {boolean} receives
 * @returns {RTCRtpTransceiverDirection}
 */
export function direction(sends, receives) {
    if (sends) return receives ? 'sendrecv' : 'sendonly';
    return receives ? 'recvonly' : 'inactive';
}

/** @param {string | null | undefined} one */
export const sends = (one) => one === 'sendrecv' || one === 'sendonly';
/** @param {string | null | undefined} one */
export const receives = (one) => one === 'sendrecv' || one === 'recvonly';
