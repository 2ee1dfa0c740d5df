// SPDX-License-Identifier: Apache-2.0
// Trickle ICE (protocol A6, `trickle-ice`). Candidates of the far side may come before the
// description that they belong to: they are kept by user fragment until that one is applied. Our own
// are collected for a moment, so that one message carries several.

import { isObject } from './problem.js';
import { userFragments } from './sdp.js';

const MOST_KEPT = 256;
const TOGETHER_MS = 20;

/** What came from the far side. */
export class RemoteCandidates {
    /** @type {RTCIceCandidateInit[]} */
    #kept = [];

    /**
     * @param {import('./index.js').Message} message
     * @param {RTCPeerConnection | null} connection
     */
    async take({ candidates, endOfCandidates }, connection) {
        const come = Array.isArray(candidates) ? candidates.filter(isObject) : [];
        /** @type {RTCIceCandidateInit[]} */
        const made = come.map(({ candidate, sdpMid, usernameFragment }) => ({
            candidate: String(candidate ?? ''),
            ...(typeof sdpMid === 'string' ? { sdpMid } : { sdpMLineIndex: 0 }),
            ...(typeof usernameFragment === 'string' ? { usernameFragment } : {}),
        }));
        if (endOfCandidates === true) made.push({ candidate: '', sdpMLineIndex: 0 });
        this.#kept.push(...made);
        this.#kept.splice(0, this.#kept.length - MOST_KEPT);
        await this.apply(connection);
    }

    /**
     * Those of the applied remote description.
     * @param {RTCPeerConnection | null} connection
     */
    async apply(connection) {
        const applied = connection?.remoteDescription?.sdp;
        if (!connection || !applied) return;
        const names = userFragments(applied);
        const ready = this.#kept.filter((one) => {
            const name = one.usernameFragment ?? /\bufrag (\S+)/.exec(one.candidate ?? '')?.[1];
            return name === undefined || names.has(name);
        });
        this.#kept = this.#kept.filter((one) => !ready.includes(one));
        // One that the browser cannot use is no reason to lose the others.
        for (const one of ready) await connection.addIceCandidate(one).catch(() => {});
    }
}

/** Our own, on their way out. */
export class LocalCandidates {
    #send;
    /** @type {import('./index.js').TrickledCandidate[]} */
    #collected = [];
    #ended = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;
    #open = false;

    /** @param {(members: Record<string, unknown>) => void} send */
    constructor(send) {
        this.#send = send;
    }

    /** An offer of ours is outstanding: from now on candidates may be sent. */
    open() {
        this.#open = true;
        this.#later();
    }

    /** It is answered or void. */
    close() {
        this.#open = false;
        this.#collected = [];
        this.#ended = false;
        clearTimeout(this.#timer);
        this.#timer = undefined;
    }

    /** @param {RTCIceCandidate | null} one null at the end */
    add(one) {
        if (one?.candidate) {
            const { candidate, sdpMid, usernameFragment } = one;
            this.#collected.push({
                candidate,
                ...(sdpMid === null ? {} : { sdpMid }),
                ...(usernameFragment ? { usernameFragment } : {}),
            });
        } else {
            this.#ended = true;
        }
        this.#later();
    }

    #later() {
        if (!this.#open || (this.#collected.length === 0 && !this.#ended)) return;
        this.#timer ??= setTimeout(() => {
            this.#timer = undefined;
            const candidates = this.#collected.splice(0);
            this.#send({
                ...(candidates.length > 0 ? { candidates } : {}),
                ...(this.#ended ? { endOfCandidates: true } : {}),
            });
            this.#ended = false;
        }, TOGETHER_MS);
    }
}
