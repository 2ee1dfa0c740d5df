// SPDX-License-Identifier: Apache-2.0
// A TCP relay between a page and the service that a test can cut: at once, or so that nobody notices.

import { connect, createServer } from 'node:net';

export class Proxy {
    #pairs = new Set();
    #held = false;
    /** New connections are refused while this is false. */
    admits = true;

    /** @param {string} target URL of the service */
    static async start(target) {
        const proxy = new Proxy();
        const port = Number(new URL(target).port);
        proxy.server = createServer((near) => proxy.#accept(near, port));
        await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
        proxy.url = `http://localhost:${proxy.server.address().port}/`;
        return proxy;
    }

    #accept(near, port) {
        if (!this.admits) {
            near.destroy();
            return;
        }
        const far = connect(port, '127.0.0.1');
        const pair = { near, far };
        this.#pairs.add(pair);
        for (const [from, to] of [
            [near, far],
            [far, near],
        ]) {
            from.on('data', (data) => this.#held || to.write(data));
            from.on('error', () => {});
            from.on('close', () => {
                if (!this.#held) to.destroy();
                this.#pairs.delete(pair);
            });
        }
    }

    /** All connections break. */
    cut() {
        for (const { near, far } of this.#pairs) {
            near.resetAndDestroy();
            far.destroy();
        }
    }

    /** What is sent vanishes, in both directions; nobody is told. */
    hold() {
        this.#held = true;
    }

    /** The connections that were held are dead; new ones pass. */
    release() {
        this.cut();
        this.#held = false;
    }

    async stop() {
        this.#held = false;
        this.cut();
        await new Promise((resolve) => this.server.close(resolve));
    }
}
