// SPDX-License-Identifier: Apache-2.0
// One WebSocket connection and the transactions on it (protocol A1 to A3). It knows nothing of
// registration or calls: requests go out and get a promise, requests that come in go to one handler.
// When the connection ends every outstanding request fails and the link is of no further use; who
// owns it opens a new one.

import { decode, encodeRequest, encodeResponse } from './envelope.js';
import { overreach } from './extensions.js';
import { ProblemError } from './problem.js';

export const SUBPROTOCOL = 'eirtcw.v1';
const REQUEST_TIMEOUT_MS = 10_000;
const KEPT_RESPONSES = 256;
const KEPT_BYTES = 64 * 1024;

/**
 * @typedef {object} Pending
 * @property {unknown} offered supportedExtension of the request
 * @property {(message: import('./index.js').Message) => void} resolve
 * @property {(error: unknown) => void} reject
 */

export class Link extends EventTarget {
    #socket;
    #handler;
    #extensions;
    #nextId = 0;
    #heard = false;
    #closed = false;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #keepAlive;
    /** @type {Map<string, Pending>} */
    #pending = new Map();
    /**
     * Requests of the peer: the response's text, or null while it is in progress.
     * @type {Map<string, string | null>}
     */
    #answered = new Map();
    #answeredBytes = 0;
    /** @type {Promise<void>} */
    opened;

    /**
     * @param {string} url
     * @param {object} options
     * @param {typeof globalThis.WebSocket} options.WebSocket
     * @param {import('./index.js').RequestHandler} options.handler
     * @param {string[]} [options.extensions] names of supported extensions
     */
    constructor(url, { WebSocket, handler, extensions = [] }) {
        super();
        this.#handler = handler;
        this.#extensions = extensions;
        const socket = new WebSocket(url, [SUBPROTOCOL]);
        this.#socket = socket;
        this.opened = new Promise((resolve, reject) => {
            socket.onopen = () => resolve();
            this.addEventListener('close', () =>
                reject(new ProblemError({ cause: 'CONNECTION_FAILED' })),
            );
        });
        this.opened.catch(() => {});
        socket.onmessage = (event) => this.#onMessage(event.data);
        socket.onclose = (event) => this.#end(event.code, event.reason);
    }

    /**
     * Sends a request; rejects with a ProblemError when it failed, was not answered in time or the
     * connection went away, and with the signal's reason when it was aborted.
     * @param {string} method
     * @param {Record<string, unknown>} [members]
     * @param {{ signal?: AbortSignal, timeout?: number }} [options] timeout in milliseconds
     * @returns {Promise<import('./index.js').Message>}
     */
    request(method, members = {}, { signal, timeout = REQUEST_TIMEOUT_MS } = {}) {
        return new Promise((resolve, reject) => {
            signal?.throwIfAborted();
            if (this.#closed || this.#socket.readyState !== 1) {
                throw new ProblemError({ cause: 'CONNECTION_LOST' });
            }
            const id = String(this.#nextId);
            this.#nextId += 2; // the WebSocket client's ids are even
            const text = encodeRequest(method, id, members);
            // A2: one retransmission with the same id is allowed.
            const again = setTimeout(() => this.#send(text), timeout / 2);
            const late = setTimeout(
                () =>
                    settle(() =>
                        reject(
                            new ProblemError({
                                status: 504,
                                cause: 'PEER_TIMEOUT',
                                detail: method,
                            }),
                        ),
                    ),
                timeout,
            );
            const onAbort = () => settle(() => reject(signal?.reason));
            const settle = (/** @type {() => void} */ finish) => {
                clearTimeout(again);
                clearTimeout(late);
                signal?.removeEventListener('abort', onAbort);
                this.#pending.delete(id);
                finish();
            };
            signal?.addEventListener('abort', onAbort);
            this.#pending.set(id, {
                offered: members.supportedExtension,
                resolve: (message) => settle(() => resolve(message)),
                reject: (error) => settle(() => reject(error)),
            });
            this.#send(text);
        });
    }

    /**
     * A page can neither send nor see pings, so it asks once per interval in which nothing came; no
     * response means that the connection is dead although nobody said so.
     * @param {number} seconds
     */
    keepAlive(seconds) {
        clearInterval(this.#keepAlive);
        this.#heard = true;
        this.#keepAlive = setInterval(() => {
            if (!this.#heard) {
                this.request(
                    'keepalive',
                    {},
                    { timeout: Math.min(REQUEST_TIMEOUT_MS, seconds * 1000) },
                ).catch(() => this.close(4408, 'keep-alive failure'));
            }
            this.#heard = false;
        }, seconds * 1000);
    }

    /**
     * Ends the connection at once: the closing handshake of a dead peer would take minutes.
     * @param {number} [code]
     * @param {string} [reason]
     */
    close(code = 1000, reason = '') {
        if (this.#closed) return;
        this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
        this.#socket.close(code, reason);
        this.#end(code, reason);
    }

    /**
     * @param {number} code
     * @param {string} reason
     */
    #end(code, reason) {
        if (this.#closed) return;
        this.#closed = true;
        clearInterval(this.#keepAlive);
        for (const { reject } of [...this.#pending.values()])
            reject(new ProblemError({ cause: 'CONNECTION_LOST' }));
        this.dispatchEvent(new CustomEvent('close', { detail: { code, reason } }));
    }

    /** @param {string} text */
    #send(text) {
        if (this.#closed || this.#socket.readyState !== 1) return;
        this.#socket.send(text);
        this.#show('sent', text);
    }

    /**
     * For those who want to look on.
     * @param {'sent' | 'received'} direction
     * @param {unknown} text
     */
    #show(direction, text) {
        this.dispatchEvent(new CustomEvent('message', { detail: { direction, text } }));
    }

    /** @param {unknown} data */
    #onMessage(data) {
        this.#heard = true;
        this.#show('received', data);
        let message;
        try {
            message = decode(data);
        } catch (error) {
            this.close(4400, error instanceof Error ? error.message.slice(0, 80) : '');
            return;
        }
        if (message.messageType === 'request') {
            this.#onRequest(message);
            return;
        }
        const pending = this.#pending.get(message.transactionId);
        if (!pending) return; // late, or a second response to a retransmitted request
        const unasked = overreach(message, pending.offered);
        if (unasked !== undefined) {
            const problem = new ProblemError({
                cause: 'PROTOCOL_ERROR',
                detail: `${unasked} is required`,
            });
            problem.response = message;
            pending.reject(problem);
        } else if (message.success === true) {
            pending.resolve(message);
        } else {
            const problem = ProblemError.fromMessage(message);
            problem.response = message;
            pending.reject(problem);
        }
    }

    /** @param {import('./index.js').Message & { transactionId: string }} message */
    #onRequest(message) {
        const { transactionId: id, method } = message;
        const former = this.#answered.get(id);
        if (former !== undefined) {
            if (former !== null) this.#send(former); // a retransmission is not executed twice
            return;
        }
        this.#answered.set(id, null);
        let answered = false;
        const respond = (
            /** @type {boolean} */ success,
            /** @type {Record<string, unknown>} */ members,
        ) => {
            if (answered) return;
            answered = true;
            const text = encodeResponse(String(method), id, success, members);
            this.#remember(id, text);
            this.#send(text);
        };
        const fail = (/** @type {unknown} */ error) => {
            const problem =
                error instanceof ProblemError
                    ? error
                    : new ProblemError({ status: 500, cause: 'INTERNAL_ERROR' });
            respond(false, {
                ...(typeof message.mediaSessionId === 'string'
                    ? { mediaSessionId: message.mediaSessionId }
                    : {}),
                ...(problem.unsupportedExtension
                    ? { unsupportedExtension: problem.unsupportedExtension }
                    : {}),
                ...(problem.retryAfter === undefined ? {} : { retryAfter: problem.retryAfter }),
                problemDetails: problem.toDetails(),
            });
            if (!(error instanceof ProblemError)) {
                this.dispatchEvent(new CustomEvent('error', { detail: error }));
            }
        };
        try {
            this.#check(message);
            const done = this.#handler(message, (members = {}) => respond(true, members));
            Promise.resolve(done).catch(fail);
        } catch (error) {
            fail(error);
        }
    }

    /** @param {import('./index.js').Message & { transactionId: string }} message */
    #check(message) {
        if (Number(message.transactionId.at(-1)) % 2 === 0) {
            throw new ProblemError({ status: 400, cause: 'TRANSACTION_ID_PARITY' });
        }
        if (typeof message.method !== 'string') {
            throw new ProblemError({ status: 400, cause: 'MISSING_PARAMETER', detail: 'method' });
        }
        const required = Array.isArray(message.requiredExtension) ? message.requiredExtension : [];
        const lacking = required.filter((name) => !this.#extensions.includes(name));
        if (lacking.length > 0) {
            throw new ProblemError({
                status: 501,
                cause: 'EXTENSION_NOT_SUPPORTED',
                unsupportedExtension: lacking,
            });
        }
    }

    /**
     * @param {string} id
     * @param {string} text
     */
    #remember(id, text) {
        this.#answered.set(id, text);
        this.#answeredBytes += text.length;
        for (const [oldest, kept] of this.#answered) {
            if (this.#answered.size <= KEPT_RESPONSES && this.#answeredBytes <= KEPT_BYTES) break;
            if (kept === null) continue;
            this.#answered.delete(oldest);
            this.#answeredBytes -= kept.length;
        }
    }
}
