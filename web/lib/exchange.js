// SPDX-License-Identifier: Apache-2.0
// Offers and answers of one session (protocol A6): one offer outstanding, one answer per offer, in the
// response or later. The network wins a glare: its offer is applied at once, ours is void and is made
// anew after retryAfter. A refusal leaves everything as it was. All that touches the peer connection
// runs in one chain; what the network says meanwhile is only noted.

import { LocalCandidates } from './candidates.js';
import { ProblemError, problemOf } from './problem.js';

/** Longer than the 30 s after which the network refuses an offer that nobody answers. */
const ANSWER_TIMEOUT_MS = 35_000;
const MOST_ATTEMPTS = 10;
const LEAST_RETRY_S = 0.2;

/**
 * @typedef {object} Own an offer of ours that is outstanding
 * @property {string} offerId
 * @property {boolean} lost the network's offer has taken its place
 * @property {Later} answer the network's answer, if it comes later
 */

/**
 * @typedef {object} Later
 * @property {Promise<void>} promise
 * @property {() => void} resolve
 * @property {(problem: ProblemError) => void} reject
 */

export class Exchange {
    #port;
    #negotiation;
    #trickle;
    #chain = Promise.resolve();
    #turn = Promise.resolve();
    /** @type {Own | null} */
    #own = null;
    /** The network's offer that nobody has begun to answer. @type {{ sdp: string, offerId?: unknown } | null} */
    #waiting = null;
    #answering = 0;
    #count = 0;
    /** Counts connections to the service: what was begun on a former one is void. */
    #epoch = 0;

    /** @param {import('./index.js').ExchangePort} port */
    constructor(port) {
        this.#port = port;
        this.#negotiation = port.negotiation;
        this.#trickle = new LocalCandidates((members) => {
            port.send('mupdate', members).catch(() => {});
        });
        this.#negotiation.addEventListener('candidate', (/** @type {CustomEvent} */ event) => {
            if (port.trickles()) this.#trickle.add(event.detail.candidate);
        });
    }

    /** Whether the network's offer waits or is being answered. */
    get busy() {
        return this.#answering > 0 || this.#waiting !== null;
    }

    /** Whether an offer of ours is outstanding. */
    get outstanding() {
        return this.#own !== null;
    }

    /**
     * One change of a running call, after those before it: new wishes, a new path, or both. Resolves
     * when the other side has agreed; rejects with its refusal, and then all is as before.
     * @param {object} change
     * @param {(wants: import('./index.js').Wants) => import('./index.js').Wants} [change.wish]
     * @param {boolean} [change.iceRestart]
     * @param {boolean} [change.byNetwork] ask the network for the offer instead of making it
     * @returns {Promise<void>}
     */
    modify(change) {
        const turn = this.#turn.then(() => this.#modify(change));
        this.#turn = turn.catch(() => {});
        return turn;
    }

    /** @param {Parameters<Exchange['modify']>[0]} change */
    async #modify({ wish, iceRestart = false, byNetwork = false }) {
        const port = this.#port;
        await port.ready();
        const before = port.wants;
        if (wish) port.wants = wish(before);
        const asks = port.wants.receive.filter((kind) => !before.receive.includes(kind));
        try {
            for (let attempt = 1; ; attempt++) {
                try {
                    await (byNetwork ? this.#ask({ asks }) : this.#offer({ iceRestart, asks }));
                    return;
                } catch (error) {
                    const wait = retryAfter(problemOf(error), attempt);
                    if (wait === undefined) throw error;
                    await port.pause(wait);
                    await port.ready();
                }
            }
        } catch (error) {
            port.wants = before;
            await this.#onConnection(() => this.#negotiation.revert(before)).catch(() => {});
            throw error;
        }
    }

    /** @param {{ iceRestart: boolean, asks: string[] }} options */
    async #offer(options) {
        const port = this.#port;
        const epoch = this.#epoch;
        /** @type {Own} */
        const own = {
            offerId: String(++this.#count),
            lost: false,
            answer: later(),
        };
        const settled = port.modifying();
        try {
            await this.#onConnection(async () => {
                if (this.busy) throw glare();
                this.#own = own;
                await this.#negotiation.offer(port.wants, options);
            });
            const sdpOffer = await this.#negotiation.offered({ trickle: port.trickles() });
            if (own.lost) throw glare();
            if (epoch !== this.#epoch) throw new ProblemError({ cause: 'CONNECTION_LOST' });
            const sent = port.send('mupdate', { sdpOffer, offerId: own.offerId });
            if (port.trickles()) this.#trickle.open();
            const response = await sent;
            if (typeof response.sdpAnswer === 'string') await this.#accept(own, response.sdpAnswer);
            else await this.#later(own);
        } catch (error) {
            if (this.#own === own) {
                this.#own = null;
                await this.#onConnection(() => this.#negotiation.rollback()).catch(() => {});
            }
            throw error;
        } finally {
            if (this.#own === own) this.#own = null;
            this.#trickle.close();
            settled();
        }
    }

    /** @param {Own} own */
    async #later(own) {
        const timer = setTimeout(
            () => own.answer.reject(new ProblemError({ status: 504, cause: 'PEER_TIMEOUT' })),
            ANSWER_TIMEOUT_MS,
        );
        try {
            await own.answer.promise;
        } finally {
            clearTimeout(timer);
        }
    }

    /**
     * @param {Own} own
     * @param {string} sdp
     */
    #accept(own, sdp) {
        return this.#onConnection(async () => {
            if (this.#own !== own || own.lost) throw glare();
            await this.#negotiation.accept(sdp);
            this.#own = null;
            this.#port.agreed();
        });
    }

    /**
     * A pre-offer in a call: the network then makes the offer, which is answered like any other.
     * @param {{ asks: string[] }} options
     */
    async #ask(options) {
        const port = this.#port;
        const preOfferDescription = await this.#onConnection(() =>
            this.#negotiation.preOffer(port.wants, options),
        );
        const answered = port.nextAnswer();
        answered.catch(() => {}); // a refusal comes first
        await port.send('mupdate', { preOfferDescription });
        await answered;
    }

    /**
     * The pre-offer of a call that begins, if the network may answer it: an outstanding offer.
     * @param {string} sdp of the answer
     */
    async acceptEarly(sdp) {
        this.#trickle.close();
        await this.#onConnection(async () => {
            await this.#negotiation.accept(sdp);
            this.#port.agreed();
        });
    }

    /** The pre-offer may be answered from now on, so candidates may follow it. */
    trickleEarly() {
        if (this.#negotiation.early && this.#port.trickles()) this.#trickle.open();
    }

    /**
     * The network's answer to our offer, in a request of its own. Rejects with what to answer.
     * @param {import('./index.js').Message} message
     */
    async answered(message) {
        const own = this.#expected(message);
        try {
            await this.#accept(own, String(message.sdpAnswer));
        } catch (error) {
            own.answer.reject(problemOf(error));
            throw notAcceptable(error);
        }
        own.answer.resolve();
    }

    /**
     * The network's refusal of our offer.
     * @param {import('./index.js').Message} message
     */
    refused(message) {
        this.#expected(message).answer.reject(ProblemError.fromMessage(message));
    }

    /** @param {import('./index.js').Message} message */
    #expected({ offerId }) {
        const own = this.#own;
        if (!own || own.lost || (offerId !== undefined && offerId !== own.offerId)) {
            throw new ProblemError({
                status: 409,
                cause: 'INVALID_STATE',
                detail: 'no such offer of this side is outstanding',
            });
        }
        return own;
    }

    /**
     * An offer of the network. It is answered at once, or when the person has answered the call.
     * @param {import('./index.js').Message} message
     * @param {boolean} willing
     */
    take(message, willing) {
        this.#waiting = { sdp: String(message.sdpOffer), offerId: message.offerId };
        this.#trickle.close();
        if (this.#own) {
            // Applying the network's offer rolls ours back (implicit rollback, RFC 9429 4.1.10.2).
            this.#own.lost = true;
            this.#own.answer.reject(glare());
            this.#own = null;
        }
        if (willing) void this.answerWaiting();
    }

    answerWaiting() {
        return this.#onConnection(async () => {
            const offer = this.#waiting;
            this.#waiting = null;
            if (!offer || this.#port.ended()) return;
            this.#answering += 1;
            const settled = this.#port.modifying();
            try {
                await this.#answer(offer);
            } finally {
                this.#answering -= 1;
                settled();
            }
        });
    }

    /** @param {{ sdp: string, offerId?: unknown }} offer */
    async #answer({ sdp, offerId }) {
        const port = this.#port;
        const echo = offerId === undefined ? {} : { offerId };
        const epoch = this.#epoch;
        const over = () => port.ended() || epoch !== this.#epoch;
        let sdpAnswer;
        try {
            sdpAnswer = await this.#negotiation.answer(sdp, port.wants);
        } catch (error) {
            if (over()) return;
            // The browser cannot apply it: it is refused, the session stays as it was.
            const problem = notAcceptable(error);
            await this.#negotiation.revert(port.wants).catch(() => {});
            await port
                .send('mupdate', { problemDetails: problem.toDetails(), ...echo })
                .catch(() => {});
            port.failed(problem, { remote: false });
            return;
        }
        if (over()) return;
        port.answering();
        try {
            await port.send('mupdate', { sdpAnswer, ...echo });
            if (!over()) port.agreed();
        } catch (error) {
            const problem = problemOf(error);
            // Void when the connection went; then the resumption decides.
            if (!over() && problem.cause !== 'CONNECTION_LOST')
                port.failed(problem, { remote: true });
        }
    }

    /** The connection to the service is gone: what was outstanding on it is void. */
    suspend() {
        this.#epoch += 1;
        this.#waiting = null;
        this.#own?.answer.reject(new ProblemError({ cause: 'CONNECTION_LOST' }));
    }

    /** After a resumption: offers of both sides are rolled back (A6). */
    rollback() {
        return this.#onConnection(async () => {
            if (!this.#own) await this.#negotiation.rollback();
        }).catch(() => {});
    }

    close() {
        this.#waiting = null;
        this.#trickle.close();
        this.#own?.answer.reject(new ProblemError({ status: 410, cause: 'MEDIA_SESSION_GONE' }));
    }

    /**
     * @template T
     * @param {() => Promise<T>} work
     * @returns {Promise<T>}
     */
    #onConnection(work) {
        const done = this.#chain.then(work);
        this.#chain = done.then(
            () => {},
            () => {},
        );
        return done;
    }
}

function glare() {
    return new ProblemError({ status: 409, cause: 'OFFER_GLARE', retryAfter: 0 });
}

/**
 * Seconds after which a failed change is worth another attempt, undefined if it is not. A change that
 * met a lost connection is made again after the resumption: it also tells the network what holds here.
 * @param {ProblemError} problem
 * @param {number} attempt
 */
function retryAfter({ cause, retryAfter: told }, attempt) {
    if (attempt >= MOST_ATTEMPTS) return undefined;
    if (cause === 'CONNECTION_LOST') return 0;
    if (cause !== 'OFFER_GLARE') return undefined;
    // Both sides of a glare between clients come back: not at the same moment.
    return Math.max(told ?? 0, LEAST_RETRY_S) * (1 + Math.random());
}

/** @param {unknown} error */
function notAcceptable(error) {
    return new ProblemError({
        status: 422,
        cause: 'SDP_NOT_ACCEPTABLE',
        detail: error instanceof Error ? error.message.slice(0, 200) : undefined,
    });
}

/** @returns {Later} */
function later() {
    /** @type {any} */
    const made = {};
    made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
    made.promise.catch(() => {}); // whether anybody waits for it is seen later
    return made;
}
