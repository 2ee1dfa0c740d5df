// SPDX-License-Identifier: Apache-2.0
// A WebSocket without a network: the test sees what was sent and says what arrives.

export class FakeSocket {
    /** @type {FakeSocket[]} */
    static made = [];
    readyState = 0;
    sent = [];
    closed;

    constructor(url, protocols) {
        this.url = url;
        this.protocols = protocols;
        FakeSocket.made.push(this);
    }

    static get last() {
        return FakeSocket.made.at(-1);
    }

    static reset() {
        FakeSocket.made = [];
    }

    open() {
        this.readyState = 1;
        this.onopen?.();
    }

    send(text) {
        this.sent.push(JSON.parse(text));
        this.raw = text;
    }

    close(code, reason) {
        this.readyState = 3;
        this.closed = { code, reason };
    }

    receive(message) {
        this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
    }

    /** The peer's close, or 1006 for a lost connection. */
    drop(code = 1006, reason = '') {
        this.readyState = 3;
        this.onclose?.({ code, reason });
    }

    lastRequest(method) {
        return this.sent.findLast(
            (m) => m.messageType === 'request' && (!method || m.method === method),
        );
    }

    /** Answers the last request of a method. */
    answer(method, members = {}, success = true) {
        const { transactionId } = this.lastRequest(method);
        this.receive({ messageType: 'response', method, transactionId, success, ...members });
    }

    refuse(method, status, cause, members = {}) {
        this.answer(method, { problemDetails: { status, cause, title: cause }, ...members }, false);
    }
}

/** Lets all promises that can go on go on. */
export async function settle() {
    for (let i = 0; i < 30; i++) await Promise.resolve();
}
