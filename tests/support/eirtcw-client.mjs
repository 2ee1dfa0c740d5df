// SPDX-License-Identifier: Apache-2.0
// A bare endpoint of either protocol for ladders: it sends what it is told and shows what it gets,
// requests one by one in order. Nothing is answered unless the test says so.

import WebSocket from 'ws';
import { H2WebSocket } from './h2-websocket.mjs';

/** What comes ends a wait; so long it lasts where nothing does. */
const WAIT_MS = 20_000;
const TRANSPORT = process.env.EIRTCW_TRANSPORT ?? 'http/1.1';

export class Endpoint {
    #socket;
    #next;
    #pending = new Map();
    #requests = [];
    #seen = new Set();
    #waiting = [];
    /** Once this is a list, every request is answered as it comes and put there. */
    obliged;

    /**
     * @param {WebSocket} socket
     * @param {0 | 1} first id of the first request: 0 for the WebSocket client, 1 for the server
     */
    constructor(socket, first) {
        this.#socket = socket;
        this.#next = first;
        socket.on('message', (data) => this.#onMessage(JSON.parse(String(data))));
        this.closed = new Promise((resolve) => {
            socket.on('close', (code, reason) => {
                for (const { reject } of this.#pending.values()) reject(new Error(`closed ${code}`));
                resolve({ code, reason: String(reason) });
            });
        });
        socket.on('error', () => {});
    }

    /** `options.transport` or $EIRTCW_TRANSPORT: "http/1.1" (default) or "h2" (RFC 8441). */
    static async connect(url, protocol = 'eirtcw.v1', { transport = TRANSPORT, ...options } = {}) {
        const Socket = transport === 'h2' ? H2WebSocket : WebSocket;
        // One message a turn: who awaits a response goes on before what is behind it in the same packet.
        const socket = new Socket(url, [protocol], { allowSynchronousEvents: false, ...options });
        const endpoint = new Endpoint(socket, 0);
        await new Promise((resolve, reject) => {
            socket.once('open', resolve);
            socket.once('error', reject);
        });
        return endpoint;
    }

    /** Sends a request; resolves with the response, whatever it says. */
    request(method, members = {}) {
        const transactionId = this.#next;
        this.#next += 2;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(
                () => reject(new Error(`no response to ${method}`)),
                WAIT_MS,
            );
            this.#pending.set(transactionId, {
                reject,
                resolve: (message) => {
                    clearTimeout(timer);
                    resolve(message);
                },
            });
            this.send({ messageType: 'request', method, transactionId, ...members });
        });
    }

    send(message) {
        this.#socket.send(JSON.stringify(message));
    }

    /** The next request of the peer; it must be of this method. `reply(members)`, `fail(problem)`. */
    async expect(method, wait = WAIT_MS) {
        const message = this.#requests.shift() ?? (await this.#arrival(method, wait));
        if (message.method !== method) {
            throw new Error(`expected ${method}, got ${JSON.stringify(message)}`);
        }
        return this.#answerable(message);
    }

    /** The next request of the peer, whenever it comes. */
    async expectAny() {
        return this.#answerable(this.#requests.shift() ?? (await this.#arrival()));
    }

    #answerable(message) {
        const { method, transactionId } = message;
        const respond = (success, members) =>
            this.send({ messageType: 'response', method, transactionId, success, ...members });
        return {
            ...message,
            reply: (members = {}) => respond(true, members),
            fail: (status, cause, detail) =>
                respond(false, { problemDetails: { status, cause, title: cause, detail } }),
        };
    }

    /** Fails when a request comes within the time. */
    async expectNothing(ms = 150) {
        await new Promise((resolve) => setTimeout(resolve, ms));
        if (this.#requests.length) {
            throw new Error(`expected nothing, got ${JSON.stringify(this.#requests[0])}`);
        }
    }

    /** The next request of this method; what comes before it is answered and forgotten. */
    async expectAmong(method) {
        for (;;) {
            const message = this.#requests.shift() ?? (await this.#arrival(method, WAIT_MS));
            const request = this.#answerable(message);
            if (message.method === method) return request;
            request.reply();
        }
    }

    close(code = 1000) {
        this.#socket.close(code);
        return this.closed;
    }

    /** The connection breaks without a word. */
    async cut() {
        this.#socket.terminate();
        await this.closed;
    }

    #arrival(method, wait) {
        return new Promise((resolve, reject) => {
            const timer = wait && setTimeout(() => reject(new Error(`no ${method} came`)), wait);
            this.#waiting.push((message) => {
                clearTimeout(timer);
                resolve(message);
            });
        });
    }

    #onMessage(message) {
        if (message.messageType === 'response') {
            this.#pending.get(message.transactionId)?.resolve(message);
            this.#pending.delete(message.transactionId);
            return;
        }
        if (this.#seen.has(message.transactionId)) return; // a retransmission
        this.#seen.add(message.transactionId);
        if (this.obliged) {
            this.obliged.push(message);
            this.#answerable(message).reply();
            return;
        }
        const waiting = this.#waiting.shift();
        if (waiting) waiting(message);
        else this.#requests.push(message);
    }
}
