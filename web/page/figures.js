// SPDX-License-Identifier: Apache-2.0
// The live figures of a call: reads getStats once a second while they are shown.

import { gateOpen, summarizeStats } from '../lib/index.js';
import { element } from './dom.js';
import { figure, milliseconds, packets, rate } from './figure.js';
import { MediaFigures } from './media-figures.js';

const PERIOD_MS = 1000;
/** @type {('uplink' | 'downlink')[]} */
const DIRECTIONS = ['uplink', 'downlink'];
/** The network tells of drops every five seconds while they last. */
const RECENT_MS = 8000;

export class Figures {
    #session;
    #client;
    /** @type {import('../lib/index.js').StatsSummary | undefined} */
    #last;
    #media;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #timer;

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {import('../lib/index.js').Client} client
     */
    constructor(session, client) {
        this.#session = session;
        this.#client = client;
        this.#media = new MediaFigures(session);
    }

    show() {
        if (this.#timer) return;
        this.#timer = setInterval(() => this.#read(), PERIOD_MS);
        this.#read();
    }

    hide() {
        clearInterval(this.#timer);
        this.#timer = undefined;
    }

    async #read() {
        const report = await this.#session.getStats().catch(() => null);
        if (!this.#timer) return;
        if (!report) {
            element('figures').replaceChildren(this.#call(), figure('No path yet', '', []));
            return;
        }
        const summary = summarizeStats(report, this.#last);
        this.#last = summary;
        element('figures').replaceChildren(...this.#figures(summary));
    }

    /** @param {import('../lib/index.js').StatsSummary} summary */
    #figures({ path, dtls, media }) {
        const parts = [
            ...this.#limits(),
            this.#call(),
            figure('Path', this.#session.pathState, [
                [this.#direct() ? 'Other side' : 'Media centre', candidate(path?.remote)],
                ['This side', candidate(path?.local)],
                ['Round trip', milliseconds(path?.roundTrip)],
                ['Room to send', rate(path?.availableOutgoingBitrate)],
                ['Room to receive', rate(this.#media.estimate)],
            ]),
            figure('Encryption', dtls?.state ?? '', [
                ['DTLS', dtls?.version && [dtls.version, dtls.role].filter(Boolean).join(', ')],
                ['DTLS cipher', words(dtls?.cipher?.replace(/^TLS_/, ''))],
                ['SRTP cipher', words(dtls?.srtpCipher?.replace(/^SRTP_/, ''))],
            ]),
        ];
        return [...parts, ...this.#media.sections(media)];
    }

    #call() {
        const session = this.#session;
        const hold = [session.held && 'by you', session.heldByPeer && 'by the other side'].filter(
            Boolean,
        );
        return figure('Call', session.state, [
            ['With', session.peer],
            ['On hold', hold.join(' and ')],
            ['Session', session.mediaSessionId],
            ['Service', this.#client.state],
            ['Transport', transport()],
        ]);
    }

    /** What the network keeps back, in words and before any figure: a person looks for a reason. */
    #limits() {
        const notes = [];
        for (const qos of this.#session.qos) {
            const kind = this.#kind(qos.mid);
            if (!kind) continue;
            for (const direction of DIRECTIONS) {
                const what = whose(kind, direction);
                const told = { kind, direction };
                if (!gateOpen(qos, direction))
                    notes.push(note('gate', told, `The network does not let ${what} pass.`));
                if (isDropping(qos, direction))
                    notes.push(
                        note(
                            'policing',
                            told,
                            `The network drops part of ${what}: above the agreed rate ` +
                                `(${packets(qos.policingDiscarded[direction])} so far).`,
                        ),
                    );
            }
        }
        if (notes.length === 0) return [];
        const part = document.createElement('section');
        part.className = 'figure limits';
        part.append(...notes);
        return [part];
    }

    /** @param {string} mid */
    #kind(mid) {
        const all = this.#session.connection?.getTransceivers() ?? [];
        return all.find((one) => one.mid === mid)?.receiver.track.kind;
    }

    /** A media centre is found at a fixed address and says so (RFC 8445 2.5). */
    #direct() {
        return !/^a=ice-lite/m.test(this.#session.connection?.remoteDescription?.sdp ?? '');
    }
}

/**
 * @param {string} kind
 * @param {'uplink' | 'downlink'} direction
 */
function whose(kind, direction) {
    const owner = direction === 'uplink' ? 'your' : 'the other side’s';
    return `${owner} ${kind === 'audio' ? 'sound' : 'picture'}`;
}

/**
 * @param {import('../lib/index.js').MediaQos} qos
 * @param {'uplink' | 'downlink'} direction
 */
function isDropping({ policingDiscarded, policedAt }, direction) {
    const recent = policedAt !== undefined && performance.now() - policedAt < RECENT_MS;
    return recent && policingDiscarded[direction] > 0;
}

/**
 * @param {string} limit
 * @param {{ kind: string, direction: string }} told
 * @param {string} text
 */
function note(limit, { kind, direction }, text) {
    const part = document.createElement('p');
    Object.assign(part.dataset, { limit, kind, direction });
    part.textContent = text;
    return part;
}

/** The browser puts its WebSocket on the connection that the page came over (RFC 8441). */
function transport() {
    const [page] = performance.getEntriesByType('navigation');
    const protocol = /** @type {PerformanceNavigationTiming | undefined} */ (page)?.nextHopProtocol;
    const http = protocol === 'h2' ? 'HTTP/2' : 'HTTP/1.1';
    return `WebSocket, ${http}${location.protocol === 'https:' ? ', TLS' : ''}`;
}

/** @param {import('../lib/index.js').CandidateSummary | undefined} one */
function candidate(one) {
    if (!one) return undefined;
    const host = one.address?.includes(':') ? `[${one.address}]` : (one.address ?? 'hidden');
    return `${host}:${one.port} ${one.protocol} ${one.type}`;
}

/**
 * AES128_CM_… breaks over lines between its words.
 * @param {string | undefined} name
 */
function words(name) {
    return name?.replaceAll('_', ' ');
}
