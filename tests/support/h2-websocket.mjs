// SPDX-License-Identifier: Apache-2.0
// A WebSocket client over HTTP/2 (RFC 8441 on node's http2, RFC 6455 frames of our own) with the
// face of the package `ws`, so that whatever a test does over HTTP/1.1 it can do over HTTP/2.
// ws:// is HTTP/2 with prior knowledge, wss:// asks for it by ALPN.

import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import http2 from 'node:http2';

const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };
const CLOSE_MS = 5_000;

/** One HTTP/2 connection for several WebSockets and requests. */
export class H2Session {
    /** @param {string} url of any resource of the server; `options` as of http2.connect */
    constructor(url, options = {}) {
        const { protocol, host } = new URL(url);
        const secure = protocol === 'wss:' || protocol === 'https:';
        this.session = http2.connect(`${secure ? 'https' : 'http'}://${host}`, {
            rejectUnauthorized: options.rejectUnauthorized ?? true,
            ...options,
        });
        this.session.on('error', () => {});
        // RFC 8441 3: a client waits for the server's setting.
        this.ready = new Promise((resolve, reject) => {
            this.session.once('error', reject);
            this.session.once('close', () => reject(new Error('the HTTP/2 connection closed')));
            this.session.once('remoteSettings', (settings) =>
                settings.enableConnectProtocol
                    ? resolve(this.session)
                    : reject(new Error('the server has no extended CONNECT')),
            );
        });
        this.ready.catch(() => {});
    }

    /** A request without a body; resolves with {status, headers, body}. */
    async request(path, headers = {}) {
        const session = await this.ready;
        const stream = session.request({ ':path': path, ...headers });
        const chunks = [];
        stream.on('data', (chunk) => chunks.push(chunk));
        return new Promise((resolve, reject) => {
            let answer;
            stream.on('response', (got) => {
                answer = got;
            });
            stream.on('error', reject);
            stream.on('close', () =>
                answer
                    ? resolve({ status: answer[':status'], headers: answer, body: Buffer.concat(chunks) })
                    : reject(new Error('the stream ended without an answer')),
            );
        });
    }

    close() {
        this.session.close();
    }

    destroy() {
        this.session.destroy();
    }
}

/** Emits open, message (data, isBinary), ping, pong, close (code, reason), error. */
export class H2WebSocket extends EventEmitter {
    readyState = 0;
    protocol = '';
    autoPong = true;
    #own;
    #session;
    #stream;
    #input = Buffer.alloc(0);
    #parts = [];
    #code = 1006;
    #reason = Buffer.alloc(0);
    #closeSent = false;
    #timer;

    /** `options`: those of http2.connect, `session` (an H2Session to share), origin, headers. */
    constructor(url, protocols = [], options = {}) {
        super();
        const { session, origin, headers = {}, autoPong = true, allowSynchronousEvents = true, ...tls } = options;
        this.url = url;
        this.autoPong = autoPong;
        this.#deferred = !allowSynchronousEvents;
        this.#own = !session;
        this.#session = session ?? new H2Session(url, tls);
        this.#open(url, [protocols].flat(), { ...(origin ? { origin } : {}), ...headers });
    }

    async #open(url, protocols, headers) {
        let session;
        try {
            session = await this.#session.ready;
        } catch (error) {
            this.#fail(error);
            return;
        }
        if (this.readyState !== 0) return; // ended while it connected
        if (session.destroyed || session.closed) {
            this.#fail(new Error('the HTTP/2 connection is closing'));
            return;
        }
        const { protocol, pathname, search } = new URL(url);
        this.#stream = session.request(
            {
                ':method': 'CONNECT',
                ':protocol': 'websocket',
                ':scheme': protocol === 'wss:' ? 'https' : 'http',
                ':path': pathname + search,
                'sec-websocket-version': '13',
                ...(protocols.length ? { 'sec-websocket-protocol': protocols.join(', ') } : {}),
                ...headers,
            },
            { endStream: false },
        );
        this.#stream.on('response', (answer) => this.#onResponse(answer));
        this.#stream.on('data', (chunk) => this.#onData(chunk));
        this.#stream.on('error', (error) => {
            if (this.readyState === 0) this.emit('error', error);
        });
        this.#stream.on('end', () => this.#stream.end());
        this.#stream.on('close', () => this.#onClosed());
    }

    #fail(error) {
        this.readyState = 3;
        this.emit('error', error);
        this.emit('close', 1006, Buffer.alloc(0));
        if (this.#own) this.#session.destroy();
    }

    #onResponse(answer) {
        if (answer[':status'] !== 200) {
            this.status = answer[':status'];
            this.emit('error', new Error(`Unexpected server response: ${this.status}`));
            this.#stream.close();
            return;
        }
        this.protocol = answer['sec-websocket-protocol'] ?? '';
        this.readyState = 1;
        this.emit('open');
    }

    #onClosed() {
        if (this.readyState === 3) return;
        clearImmediate(this.#later);
        this.#frames(false);
        if (this.readyState === 0 && this.status === undefined) {
            this.emit('error', new Error('the stream ended without an answer'));
        }
        clearTimeout(this.#timer);
        this.readyState = 3;
        this.emit('close', this.#code, this.#reason);
        if (this.#own) this.#session.close();
    }

    #onData(chunk) {
        this.#input = this.#input.length ? Buffer.concat([this.#input, chunk]) : chunk;
        if (!this.#later) this.#frames(this.#deferred);
    }

    /** All frames that are there, or up to a message and the rest in turns of their own. */
    #frames(deferred) {
        for (let frame; (frame = this.#take()); ) {
            this.#onFrame(frame);
            if (!deferred || !frame.fin || frame.opcode > OPCODE.BINARY) continue;
            this.#later = setImmediate(() => {
                this.#later = undefined;
                this.#frames(true);
            });
            return;
        }
    }

    #deferred;
    #later;

    /** The next whole frame of the input (RFC 6455 5.2; a server does not mask). */
    #take() {
        const input = this.#input;
        if (input.length < 2) return undefined;
        let length = input[1] & 0x7f;
        let at = 2;
        if (length === 126) {
            if (input.length < 4) return undefined;
            length = input.readUInt16BE(2);
            at = 4;
        } else if (length === 127) {
            if (input.length < 10) return undefined;
            length = Number(input.readBigUInt64BE(2));
            at = 10;
        }
        if (input[1] & 0x80) throw new Error('the server masks');
        if (input.length < at + length) return undefined;
        this.#input = input.subarray(at + length);
        return { fin: !!(input[0] & 0x80), opcode: input[0] & 0x0f, data: input.subarray(at, at + length) };
    }

    #onFrame({ fin, opcode, data }) {
        switch (opcode) {
        case OPCODE.TEXT:
        case OPCODE.BINARY:
            this.#parts = [data];
            this.#binary = opcode === OPCODE.BINARY;
            break;
        case OPCODE.CONTINUATION:
            this.#parts.push(data);
            break;
        case OPCODE.PING:
            if (this.autoPong) this.pong(data);
            this.emit('ping', data);
            return;
        case OPCODE.PONG:
            this.emit('pong', data);
            return;
        case OPCODE.CLOSE:
            this.#code = data.length >= 2 ? data.readUInt16BE(0) : 1005;
            this.#reason = data.subarray(2);
            this.#sendClose(data.subarray(0, 2));
            return;
        default:
            throw new Error(`opcode ${opcode}`);
        }
        if (fin) this.emit('message', Buffer.concat(this.#parts.splice(0)), this.#binary);
    }

    #binary = false;

    /** One frame as a client sends it, masked. For tests that want their own. */
    frame(opcode, data = Buffer.alloc(0), fin = true) {
        const payload = Buffer.from(data);
        const mask = randomBytes(4);
        for (let i = 0; i < payload.length; i++) payload[i] ^= mask[i & 3];
        let head;
        if (payload.length < 126) {
            head = Buffer.from([0, 0x80 | payload.length]);
        } else if (payload.length < 65536) {
            head = Buffer.from([0, 0x80 | 126, 0, 0]);
            head.writeUInt16BE(payload.length, 2);
        } else {
            head = Buffer.alloc(10);
            head[1] = 0x80 | 127;
            head.writeBigUInt64BE(BigInt(payload.length), 2);
        }
        head[0] = (fin ? 0x80 : 0) | opcode;
        if (this.#stream && !this.#stream.closed) this.#stream.write(Buffer.concat([head, mask, payload]));
    }

    /** A string leaves as text, anything else as binary; after one with `fin: false` comes its rest. */
    send(data, { fin = true, binary = typeof data !== 'string' } = {}) {
        const opcode = binary ? OPCODE.BINARY : OPCODE.TEXT;
        this.frame(this.#fragmented ? OPCODE.CONTINUATION : opcode, Buffer.from(data), fin);
        this.#fragmented = !fin;
    }

    #fragmented = false;

    ping(data = '') {
        this.frame(OPCODE.PING, Buffer.from(data));
    }

    pong(data = '') {
        this.frame(OPCODE.PONG, Buffer.from(data));
    }

    #sendClose(data) {
        if (this.#closeSent) return;
        this.#closeSent = true;
        this.readyState = 2;
        this.frame(OPCODE.CLOSE, data);
        this.#timer = setTimeout(() => this.terminate(), CLOSE_MS);
        this.#timer.unref();
    }

    close(code = 1000, reason = '') {
        if (this.readyState !== 1) return;
        const data = Buffer.alloc(2);
        data.writeUInt16BE(code);
        this.#sendClose(Buffer.concat([data, Buffer.from(reason)]));
    }

    /** Without a word: the connection, or the stream where it is shared. */
    terminate() {
        if (this.#own) this.#session.destroy();
        else this.#stream?.close(http2.constants.NGHTTP2_CANCEL);
    }

    /** Stops and resumes reading; what has come is kept by the HTTP/2 stream and its window. */
    pause() {
        this.#stream.pause();
    }

    resume() {
        this.#stream.resume();
    }
}
