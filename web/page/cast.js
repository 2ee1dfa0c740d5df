// SPDX-License-Identifier: Apache-2.0
// Who of a room gets a tile, and in which order. Those who are seen come before those who are only
// heard, then who has spoken lately. Whoever has a tile keeps its place as long as possible: a newcomer
// takes the place of who goes, so that nobody's picture jumps because somebody else speaks.

/**
 * @typedef {object} Candidate
 * @property {string} id
 * @property {boolean} seen whether there is a picture
 * @property {number} spoke when they spoke last, 0: never
 */

/**
 * @param {Candidate[]} people in order of joining
 * @param {object} how
 * @param {string[]} how.before who had a tile, in order
 * @param {number} how.places
 * @param {string[]} [how.always] who has one in any case
 * @returns {string[]} ids
 */
export function choose(people, { before, places, always = [] }) {
    const rank = (/** @type {Candidate} */ one) =>
        (always.includes(one.id) ? 4 : 0) + (one.seen ? 2 : 0) + (before.includes(one.id) ? 1 : 0);
    const chosen = [...people]
        .sort((one, other) => rank(other) - rank(one) || other.spoke - one.spoke)
        .slice(0, places)
        .map((one) => one.id);
    const fresh = people.map((one) => one.id).filter((id) => chosen.includes(id) && !before.includes(id));
    const kept = before.map((id) => (chosen.includes(id) ? id : fresh.shift()));
    return [...kept, ...fresh].filter((id) => id !== undefined);
}
