// SPDX-License-Identifier: Apache-2.0
// An RTCPeerConnection that only writes down what is done with it, and keeps the states that an offer
// and an answer go through (RFC 9429 4.1.8) as far as the library leans on them.

export class FakeConnection extends EventTarget {
    /** @type {FakeConnection[]} */
    static made = [];
    /** Descriptions cannot be applied. */
    static refuses = false;
    /** Encodings that an offer of the network asks of a picture (a=simulcast:recv). */
    static layers = 1;
    /** setParameters fails. */
    static keepsParameters = false;
    /** Candidates do not come to an end. */
    static gathers = false;
    transceivers = [];
    signalingState = 'stable';
    iceGatheringState = FakeConnection.gathers ? 'gathering' : 'complete';
    connectionState = 'new';
    iceConnectionState = 'new';
    remoteDescription = null;
    currentRemoteDescription = null;
    localDescription = null;
    done = [];
    candidates = [];

    constructor(configuration) {
        super();
        this.configuration = configuration;
        FakeConnection.made.push(this);
    }

    addTransceiver(what, { direction = 'sendrecv' } = {}) {
        const kind = typeof what === 'string' ? what : what.kind;
        const made = transceiver(kind, direction, null);
        if (typeof what !== 'string') made.sender.track = what;
        this.transceivers.push(made);
        return made;
    }

    async createOffer({ iceRestart = false } = {}) {
        return { type: 'offer', sdp: `${iceRestart ? 'restart ' : ''}offer ${this.shape()}` };
    }

    async setRemoteDescription({ type, sdp }) {
        this.done.push(`setRemoteDescription ${type}`);
        if (FakeConnection.refuses) throw new Error('Failed to parse SessionDescription');
        if (type === 'answer') {
            if (this.signalingState !== 'have-local-offer') throw new Error('no offer');
            this.remoteDescription = { type, sdp };
            this.#stable();
            return;
        }
        if (this.signalingState === 'have-local-offer') this.#rollback();
        if (type === 'rollback') {
            this.#rollback();
            return;
        }
        this.signalingState = 'have-remote-offer';
        this.remoteDescription = { type, sdp };
        for (const [, kind, mid] of sdp.matchAll(/m=(\w+) .*?a=mid:(\w+)/gs)) {
            if (!this.transceivers.some((one) => one.mid === mid))
                this.transceivers.push(transceiver(kind, 'recvonly', mid, this.done));
        }
    }

    async setLocalDescription(description) {
        if (description?.type === 'rollback') {
            this.done.push('rollback');
            this.#rollback();
        } else if (description || this.signalingState === 'stable') {
            const { sdp } = description ?? (await this.createOffer());
            this.done.push(`setLocalDescription ${sdp}`);
            this.signalingState = 'have-local-offer';
            this.localDescription = { type: 'offer', sdp };
            this.transceivers.forEach((one, index) => {
                if (one.mid === null) [one.mid, one.fresh] = [String(index), true];
            });
        } else {
            this.done.push(
                `setLocalDescription ${this.transceivers.map((t) => t.direction).join(' ')}`,
            );
            this.#stable();
            this.localDescription = {
                type: 'answer',
                sdp: `answer ${this.transceivers.map((t) => t.direction).join(' ')}`,
            };
        }
    }

    async addIceCandidate(candidate) {
        this.candidates.push(candidate);
    }

    getTransceivers() {
        return this.transceivers;
    }

    getSenders() {
        return this.transceivers.map((one) => one.sender);
    }

    shape() {
        return this.transceivers
            .map((t) => `${t.receiver.track.kind} ${t.direction}`)
            .join(', ');
    }

    become(state, ice = state) {
        this.connectionState = state;
        this.iceConnectionState = ice;
        this.onconnectionstatechange?.();
    }

    close() {
        this.done.push('close');
        this.signalingState = 'closed';
    }

    #stable() {
        this.signalingState = 'stable';
        this.currentRemoteDescription = this.remoteDescription;
        for (const one of this.transceivers)
            [one.currentDirection, one.fresh] = [one.direction, false];
    }

    #rollback() {
        this.signalingState = 'stable';
        this.remoteDescription = this.currentRemoteDescription;
        for (const one of this.transceivers) if (one.fresh) [one.mid, one.fresh] = [null, false];
    }
}

function transceiver(kind, direction, mid, done = []) {
    const layers = kind === 'video' && mid !== null ? FakeConnection.layers : 1;
    return {
        mid,
        direction,
        currentDirection: null,
        receiver: { track: { kind } },
        sender: {
            track: null,
            encodings: Array.from({ length: layers }, () => ({ active: true })),
            setStreams() {},
            async replaceTrack(track) {
                this.track = track;
            },
            getParameters() {
                return { encodings: this.encodings.map((one) => ({ ...one })) };
            },
            async setParameters({ encodings }) {
                if (FakeConnection.keepsParameters) throw new Error('not now');
                done.push('parameters');
                this.encodings = encodings;
            },
        },
        stop() {
            this.direction = 'stopped';
        },
        setCodecPreferences(codecs) {
            this.codecs = codecs.map((one) => one.mimeType);
        },
    };
}

/** An offer as the network makes it. */
export const offer = (...directions) =>
    [
        'v=0',
        ...directions.flatMap((direction, mid) => [
            `m=${mid === 0 ? 'audio' : 'video'} 9 UDP/TLS/RTP/SAVPF 96`,
            `a=mid:${mid}`,
            `a=${direction}`,
        ]),
        '',
    ].join('\r\n');

export const track = (kind) => ({ kind, stop() {} });
