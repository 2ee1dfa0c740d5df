// SPDX-License-Identifier: Apache-2.0
// The little that this library reads in descriptions; everything else in them is the browser's.

const DIRECTION = /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m;

/**
 * Direction per mid as a description says it, seen from who made it. A refused m-line (port 0 outside
 * a bundle) is left out.
 * @param {string} sdp
 * @returns {Map<string, string>}
 */
export function mediaDirections(sdp) {
    /** @type {Map<string, string>} */
    const directions = new Map();
    const [session, ...medias] = sections(sdp);
    const fallback = DIRECTION.exec(session)?.[1] ?? 'sendrecv';
    for (const media of medias) {
        const mid = /^a=mid:(\S+)/m.exec(media)?.[1];
        const refused = /^m=\S+ 0 /.test(media) && !/^a=bundle-only\s*$/m.test(media);
        if (mid === undefined || refused) continue;
        directions.set(mid, DIRECTION.exec(media)?.[1] ?? fallback);
    }
    return directions;
}

/**
 * The ICE user fragments of a description: they tell which candidates belong to it (RFC 8839 5.4).
 * @param {string | undefined} sdp
 * @returns {Set<string>}
 */
export function userFragments(sdp) {
    return new Set([...(sdp ?? '').matchAll(/^a=ice-ufrag:(\S+)/gm)].map(([, name]) => name));
}

/** @param {string} sdp the session part, then one part per m-line */
function sections(sdp) {
    return sdp.split(/\r?\n(?=m=)/);
}
