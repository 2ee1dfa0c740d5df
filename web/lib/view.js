// SPDX-License-Identifier: Apache-2.0
// How large each picture is on the screen, told to the network (application method `view` of its
// realm), so that it sends no more of a picture than is seen. A window that is being drawn larger gives
// hundreds of sizes: the last one counts, told twice a second at most and only when it is another one.
// Wishes are by person where the application says so; m-lines change hands, and the wish goes along.

import { problemOf } from './problem.js';

/** @typedef {import('./index.js').View} View */

const PERIOD_MS = 500;
/** A network that does not know the method is not asked again. */
const UNKNOWN = [
    'APP_METHOD_UNKNOWN',
    'METHOD_NOT_SUPPORTED',
    'EXTENSION_NOT_SUPPORTED',
    'NOT_AUTHORIZED',
];
/** Milliseconds until what was refused is told again; an m-line may have been on its way out. */
const AGAIN_MS = 2000;
const MOST_PIXELS = 16_384;

export class Views {
    #send;
    #midsOf;
    /** @type {readonly View[]} */
    #wanted = [];
    /** What the network knows, as text. */
    #told = '[]';
    #running = false;
    #over = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;

    /**
     * @param {object} port
     * @param {(views: { mid: string, width: number, height: number }[]) => Promise<unknown>} port.send
     * @param {(participantId: string) => readonly string[]} port.midsOf those of pictures
     */
    constructor({ send, midsOf }) {
        this.#send = send;
        this.#midsOf = midsOf;
    }

    /** @param {readonly View[]} views all of them */
    set(views) {
        this.#wanted = views.map((one) => ({ ...one }));
        this.look();
    }

    /** The call runs or does not; the network may have forgotten what was told before. */
    run(/** @type {boolean} */ running) {
        if (running && !this.#running) this.#told = '[]';
        this.#running = running;
        if (running) this.look();
    }

    /** Wishes or m-lines may be others now. */
    look() {
        if (!this.#running || this.#over || this.#timer !== undefined) return;
        if (JSON.stringify(this.#views()) === this.#told) return;
        this.#tell();
    }

    close() {
        this.#over = true;
        clearTimeout(this.#timer);
    }

    #tell() {
        const views = this.#views();
        this.#told = JSON.stringify(views);
        this.#wait(PERIOD_MS);
        this.#send(views).catch((error) => {
            const { cause } = problemOf(error);
            if (UNKNOWN.includes(cause)) this.close();
            else this.#told = '';
            if (!this.#over) this.#wait(AGAIN_MS);
        });
    }

    /** @param {number} milliseconds until the next look */
    #wait(milliseconds) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
            this.#timer = undefined;
            this.look();
        }, milliseconds);
    }

    #views() {
        /** @type {Map<string, { mid: string, width: number, height: number }>} */
        const views = new Map();
        for (const { mid, participantId, width, height } of this.#wanted) {
            const mids = mid === undefined ? this.#midsOf(participantId ?? '') : [mid];
            for (const one of mids)
                views.set(one, { mid: one, width: pixels(width), height: pixels(height) });
        }
        return [...views.values()];
    }
}

/** @param {number} value */
function pixels(value) {
    return Number.isFinite(value) ? Math.min(Math.max(Math.round(value), 0), MOST_PIXELS) : 0;
}
