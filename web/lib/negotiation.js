// SPDX-License-Identifier: Apache-2.0
// The RTCPeerConnection of one media session: descriptions in and out, nothing of the protocol. A
// first offer of the network is applied to a connection without tracks and the tracks are attached
// afterwards, because Chromium does not reuse transceivers made beforehand and would answer without
// simulcast; so a pre-offer that only tells codecs and directions comes from a throw-away connection.
// A pre-offer that may be answered (`pre-offer-as-offer`) keeps its connection until that is known.

import { RemoteCandidates } from './candidates.js';
import { shapeAnswer, shapeOffer } from './shape.js';
import { shapeEncodings } from './simulcast.js';

const GATHERING_MS = 2000; // protocol A6: without trickle-ice SDP carries all candidates
const TRICKLING_MS = 200; // what is there by then goes into SDP, the rest follows

/**
 * Events: `track` {track, streams, transceiver}, `datachannel` {channel}, `connectionstate` {state}, and `candidate` {candidate}
 * for each one that an offer which is out does not have.
 */
export class Negotiation extends EventTarget {
    #options;
    /** @type {RTCPeerConnection | null} */
    #connection = null;
    /** That of a pre-offer which the network may answer. @type {RTCPeerConnection | null} */
    #early = null;
    /** An offer that is out and not applied yet. @type {RTCSessionDescriptionInit | null} */
    #proposed = null;
    /** Whether an applied offer was rolled back since the last agreement. */
    #disturbed = false;
    #candidates = new RemoteCandidates();
    /**
     * The msid that our tracks share: the far side keeps sound and picture in step by it.
     * @type {MediaStream | undefined}
     */
    #stream = globalThis.MediaStream && new MediaStream();
    /** Whether an offer is out in which the candidates that come now are missing. */
    #trickling = false;
    #closed = false;

    /**
     * @param {object} options
     * @param {typeof globalThis.RTCPeerConnection} options.RTCPeerConnection
     * @param {RTCIceServer[]} [options.iceServers]
     * @param {number} [options.gatheringTimeout] milliseconds
     */
    constructor(options) {
        super();
        this.#options = options;
    }

    /** For applications that need more than this library offers; null before the first offer. */
    get connection() {
        return this.#connection;
    }

    /**
     * Codecs and directions that are wanted, as SDP. In a call it tells all m-lines there are.
     * @param {import('./index.js').Wants} wants
     * @param {{ asks?: string[] }} [options]
     */
    async preOffer(wants, { asks } = {}) {
        if (this.#connection) {
            await shapeOffer(this.#connection, wants, { stream: this.#stream, asks });
            return (await this.#connection.createOffer()).sdp ?? '';
        }
        const connection = new this.#options.RTCPeerConnection();
        try {
            await shapeOffer(connection, { ...wants, held: false }, { asks: wants.receive });
            return (await connection.createOffer()).sdp ?? '';
        } finally {
            connection.close();
        }
    }

    /**
     * A pre-offer that may be answered: a whole offer.
     * @param {import('./index.js').Wants} wants
     * @param {{ trickle?: boolean }} [options]
     */
    async earlyOffer(wants, { trickle = false } = {}) {
        const connection = this.#open();
        this.#early = connection;
        await shapeOffer(connection, wants, { stream: this.#stream, asks: wants.receive });
        await connection.setLocalDescription();
        await this.#gathered(connection, trickle);
        return this.#sent(connection);
    }

    /**
     * Applies the network's offer and makes the answer. In a call the connection is kept, so that
     * m-lines, tracks and the remote stream stay; an offer of our own is rolled back by the browser.
     * @param {string} sdp
     * @param {import('./index.js').Wants} wants
     * @returns {Promise<string>} the answer with the candidates gathered
     */
    async answer(sdp, wants) {
        this.#dropEarly();
        this.#proposed = null;
        this.#trickling = false;
        const connection = (this.#connection ??= this.#open());
        await connection.setRemoteDescription({ type: 'offer', sdp });
        await this.#candidates.apply(connection);
        await shapeAnswer(connection, wants, this.#stream);
        await connection.setLocalDescription();
        this.#disturbed = false;
        await this.#gathered(connection);
        return connection.localDescription?.sdp ?? '';
    }

    /**
     * An offer of our own in a call. One that only changes what there is, is applied together with its
     * answer: Chromium shows nothing more of a picture that an offer of its own has made inactive
     * and that comes back by a rollback, so a hold that is refused would freeze the far side for good.
     * @param {import('./index.js').Wants} wants
     * @param {{ iceRestart?: boolean, asks?: string[] }} [options]
     */
    async offer(wants, { iceRestart = false, asks } = {}) {
        const connection = this.#needed();
        this.#trickling = false;
        await shapeOffer(connection, wants, { stream: this.#stream, asks });
        if (!iceRestart) await this.#gathered(connection); // what an offer has that is not applied
        const offer = await connection.createOffer({ iceRestart });
        if (!iceRestart && isSamePath(connection, offer)) this.#proposed = offer;
        else await connection.setLocalDescription(offer);
    }

    /**
     * The offer as it is to be sent, once candidates are gathered.
     * @param {{ trickle?: boolean }} [options]
     */
    async offered({ trickle = false } = {}) {
        const connection = this.#needed();
        if (this.#proposed) return this.#proposed.sdp ?? '';
        await this.#gathered(connection, trickle);
        return this.#sent(connection);
    }

    /**
     * The network's answer to an offer of ours, or to the pre-offer.
     * @param {string} sdp
     */
    async accept(sdp) {
        if (!this.#connection) {
            this.#connection = this.#early;
            this.#early = null;
        }
        const connection = this.#needed();
        const offer = this.#proposed;
        this.#proposed = null;
        if (offer) await connection.setLocalDescription(offer);
        await connection.setRemoteDescription({ type: 'answer', sdp });
        this.#disturbed = false;
        await this.#candidates.apply(connection);
    }

    /** Whether a pre-offer waits for its answer. */
    get early() {
        return this.#early !== null;
    }

    /** Withdraws an offer of either side that is not answered. */
    async rollback() {
        this.#proposed = null;
        const connection = this.#connection;
        if (!connection) return;
        const { signalingState } = connection;
        this.#disturbed ||= signalingState !== 'stable';
        if (signalingState === 'have-remote-offer')
            await connection.setRemoteDescription({ type: 'rollback' });
        else if (signalingState === 'have-local-offer')
            await connection.setLocalDescription({ type: 'rollback' });
    }

    /**
     * The same, and all is as it was: what is sent, and what the next offer says. What an applied
     * offer has stopped begins again when what was agreed last is applied once more.
     * @param {import('./index.js').Wants} wants what was wanted before
     */
    async revert(wants) {
        await this.rollback();
        const connection = this.#connection;
        if (!connection) return;
        const agreed = connection.currentRemoteDescription;
        if (this.#disturbed && agreed) await this.answer(agreed.sdp, wants);
        else await shapeOffer(connection, wants, { stream: this.#stream });
    }

    /** @param {import('./index.js').Message} message with candidates of the far side */
    takeCandidates(message) {
        return this.#candidates.take(message, this.#connection);
    }

    /** Forgets everything, for a first offer that the network will make anew. */
    reset() {
        this.#dropEarly();
        this.#proposed = null;
        const connection = this.#connection;
        this.#connection = null;
        if (connection) discard(connection);
    }

    /**
     * Sends another track of the same kind (camera switched), or nothing.
     * @param {'audio' | 'video'} kind
     * @param {MediaStreamTrack | null} track
     * @param {boolean} [simulcast] whether in several sizes where the network takes them
     */
    async replaceTrack(kind, track, simulcast) {
        const transceiver = this.#connection
            ?.getTransceivers()
            .find(
                (one) => one.receiver.track.kind === kind && one.currentDirection?.includes('send'),
            );
        if (!transceiver) return false;
        await transceiver.sender.replaceTrack(track);
        await shapeEncodings(transceiver.sender, simulcast);
        return true;
    }

    /** Sends nothing from now on, whatever the other side says to it. */
    async silence() {
        for (const sender of this.#connection?.getSenders() ?? [])
            if (sender.track) await sender.replaceTrack(null);
    }

    close() {
        this.#closed = true;
        this.reset();
    }

    #needed() {
        if (!this.#connection || this.#closed) throw new Error('there is no connection');
        return this.#connection;
    }

    /** @param {RTCPeerConnection} connection whose offer goes out now */
    #sent(connection) {
        this.#trickling = connection.iceGatheringState !== 'complete';
        return connection.localDescription?.sdp ?? '';
    }

    #dropEarly() {
        if (this.#early) discard(this.#early);
        this.#early = null;
    }

    #open() {
        const { RTCPeerConnection, iceServers = [] } = this.#options;
        // No iceCandidatePoolSize and always one bundle: the network offers a single transport.
        const connection = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
        const tell = (/** @type {string} */ type, /** @type {object} */ detail) =>
            this.dispatchEvent(new CustomEvent(type, { detail }));
        connection.ontrack = ({ track, transceiver, streams }) =>
            tell('track', { track, transceiver, streams });
        connection.ondatachannel = ({ channel }) => tell('datachannel', { channel });
        connection.onicecandidate = ({ candidate }) => {
            if (this.#trickling) tell('candidate', { candidate });
        };
        const report = () => tell('connectionstate', { state: pathState(connection) });
        connection.onconnectionstatechange = report;
        connection.oniceconnectionstatechange = report;
        return connection;
    }

    /**
     * @param {RTCPeerConnection} connection
     * @param {boolean} [trickle]
     */
    #gathered(connection, trickle = false) {
        if (connection.iceGatheringState === 'complete' || this.#closed) return;
        const { gatheringTimeout = GATHERING_MS } = this.#options;
        return /** @type {Promise<void>} */ (
            new Promise((resolve) => {
                const finish = () => {
                    clearTimeout(timer);
                    connection.removeEventListener('icegatheringstatechange', look);
                    resolve();
                };
                const look = () => {
                    const { iceGatheringState, signalingState } = connection;
                    if (iceGatheringState === 'complete' || signalingState === 'closed') finish();
                };
                const timer = setTimeout(finish, trickle ? TRICKLING_MS : gatheringTimeout);
                connection.addEventListener('icegatheringstatechange', look);
            })
        );
    }
}

/**
 * Whether an offer brings no m-line, no channel and no candidate that is not in use already.
 * @param {RTCPeerConnection} connection
 * @param {RTCSessionDescriptionInit} offer
 */
function isSamePath(connection, offer) {
    const lines = (/** @type {string | undefined} */ sdp) => sdp?.match(/^m=/gm)?.length;
    const placed = connection
        .getTransceivers()
        .every((one) => one.mid !== null || one.direction === 'stopped');
    return placed && lines(connection.currentLocalDescription?.sdp) === lines(offer.sdp);
}

/**
 * One word for the whole path: failed ICE or DTLS is `failed`, whichever the browser tells first.
 * @param {RTCPeerConnection} connection
 */
function pathState(connection) {
    if (connection.iceConnectionState === 'failed') return 'failed';
    return connection.connectionState ?? connection.iceConnectionState;
}

/** @param {RTCPeerConnection} connection */
function discard(connection) {
    connection.ontrack = null;
    connection.ondatachannel = null;
    connection.onicecandidate = null;
    connection.onconnectionstatechange = null;
    connection.oniceconnectionstatechange = null;
    connection.close();
}
