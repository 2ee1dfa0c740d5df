// SPDX-License-Identifier: Apache-2.0
// One plain English sentence for each cause, for the person who is calling. The table is exported,
// so that an application can bring its own language: same keys, same placeholders.

/** @type {Record<string, string>} */
export const SENTENCES = {
    // How a call ends (mdisc, protocol A6).
    NORMAL: '{peer} hung up.',
    BUSY: '{peer} is in another call.',
    DECLINED: '{peer} declined the call.',
    NO_ANSWER: '{peer} did not answer.',
    ANSWERED_ELSEWHERE: 'The call was answered on another device or tab.',
    MEDIA_FAILURE: 'Sound and picture could not get through, so the call ended.',
    QOS_LOST: 'The network could no longer carry the call in good quality, so it ended.',
    REGISTRATION_EXPIRED: '{peer} signed out, so the call ended.',
    OPERATOR: 'The operator ended the call.',
    PEER_LOST: '{peer} lost the connection and did not come back.',
    PROTOCOL_ERROR:
        'The service and this page did not understand each other; please reload the page.',

    // Why a request failed (problem details, protocol A4).
    AUTHENTICATION_FAILED: 'User name or password is wrong.',
    AUTHENTICATION_REQUIRED: 'Please sign in.',
    NOT_AUTHENTICATED: 'Please sign in.',
    REAUTH_INVALID: 'Your sign-in is no longer valid; please sign in again.',
    NOT_AUTHORIZED: 'You are not allowed to do this.',
    QOS_NOT_AUTHORIZED: 'Your contract does not include this quality.',
    RESOURCE_NOT_FOUND: 'There is nobody called {peer}.',
    USER_NOT_REGISTERED: '{peer} cannot be reached: unknown, or not signed in.',
    MEDIA_SESSION_NOT_FOUND: 'The call has already ended.',
    MEDIA_SESSION_GONE: 'The call has already ended.',
    PEER_TIMEOUT: 'The service did not answer in time; please try again.',
    USER_BUSY: '{peer} is in another call.',
    INVALID_STATE: 'That is not possible right now.',
    OFFER_GLARE: 'Both sides wanted to change the call at the same time; please try again.',
    METHOD_NOT_SUPPORTED: 'The service cannot do this.',
    EXTENSION_NOT_SUPPORTED: 'The service cannot do this.',
    APP_METHOD_UNKNOWN: '{peer} cannot do this.',
    ENFORCEMENT_UNAVAILABLE: 'The network cannot keep the quality that this call asks for.',
    MESSAGE_TOO_LARGE: 'That is more than the service takes.',
    SDP_NOT_ACCEPTABLE:
        'This browser and {peer} have no way of sending sound or picture in common.',
    INVALID_SDP: 'This browser and the service do not understand each other.',
    TOO_MANY_REQUESTS: 'Too many attempts; please wait {seconds} and try again.',
    INTERNAL_ERROR: 'Something went wrong inside the service; please try again.',
    PEER_WSF_ERROR: 'The other operator’s service failed; please try again later.',
    WMCF_ERROR: 'The media centre failed; please call again in a moment.',
    RESOURCES_UNAVAILABLE: 'The service is full at the moment; please try again later.',
    QOS_RESOURCES_UNAVAILABLE: 'The network has no room for this call at the moment.',
    DRAINING: 'The service is about to restart; please try again in a minute.',

    // On this side.
    CONNECTION_FAILED: 'The service cannot be reached. Check your connection and try again.',
    CONNECTION_LOST: 'The connection to the service was lost.',
    SESSION_LOST: 'The call ended while the connection to the service was lost.',
    SUPERSEDED:
        'You signed in somewhere else with this tab’s identity, so this page was signed out.',
    SIGNED_OUT: 'You have signed out.',
};

/** Ways for a call to end that say less than the problem that led there. */
const VAGUE = ['MEDIA_FAILURE', 'NO_ANSWER', 'OPERATOR', 'PROTOCOL_ERROR'];

/**
 * The sentence for a problem, a cause, or the end of a session.
 * @param {import('./problem.js').ProblemError | import('./index.js').SessionEnd | string} what
 * @param {{ peer?: string, sentences?: Record<string, string> }} [context]
 * @returns {string}
 */
export function sentenceFor(what, { peer, sentences = SENTENCES } = {}) {
    if (typeof what === 'object' && 'problem' in what && what.problem) {
        const { cause, problem } = what;
        const telling = VAGUE.includes(cause) && problem.cause in sentences;
        return sentenceFor(telling || cause === problem.cause ? problem : cause, {
            peer,
            sentences,
        });
    }
    const cause = typeof what === 'string' ? what : what.cause;
    const retryAfter =
        typeof what === 'object' && 'retryAfter' in what ? what.retryAfter : undefined;
    const known = sentences[cause];
    const sentence = known ?? `Something went wrong (${cause}).`;
    const values = {
        peer: peer ?? 'the other side',
        seconds: retryAfter === undefined ? 'a moment' : plural(retryAfter),
    };
    const filled = sentence.replace(
        /\{(peer|seconds)\}/g,
        (_, key) => values[/** @type {'peer' | 'seconds'} */ (key)],
    );
    // An address keeps its letters; only the stand-in for a missing one starts a sentence.
    return filled.startsWith('the other side') ? `T${filled.slice(1)}` : filled;
}

/** @param {number} seconds */
function plural(seconds) {
    const whole = Math.max(1, Math.ceil(seconds));
    return whole === 1 ? '1 second' : `${whole} seconds`;
}
