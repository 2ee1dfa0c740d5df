// SPDX-License-Identifier: Apache-2.0
// Whether the other side has put the call on hold. The protocol says it by directions alone: media
// that we sent before is no longer taken. While we hold the call ourselves that cannot be seen.

import { sends } from './wants.js';

export class HoldWatch {
    #negotiation;
    #changed;
    heldByPeer = false;
    #sent = false;

    /**
     * @param {import('./negotiation.js').Negotiation} negotiation
     * @param {(detail: { held: boolean, heldByPeer: boolean }) => void} changed
     */
    constructor(negotiation, changed) {
        this.#negotiation = negotiation;
        this.#changed = changed;
    }

    /**
     * After each answer.
     * @param {import('./index.js').Wants} wants
     */
    look(wants) {
        const live = (this.#negotiation.connection?.getTransceivers() ?? []).filter(
            (one) => one.mid !== null && one.direction !== 'stopped',
        );
        const sending = live.some((one) => sends(one.currentDirection));
        if (sending) this.#sent = true;
        if (wants.held) return;
        const heldByPeer = this.#sent && !sending && wants.tracks.length > 0;
        if (heldByPeer === this.heldByPeer) return;
        this.heldByPeer = heldByPeer;
        this.tell(wants);
    }

    /** @param {import('./index.js').Wants} wants */
    tell({ held }) {
        this.#changed({ held, heldByPeer: this.heldByPeer });
    }
}
