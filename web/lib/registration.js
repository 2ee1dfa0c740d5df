// SPDX-License-Identifier: Apache-2.0
// Keeps this endpoint registered (protocol A1, A6 auth): the first authentication with the person's
// credential, afterwards with the re-authentication credential, which is new after each success. An
// unexpected loss is answered by connecting again with back-off until the network or the application
// says stop. The credential is asked for again only when the network wants full authentication.

import { afterClose, leastDelay, reconnectDelay } from './backoff.js';
import { Link } from './link.js';
import { ProblemError } from './problem.js';

const REFRESH_AT = 0.8;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** After these a further attempt cannot help. */
const FINAL = ['AUTHENTICATION_FAILED', 'NOT_AUTHORIZED', 'AUTHENTICATION_REQUIRED'];

export class Registration extends EventTarget {
    #options;
    /** @type {Link | null} */
    #link = null;
    /** @type {import('./index.js').ClientState} */
    #state = 'offline';
    #attempt = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #retry;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #refresh;
    /** @type {string | undefined} */
    #reAuthCredential;
    /** @type {import('./index.js').Account | undefined} */
    #account;
    #disconnectionTtl = 30;
    /** Where the service may be, the best first. @type {string[]} */
    #urls = [];
    /** @type {string | undefined} */
    instanceId;

    /** @param {import('./index.js').RegistrationOptions} options */
    constructor(options) {
        super();
        this.#options = options;
    }

    get state() {
        return this.#state;
    }

    /** The link while registered. @returns {Link | null} */
    get link() {
        return this.#state === 'registered' ? this.#link : null;
    }

    get webrtcId() {
        return this.#account?.webrtcId;
    }

    /**
     * The first registration: one attempt, whose failure is the caller's to handle.
     * @param {import('./index.js').Account} account
     * @param {AbortSignal} [signal]
     */
    async start(account, signal) {
        if (this.#state !== 'offline')
            throw new ProblemError({ status: 409, cause: 'INVALID_STATE' });
        this.#account = account;
        this.#reAuthCredential = undefined;
        this.#setState('registering');
        try {
            this.instanceId ??= await this.#options.instanceId();
            signal?.throwIfAborted();
            await this.#connect(signal);
        } catch (error) {
            this.#drop();
            this.#setState('offline');
            throw error;
        }
    }

    /**
     * Says other attributes, at once if there is a connection.
     * @param {Record<string, unknown>} attributes
     */
    async setAttributes(attributes) {
        if (!this.#account) throw new ProblemError({ status: 409, cause: 'INVALID_STATE' });
        this.#account = { ...this.#account, attributes };
        const link = this.link;
        if (link) await this.#authenticate(link);
    }

    /** Connects at once instead of after the back-off, e.g. when the browser is online again. */
    retryNow() {
        if (this.#state !== 'reconnecting' || this.#retry === undefined) return;
        clearTimeout(this.#retry);
        this.#retry = undefined;
        this.#again();
    }

    /** Gives the registration back. All is sent before this returns, so a leaving page may call it. */
    stop() {
        const link = this.#link;
        if (this.#state === 'registered' && link && this.#account) {
            link.request('auth', {
                authType: 'reauth',
                ...this.#identity(),
                reAuthCredential: this.#reAuthCredential,
                expirationTime: 0,
            })
                .catch(() => {})
                .finally(() => link.close(1000, 'signed out'));
        } else {
            link?.close(1000, 'signed out');
        }
        this.#link = null;
        this.#finish(new ProblemError({ cause: 'SIGNED_OUT' }));
    }

    /** @param {AbortSignal} [signal] */
    async #connect(signal) {
        const { WebSocket, handler, extensions } = this.#options;
        if (this.#urls.length === 0) {
            this.#urls = [...(await this.#options.urls(String(this.webrtcId?.split('@')[1])))];
            signal?.throwIfAborted();
            if (this.#state === 'offline') throw new ProblemError({ cause: 'SIGNED_OUT' });
        }
        const link = new Link(this.#urls[0], { WebSocket, handler, extensions });
        this.#link = link;
        const onAbort = () => link.close(1000, 'aborted');
        signal?.addEventListener('abort', onAbort);
        try {
            for (const type of ['error', 'message']) {
                link.addEventListener(type, (event) =>
                    this.dispatchEvent(
                        new CustomEvent(type, { detail: /** @type {CustomEvent} */ (event).detail }),
                    ),
                );
            }
            await withTimeout(link.opened, this.#options.connectTimeout ?? 10_000, link);
            const response = await this.#authenticate(link, signal);
            link.addEventListener('close', (event) =>
                this.#onClose(link, /** @type {CustomEvent} */ (event).detail),
            );
            this.#attempt = 0;
            this.#setState('registered');
            this.dispatchEvent(new CustomEvent('registered', { detail: response }));
        } catch (error) {
            signal?.throwIfAborted();
            throw error;
        } finally {
            signal?.removeEventListener('abort', onAbort);
        }
    }

    /**
     * @param {Link} link
     * @param {AbortSignal} [signal]
     */
    async #authenticate(link, signal) {
        if (this.#reAuthCredential !== undefined) {
            try {
                return this.#granted(
                    link,
                    await link.request(
                        'auth',
                        {
                            authType: 'reauth',
                            ...this.#identity(),
                            reAuthCredential: this.#reAuthCredential,
                        },
                        { signal },
                    ),
                );
            } catch (error) {
                if (
                    !(error instanceof ProblemError) ||
                    error.status === 0 ||
                    error.cause !== 'REAUTH_INVALID'
                )
                    throw error;
                // Then on the same connection, with the person's credential.
                this.#reAuthCredential = undefined;
            }
        }
        const { authType, authorization } = (await this.#account?.credential()) ?? {};
        return this.#granted(
            link,
            await link.request(
                'auth',
                { authType, ...this.#identity(), authorization },
                { signal },
            ),
        );
    }

    #identity() {
        const { disconnectionTtl, expirationTime } = this.#options;
        return {
            webrtcId: this.#account?.webrtcId,
            instanceId: this.instanceId,
            ...(disconnectionTtl === undefined ? {} : { disconnectionTtl }),
            ...(expirationTime === undefined ? {} : { expirationTime }),
            ...(this.#account?.attributes ? { attributes: this.#account.attributes } : {}),
            ...(this.#options.extensions?.length
                ? { supportedExtension: this.#options.extensions }
                : {}),
        };
    }

    /**
     * @param {Link} link
     * @param {import('./index.js').Message} response
     */
    #granted(link, response) {
        if (typeof response.reAuthCredential === 'string')
            this.#reAuthCredential = response.reAuthCredential;
        if (typeof response.instanceId === 'string') this.instanceId = response.instanceId;
        if (typeof response.disconnectionTtl === 'number')
            this.#disconnectionTtl = response.disconnectionTtl;
        link.keepAlive(
            typeof response.keepAliveInterval === 'number' && response.keepAliveInterval >= 1
                ? response.keepAliveInterval
                : 20,
        );
        const period = typeof response.expirationTime === 'number' ? response.expirationTime : 3600;
        this.#refreshAfter(link, period * REFRESH_AT, period * (1 - REFRESH_AT));
        return response;
    }

    /**
     * @param {Link} link
     * @param {number} delay seconds
     * @param {number} left seconds that the registration then still lasts
     */
    #refreshAfter(link, delay, left) {
        clearTimeout(this.#refresh);
        this.#refresh = setTimeout(
            () => {
                if (this.link !== link) return;
                this.#authenticate(link).catch((error) => {
                    // Another try while there is time; at its end the network closes with 4410.
                    const wait = Math.max((error?.retryAfter ?? 0) + 1, left / 2);
                    if (this.link === link && wait < left) this.#refreshAfter(link, wait, left - wait);
                });
            },
            Math.min(delay * 1000, LONGEST_TIMER_MS),
        );
    }

    /**
     * @param {Link} link
     * @param {{ code: number, reason: string }} detail
     */
    #onClose(link, { code, reason }) {
        if (this.#link !== link) return;
        this.#link = null;
        clearTimeout(this.#refresh);
        const action = afterClose(code);
        if (action === 'stop') {
            const cause =
                code === 4409
                    ? 'SUPERSEDED'
                    : code === 4401
                      ? 'NOT_AUTHENTICATED'
                      : 'CONNECTION_LOST';
            this.#finish(new ProblemError({ cause, detail: reason || undefined }));
            return;
        }
        if (action === 'authenticate') this.#reAuthCredential = undefined;
        this.#setState('reconnecting');
        this.dispatchEvent(new CustomEvent('lost', { detail: { code, reason } }));
        this.#schedule(leastDelay(code), code);
    }

    /**
     * @param {number} least seconds
     * @param {number} [code] of the close that led here
     */
    #schedule(least, code) {
        const delay = Math.max(
            least,
            reconnectDelay(this.#attempt, {
                sessions: this.#options.liveSessions(),
                disconnectionTtl: this.#disconnectionTtl,
                random: this.#options.random,
            }),
        );
        this.#attempt += 1;
        this.#retry = setTimeout(() => {
            this.#retry = undefined;
            this.#again();
        }, delay * 1000);
        this.dispatchEvent(
            new CustomEvent('reconnecting', { detail: { attempt: this.#attempt, delay, code } }),
        );
    }

    async #again() {
        try {
            await this.#connect();
        } catch (error) {
            if (this.#state !== 'reconnecting') return;
            this.#drop();
            this.#urls.shift(); // the next, and after the last what the realm says then
            if (error instanceof ProblemError && FINAL.includes(error.cause)) {
                this.#finish(error);
                return;
            }
            this.#schedule(error instanceof ProblemError ? (error.retryAfter ?? 0) : 0);
        }
    }

    /** @param {ProblemError} problem */
    #finish(problem) {
        clearTimeout(this.#retry);
        clearTimeout(this.#refresh);
        this.#retry = undefined;
        this.#reAuthCredential = undefined;
        this.#attempt = 0;
        if (this.#state === 'offline') return;
        this.#setState('offline');
        this.dispatchEvent(new CustomEvent('stopped', { detail: problem }));
    }

    #drop() {
        const link = this.#link;
        this.#link = null;
        link?.close(1000);
    }

    /** @param {import('./index.js').ClientState} state */
    #setState(state) {
        const previous = this.#state;
        if (state === previous) return;
        this.#state = state;
        this.dispatchEvent(new CustomEvent('statechange', { detail: { state, previous } }));
    }
}

/**
 * A connection attempt to a host that swallows packets would hang for minutes.
 * @param {Promise<void>} opened
 * @param {number} milliseconds
 * @param {Link} link
 */
async function withTimeout(opened, milliseconds, link) {
    const timer = setTimeout(() => link.close(4408, 'no connection in time'), milliseconds);
    try {
        await opened;
    } finally {
        clearTimeout(timer);
    }
}
