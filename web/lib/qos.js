// SPDX-License-Identifier: Apache-2.0
// What the network does with single media of a session (extension qos-report, protocol A6): closed
// gates and packets above the agreed rate, and what the media centre measures of them. The network tells
// what changes; here is what holds.

/** @typedef {import('./index.js').MediaQos} MediaQos */

const STATUSES = ['ENABLED', 'ENABLED-UPLINK', 'ENABLED-DOWNLINK', 'DISABLED', 'REMOVED'];
const DIRECTIONS = ['uplink', 'downlink'];
const MAX_MEDIA = 64;

export class QosReports {
    /** @type {Map<string, MediaQos>} */
    #media = new Map();

    /** As it is now, a copy. @returns {MediaQos[]} */
    get media() {
        return [...this.#media.values()].map(copy);
    }

    /**
     * Takes the member `qos` of an `mupdate`. What makes no sense is passed over: nothing depends on it.
     * @param {unknown} list
     * @param {number} [now] milliseconds, of performance.now()
     * @returns {MediaQos[]} the media that it is about, as they are now
     */
    take(list, now = performance.now()) {
        const changed = new Set();
        for (const entry of Array.isArray(list) ? list : []) {
            const one = this.#of(entry?.mid);
            if (one && apply(one, entry, now)) changed.add(one);
        }
        return [...changed].map(copy);
    }

    /** @param {unknown} mid */
    #of(mid) {
        if (typeof mid !== 'string' || mid === '') return undefined;
        const known = this.#media.get(mid);
        if (known || this.#media.size >= MAX_MEDIA) return known;
        /** @type {MediaQos} */
        const one = { mid, flowStatus: 'ENABLED', policingDiscarded: { uplink: 0, downlink: 0 } };
        this.#media.set(mid, one);
        return one;
    }
}

/**
 * @param {MediaQos} one
 * @param {any} entry
 * @param {number} now
 */
function apply(one, entry, now) {
    let changed = false;
    if (STATUSES.includes(entry.flowStatus)) {
        changed = true;
        one.flowStatus = entry.flowStatus;
        if (DIRECTIONS.includes(entry.gated)) one.gated = entry.gated;
        else delete one.gated;
    }
    const { packets, direction } = entry.policingDiscarded ?? {};
    if (Number.isSafeInteger(packets) && packets > 0 && DIRECTIONS.includes(direction)) {
        changed = true;
        one.policingDiscarded[/** @type {'uplink' | 'downlink'} */ (direction)] += packets;
        one.policedAt = now;
    }
    const { measured } = entry;
    if (typeof measured === 'object' && measured) {
        changed = true;
        // A whole new picture: frozen, so that every copy may share it.
        one.measured = Object.freeze({
            uplink: oneWay(measured.uplink),
            downlink: oneWay(measured.downlink),
            at: now,
        });
    }
    return changed;
}

/** @param {MediaQos} one */
function copy(one) {
    return { ...one, policingDiscarded: { ...one.policingDiscarded } };
}

const NUMBERS = ['bitrate', 'loss', 'jitter', 'roundTrip', 'estimate'];
const SIZES = ['spatial', 'temporal', 'frameWidth', 'frameHeight', 'bitrate'];
const REASONS = ['none', 'bandwidth', 'cpu', 'other'];
const MAX_ENCODINGS = 4;

/**
 * One direction of `measured`, its members of the right kind alone.
 * @param {any} told
 * @returns {import('./index.js').Measured | undefined}
 */
function oneWay(told) {
    if (typeof told !== 'object' || told === null) return undefined;
    /** @type {any} */
    const one = numbers(told, NUMBERS);
    if (typeof told.layer === 'object' && told.layer) one.layer = layer(told.layer);
    if (REASONS.includes(told.qualityLimitationReason)) one.qualityLimitationReason = told.qualityLimitationReason;
    if (Array.isArray(told.encodings)) one.encodings = told.encodings.slice(0, MAX_ENCODINGS).map(layer);
    return one;
}

/** @param {any} told */
function layer(told) {
    const one = numbers(told ?? {}, SIZES);
    return typeof told?.rid === 'string' ? { rid: told.rid, ...one } : one;
}

/**
 * @param {any} from
 * @param {string[]} names
 */
function numbers(from, names) {
    return Object.fromEntries(names.filter((name) => Number.isFinite(from[name]) && from[name] >= 0)
        .map((name) => [name, from[name]]));
}

/**
 * Whether packets pass: uplink is what this side sends.
 * @param {MediaQos | undefined} one
 * @param {'uplink' | 'downlink'} direction
 */
export function gateOpen(one, direction) {
    const status = one?.flowStatus ?? 'ENABLED';
    return status === 'ENABLED' || status === `ENABLED-${direction.toUpperCase()}`;
}
