// SPDX-License-Identifier: Apache-2.0
// Waiting for something to change: whoever waits looks again each time the bell rings.

export class Bell {
    /** @type {Set<() => void>} */
    #waiting = new Set();

    ring() {
        for (const wake of [...this.#waiting]) wake();
    }

    /**
     * Until the next ring, or for so long.
     * @param {number} [timeout] milliseconds
     * @returns {Promise<void>}
     */
    heard(timeout) {
        return new Promise((resolve) => {
            const wake = () => {
                clearTimeout(timer);
                this.#waiting.delete(wake);
                resolve();
            };
            const timer = timeout === undefined ? undefined : setTimeout(wake, timeout);
            this.#waiting.add(wake);
        });
    }
}
