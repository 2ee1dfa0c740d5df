// SPDX-License-Identifier: Apache-2.0
// One WebSocket connection of a party: it sends what it is told, keeps what comes until a step asks for
// it, and holds every message against the schemas and against the rules of transaction ids.

import { once } from 'node:events';
import { loadSchemas, validatorOf } from '../../schema/schemas.mjs';

const ajv = loadSchemas();

async function webSocketClass(url) {
    // Without TLS there is no agreement upon HTTP/2, nor is the control link ever over it.
    if (process.env.EIRTCW_TRANSPORT !== 'h2' || url.startsWith('ws:')) return (await import('ws')).default;
    return (await import('../../support/h2-websocket.mjs')).H2WebSocket;
}

/** JSON with integers beyond 2^53 digit by digit. */
export function stringify(message) {
    const text = JSON.stringify(message, (name, value) =>
        typeof value === 'bigint' ? `big integer ${value}` : value);
    return text.replace(/"big integer (\d+)"/g, '$1');
}

function parse(text) {
    const message = JSON.parse(text);
    if (!Number.isSafeInteger(message.transactionId)) {
        const digits = /"transactionId"\s*:\s*(\d+)/.exec(text)?.[1];
        if (digits) message.transactionId = BigInt(digits);
    }
    return message;
}

/** Why a message is not as its schema says, or undefined. */
export function schemaFault(protocol, text) {
    const message = JSON.parse(text);
    const validate = validatorOf(ajv, protocol, message);
    if (!validate) return `no schema for the ${message.messageType} of ${message.method}`;
    return validate(message) ? undefined : ajv.errorsText(validate.errors);
}

/** Where a party listens for the WSF. */
export class Door {
    connections = [];
    tell = () => {};
    #watchers = new Set();

    static async open(protocol = 'eirtcw') {
        const { WebSocketServer } = await import('ws');
        const door = new Door();
        door.server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
        door.server.on('connection', (socket) => {
            door.connections.push(new Connection(socket, { protocol, side: 1, tell: (text) => door.tell(text) }));
            for (const changed of [...door.#watchers]) changed();
        });
        await once(door.server, 'listening');
        door.url = `ws://127.0.0.1:${door.server.address().port}/${protocol}/v1`;
        return door;
    }

    watch(changed) {
        this.#watchers.add(changed);
        return () => this.#watchers.delete(changed);
    }

    close() {
        for (const client of this.server.clients) client.terminate();
        this.server.close();
    }
}

export class Connection {
    /** Received and not yet asked for: { text, message, again }. */
    inbox = [];
    /** What a step has taken, for `again`. */
    taken = [];
    /** Our requests by id: { id, method, label, answered }. */
    requests = [];
    faults = [];
    pings = 0;
    closed = null;
    #watchers = new Set();
    #texts = new Set();
    #lastFromPeer;

    /** `side` 0: we have opened it; 1: the peer has. */
    constructor(socket, { protocol, side = 0, tell = () => {} }) {
        this.socket = socket;
        this.protocol = protocol;
        this.next = side;
        this.peerNext = 1 - side;
        this.tell = tell;
        socket.on('message', (data, binary) => this.#receive(String(data), binary));
        socket.on('ping', () => {
            this.pings++;
            this.#wake();
        });
        socket.on('close', (code, reason) => {
            this.closed = { code, reason: String(reason) };
            tell(`closed ${code} ${reason}`);
            this.#wake();
        });
        socket.on('error', () => {}); // `close` follows
    }

    /** Resolves with a connection or with { refused: HTTP status }. */
    static async open(url, { protocol, subprotocols = [`${protocol}.v1`], mute = false, tls = {}, tell }) {
        const WebSocket = await webSocketClass(url);
        const socket = new WebSocket(url, subprotocols, { autoPong: !mute, ...tls });
        const connection = new Connection(socket, { protocol, tell });
        const refused = new Promise((resolve) =>
            socket.once('unexpected-response', (request, response) => {
                resolve({ refused: response.statusCode });
                request.destroy();
            }));
        const failed = once(socket, 'error').then(([error]) => {
            if (socket.status) return { refused: socket.status }; // over HTTP/2
            throw new Error(`${url}: ${error.message}`);
        });
        failed.catch(() => {});
        return Promise.race([once(socket, 'open').then(() => connection), refused, failed]);
    }

    #receive(text, binary) {
        if (binary) {
            this.faults.push('received a binary message');
            return this.#wake();
        }
        this.tell(`received ${text}`);
        const again = this.#texts.has(text);
        this.#texts.add(text);
        let message;
        try {
            message = parse(text);
            const fault = schemaFault(this.protocol, text);
            if (fault) this.faults.push(`received what its schema does not allow: ${fault}: ${text}`);
            if (message.messageType === 'request' && !again) this.#checkId(message, text);
        } catch (error) {
            this.faults.push(`received what is no message: ${error.message}: ${text}`);
            return this.#wake();
        }
        this.inbox.push({ text, message, again });
        this.#wake();
    }

    /** A2 (S): a side counts by two from 0 or 1. */
    #checkId({ transactionId }, text) {
        const wanted = this.#lastFromPeer === undefined ? this.peerNext : this.#lastFromPeer + 2;
        if (transactionId !== wanted) this.faults.push(`expected transactionId ${wanted}, received ${text}`);
        this.#lastFromPeer = Number(transactionId);
    }

    sendRaw(data, { binary = false, fragments = 1 } = {}) {
        this.lastSent = data;
        this.tell(`sent ${binary ? `${data.length} octets` : data}`);
        const size = Math.ceil(data.length / fragments);
        for (let at = 0; at < data.length; at += size)
            this.socket.send(data.slice(at, at + size), { binary, fin: at + size >= data.length });
    }

    /** A request with the next id, unless the members have one. */
    request(method, members, { label, malformed } = {}) {
        const transactionId = members.transactionId ?? this.next;
        if (members.transactionId === undefined) this.next += 2;
        this.requests.push({ id: String(transactionId), method, label });
        this.#sendChecked({ messageType: 'request', method, transactionId, ...members }, malformed);
    }

    /** A raw text may be a request all the same; then its response can be waited for. */
    note(text) {
        try {
            const { messageType, method, transactionId } = parse(text);
            if (messageType === 'request' && method) this.requests.push({ id: String(transactionId), method });
        } catch {
            return; // broken on purpose
        }
    }

    /** Answers the oldest request of this method, or with this label, that a step has taken. */
    respond(method, success, members, { label, malformed } = {}) {
        const open = this.taken.find(({ message, answered, label: name }) => message.messageType === 'request' &&
            message.method === method && !answered && (label === undefined || name === label));
        if (!open) throw new Error(`no ${method} of the peer is waiting for a response`);
        open.answered = true;
        const { transactionId } = open.message;
        this.#sendChecked({ messageType: 'response', method, transactionId, success, ...members }, malformed);
    }

    #sendChecked(message, malformed) {
        const text = stringify(message);
        const fault = schemaFault(this.protocol, text);
        if (fault && !malformed)
            throw new Error(`the schema does not allow this message (say "malformed" where that is meant): ${fault}`);
        if (!fault && malformed) throw new Error('the schema allows this message, so it is not malformed');
        this.sendRaw(text);
    }

    /** The id of our oldest unanswered request of this method or with this label. */
    pending(method, label) {
        return this.requests.find((one) =>
            one.method === method && !one.answered && (label === undefined || one.label === label));
    }

    take(entry, label) {
        this.inbox.splice(this.inbox.indexOf(entry), 1);
        entry.label = label;
        this.taken.push(entry);
    }

    /** Calls at each change; returns what ends that. */
    watch(changed) {
        this.#watchers.add(changed);
        return () => this.#watchers.delete(changed);
    }

    #wake() {
        for (const changed of [...this.#watchers]) changed();
    }

    close(code = 1000) {
        this.socket.close(code);
    }

    cut() {
        this.socket.terminate();
    }
}
