// SPDX-License-Identifier: Apache-2.0
// When to connect again: pure rules of protocol A1, without a timer of their own.

const FIRST_S = 1;
const LONGEST_S = 60;
const LONGEST_IN_CALL_S = 5;

/**
 * Seconds to wait before attempt `attempt` (0, 1, 2 …): 1 s doubling to 60 s; while media sessions
 * live at most min(5 s, disconnectionTtl / 6), so that several attempts fit into the time to live.
 * The upper half is random, so that the clients of a restarted server do not come as one.
 * @param {number} attempt
 * @param {{ sessions?: number, disconnectionTtl?: number, random?: () => number }} [now]
 */
export function reconnectDelay(attempt, { sessions = 0, disconnectionTtl = 30, random } = {}) {
    let delay = Math.min(LONGEST_S, FIRST_S * 2 ** Math.min(attempt, 10));
    if (sessions > 0) delay = Math.min(delay, LONGEST_IN_CALL_S, disconnectionTtl / 6);
    return delay * (0.5 + 0.5 * (random ?? Math.random)());
}

/**
 * What a close code asks for.
 * - `resume`: connect again with the re-authentication credential
 * - `authenticate`: connect again with full authentication
 * - `stop`: stay away
 * @param {number} code
 * @returns {'resume' | 'authenticate' | 'stop'}
 */
export function afterClose(code) {
    switch (code) {
        case 1000: // the server has ended the registration on purpose
        case 4401: // not authenticated
        case 4409: // superseded by another connection of this endpoint
            return 'stop';
        case 4410: // registration expired
            return 'authenticate';
        default: // 1001, 1006, 1011, 1012, 1013, 4400, 4408, 4429 …
            return 'resume';
    }
}

/**
 * The least number of seconds to stay away after a close code.
 * @param {number} code
 */
export function leastDelay(code) {
    return code === 4429 || code === 4400 ? 10 : 0;
}
