// SPDX-License-Identifier: Apache-2.0
// The live figures of a call: reads getStats once a second while they are shown.

import { gateOpen, summarizeStats } from '../lib/index.js';
import { element } from './dom.js';

const PERIOD_MS = 1000;
const KEPT = 60;
/** @type {('uplink' | 'downlink')[]} */
const DIRECTIONS = ['uplink', 'downlink'];
/** The network tells of drops every five seconds while they last. */
const RECENT_MS = 8000;

export class Figures {
    #session;
    #client;
    /** @type {import('../lib/index.js').StatsSummary | undefined} */
    #last;
    /** @type {Map<string, number[]>} */
    #history = new Map();
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #timer;

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {import('../lib/index.js').Client} client
     */
    constructor(session, client) {
        this.#session = session;
        this.#client = client;
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
            ]),
            figure('Encryption', dtls?.state ?? '', [
                ['DTLS', dtls?.version && [dtls.version, dtls.role].filter(Boolean).join(', ')],
                ['DTLS cipher', words(dtls?.cipher?.replace(/^TLS_/, ''))],
                ['SRTP cipher', words(dtls?.srtpCipher?.replace(/^SRTP_/, ''))],
            ]),
        ];
        for (const one of media) {
            if (one.packets === 0 && one.direction === 'receive' && !one.codec) continue;
            parts.push(this.#medium(one));
        }
        return parts;
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

    /** @param {import('../lib/index.js').MediaSummary} one */
    #dropped(one) {
        const qos = this.#session.qos.find(({ mid }) => mid === one.mid);
        const dropped = qos?.policingDiscarded[one.direction === 'send' ? 'uplink' : 'downlink'];
        return dropped ? packets(dropped) : undefined;
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

    /** @param {import('../lib/index.js').MediaSummary} one */
    #medium(one) {
        const what = one.kind === 'audio' ? 'Sound' : 'Picture';
        const part = figure(
            `${what} ${one.direction === 'send' ? 'sent' : 'received'}`,
            one.codec ?? '',
            [
                ['Bitrate', rate(one.bitrate)],
                ['Size', one.width ? `${one.width} × ${one.height}` : undefined],
                ['Frames per second', one.kind === 'video' ? count(one.fps) : undefined],
                ['Frames', one.kind === 'video' ? count(one.frames) : undefined],
                ['Freezes', one.freezes === undefined ? undefined : count(one.freezes)],
                ['Packets', count(one.packets)],
                ['Lost', `${count(one.lost)} (${(one.lossShare * 100).toFixed(1)} %)`],
                ['Dropped by the network', this.#dropped(one)],
                ['Jitter', milliseconds(one.jitter)],
                ['Round trip', milliseconds(one.roundTrip)],
            ],
        );
        if (one.bitrate !== undefined) {
            const points = this.#history.get(one.id) ?? [];
            points.push(one.bitrate);
            if (points.length > KEPT) points.shift();
            this.#history.set(one.id, points);
            if (points.length > 1) part.append(curve(points));
        }
        return part;
    }
}

/**
 * @param {string} title
 * @param {string} beside
 * @param {[string, string | undefined | null][]} rows
 */
function figure(title, beside, rows) {
    const part = document.createElement('section');
    part.className = 'figure';
    const head = document.createElement('h3');
    const aside = document.createElement('span');
    aside.textContent = beside;
    head.append(title, aside);
    const list = document.createElement('dl');
    for (const [name, value] of rows) {
        if (!value) continue;
        const term = document.createElement('dt');
        const told = document.createElement('dd');
        term.textContent = name;
        told.textContent = value;
        list.append(term, told);
    }
    part.append(head, list);
    return part;
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

/** @param {number} value */
function packets(value) {
    return value === 1 ? '1 packet' : `${count(value)} packets`;
}

/** The bitrate of the last minute. @param {number[]} points */
function curve(points) {
    const canvas = document.createElement('canvas');
    const [width, height] = [600, 70];
    canvas.width = width;
    canvas.height = height;
    canvas.ariaHidden = 'true';
    const pen = canvas.getContext('2d');
    if (!pen) return canvas;
    const top = Math.max(...points, 1);
    const step = width / (KEPT - 1);
    const start = width - step * (points.length - 1);
    pen.beginPath();
    points.forEach((value, index) =>
        pen.lineTo(start + index * step, height - 3 - (value / top) * (height - 8)),
    );
    pen.strokeStyle = '#7d9bff';
    pen.lineWidth = 3;
    pen.lineJoin = 'round';
    pen.stroke();
    pen.lineTo(width, height);
    pen.lineTo(start, height);
    pen.fillStyle = 'rgb(125 155 255 / 18%)';
    pen.fill();
    return canvas;
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

/** @param {number | undefined} bits per second */
function rate(bits) {
    if (bits === undefined) return undefined;
    return bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mb/s` : `${Math.round(bits / 1e3)} kb/s`;
}

/** @param {number | undefined} seconds */
function milliseconds(seconds) {
    if (seconds === undefined) return undefined;
    const value = seconds * 1000;
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** @param {number | undefined} value */
function count(value) {
    return value === undefined ? undefined : Math.round(value).toLocaleString('en');
}
