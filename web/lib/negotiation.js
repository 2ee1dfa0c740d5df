// SPDX-License-Identifier: Apache-2.0
// The RTCPeerConnection of one media session. The network makes every offer; this side answers. A
// pre-offer tells codecs and directions and comes from a throw-away connection, because Chromium
// does not reuse transceivers made beforehand for a remote offer and would answer without simulcast:
// so the offer is applied to a connection without tracks, and the tracks are attached afterwards.

const GATHERING_MS = 2000; // protocol A6: without trickle-ice SDP carries all candidates
const KINDS = /** @type {const} */ (['audio', 'video']);

/**
 * Codecs and directions that this browser would like, as SDP.
 * @param {MediaStreamTrack[]} tracks what will be sent
 * @param {object} options
 * @param {typeof globalThis.RTCPeerConnection} options.RTCPeerConnection
 * @param {string[]} [options.receive] media kinds to receive
 * @returns {Promise<string>}
 */
export async function createPreOffer(tracks, { RTCPeerConnection, receive = [...KINDS] }) {
    const connection = new RTCPeerConnection();
    try {
        for (const kind of KINDS) {
            const sends = tracks.some((track) => track.kind === kind);
            const receives = receive.includes(kind);
            if (!sends && !receives) continue;
            const direction = sends && receives ? 'sendrecv' : sends ? 'sendonly' : 'recvonly';
            connection.addTransceiver(kind, { direction });
        }
        return (await connection.createOffer()).sdp ?? '';
    } finally {
        connection.close();
    }
}

/**
 * Events: `track` {track, stream, transceiver}, `connectionstate` {state}.
 */
export class Negotiation extends EventTarget {
    #options;
    /** @type {RTCPeerConnection | null} */
    #connection = null;
    /**
     * The msid that our tracks share: the far side keeps sound and picture in step by it.
     * @type {MediaStream | undefined}
     */
    #stream;
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
     * Applies the network's offer and makes the answer. In a call the connection is kept, so that
     * m-lines, tracks and the remote stream stay.
     * @param {string} sdp
     * @param {MediaStreamTrack[]} tracks what to send, at most one of a kind is used
     * @param {string[]} receive media kinds to receive
     * @returns {Promise<string>} the answer with the candidates gathered
     */
    async answer(sdp, tracks, receive = [...KINDS]) {
        const connection = (this.#connection ??= this.#open());
        // Applying an offer while one of ours is open would roll it back by itself; we make none.
        await connection.setRemoteDescription({ type: 'offer', sdp });
        await this.#attach(connection, tracks, receive);
        await connection.setLocalDescription();
        await this.#gathered(connection);
        return connection.localDescription?.sdp ?? '';
    }

    /** Withdraws an offer that was applied but whose answer never counted. */
    async rollback() {
        const connection = this.#connection;
        if (connection?.signalingState === 'have-remote-offer') {
            await connection.setRemoteDescription({ type: 'rollback' });
        }
    }

    /** Forgets everything, for a first offer that the network will make anew. */
    reset() {
        const connection = this.#connection;
        this.#connection = null;
        if (connection) discard(connection);
    }

    /**
     * Sends another track of the same kind (camera switched), or nothing.
     * @param {'audio' | 'video'} kind
     * @param {MediaStreamTrack | null} track
     */
    async replaceTrack(kind, track) {
        const transceiver = this.#connection
            ?.getTransceivers()
            .find(
                (one) => one.receiver.track.kind === kind && one.currentDirection?.includes('send'),
            );
        if (!transceiver) return false;
        await transceiver.sender.replaceTrack(track);
        return true;
    }

    close() {
        this.#closed = true;
        this.reset();
    }

    #open() {
        const { RTCPeerConnection, iceServers = [] } = this.#options;
        // No iceCandidatePoolSize and always one bundle: the network offers a single transport.
        const connection = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
        connection.ontrack = ({ track, transceiver, streams }) => {
            this.dispatchEvent(
                new CustomEvent('track', { detail: { track, transceiver, streams } }),
            );
        };
        const report = () =>
            this.dispatchEvent(
                new CustomEvent('connectionstate', { detail: { state: pathState(connection) } }),
            );
        connection.onconnectionstatechange = report;
        connection.oniceconnectionstatechange = report;
        return connection;
    }

    /**
     * Each m-line on which the network wants to receive gets our track of its kind; the first of a
     * kind wins. A track already on the connection stays where it is.
     * @param {RTCPeerConnection} connection
     * @param {MediaStreamTrack[]} tracks
     * @param {string[]} receive
     */
    async #attach(connection, tracks, receive) {
        const wanted = mediaDirections(connection.remoteDescription?.sdp ?? '');
        const placed = new Set(
            connection
                .getSenders()
                .map((sender) => sender.track)
                .filter(Boolean),
        );
        if (tracks.length > 0 && globalThis.MediaStream) this.#stream ??= new MediaStream();
        for (const transceiver of connection.getTransceivers()) {
            const kind = transceiver.receiver.track.kind;
            const offered = wanted.get(transceiver.mid ?? '');
            if (!offered || transceiver.direction === 'stopped') continue;
            const receives =
                receive.includes(kind) && (offered === 'sendrecv' || offered === 'sendonly');
            let sends = offered === 'sendrecv' || offered === 'recvonly';
            if (sends && !transceiver.sender.track) {
                const track = tracks.find((one) => one.kind === kind && !placed.has(one));
                if (track) {
                    placed.add(track);
                    if (this.#stream) transceiver.sender.setStreams?.(this.#stream);
                    await transceiver.sender.replaceTrack(track);
                } else {
                    sends = false;
                }
            }
            transceiver.direction =
                sends && receives
                    ? 'sendrecv'
                    : sends
                      ? 'sendonly'
                      : receives
                        ? 'recvonly'
                        : 'inactive';
        }
    }

    /** @param {RTCPeerConnection} connection */
    #gathered(connection) {
        if (connection.iceGatheringState === 'complete' || this.#closed) return;
        const { gatheringTimeout = GATHERING_MS } = this.#options;
        return /** @type {Promise<void>} */ (
            new Promise((resolve) => {
                const done = () => {
                    if (
                        connection.iceGatheringState === 'gathering' &&
                        connection.signalingState !== 'closed'
                    )
                        return;
                    clearTimeout(timer);
                    connection.removeEventListener('icegatheringstatechange', done);
                    resolve();
                };
                const timer = setTimeout(() => {
                    connection.removeEventListener('icegatheringstatechange', done);
                    resolve();
                }, gatheringTimeout);
                connection.addEventListener('icegatheringstatechange', done);
            })
        );
    }
}

/**
 * Direction per mid as the offer says it, seen from the offerer. A refused m-line (port 0 outside a
 * bundle) is left out.
 * @param {string} sdp
 * @returns {Map<string, string>}
 */
export function mediaDirections(sdp) {
    /** @type {Map<string, string>} */
    const directions = new Map();
    const [session, ...medias] = sdp.split(/\r?\n(?=m=)/);
    const fallback =
        /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m.exec(session)?.[1] ?? 'sendrecv';
    for (const media of medias) {
        const mid = /^a=mid:(\S+)/m.exec(media)?.[1];
        const refused = /^m=\S+ 0 /.test(media) && !/^a=bundle-only\s*$/m.test(media);
        if (mid === undefined || refused) continue;
        directions.set(
            mid,
            /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m.exec(media)?.[1] ?? fallback,
        );
    }
    return directions;
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
    connection.onconnectionstatechange = null;
    connection.oniceconnectionstatechange = null;
    connection.close();
}
