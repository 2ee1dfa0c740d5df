// SPDX-License-Identifier: Apache-2.0
// The one error class of the library. A problem comes from the network (RFC 9457 problem details
// with the 3GPP member `cause`, protocol A4) or from this side, when no answer can come at all; the
// latter have status 0. Applications switch on `cause` and never parse `title` or `detail`.

/**
 * Causes made on this side; everything else is the network's.
 * @type {Readonly<Record<string, string>>}
 */
export const LOCAL_CAUSES = Object.freeze({
    CONNECTION_FAILED: 'The service cannot be reached',
    CONNECTION_LOST: 'The connection to the service was lost',
    SESSION_LOST: 'The session ended while there was no connection',
    SUPERSEDED: 'Another page took over this registration',
    SIGNED_OUT: 'The client has signed out',
    PROTOCOL_ERROR: 'The service broke the rules of the protocol',
});

export class ProblemError extends Error {
    /** @param {import('./index.js').ProblemInit} problem */
    constructor(problem) {
        const title = problem.title ?? LOCAL_CAUSES[problem.cause] ?? problem.cause;
        super(problem.detail ? `${title}: ${problem.detail}` : title);
        this.name = 'ProblemError';
        this.status = problem.status ?? 0;
        /** @type {string} */
        this.cause = problem.cause;
        this.title = title;
        this.detail = problem.detail;
        this.retryAfter = problem.retryAfter;
        this.invalidParams = problem.invalidParams;
        this.unsupportedExtension = problem.unsupportedExtension;
        /**
         * The failed response, where there was one.
         * @type {import('./index.js').Message | undefined}
         */
        this.response = undefined;
    }

    /**
     * The problem of a message: a failed response, a refusing `mupdate`, an `mdisc`. A peer that
     * leaves the details out still gives an error with a cause.
     * @param {import('./index.js').Message} message
     * @param {string} [fallback] the cause where the message has none
     */
    static fromMessage(message, fallback = 'INTERNAL_ERROR') {
        const details = isObject(message.problemDetails) ? message.problemDetails : {};
        return new ProblemError({
            status: typeof details.status === 'number' ? details.status : 500,
            cause: typeof details.cause === 'string' ? details.cause : fallback,
            title: text(details.title),
            detail: text(details.detail),
            invalidParams: Array.isArray(details.invalidParams) ? details.invalidParams : undefined,
            retryAfter: typeof message.retryAfter === 'number' ? message.retryAfter : undefined,
            unsupportedExtension: Array.isArray(message.unsupportedExtension)
                ? message.unsupportedExtension
                : undefined,
        });
    }

    /**
     * The `problemDetails` object of a message that reports this problem.
     * @returns {Record<string, unknown>}
     */
    toDetails() {
        return {
            type: `urn:eirtcw:problem:${this.cause.toLowerCase()}`,
            status: this.status || 500,
            cause: this.cause,
            title: this.title,
            ...(this.detail ? { detail: this.detail } : {}),
        };
    }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
export function isObject(value) {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param {unknown} value */
function text(value) {
    return typeof value === 'string' ? value : undefined;
}

/**
 * @param {unknown} error
 * @returns {ProblemError}
 */
export function problemOf(error) {
    if (error instanceof ProblemError) return error;
    return new ProblemError({
        cause: 'INTERNAL_ERROR',
        detail: error instanceof Error ? error.message : undefined,
    });
}
