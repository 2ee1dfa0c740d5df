// SPDX-License-Identifier: Apache-2.0
// The face of the library: one registered endpoint and its media sessions. It routes the network's
// requests to the sessions and, after a reconnect, brings both sides to one view: a session that the
// network does not list has ended, one that only the network has is ended, an `mdisc` that got no
// answer is sent again (protocol A6, resumption).

import { discover } from './discovery.js';
import { PRE_OFFER_AS_OFFER, listed as listedExtensions, supported } from './extensions.js';
import { tabInstanceId } from './instance-id.js';
import { ProblemError } from './problem.js';
import { Registration } from './registration.js';
import { Session } from './session.js';
import { endOf } from './states.js';

const SERVERS_FRESH_MS = 10 * 60_000;

export class Client extends EventTarget {
    #registration;
    /** @type {import('./index.js').SessionHost} */
    #host;
    #asksForServers;
    /** When the operator's ICE servers were asked for, in milliseconds. */
    #serversAt = -Infinity;
    #directMedia;
    /** What the network can do, undefined as long as it has not said. @type {string[] | undefined} */
    #known;
    /** The application's own methods. @type {Map<string, import('./index.js').MethodHandler>} */
    #methods = new Map();
    /** Sessions that the network has named. @type {Map<string, Session>} */
    #sessions = new Map();
    /** Outgoing sessions that it has not named yet. @type {Set<Session>} */
    #unnamed = new Set();
    /** Sessions ended here whose `mdisc` has no response yet. @type {Map<string, string>} */
    #ending = new Map();

    /** @param {import('./index.js').ClientOptions} options */
    constructor(options) {
        super();
        const {
            url,
            WebSocket = globalThis.WebSocket,
            RTCPeerConnection = globalThis.RTCPeerConnection,
            instanceId = tabInstanceId,
            iceServers,
            gatheringTimeout,
            directMedia = false,
        } = options;
        const extensions = options.extensions ?? supported({ directMedia });
        this.#directMedia = directMedia;
        this.#registration = new Registration({
            urls: url === undefined ? (realm) => discover(realm) : async () => [url].flat(),
            WebSocket,
            instanceId: typeof instanceId === 'function' ? instanceId : async () => instanceId,
            handler: (message, respond) => this.#onRequest(message, respond),
            liveSessions: () => this.#sessions.size,
            extensions,
            disconnectionTtl: options.disconnectionTtl,
            expirationTime: options.expirationTime,
            connectTimeout: options.connectTimeout,
            random: options.random,
        });
        this.#host = {
            media: { RTCPeerConnection, iceServers, gatheringTimeout },
            extensions,
            supports: this.#supports.bind(this),
            servers: () => this.#freshServers(),
            connected: () => this.#registration.link !== null,
            request: this.request.bind(this),
            disconnect: this.#disconnect.bind(this),
            remember: (/** @type {Session} */ session) => this.#remember(session),
            forget: (/** @type {Session} */ session) => this.#forget(session),
        };
        this.#asksForServers = iceServers === undefined;
        const registration = this.#registration;
        registration.addEventListener('registered', (event) => this.#onRegistered(detailOf(event)));
        registration.addEventListener('lost', () => this.#onLost());
        registration.addEventListener('stopped', (event) => this.#onStopped(detailOf(event)));
        for (const type of ['statechange', 'reconnecting', 'error', 'message']) {
            registration.addEventListener(type, (event) => this.#emit(type, detailOf(event)));
        }
    }

    /** offline, registering, registered or reconnecting. */
    get state() {
        return this.#registration.state;
    }

    get webrtcId() {
        return this.#registration.webrtcId;
    }

    get instanceId() {
        return this.#registration.instanceId;
    }

    /** The live sessions. */
    get sessions() {
        return [...this.#sessions.values(), ...this.#unnamed];
    }

    /**
     * Signs in. Rejects with a ProblemError (AUTHENTICATION_FAILED, CONNECTION_FAILED …); a lost
     * connection later is mended without the application.
     * @param {import('./index.js').SignIn} signIn
     * @returns {Promise<void>}
     */
    async register({ webrtcId, password, token, attributes, signal }) {
        if ((password === undefined) === (token === undefined))
            throw new TypeError('either password or token');
        const credential =
            token === undefined
                ? async () => ({
                      authType: 'basic',
                      authorization: basic(webrtcId, String(await valueOf(password))),
                  })
                : async () => ({
                      authType: 'bearer',
                      authorization: `Bearer ${await valueOf(token)}`,
                  });
        await this.#registration.start({ webrtcId, attributes, credential }, signal);
    }

    /**
     * Calls somebody, or joins a resource of the network. The session is there at once; its events
     * tell how it goes, also when it could not even be asked for.
     * @param {string} resourceId
     * @param {import('./index.js').CallOptions} [options]
     * @returns {Session}
     */
    call(
        resourceId,
        { userData, preferredOriginatingId, requiredExtension, signal, ...media } = {},
    ) {
        const session = new Session(this.#host, {
            direction: 'outgoing',
            peer: resourceId,
            userData,
        });
        this.#unnamed.add(session);
        const onAbort = () => session.hangUp();
        signal?.addEventListener('abort', onAbort, { once: true });
        session.addEventListener('ended', () => signal?.removeEventListener('abort', onAbort));
        // Listeners are added by the caller after this returns.
        queueMicrotask(() => session._start(media, { preferredOriginatingId, requiredExtension }));
        return session;
    }

    /**
     * Asks for information: iceServers, serverInfo, registration, mediaSessions, directory.
     * @param {string[]} [resources]
     * @param {{ match?: Record<string, unknown>, signal?: AbortSignal }} [options]
     * @returns {Promise<Record<string, unknown>>}
     */
    async getInfo(resources, { match, signal } = {}) {
        const response = await this.request(
            'getinfo',
            {
                ...(resources ? { resources } : {}),
                ...(match ? { match } : {}),
            },
            { signal },
        );
        return /** @type {Record<string, unknown>} */ (response.resources ?? {});
    }

    /**
     * Any request of the protocol, e.g. an application's own `method.authority`.
     * @param {string} method
     * @param {Record<string, unknown>} [members]
     * @param {{ signal?: AbortSignal, timeout?: number }} [options]
     * @returns {Promise<import('./index.js').Message>}
     */
    async request(method, members, options) {
        const link = this.#registration.link;
        if (!link) throw new ProblemError({ cause: 'CONNECTION_LOST' });
        return link.request(method, members, options);
    }

    /**
     * Answers an application's own method, e.g. `chat.example.org`: what the handler gives goes back
     * as user data, what it throws as a problem.
     * @param {string} method
     * @param {import('./index.js').MethodHandler | null} handler null: the method is unknown again
     */
    handle(method, handler) {
        if (!isApplicationMethod(method)) throw new TypeError(`not method.authority: ${method}`);
        if (handler) this.#methods.set(method, handler);
        else this.#methods.delete(method);
    }

    /**
     * Publishes other attributes of this endpoint (protocol A7).
     * @param {Record<string, unknown>} attributes
     */
    async setAttributes(attributes) {
        await this.#registration.setAttributes(attributes);
    }

    /**
     * Other endpoints and resources whose attributes match, as far as this person may see them.
     * @param {Record<string, unknown>} [match]
     * @returns {Promise<unknown[]>}
     */
    async directory(match) {
        const { directory } = await this.getInfo(['directory'], { match });
        return Array.isArray(directory) ? directory : [];
    }

    /** The machine has another network: calls look for a new path, a lost connection is mended. */
    networkChanged() {
        this.#registration.retryNow();
        for (const session of this.#sessions.values()) session._networkChanged();
    }

    /** Connects at once while `reconnecting`, e.g. when the browser says that it is online again. */
    reconnectNow() {
        this.#registration.retryNow();
    }

    /** Ends all calls and signs out. May be called while the page is being left. */
    close() {
        for (const session of this.sessions) session.hangUp();
        this.#registration.stop();
    }

    /**
     * @param {import('./index.js').Message} message
     * @param {(members?: Record<string, unknown>) => void} respond
     * @returns {void | Promise<void>}
     */
    #onRequest(message, respond) {
        switch (message.method) {
            case 'keepalive':
                respond();
                return;
            case 'msetup':
                this.#onSetup(message, respond);
                return;
            case 'mupdate':
                return this.#find(message)._onUpdate(message, respond);
            case 'mdisc': {
                const session = this.#find(message);
                respond({ mediaSessionId: session.mediaSessionId });
                session._terminate(endOf(message));
                return;
            }
            default:
                if (String(message.method).includes('.')) return this.#onMethod(message, respond);
                throw new ProblemError({ status: 501, cause: 'METHOD_NOT_SUPPORTED' });
        }
    }

    /**
     * @param {import('./index.js').Message} message
     * @param {(members?: Record<string, unknown>) => void} respond
     */
    async #onMethod(message, respond) {
        const handler = this.#methods.get(String(message.method));
        if (!handler) throw new ProblemError({ status: 404, cause: 'APP_METHOD_UNKNOWN' });
        const session =
            message.mediaSessionId === undefined ? undefined : this.#find(message);
        const userData = await handler(message.userData, { session, message });
        respond({
            ...(session ? { mediaSessionId: session.mediaSessionId } : {}),
            ...(userData === undefined ? {} : { userData }),
        });
    }

    /**
     * @param {import('./index.js').Message} message
     * @param {(members?: Record<string, unknown>) => void} respond
     */
    #onSetup(message, respond) {
        const { mediaSessionId, assertedOriginatingId, sdpOffer } = message;
        if (typeof mediaSessionId !== 'string' || typeof sdpOffer !== 'string') {
            throw new ProblemError({
                status: 400,
                cause: 'MISSING_PARAMETER',
                detail: 'mediaSessionId, sdpOffer',
            });
        }
        const session = new Session(this.#host, {
            direction: 'incoming',
            peer: typeof assertedOriginatingId === 'string' ? assertedOriginatingId : undefined,
            mediaSessionId,
            userData: message.userData,
        });
        session._offered(message);
        this.#remember(session);
        // preventDefault() means: this endpoint is busy.
        const wanted = this.dispatchEvent(
            new CustomEvent('incoming', { detail: { session }, cancelable: true }),
        );
        if (!wanted) {
            session._terminate({ cause: 'BUSY', remote: false });
            throw new ProblemError({ status: 409, cause: 'USER_BUSY' });
        }
        const { extensions } = this.#host;
        respond({
            mediaSessionId,
            ...(extensions.length > 0 ? { supportedExtension: extensions } : {}),
        });
        session._alert();
    }

    /** @param {Record<string, any>} response to `auth` */
    #onRegistered(response) {
        this.#known = listedExtensions(response) ?? this.#known;
        /** @type {any[]} */
        const sessions = Array.isArray(response.mediaSessions) ? response.mediaSessions : [];
        const listed = new Map(
            sessions.map((one) => [one?.mediaSessionId, one?.mediaSessionState]),
        );
        for (const [id, session] of [...this.#sessions]) {
            if (listed.has(id)) void this.#resume(session, listed.get(id));
            else session._terminate({ cause: 'SESSION_LOST', remote: true });
        }
        for (const [id, cause] of [...this.#ending]) {
            if (listed.has(id)) this.#disconnect(id, cause);
            else this.#ending.delete(id); // ended at both sides
        }
        for (const id of listed.keys()) {
            if (typeof id === 'string' && !this.#sessions.has(id) && !this.#ending.has(id))
                this.#disconnect(id, 'NORMAL');
        }
        if (this.#asksForServers) void this.#takeServers();
        this.#emit('registered', { instanceId: this.instanceId, webrtcId: this.webrtcId });
    }

    /**
     * Whether the network does an extension too. A network that does not say what it can is asked in
     * the first message that would use it; direct media is worth the try, the rest is not.
     * @param {string} name
     */
    #supports(name) {
        if (!this.#host.extensions.includes(name)) return false;
        return this.#known?.includes(name) ?? (this.#directMedia && name === PRE_OFFER_AS_OFFER);
    }

    /**
     * What took the connection may have taken the path too.
     * @param {Session} session
     * @param {unknown} told
     */
    async #resume(session, told) {
        await session._resume(told);
        session._networkChanged();
    }

    /** STUN and TURN servers of the operator; most have none: the media centre is reachable. */
    async #takeServers() {
        this.#serversAt = Date.now();
        const { iceServers } = await this.getInfo(['iceServers']).catch(() => ({
            iceServers: undefined,
        }));
        if (Array.isArray(iceServers)) this.#host.media.iceServers = iceServers;
    }

    /** Their credentials are for a limited time. */
    async #freshServers() {
        const old = Date.now() - this.#serversAt > SERVERS_FRESH_MS;
        if (old && this.#asksForServers && this.#registration.link) await this.#takeServers();
    }

    #onLost() {
        for (const session of this.#sessions.values()) session._suspend();
    }

    /** @param {ProblemError} problem */
    #onStopped(problem) {
        this.#ending.clear();
        for (const session of this.sessions)
            session._terminate({ cause: problem.cause, problem, remote: true });
        this.#emit('stopped', { problem });
    }

    /**
     * @param {string} mediaSessionId
     * @param {string} cause
     */
    #disconnect(mediaSessionId, cause) {
        this.#ending.set(mediaSessionId, cause);
        this.request('mdisc', { mediaSessionId, cause }).then(
            () => this.#ending.delete(mediaSessionId),
            (error) => {
                // Only a lost connection leaves it open; a refusal says that the session is gone.
                if (!(error instanceof ProblemError && error.cause === 'CONNECTION_LOST'))
                    this.#ending.delete(mediaSessionId);
            },
        );
    }

    /** @param {import('./index.js').Message} message */
    #find(message) {
        const session = this.#sessions.get(String(message.mediaSessionId));
        if (!session) throw new ProblemError({ status: 404, cause: 'MEDIA_SESSION_NOT_FOUND' });
        return session;
    }

    /** @param {Session} session */
    #remember(session) {
        this.#unnamed.delete(session);
        this.#sessions.set(String(session.mediaSessionId), session);
    }

    /** @param {Session} session */
    #forget(session) {
        this.#unnamed.delete(session);
        if (session.mediaSessionId) this.#sessions.delete(session.mediaSessionId);
    }

    /**
     * @param {string} type
     * @param {unknown} detail
     */
    #emit(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }
}

/**
 * RFC 7617 with charset UTF-8.
 * @param {string} webrtcId
 * @param {string} password
 */
function basic(webrtcId, password) {
    const bytes = new TextEncoder().encode(`${webrtcId}:${password}`);
    return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** A method part without a dot, then an authority of at least two labels. @param {string} name */
function isApplicationMethod(name) {
    return /^[A-Za-z0-9_-]+(\.[A-Za-z0-9-]+){2,}$/.test(name);
}

/** @param {unknown} value a value, or a function that gives it when it is needed */
function valueOf(value) {
    return typeof value === 'function' ? value() : value;
}

/**
 * @param {Event} event
 * @returns {any}
 */
function detailOf(event) {
    return /** @type {CustomEvent} */ (event).detail;
}
