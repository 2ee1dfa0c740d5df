// SPDX-License-Identifier: Apache-2.0
// The live figures of a call: reads getStats once a second while they are shown.

import { gateOpen, summarizeStats } from '../lib/index.js';
import { element } from './dom.js';

const PERIOD_MS = 1000;
const KEPT = 60;
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
        return [...parts, ...this.#silent(media)];
    }

    /** Media that have never come because a gate has been closed from the beginning: no figures. */
    #silent(/** @type {import('../lib/index.js').MediaSummary[]} */ media) {
        const parts = [];
        for (const qos of this.#session.qos) {
            const told = media.some(
                ({ mid, direction, codec }) => mid === qos.mid && direction === 'receive' && codec,
            );
            const transceiver = this.#session.connection
                ?.getTransceivers()
                .find(({ mid }) => mid === qos.mid);
            if (told || !transceiver || gateOpen(qos, 'downlink')) continue;
            const audio = transceiver.receiver.track.kind === 'audio';
            const part = figure(`${audio ? 'Sound' : 'Picture'} received`, '', []);
            part.append(limit('gate', gateSentence(audio, false)));
            parts.push(part);
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

    /**
     * What the network keeps back of a medium, in words.
     * @param {HTMLElement} part
     * @param {import('../lib/index.js').MediaSummary} one
     */
    #limits(part, one) {
        const qos = this.#session.qos.find(({ mid }) => mid === one.mid);
        if (!qos) return;
        const sent = one.direction === 'send';
        const direction = sent ? 'uplink' : 'downlink';
        const what = whose(one.kind === 'audio', sent);
        if (!gateOpen(qos, direction))
            part.append(limit('gate', gateSentence(one.kind === 'audio', sent)));
        const dropped = qos.policingDiscarded[direction];
        if (dropped === 0 || qos.policedAt === undefined) return;
        const packets = `${count(dropped)} ${dropped === 1 ? 'packet' : 'packets'} so far`;
        const now = performance.now() - qos.policedAt < RECENT_MS;
        part.append(
            limit(
                now ? 'policing' : 'policed',
                `The network ${now ? 'drops' : 'has dropped'} part of ${what}: ` +
                    `${now ? 'it is' : 'it was'} above the agreed rate (${packets}).`,
            ),
        );
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
                ['Jitter', milliseconds(one.jitter)],
                ['Round trip', milliseconds(one.roundTrip)],
            ],
        );
        this.#limits(part, one);
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
    const note = document.createElement('span');
    note.textContent = beside;
    head.append(title, note);
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
 * @param {boolean} audio
 * @param {boolean} sent
 */
function whose(audio, sent) {
    return `${sent ? 'your' : 'the other side’s'} ${audio ? 'sound' : 'picture'}`;
}

/**
 * @param {boolean} audio
 * @param {boolean} sent
 */
function gateSentence(audio, sent) {
    return `The network does not let ${whose(audio, sent)} pass.`;
}

/**
 * @param {string} kind
 * @param {string} text
 */
function limit(kind, text) {
    const note = document.createElement('p');
    note.className = 'limit';
    note.dataset.limit = kind;
    note.textContent = text;
    return note;
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
