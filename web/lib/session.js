// SPDX-License-Identifier: Apache-2.0
// One media session (protocol A6): state machine, the network's offers, the end of the call. The
// session outlives a connection to the service, so it never keeps the link itself but asks its
// owner, the client, to send. Offers are answered one after the other; an answer that comes too late
// for the state of things is dropped.

import { ProblemError, isObject } from './problem.js';
import { Negotiation, createPreOffer } from './negotiation.js';

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

/** How long an answered call may take to find its way to the media centre. */
const MEDIA_TIMEOUT_MS = 30_000;

/** Causes that a person's decision may carry in `mdisc`. */
const END_CAUSES = ['NORMAL', 'BUSY', 'DECLINED', 'MEDIA_FAILURE', 'PROTOCOL_ERROR'];

export class Session extends EventTarget {
    #host;
    /** @type {State} */
    #state;
    /** @type {MediaStreamTrack[]} */
    #tracks = [];
    /** @type {string[]} */
    #receive = ['audio', 'video'];
    #negotiation;
    #answering = Promise.resolve();
    /**
     * The network's offer that waits for the person to answer.
     * @type {{ sdp: string, offerId?: unknown } | null}
     */
    #waitingOffer = null;
    #wantsAnswer = false;
    /** Counts connections to the service: what was begun on a former one is void. */
    #epoch = 0;
    #answered = false;
    /** @type {RTCPeerConnectionState} */
    #pathState = 'new';
    #remoteStream;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #mediaTimer;

    /** @type {string | undefined} */ mediaSessionId;
    /** @type {'outgoing' | 'incoming'} */ direction;
    /** @type {string | undefined} */ peer;
    /** @type {unknown} */ userData;
    /** @type {unknown} */ participants;
    /** @type {import('./index.js').SessionEnd | undefined} */ end;

    /**
     * Made by the client alone.
     * @param {import('./index.js').SessionHost} host
     * @param {object} start
     * @param {'outgoing' | 'incoming'} start.direction
     * @param {string} [start.peer]
     * @param {string} [start.mediaSessionId]
     * @param {unknown} [start.userData]
     */
    constructor(host, { direction, peer, mediaSessionId, userData }) {
        super();
        this.#host = host;
        this.#state = direction === 'outgoing' ? 'initiating' : 'proceeding';
        this.direction = direction;
        this.peer = peer;
        this.mediaSessionId = mediaSessionId;
        this.userData = userData;
        this.#remoteStream = globalThis.MediaStream ? new MediaStream() : null;
        this.#negotiation = new Negotiation(host.media);
        this.#negotiation.addEventListener('track', (event) =>
            this.#onTrack(/** @type {CustomEvent} */ (event).detail),
        );
        this.#negotiation.addEventListener('connectionstate', (event) =>
            this.#onPath(/** @type {CustomEvent} */ (event).detail.state),
        );
    }

    get state() {
        return this.#state;
    }

    /** Whether sound and picture have a path; the states of RTCPeerConnection. */
    get pathState() {
        return this.#pathState;
    }

    /** Everything that the far side sends; tracks come and go in it. */
    get remoteStream() {
        return this.#remoteStream;
    }

    /** The RTCPeerConnection, null before the first offer. */
    get connection() {
        return this.#negotiation.connection;
    }

    /** @returns {Promise<RTCStatsReport | null>} */
    async getStats() {
        return this.connection ? this.connection.getStats() : null;
    }

    /**
     * Takes an incoming call. The media may be empty: then this side only receives.
     * @param {import('./index.js').MediaChoice} [media]
     */
    answer(media = {}) {
        if (
            this.direction !== 'incoming' ||
            !['proceeding', 'alerting'].includes(this.#state) ||
            this.#wantsAnswer
        ) {
            throw new ProblemError({ status: 409, cause: 'INVALID_STATE' });
        }
        this.#choose(media);
        this.#wantsAnswer = true;
        this.#answerWaiting();
    }

    /**
     * Refuses an incoming call: DECLINED for all endpoints of this person, BUSY for this one.
     * @param {'DECLINED' | 'BUSY'} [cause]
     */
    decline(cause = 'DECLINED') {
        this.hangUp(cause);
    }

    /**
     * Ends the session in any state; without a connection the network is told later.
     * @param {string} [cause]
     */
    hangUp(cause = 'NORMAL') {
        if (this.#state === 'terminated') return;
        if (!END_CAUSES.includes(cause)) throw new TypeError(`not a cause of this side: ${cause}`);
        if (this.mediaSessionId) this.#host.disconnect(this.mediaSessionId, cause);
        this._terminate({ cause, remote: false });
    }

    /**
     * Sends another track in place of the present one of its kind; null sends nothing.
     * @param {'audio' | 'video'} kind
     * @param {MediaStreamTrack | null} track
     * @returns {Promise<boolean>} false if this session does not send that kind
     */
    async replaceTrack(kind, track) {
        this.#tracks = this.#tracks.filter((one) => one.kind !== kind).concat(track ? [track] : []);
        return this.#negotiation.replaceTrack(kind, track);
    }

    /**
     * Starts an outgoing session.
     * @param {import('./index.js').MediaChoice} media
     * @param {{ preferredOriginatingId?: string }} options
     * @internal
     */
    async _start(media, { preferredOriginatingId }) {
        this.#choose(media);
        try {
            const preOfferDescription = await createPreOffer(this.#tracks, {
                ...this.#host.media,
                receive: this.#receive,
            });
            if (this._ended) return;
            const response = await this.#host.request('msetup', {
                resourceId: this.peer,
                preOfferDescription,
                ...(preferredOriginatingId ? { preferredOriginatingId } : {}),
                ...(this.userData === undefined ? {} : { userData: this.userData }),
            });
            this.#adopt(response);
            if (this._ended) {
                // Hung up before the network had named the session.
                if (this.mediaSessionId) this.#host.disconnect(this.mediaSessionId, 'NORMAL');
                return;
            }
            this.#setState('proceeding');
            this._update(response);
            if (typeof response.sdpOffer === 'string') this.#take(response);
        } catch (error) {
            this._terminate({
                cause: problemOf(error).cause,
                problem: problemOf(error),
                remote: true,
            });
        }
    }

    /**
     * An incoming session's first offer, kept until the person answers.
     * @param {import('./index.js').Message} message
     * @internal
     */
    _offered(message) {
        if (typeof message.sdpOffer === 'string') this.#take(message);
    }

    /**
     * Tells the network that this endpoint rings.
     * @internal
     */
    _alert() {
        if (this.#state !== 'proceeding') return;
        this.#setState('alerting');
        this.#send('mupdate', { mediaSessionState: 'alerting' }).catch(() => {});
    }

    /**
     * Members of an `mupdate` or a response that only inform.
     * @param {import('./index.js').Message} message
     * @internal
     */
    _update(message) {
        if (typeof message.assertedTerminatingId === 'string' && this.direction === 'outgoing') {
            this.peer = message.assertedTerminatingId;
        }
        if (message.userData !== undefined) this.userData = message.userData;
        if (message.participants !== undefined) this.participants = message.participants;
        const told = message.mediaSessionState;
        // `established` is our own knowledge: it follows the answer.
        if (this.direction === 'outgoing' && (told === 'alerting' || told === 'proceeding'))
            this.#setState(told);
        this.dispatchEvent(new CustomEvent('update', { detail: { message } }));
    }

    /**
     * An `mupdate` request of the network.
     * @param {import('./index.js').Message} message
     * @param {(members?: Record<string, unknown>) => void} respond
     * @internal
     */
    _onUpdate(message, respond) {
        const exclusive = [
            'sdpOffer',
            'sdpAnswer',
            'preOfferDescription',
            'resourceId',
            'problemDetails',
        ].filter((key) => message[key] !== undefined);
        if (
            exclusive.length > 1 ||
            (message.sdpOffer !== undefined && typeof message.sdpOffer !== 'string')
        ) {
            throw new ProblemError({
                status: 400,
                cause: 'INVALID_MESSAGE',
                detail: exclusive.join(', '),
            });
        }
        if (message.sdpAnswer !== undefined || message.problemDetails !== undefined) {
            throw new ProblemError({
                status: 409,
                cause: 'INVALID_STATE',
                detail: 'no offer of this side is outstanding',
            });
        }
        // A success without sdpAnswer means that the answer comes later (A6).
        respond({ mediaSessionId: this.mediaSessionId });
        this._update(message);
        if (message.sdpOffer !== undefined) this.#take(message);
    }

    /**
     * The connection to the service is gone: what was outstanding is void, an offer is rolled back.
     * @internal
     */
    _suspend() {
        this.#epoch += 1;
        this.#waitingOffer = null;
    }

    /**
     * The session is listed in the response to the new authentication.
     * @param {unknown} told the state that the network has for it
     * @internal
     */
    async _resume(told) {
        const running = told === 'established' || told === 'modifying';
        // Our first answer may have arrived although its response did not.
        if (running && this.#answered) this.#setState('established');
        if (this.#state === 'established' || this.#state === 'modifying') {
            await this.#negotiation.rollback().catch(() => {});
            if (this.#state === 'modifying') this.#setState('established');
        } else {
            this.#negotiation.reset(); // the network makes its first offer anew
            this.#answered = false;
        }
    }

    /**
     * @param {import('./index.js').SessionEnd} end
     * @internal
     */
    _terminate(end) {
        if (this.#state === 'terminated') return;
        this.end = end;
        this.#waitingOffer = null;
        clearTimeout(this.#mediaTimer);
        this.#negotiation.close();
        this.#setState('terminated');
        this.dispatchEvent(new CustomEvent('ended', { detail: end }));
        this.#host.forget(this);
    }

    /** @internal */
    get _ended() {
        return this.#state === 'terminated';
    }

    /** @param {import('./index.js').Message} response */
    #adopt(response) {
        if (typeof response.mediaSessionId !== 'string') {
            throw new ProblemError({
                status: 400,
                cause: 'PROTOCOL_ERROR',
                detail: 'no mediaSessionId',
            });
        }
        this.mediaSessionId = response.mediaSessionId;
        if (!this._ended) this.#host.remember(this);
    }

    /** @param {import('./index.js').MediaChoice} media */
    #choose({ stream, tracks, receive }) {
        this.#tracks = tracks ?? stream?.getTracks() ?? [];
        if (receive) this.#receive = receive;
    }

    /** @param {import('./index.js').Message} message */
    #take(message) {
        this.#waitingOffer = { sdp: String(message.sdpOffer), offerId: message.offerId };
        if (this.direction === 'outgoing' || this.#wantsAnswer) this.#answerWaiting();
    }

    #answerWaiting() {
        this.#answering = this.#answering.then(async () => {
            const offer = this.#waitingOffer;
            this.#waitingOffer = null;
            if (offer && !this._ended) await this.#answerOffer(offer);
        });
    }

    /** @param {{ sdp: string, offerId?: unknown }} offer */
    async #answerOffer({ sdp, offerId }) {
        const initial = this.#state !== 'established' && this.#state !== 'modifying';
        const echo = offerId === undefined ? {} : { offerId };
        const epoch = this.#epoch;
        const over = () => this._ended || epoch !== this.#epoch;
        if (!initial) this.#setState('modifying');
        let sdpAnswer;
        try {
            sdpAnswer = await this.#negotiation.answer(sdp, this.#tracks, this.#receive);
        } catch (error) {
            if (!over()) await this.#refuse(error, initial, echo);
            return;
        }
        if (over()) return;
        this.#answered = true;
        try {
            await this.#send('mupdate', { sdpAnswer, ...echo });
            if (over()) return;
            this.#setState('established');
            if (initial) this.#expectMedia();
        } catch (error) {
            const problem = problemOf(error);
            if (over() || problem.cause === 'CONNECTION_LOST') return; // void; resumption decides
            // A6: a refused answer ends an initial session; in a call the network makes a new offer.
            if (!initial) this.#setState('established');
            else {
                if (this.mediaSessionId)
                    this.#host.disconnect(this.mediaSessionId, 'MEDIA_FAILURE');
                this._terminate({ cause: problem.cause, problem, remote: true });
            }
        }
    }

    /**
     * The browser cannot apply the offer: it is refused, the session stays as it was.
     * @param {unknown} error
     * @param {boolean} initial
     * @param {Record<string, unknown>} echo
     */
    async #refuse(error, initial, echo) {
        const problem = new ProblemError({
            status: 422,
            cause: 'SDP_NOT_ACCEPTABLE',
            detail: error instanceof Error ? error.message.slice(0, 200) : undefined,
        });
        await this.#negotiation.rollback().catch(() => {});
        await this.#send('mupdate', { problemDetails: problem.toDetails(), ...echo }).catch(
            () => {},
        );
        if (this._ended) return;
        if (!initial) {
            this.#setState('established');
            return;
        }
        if (this.mediaSessionId) this.#host.disconnect(this.mediaSessionId, 'MEDIA_FAILURE');
        this._terminate({ cause: problem.cause, problem, remote: false });
    }

    /**
     * @param {string} method
     * @param {Record<string, unknown>} members
     */
    #send(method, members) {
        return this.#host.request(method, { mediaSessionId: this.mediaSessionId, ...members });
    }

    /** @param {{ track: MediaStreamTrack, transceiver: RTCRtpTransceiver }} detail */
    #onTrack({ track, transceiver }) {
        if (!this.#remoteStream?.getTracks().includes(track)) this.#remoteStream?.addTrack(track);
        this.dispatchEvent(
            new CustomEvent('track', {
                detail: { track, transceiver, stream: this.#remoteStream },
            }),
        );
    }

    /** An offer whose candidates are of no use leaves ICE in `new` for ever: a failure too. */
    #expectMedia() {
        if (this.#pathState === 'connected') return;
        this.#mediaTimer = setTimeout(() => this.hangUp('MEDIA_FAILURE'), MEDIA_TIMEOUT_MS);
    }

    /** @param {RTCPeerConnectionState} state */
    #onPath(state) {
        if (this._ended || state === this.#pathState) return;
        this.#pathState = state;
        if (state === 'connected') clearTimeout(this.#mediaTimer);
        this.dispatchEvent(new CustomEvent('pathchange', { detail: { state } }));
        if (state === 'failed') this.hangUp('MEDIA_FAILURE');
    }

    /** @param {State} state */
    #setState(state) {
        const previous = this.#state;
        if (state === previous || !TRANSITIONS[previous].includes(state)) return;
        this.#state = state;
        this.dispatchEvent(new CustomEvent('statechange', { detail: { state, previous } }));
    }
}

/**
 * @param {unknown} error
 * @returns {ProblemError}
 */
function problemOf(error) {
    if (error instanceof ProblemError) return error;
    return new ProblemError({
        cause: 'INTERNAL_ERROR',
        detail: error instanceof Error ? error.message : undefined,
    });
}

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
