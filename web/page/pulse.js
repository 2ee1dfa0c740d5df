// SPDX-License-Identifier: Apache-2.0
// Signs of life of a room's m-lines, once a second: nobody tells whether somebody else has muted the
// microphone or covered the lens, but a live microphone is never quite silent, and a live picture moves.

const PERIOD_MS = 1000;
/** Readings in a row before it is believed. */
const PATIENCE = 3;

export class Pulse {
    /** @type {Map<string, { value: number, same: number }>} */
    #media = new Map();
    #timer;

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {() => void} changed after each reading
     * @param {AbortSignal} signal
     */
    constructor(session, changed, signal) {
        this.#timer = setInterval(async () => {
            const report = await session.getStats().catch(() => null);
            if (!report || signal.aborted) return;
            this.#read(report);
            changed();
        }, PERIOD_MS);
        signal.addEventListener('abort', () => clearInterval(this.#timer));
    }

    /** Nothing is heard or seen of this m-line. @param {string} mid */
    isStill(mid) {
        return (this.#media.get(mid)?.same ?? 0) >= PATIENCE;
    }

    /** Another one's from now on. @param {string} mid */
    forget(mid) {
        this.#media.delete(mid);
    }

    /** @param {RTCStatsReport} report */
    #read(report) {
        report.forEach((row) => {
            if (row.type !== 'inbound-rtp' || row.mid === undefined) return;
            const value = (row.kind === 'audio' ? row.totalAudioEnergy : row.framesDecoded) ?? 0;
            const before = this.#media.get(row.mid);
            const same = before && value - before.value < 1e-9 ? before.same + 1 : 0;
            this.#media.set(row.mid, { value, same });
        });
    }
}
