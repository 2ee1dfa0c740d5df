// SPDX-License-Identifier: Apache-2.0
// A signalling function for tests of the client library and the page alone: users, calls between two
// endpoints, and handles by which a test plays tricks (refuse, stay silent, restart). Media comes from
// an object given by the test; without one the offers lead nowhere. It serves the page as wsf does.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { extname, join, normalize } from 'node:path';
import { WebSocketServer } from 'ws';

const WEB = new URL('../../web/', import.meta.url).pathname;
const TYPES = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.css': 'text/css',
    '.svg': 'image/svg+xml',
};
const CSP = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/** An offer that a browser can apply and answer; its transport does not exist. */
export const DEAD_OFFER = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=group:BUNDLE 0 1',
    'a=ice-lite',
    ...['audio 9 UDP/TLS/RTP/SAVPF 111', 'video 9 UDP/TLS/RTP/SAVPF 96'].flatMap((media, mid) => [
        `m=${media}`,
        'c=IN IP4 0.0.0.0',
        'a=ice-ufrag:fake',
        'a=ice-pwd:fakefakefakefakefakefake',
        `a=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}`,
        'a=setup:active',
        `a=mid:${mid}`,
        'a=sendrecv',
        'a=rtcp-mux',
        mid === 0 ? 'a=rtpmap:111 opus/48000/2' : 'a=rtpmap:96 VP8/90000',
        'a=candidate:1 1 udp 1 127.0.0.1 40009 typ host',
    ]),
    '',
].join('\r\n');

/** Kind and direction of each m-line. */
function mediasOf(sdp) {
    return sdp
        .split(/\r\n(?=m=)/)
        .slice(1)
        .map((media) => ({
            kind: /^m=(\w+)/.exec(media)[1],
            direction: /^a=(sendrecv|sendonly|recvonly|inactive)/m.exec(media)[1],
        }));
}

class Problem extends Error {
    constructor(status, cause, more = {}) {
        super(cause);
        this.members = { problemDetails: { status, cause, title: cause }, ...more };
    }
}

export class FakeWsf {
    users;
    media;
    /** Every message, for assertions: {from|to, message}. */
    log = [];
    connections = new Set();
    sessions = new Map();
    credentials = new Map();
    /** Per method a function (connection, message) => members | Problem thrown | null for silence. */
    overrides = {};
    /** More files than those of web/: path → text. */
    files = {};
    disconnectionTtl = 30;
    keepAliveInterval = 20;
    noAnswerTime = 60_000;
    /** New connections are cut at once while this is false. */
    admits = true;

    /** @param {{ users?: Record<string, string>, media?: object }} options */
    constructor({
        users = { 'alice@example.org': 'wonderland', 'bob@example.org': 'builder' },
        media,
    } = {}) {
        this.users = users;
        this.media = media;
    }

    async start(port = 0, host = '127.0.0.1') {
        this.http = createServer((request, response) => this.#serve(request, response));
        this.wss = new WebSocketServer({ server: this.http, path: '/eirtcw/v1', allowSynchronousEvents: false });
        this.wss.on('connection', (socket) => this.#accept(socket));
        await new Promise((resolve) => this.http.listen(port, host, resolve));
        this.port = this.http.address().port;
        this.url = `http://localhost:${this.port}/`;
        return this;
    }

    async stop() {
        this.stopped = true;
        for (const { socket } of this.connections) socket.terminate();
        this.wss?.close();
        this.http?.closeAllConnections();
        await new Promise((resolve) => (this.http ? this.http.close(resolve) : resolve()));
    }

    /** All connections die at once, as by kill -9, or are closed with a code. */
    drop(code) {
        for (const { socket } of [...this.connections])
            code ? socket.close(code) : socket.terminate();
    }

    request(connection, method, members) {
        const transactionId = connection.nextId;
        connection.nextId += 2;
        this.#send(connection, { messageType: 'request', method, transactionId, ...members });
        return new Promise((resolve) => connection.pending.set(transactionId, resolve));
    }

    disconnect(leg, cause, problemDetails) {
        if (!leg || leg.ended) return;
        leg.ended = true;
        this.sessions.delete(leg.id);
        this.media?.end?.(leg.id);
        if (leg.connection)
            this.request(leg.connection, 'mdisc', {
                mediaSessionId: leg.id,
                cause,
                ...(problemDetails ? { problemDetails } : {}),
            });
    }

    async #serve(request, response) {
        const path = normalize(new URL(request.url, 'http://x').pathname);
        const file = join(WEB, path === '/' ? 'index.html' : path);
        try {
            if (!file.startsWith(WEB)) throw new Error('outside');
            const body = this.files[path] ?? (await readFile(file));
            response.writeHead(200, {
                'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
                'content-security-policy': CSP,
                'x-content-type-options': 'nosniff',
            });
            response.end(body);
        } catch {
            response.writeHead(404).end();
        }
    }

    #accept(socket) {
        if (!this.admits) {
            socket.terminate();
            return;
        }
        const connection = {
            socket,
            nextId: 1,
            pending: new Map(),
            webrtcId: undefined,
            instanceId: undefined,
        };
        this.connections.add(connection);
        socket.on('message', (data) => this.#onMessage(connection, JSON.parse(String(data))));
        socket.on('close', () => {
            this.connections.delete(connection);
            for (const leg of this.sessions.values())
                if (leg.connection === connection) leg.connection = undefined;
        });
    }

    #send(connection, message) {
        this.log.push({ to: connection.webrtcId, message });
        if (connection.socket.readyState === 1) connection.socket.send(JSON.stringify(message));
    }

    async #onMessage(connection, message) {
        this.log.push({ from: connection.webrtcId, message });
        if (message.messageType === 'response') {
            connection.pending.get(message.transactionId)?.(message);
            connection.pending.delete(message.transactionId);
            return;
        }
        const { method, transactionId } = message;
        const respond = (success, members) =>
            this.#send(connection, {
                messageType: 'response',
                method,
                transactionId,
                success,
                ...members,
            });
        try {
            const handler = this.overrides[method] ?? this[`on_${method}`];
            if (!handler) throw new Problem(501, 'METHOD_NOT_SUPPORTED');
            const members = await handler.call(this, connection, message);
            if (members === null) return;
            const { after, ...rest } = members ?? {};
            respond(true, rest);
            await after?.();
        } catch (error) {
            if (this.stopped) return; // the media went with the test
            if (!(error instanceof Problem)) throw error;
            respond(false, error.members);
        }
    }

    on_keepalive() {
        return {};
    }

    on_auth(
        connection,
        { authType, webrtcId, authorization, reAuthCredential, instanceId, expirationTime },
    ) {
        if (authType === 'reauth') {
            if (this.credentials.get(reAuthCredential) !== `${webrtcId} ${instanceId}`)
                throw new Problem(403, 'REAUTH_INVALID');
        } else {
            const expected = Buffer.from(`${webrtcId}:${this.users[webrtcId]}`).toString('base64');
            if (!(webrtcId in this.users) || authorization !== `Basic ${expected}`)
                throw new Problem(403, 'AUTHENTICATION_FAILED');
        }
        for (const other of this.connections) {
            if (
                other !== connection &&
                other.webrtcId === webrtcId &&
                other.instanceId === instanceId
            )
                other.socket.close(4409);
        }
        Object.assign(connection, { webrtcId, instanceId });
        if (expirationTime === 0) {
            connection.webrtcId = undefined;
            return {};
        }
        const credential = randomUUID();
        this.credentials.set(credential, `${webrtcId} ${instanceId}`);
        const mine = [...this.sessions.values()].filter(
            (leg) => leg.webrtcId === webrtcId && leg.instanceId === instanceId,
        );
        for (const leg of mine) leg.connection = connection;
        return {
            expirationTime: 3600,
            reAuthCredential: credential,
            disconnectionTtl: this.disconnectionTtl,
            keepAliveInterval: this.keepAliveInterval,
            mediaSessions: mine.map((leg) => ({
                mediaSessionId: leg.id,
                mediaSessionState: leg.state,
                offerPending: 'none',
            })),
        };
    }

    on_getinfo() {
        return { resources: { iceServers: [], serverInfo: { name: 'fake-wsf' } } };
    }

    on_msetup(connection, { resourceId, userData }) {
        const id = randomUUID();
        if (!(resourceId in this.users))
            throw new Problem(404, 'RESOURCE_NOT_FOUND', { mediaSessionId: id });
        const caller = {
            id,
            connection,
            state: 'proceeding',
            webrtcId: connection.webrtcId,
            instanceId: connection.instanceId,
        };
        this.sessions.set(id, caller);
        return { mediaSessionId: id, after: () => this.#fork(caller, resourceId, userData) };
    }

    async #fork(caller, resourceId, userData) {
        const endpoints = [...this.connections].filter((one) => one.webrtcId === resourceId);
        if (endpoints.length === 0) {
            this.disconnect(caller, 'NO_ANSWER', {
                status: 404,
                cause: 'USER_NOT_REGISTERED',
                title: 'offline',
            });
            return;
        }
        caller.branches = [];
        for (const endpoint of endpoints) {
            const leg = {
                id: randomUUID(),
                connection: endpoint,
                state: 'proceeding',
                other: caller,
                webrtcId: endpoint.webrtcId,
                instanceId: endpoint.instanceId,
            };
            caller.branches.push(leg);
            this.sessions.set(leg.id, leg);
            const response = await this.request(endpoint, 'msetup', {
                resourceId,
                mediaSessionId: leg.id,
                assertedOriginatingId: caller.webrtcId,
                sdpOffer: (await this.media?.offer(leg.id)) ?? DEAD_OFFER,
                userData,
            });
            if (!response.success) {
                leg.ended = true;
                this.sessions.delete(leg.id);
                if (caller.branches.every((branch) => branch.ended))
                    this.disconnect(caller, 'BUSY', response.problemDetails);
            }
        }
        if (caller.ended || caller.peer) return;
        caller.timer = setTimeout(() => {
            for (const leg of [caller, ...caller.branches]) this.disconnect(leg, 'NO_ANSWER');
        }, this.noAnswerTime);
        caller.timer.unref();
    }

    async on_mupdate(connection, message) {
        const { mediaSessionId, mediaSessionState, sdpAnswer, sdpOffer, offerId } = message;
        const leg = this.sessions.get(mediaSessionId);
        if (!leg) throw new Problem(404, 'MEDIA_SESSION_NOT_FOUND');
        if (sdpOffer) return this.#change(leg, sdpOffer, offerId);
        return {
            mediaSessionId,
            after: async () => {
                if (mediaSessionState === 'alerting' && leg.other) {
                    leg.state = leg.other.state = 'alerting';
                    await this.request(leg.other.connection, 'mupdate', {
                        mediaSessionId: leg.other.id,
                        mediaSessionState,
                    });
                }
                if (!sdpAnswer) return;
                await this.media?.answer(leg.id, sdpAnswer);
                if (leg.offering) {
                    leg.offering = false;
                    await this.media?.join(leg.id, leg.peer.id);
                    return;
                }
                leg.state = 'established';
                if (leg.other) await this.#answered(leg);
                else if (leg.peer) await this.media?.join(leg.id, leg.peer.id);
            },
        };
    }

    /** A change in a call: answered at once, then offered to the other side as far as it concerns it. */
    async #change(leg, sdpOffer, offerId) {
        if (leg.peer?.offering || leg.offering)
            throw new Problem(409, 'OFFER_GLARE', { retryAfter: 1 });
        const answer = (await this.media?.update(leg.id, sdpOffer)) ?? DEAD_OFFER;
        return {
            mediaSessionId: leg.id,
            sdpAnswer: answer,
            offerId,
            after: () => this.offerAnew(leg.peer, mediasOf(sdpOffer)),
        };
    }

    /** The network's own offer in a call. */
    async offerAnew(leg, medias) {
        if (!leg || leg.ended) return;
        leg.offering = true;
        const offer = await this.media?.reoffer(leg.id, medias).catch((error) => {
            if (!leg.ended) throw error;
        });
        if (leg.ended) return;
        await this.request(leg.connection, 'mupdate', { mediaSessionId: leg.id, sdpOffer: offer ?? DEAD_OFFER });
    }

    async #answered(leg) {
        const caller = leg.other;
        clearTimeout(caller.timer);
        for (const branch of caller.branches)
            if (branch !== leg) this.disconnect(branch, 'ANSWERED_ELSEWHERE');
        caller.peer = leg;
        leg.peer = caller;
        await this.request(caller.connection, 'mupdate', {
            mediaSessionId: caller.id,
            assertedTerminatingId: leg.webrtcId,
            sdpOffer: (await this.media?.offer(caller.id)) ?? DEAD_OFFER,
        });
    }

    on_mdisc(connection, { mediaSessionId, cause }) {
        const leg = this.sessions.get(mediaSessionId);
        if (!leg) throw new Problem(404, 'MEDIA_SESSION_NOT_FOUND');
        leg.ended = true;
        this.sessions.delete(mediaSessionId);
        return {
            mediaSessionId,
            after: () => {
                clearTimeout(leg.timer);
                this.media?.end?.(leg.id);
                if (leg.other && cause === 'DECLINED')
                    for (const branch of leg.other.branches) this.disconnect(branch, 'NORMAL');
                for (const other of [leg.peer, leg.other, ...(leg.branches ?? [])])
                    this.disconnect(other, cause);
            },
        };
    }
}

export { Problem };
