// SPDX-License-Identifier: Apache-2.0
// An RTCPeerConnection that only writes down what is done with it.

export class FakeConnection extends EventTarget {
    /** @type {FakeConnection[]} */
    static made = [];
    /** Descriptions cannot be applied. */
    static refuses = false;
    /** Candidates do not come to an end. */
    static gathers = false;
    transceivers = [];
    signalingState = 'stable';
    iceGatheringState = FakeConnection.gathers ? 'gathering' : 'complete';
    connectionState = 'new';
    iceConnectionState = 'new';
    remoteDescription = null;
    localDescription = null;
    done = [];

    constructor(configuration) {
        super();
        this.configuration = configuration;
        FakeConnection.made.push(this);
    }

    addTransceiver(kind, { direction }) {
        this.done.push(`addTransceiver ${kind} ${direction}`);
        this.transceivers.push(transceiver(kind, direction, null));
    }

    async createOffer() {
        return {
            type: 'offer',
            sdp: `pre-offer ${this.transceivers.map((t) => `${t.receiver.track.kind} ${t.direction}`).join(', ')}`,
        };
    }

    async setRemoteDescription({ type, sdp }) {
        this.done.push(`setRemoteDescription ${type}`);
        if (FakeConnection.refuses) throw new Error('Failed to parse SessionDescription');
        if (type === 'rollback') {
            this.signalingState = 'stable';
            return;
        }
        this.signalingState = 'have-remote-offer';
        this.remoteDescription = { type, sdp };
        for (const [, kind, mid] of sdp.matchAll(/m=(\w+) .*?a=mid:(\w+)/gs)) {
            if (!this.transceivers.some((one) => one.mid === mid))
                this.transceivers.push(transceiver(kind, 'recvonly', mid));
        }
    }

    async setLocalDescription() {
        this.done.push(
            `setLocalDescription ${this.transceivers.map((t) => t.direction).join(' ')}`,
        );
        this.signalingState = 'stable';
        this.localDescription = {
            type: 'answer',
            sdp: `answer ${this.transceivers.map((t) => t.direction).join(' ')}`,
        };
    }

    getTransceivers() {
        return this.transceivers;
    }

    getSenders() {
        return this.transceivers.map((one) => one.sender);
    }

    become(state) {
        this.connectionState = state;
        this.onconnectionstatechange?.();
    }

    close() {
        this.done.push('close');
        this.signalingState = 'closed';
    }
}

function transceiver(kind, direction, mid) {
    return {
        mid,
        direction,
        currentDirection: null,
        receiver: { track: { kind } },
        sender: {
            track: null,
            setStreams() {},
            async replaceTrack(track) {
                this.track = track;
            },
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
