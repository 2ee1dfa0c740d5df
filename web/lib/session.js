// SPDX-License-Identifier: Apache-2.0
// One media session (protocol A6): its states, what the application may do with it, what the network
// says of it. Offers and answers are in exchange.js. The session outlives a connection to the
// service, so it never keeps the link itself but asks its owner, the client, to send.

import { Bell } from './bell.js';
import { Exchange } from './exchange.js';
import { DIRECT_MEDIA, PRE_OFFER_AS_OFFER, TRICKLE_ICE } from './extensions.js';
import { HoldWatch } from './hold.js';
import { Negotiation } from './negotiation.js';
import { PathWatch } from './path.js';
import { ProblemError, problemOf } from './problem.js';
import { QosReports } from './qos.js';
import { Room } from './room.js';
import { END_CAUSES, goneProblem, isRunning, mayBecome } from './states.js';
import { checkUpdate } from './update.js';
import { Views } from './view.js';
import { NOTHING, choose } from './wants.js';

/** @typedef {import('./index.js').SessionState} State */

const OFFER_TIMEOUT_MS = 35_000;

export class Session extends EventTarget {
    #host;
    /** @type {State} */
    #state;
    #wants = NOTHING;
    #negotiation;
    #exchange;
    #path;
    #hold;
    #qos = new QosReports();
    #room = new Room();
    #views;
    #recording = false;
    #willing = false;
    #answered = false;
    #suspended = false;
    /** Offers and answers in progress. */
    #modifications = 0;
    #bell = new Bell();
    /** How many offers of the network have been answered. */
    #agreements = 0;
    #remoteStream;

    /** @type {string | undefined} */ mediaSessionId;
    /** @type {'outgoing' | 'incoming'} */ direction;
    /** @type {string | undefined} */ peer;
    /** @type {unknown} */ userData;
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
        this.#willing = direction === 'outgoing';
        this.#remoteStream = globalThis.MediaStream ? new MediaStream() : null;
        this.#negotiation = new Negotiation(host.media);
        this.#negotiation.addEventListener('track', (event) =>
            this.#onTrack(/** @type {CustomEvent} */ (event).detail),
        );
        this.#negotiation.addEventListener('datachannel', (event) =>
            this.#emit('datachannel', /** @type {CustomEvent} */ (event).detail),
        );
        this.#path = new PathWatch(this.#negotiation, {
            changed: (state) => this.#emit('pathchange', { state }),
            restart: () => this.restartIce(),
            lost: () => this.hangUp('MEDIA_FAILURE'),
        });
        this.#hold = new HoldWatch(this.#negotiation, (detail) => this.#emit('holdchange', detail));
        this.#exchange = new Exchange(this.#port());
        this.#views = new Views({
            send: (views) => this.request(`view.${this.#realm}`, { views }),
            midsOf: (participantId) => this.#pictures(participantId),
        });
    }

    get state() {
        return this.#state;
    }

    /** Whether sound and picture have a path; the states of RTCPeerConnection. */
    get pathState() {
        return this.#path.state;
    }

    /** Whether this side has put the call on hold. */
    get held() {
        return this.#wants.held;
    }

    /** Whether the other side has: it takes nothing of what we would send. */
    get heldByPeer() {
        return this.#hold.heldByPeer;
    }

    /** What the network does with single media: closed gates, packets above the agreed rate. */
    get qos() {
        return this.#qos.media;
    }

    /** Whether the network records this conversation. */
    get recording() {
        return this.#recording;
    }

    /** The others in the room; empty in a call of two. */
    get participants() {
        return this.#room.participants;
    }

    /** Who this side is in the room. */
    get participantId() {
        return this.#room.participantId;
    }

    /** Who speaks in the room at the moment, a participantId. */
    get activeSpeaker() {
        return this.#room.activeSpeaker;
    }

    /** What is sent, or would be but for a hold. */
    get tracks() {
        return [...this.#wants.tracks];
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
        const rings = this.#state === 'proceeding' || this.#state === 'alerting';
        if (this.direction !== 'incoming' || !rings || this.#willing) {
            throw new ProblemError({ status: 409, cause: 'INVALID_STATE' });
        }
        this.#wants = choose(media, this.#wants);
        this.#willing = true;
        void this.#host.servers().then(() => this.#exchange.answerWaiting());
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

    /** Nothing is sent or received until resume(). Sending stops before the other side has agreed. */
    async hold() {
        if (this.#running) void this.#negotiation.silence().catch(() => {});
        await this.change({ held: true });
    }

    resume() {
        return this.change({ held: false });
    }

    /**
     * Adds a picture (camera, screen) to the call.
     * @param {MediaStreamTrack} track
     */
    addVideo(track) {
        return this.addTrack(track);
    }

    /** Stops sending pictures; the other side's may go on. */
    removeVideo() {
        return this.#modify((wants) => ({
            ...wants,
            tracks: wants.tracks.filter((one) => one.kind !== 'video'),
        }));
    }

    /** @param {MediaStreamTrack} track */
    addTrack(track) {
        const kind = /** @type {'audio' | 'video'} */ (track.kind);
        return this.#modify((wants) => ({
            ...wants,
            tracks: [...wants.tracks.filter((one) => one !== track), track],
            receive: wants.receive.includes(kind) ? wants.receive : [...wants.receive, kind],
        }));
    }

    /** @param {MediaStreamTrack} track */
    removeTrack(track) {
        return this.#modify((wants) => ({
            ...wants,
            tracks: wants.tracks.filter((one) => one !== track),
        }));
    }

    /**
     * Sends another track in place of the present one of its kind; null sends nothing. The other side
     * is not asked.
     * @param {'audio' | 'video'} kind
     * @param {MediaStreamTrack | null} track
     * @returns {Promise<boolean>} false if this session does not send that kind
     */
    async replaceTrack(kind, track) {
        const tracks = this.#wants.tracks.filter((one) => one.kind !== kind);
        this.#wants = { ...this.#wants, tracks: track ? [...tracks, track] : tracks };
        const { held, simulcast } = this.#wants;
        return held ? false : this.#negotiation.replaceTrack(kind, track, simulcast);
    }

    /**
     * Any change of media at once. Resolves when the other side has agreed; rejects with a
     * ProblemError when it refused, and the call stays as it was. `byNetwork` asks the network to
     * make the offer; in rooms, where many change something, it is always asked.
     * @param {import('./index.js').MediaChange} change
     * @param {{ byNetwork?: boolean }} [options]
     */
    change({ held, ...choice }, options) {
        return this.#modify(
            (wants) => ({ ...choose(choice, wants), held: held ?? wants.held }),
            options,
        );
    }

    /**
     * What later offers of the other side may bring, without a new offer now.
     * @param {('audio' | 'video')[]} kinds
     */
    setReceive(kinds) {
        this.#wants = { ...this.#wants, receive: [...kinds] };
    }

    /**
     * Codecs in order of preference, e.g. ['VP9', 'VP8']; those not named come behind.
     * @param {'audio' | 'video'} kind
     * @param {string[]} names
     */
    setCodecs(kind, names) {
        return this.#modify((wants) => ({ ...wants, codecs: { ...wants.codecs, [kind]: names } }));
    }

    /**
     * A data channel to the other side. Where the call has none yet the other side is asked first.
     * @param {string} label
     * @param {RTCDataChannelInit} [options] without `negotiated` and `id`
     * @returns {Promise<RTCDataChannel>} it may still be connecting
     */
    async createDataChannel(label, { negotiated, id, ...options } = {}) {
        if (negotiated || id !== undefined)
            throw new TypeError('the network tells the far side of a channel: no negotiated, no id');
        await this.#ready();
        if (!this.connection?.sctp) await this.change({ data: true });
        if (this._ended) throw goneProblem(this.end);
        if (!this.connection?.sctp) {
            throw new ProblemError({
                status: 422,
                cause: 'SDP_NOT_ACCEPTABLE',
                detail: 'the other side has no data channels',
            });
        }
        return this.connection.createDataChannel(label, options);
    }

    /** A new path for sound and picture; the library does it by itself when the path fails. */
    restartIce() {
        return this.#exchange.modify({ iceRestart: true });
    }

    /**
     * Plays another resource in this session. The old one goes on until the new one is there; a
     * refusal leaves it.
     * @param {string} resourceId
     */
    async changeResource(resourceId) {
        await this.#ready();
        const answered = this.#nextAnswer();
        answered.catch(() => {}); // a refusal comes first
        const response = await this.#send('mupdate', { resourceId });
        this._update(response);
        if (typeof response.sdpOffer === 'string') this.#exchange.take(response, true);
        await answered;
        this.peer = resourceId;
    }

    /**
     * An application's own method to the far end, e.g. `chat.example.org`.
     * @param {string} method
     * @param {unknown} [userData]
     * @returns {Promise<unknown>} the far end's user data
     */
    async request(method, userData) {
        const response = await this.#send(method, userData === undefined ? {} : { userData });
        return response.userData;
    }

    /**
     * Halts the media resource that plays, seeks in it, or asks how far it is.
     * @param {import('./index.js').PlaybackWish} [wish]
     * @returns {Promise<import('./index.js').Playback>}
     */
    async playback(wish) {
        const told = await this.request(`playback.${this.#realm}`, wish);
        return /** @type {import('./index.js').Playback} */ (told);
    }

    /**
     * How large each picture of a room is shown, in the screen's pixels, so that the network sends no
     * more than that. Called as often as sizes change; the library tells the network now and then.
     * @param {readonly import('./index.js').View[]} views all of them, those of before are void
     */
    view(views) {
        this.#views.set(views);
    }

    /**
     * Starts an outgoing session.
     * @param {import('./index.js').MediaChoice} media
     * @param {{ preferredOriginatingId?: string, requiredExtension?: string[] }} options
     * @internal
     */
    async _start(media, { preferredOriginatingId, requiredExtension }) {
        this.#wants = choose(media, this.#wants);
        // A connection that has made an offer takes no part in simulcast.
        const early = this.#host.supports(PRE_OFFER_AS_OFFER) && !this.#isRoom;
        const extensions = this.#host.extensions.filter(
            (name) => early || (name !== PRE_OFFER_AS_OFFER && name !== DIRECT_MEDIA),
        );
        try {
            await this.#host.servers();
            if (this._ended) return;
            const preOfferDescription = early
                ? await this.#negotiation.earlyOffer(this.#wants, { trickle: this.#trickles() })
                : await this.#negotiation.preOffer(this.#wants);
            if (this._ended) return;
            const response = await this.#host.request('msetup', {
                resourceId: this.peer,
                preOfferDescription,
                ...(preferredOriginatingId ? { preferredOriginatingId } : {}),
                ...(this.userData === undefined ? {} : { userData: this.userData }),
                ...(extensions.length > 0 ? { supportedExtension: extensions } : {}),
                ...(requiredExtension ? { requiredExtension } : {}),
            });
            this.#adopt(response);
            if (this._ended) {
                // Hung up before the network had named the session.
                if (this.mediaSessionId) this.#host.disconnect(this.mediaSessionId, 'NORMAL');
                return;
            }
            this.#setState('proceeding');
            this._update(response);
            if (typeof response.sdpAnswer === 'string') await this.#acceptEarly(response);
            else if (typeof response.sdpOffer === 'string') this.#exchange.take(response, true);
            else this.#exchange.trickleEarly();
        } catch (error) {
            const problem = problemOf(error);
            const { success, mediaSessionId } = problem.response ?? {};
            // A3: the network has begun a session on conditions that this side did not offer.
            if (success === true && typeof mediaSessionId === 'string')
                this.#host.disconnect(mediaSessionId, 'PROTOCOL_ERROR');
            this._terminate({ cause: problem.cause, problem, remote: true });
        }
    }

    /**
     * An incoming session's first offer, kept until the person answers.
     * @param {import('./index.js').Message} message
     * @internal
     */
    _offered(message) {
        if (typeof message.sdpOffer === 'string') this.#exchange.take(message, this.#willing);
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
        if (typeof message.participantId === 'string')
            this.#room.participantId = message.participantId;
        this.#people(this.#room.take(message.participants, this.connection));
        if (message.activeSpeaker !== undefined && this.#room.speaks(message.activeSpeaker))
            this.#emit('activespeakerchange', { participantId: this.activeSpeaker });
        const changed = message.qos === undefined ? [] : this.#qos.take(message.qos);
        if (changed.length > 0) this.#emit('qos', { changed });
        const { recording } = message;
        if (typeof recording === 'boolean' && recording !== this.#recording) {
            this.#recording = recording;
            this.#emit('recordingchange', { recording });
        }
        const told = message.mediaSessionState;
        // `established` is our own knowledge: it follows the answer.
        if (this.direction === 'outgoing' && (told === 'alerting' || told === 'proceeding'))
            this.#setState(told);
        this.#emit('update', { message });
    }

    /**
     * An `mupdate` request of the network.
     * @param {import('./index.js').Message} message
     * @param {(members?: Record<string, unknown>) => void} respond
     * @internal
     */
    async _onUpdate(message, respond) {
        checkUpdate(message);
        if (message.sdpAnswer !== undefined) {
            if (this.#negotiation.early) await this.#acceptEarly(message);
            else await this.#exchange.answered(message);
        } else if (message.problemDetails !== undefined) {
            this.#exchange.refused(message);
        }
        // A success without sdpAnswer means that the answer comes later (A6).
        respond({ mediaSessionId: this.mediaSessionId });
        if (message.candidates !== undefined || message.endOfCandidates !== undefined)
            void this.#negotiation.takeCandidates(message);
        this._update(message);
        if (message.sdpOffer !== undefined) this.#exchange.take(message, this.#willing);
    }

    /**
     * The connection to the service is gone: what was outstanding is void.
     * @internal
     */
    _suspend() {
        this.#suspended = true;
        this.#views.run(false);
        this.#exchange.suspend();
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
        if (this.#running) {
            await this.#exchange.rollback();
        } else if (!this.#negotiation.early) {
            this.#negotiation.reset(); // the network makes its first offer anew
            this.#answered = false;
        }
        this.#suspended = false;
        this.#views.run(this.#running);
        this.#bell.ring();
    }

    /**
     * The machine has another network: where the path is gone already, a new one is found.
     * @internal
     */
    _networkChanged() {
        if (this.#running) this.#path.networkChanged();
    }

    /**
     * @param {import('./index.js').SessionEnd} end
     * @internal
     */
    _terminate(end) {
        if (this.#state === 'terminated') return;
        this.end = end;
        this.#path.close();
        this.#views.close();
        this.#exchange.close();
        this.#negotiation.close();
        this.#setState('terminated');
        this.#emit('ended', end);
        this.#host.forget(this);
        this.#bell.ring();
    }

    /** @internal */
    get _ended() {
        return this.#state === 'terminated';
    }

    get #running() {
        return isRunning(this.#state);
    }

    /** What the exchange of offers and answers may do with this session. */
    #port() {
        const session = this;
        return {
            negotiation: this.#negotiation,
            get wants() {
                return session.#wants;
            },
            set wants(wants) {
                const { held } = session.#wants;
                session.#wants = wants;
                if (wants.held !== held) session.#hold.tell(wants);
            },
            send: this.#send.bind(this),
            ended: () => this._ended,
            ready: () => this.#ready(),
            trickles: () => this.#trickles(),
            pause: (/** @type {number} */ seconds) => this.#pause(seconds),
            nextAnswer: () => this.#nextAnswer(),
            modifying: () => this.#modifying(),
            answering: () => {
                this.#answered = true;
            },
            agreed: () => this.#agreed(),
            failed: this.#failed.bind(this),
        };
    }

    /**
     * @param {(wants: import('./index.js').Wants) => import('./index.js').Wants} wish
     * @param {{ byNetwork?: boolean }} [options]
     */
    #modify(wish, { byNetwork = this.#isRoom } = {}) {
        return this.#exchange.modify({ wish, byNetwork });
    }

    #trickles() {
        return this.#host.extensions.includes(TRICKLE_ICE) && this.#host.supports(TRICKLE_ICE);
    }

    /** Resolves when an offer may be made; rejects once there is no session for it any more. */
    async #ready() {
        for (;;) {
            if (this._ended) throw goneProblem(this.end);
            const quiet = this.#running && !this.#suspended && !this.#exchange.busy;
            if (quiet && this.#host.connected()) return;
            await this.#bell.heard();
        }
    }

    /** @param {number} seconds cut short by the end of the session */
    async #pause(seconds) {
        const end = Date.now() + seconds * 1000;
        while (!this._ended && Date.now() < end) await this.#bell.heard(end - Date.now());
    }

    /** Resolves when an offer of the network that comes from now on has been answered. */
    async #nextAnswer() {
        const before = this.#agreements;
        const end = Date.now() + OFFER_TIMEOUT_MS;
        while (this.#agreements === before) {
            if (this._ended) throw goneProblem(this.end);
            if (Date.now() >= end) throw new ProblemError({ status: 504, cause: 'PEER_TIMEOUT' });
            await this.#bell.heard(end - Date.now());
        }
    }

    /** @returns {() => void} to be called at the end of an offer and its answer */
    #modifying() {
        this.#modifications += 1;
        if (this.#running) this.#setState('modifying');
        return () => {
            this.#modifications -= 1;
            if (this.#modifications === 0 && this.#state === 'modifying')
                this.#setState('established');
            this.#bell.ring();
        };
    }

    /** An offer, of whichever side, has its answer. */
    #agreed() {
        this.#agreements += 1;
        this.#hold.look(this.#wants);
        this.#people(this.#room.look(this.connection));
        if (!this.#running) {
            this.#answered = true;
            this.#setState('established');
            this.#path.expect();
        }
        this.#views.run(!this.#suspended);
        this.#bell.ring();
    }

    /**
     * A6: a refused answer ends an initial session; in a call the network makes a new offer.
     * @param {ProblemError} problem
     * @param {{ remote: boolean }} by
     */
    #failed(problem, { remote }) {
        if (this._ended || this.#running) return;
        if (this.mediaSessionId) this.#host.disconnect(this.mediaSessionId, 'MEDIA_FAILURE');
        this._terminate({ cause: problem.cause, problem, remote });
    }

    /** @param {import('./index.js').Message} message whose sdpAnswer is that to our pre-offer */
    async #acceptEarly(message) {
        try {
            await this.#exchange.acceptEarly(String(message.sdpAnswer));
        } catch (error) {
            const problem = new ProblemError({
                status: 422,
                cause: 'SDP_NOT_ACCEPTABLE',
                detail: error instanceof Error ? error.message.slice(0, 200) : undefined,
            });
            this.#failed(problem, { remote: false });
            throw problem;
        }
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

    /**
     * @param {string} method
     * @param {Record<string, unknown>} members
     */
    async #send(method, members) {
        try {
            return await this.#host.request(method, {
                mediaSessionId: this.mediaSessionId,
                ...members,
            });
        } catch (error) {
            // A3: a response that requires what we did not offer.
            if (problemOf(error).cause === 'PROTOCOL_ERROR') this.hangUp('PROTOCOL_ERROR');
            throw error;
        }
    }

    /** @param {{ track: MediaStreamTrack, transceiver: RTCRtpTransceiver }} detail */
    #onTrack({ track, transceiver }) {
        if (!this.#remoteStream?.getTracks().includes(track)) this.#remoteStream?.addTrack(track);
        this.#people(this.#room.look(this.connection));
        const participantId = this.#room.ownerOf(transceiver.mid ?? '');
        this.#emit('track', { track, transceiver, stream: this.#remoteStream, participantId });
    }

    /** @param {import('./index.js').ParticipantsChange | undefined} change */
    #people(change) {
        if (!change) return;
        this.#views.look();
        this.#emit('participantschange', change);
    }

    /** m-lines that bring somebody's pictures. @param {string} participantId */
    #pictures(participantId) {
        const mids = this.#room.midsOf(participantId);
        return (this.connection?.getTransceivers() ?? [])
            .filter((one) => one.receiver.track.kind === 'video' && mids.includes(one.mid ?? ''))
            .map((one) => String(one.mid));
    }

    get #realm() {
        return this.peer?.split('@')[1] ?? '';
    }

    get #isRoom() {
        return this.peer?.startsWith('room/') ?? false;
    }

    /** @param {State} state */
    #setState(state) {
        const previous = this.#state;
        if (state === previous || !mayBecome(previous, state)) return;
        this.#state = state;
        this.#emit('statechange', { state, previous });
        this.#bell.ring();
    }

    /**
     * @param {string} type
     * @param {unknown} detail
     */
    #emit(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }
}
