// SPDX-License-Identifier: Apache-2.0
// The path of sound and picture: whether there is one, and what to do when it goes. A path that was
// there and failed gets a new one by an ICE restart; a call whose path does not come, or does not come
// back, has failed.

/** How long a call may be without a path. */
const WITHOUT_MS = 30_000;
/** A path that goes so soon after the network has changed went because of that. */
const MOVING_MS = 15_000;
/**
 * Whether a path has outlived a change of the network is seen by what comes on it: media every few
 * milliseconds, reports of the media centre every second. The browser would need six times as long
 * to notice, and a restart that was not needed disturbs nothing: media stays on the old path.
 */
const LISTEN_MS = 600;

/**
 * Octets that have come on the path in use.
 * @param {RTCPeerConnection} connection
 */
async function octetsReceived(connection) {
    const rows = [...(await connection.getStats()).values()];
    const transport = rows.find((row) => row.type === 'transport' && row.selectedCandidatePairId);
    return rows.find((row) => row.id === transport?.selectedCandidatePairId)?.bytesReceived ?? 0;
}

export class PathWatch {
    #negotiation;
    #to;
    /** @type {RTCPeerConnectionState} */
    state = 'new';
    #came = false;
    #movedAt = -Infinity;
    #restarting = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #listening;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;

    /**
     * @param {import('./negotiation.js').Negotiation} negotiation
     * @param {object} to
     * @param {(state: RTCPeerConnectionState) => void} to.changed
     * @param {() => Promise<void>} to.restart
     * @param {() => void} to.lost
     */
    constructor(negotiation, to) {
        this.#negotiation = negotiation;
        this.#to = to;
        negotiation.addEventListener('connectionstate', (event) =>
            this.#onState(/** @type {CustomEvent} */ (event).detail.state),
        );
    }

    /** An offer whose candidates are of no use leaves ICE in `new` for ever: a failure too. */
    expect() {
        if (this.state !== 'connected') this.#wait();
    }

    /** The machine has another network. A path that still works is left alone. */
    networkChanged() {
        this.#movedAt = Date.now();
        if (this.state === 'disconnected' || this.state === 'failed') this.#restart();
        else if (this.state === 'connected') this.#listen().catch(() => {});
    }

    /** The path is gone when nothing comes on it any more. */
    async #listen() {
        const connection = this.#negotiation.connection;
        if (!connection) return;
        clearTimeout(this.#listening);
        const before = await octetsReceived(connection);
        clearTimeout(this.#listening);
        this.#listening = setTimeout(async () => {
            const now = await octetsReceived(connection).catch(() => before);
            if (this.state === 'connected' && now === before) this.#restart();
        }, LISTEN_MS);
    }

    close() {
        clearTimeout(this.#timer);
        clearTimeout(this.#listening);
        this.#to = { changed() {}, restart: async () => {}, lost() {} };
    }

    /** @param {RTCPeerConnectionState} state */
    #onState(state) {
        if (state === this.state) return;
        this.state = state;
        if (state === 'connected') {
            this.#came = true;
            clearTimeout(this.#timer);
            this.#timer = undefined;
        }
        this.#to.changed(state);
        if (state === 'disconnected' && Date.now() - this.#movedAt < MOVING_MS) this.#restart();
        if (state === 'failed') this.#onFailed();
    }

    /** Only lost connectivity can be mended: a failed DTLS handshake would fail again. */
    #onFailed() {
        const ice = this.#negotiation.connection?.iceConnectionState;
        if (this.#came && ice === 'failed') this.#restart();
        else this.#to.lost();
    }

    #restart() {
        this.#wait();
        if (this.#restarting) return;
        this.#restarting = true;
        this.#to
            .restart()
            .catch(() => {
                if (this.state === 'failed') this.#to.lost(); // refused
            })
            .finally(() => {
                this.#restarting = false;
            });
    }

    #wait() {
        this.#timer ??= setTimeout(() => this.#to.lost(), WITHOUT_MS);
    }
}
