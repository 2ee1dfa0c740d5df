// SPDX-License-Identifier: Apache-2.0
// The states of a media session on its leg (protocol A6), and how it ends.

import { ProblemError, isObject } from './problem.js';

/** @typedef {import('./index.js').SessionState} State */

/** @type {Record<State, State[]>} */
const TRANSITIONS = {
    initiating: ['proceeding', 'alerting', 'established', 'terminated'],
    proceeding: ['alerting', 'established', 'terminated'],
    alerting: ['established', 'terminated'],
    established: ['modifying', 'terminated'],
    modifying: ['established', 'terminated'],
    terminated: [],
};

/** Causes that this side may give in `mdisc`. */
export const END_CAUSES = ['NORMAL', 'BUSY', 'DECLINED', 'MEDIA_FAILURE', 'PROTOCOL_ERROR'];

/**
 * @param {State} from
 * @param {State} to
 */
export const mayBecome = (from, to) => TRANSITIONS[from].includes(to);

/**
 * Whether there is a call that can be changed.
 * @param {State} state
 */
export const isRunning = (state) => state === 'established' || state === 'modifying';

/**
 * Why the network ended a session: problem details say more than the cause when a set-up failed.
 * @param {import('./index.js').Message} message
 * @returns {import('./index.js').SessionEnd}
 */
export function endOf(message) {
    const cause = typeof message.cause === 'string' ? message.cause : 'NORMAL';
    const problem = isObject(message.problemDetails)
        ? ProblemError.fromMessage(message, cause)
        : undefined;
    return { cause, problem, remote: true };
}

/**
 * What a change meets that comes too late.
 * @param {import('./index.js').SessionEnd | undefined} end
 */
export function goneProblem(end) {
    return (
        end?.problem ??
        new ProblemError({ status: 410, cause: 'MEDIA_SESSION_GONE', detail: end?.cause })
    );
}
