// SPDX-License-Identifier: Apache-2.0
// A media centre without media, for the error paths of wsf: it keeps contexts and terminations, makes
// plausible offers from templates, says that pipelines play, and can be told to fail, to stay silent,
// to lose its memory. How calls sound is tested with the real wmcf.

import { randomUUID } from 'node:crypto';
import { WebSocketServer } from 'ws';
import { Endpoint } from './eirtcw-client.mjs';

export const TOKEN = 'a-token-for-tests-0123456789';
const PAYLOADS = { opus: '111 opus/48000/2', VP8: '96 VP8/90000', H264: '102 H264/90000' };

/** SDP of one side for a template; `direction` of an m-line as the template says. */
export function describe({ medias }, address = '192.0.2.20') {
    const lines = [
        'v=0',
        `o=- ${Date.now()} 1 IN IP4 ${address}`,
        's=-',
        't=0 0',
        `a=group:BUNDLE ${medias.map(({ mid }) => mid).join(' ')}`,
        'a=ice-lite',
    ];
    for (const { mid, mediaType, direction, codecs, rejected } of medias) {
        const maps = codecs.map((codec) => PAYLOADS[codec]).filter(Boolean);
        const formats = maps.map((map) => map.split(' ')[0]).join(' ') || '0';
        lines.push(
            `m=${mediaType} ${rejected ? 0 : 9} UDP/TLS/RTP/SAVPF ${formats}`,
            `c=IN IP4 ${address}`,
            `a=mid:${mid}`,
            `a=${direction}`,
            'a=rtcp-mux',
            `a=ice-ufrag:${randomUUID().slice(0, 4)}`,
            'a=ice-pwd:fakefakefakefakefakefake',
            `a=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}`,
            'a=setup:actpass',
            ...maps.map((map) => `a=rtpmap:${map}`),
            `a=candidate:1 1 udp 1 ${address} 40000 typ host`,
        );
    }
    return `${lines.join('\r\n')}\r\n`;
}

const reverse = { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', inactive: 'inactive' };
const meet = (a, b) =>
    a === 'sendrecv' ? b : b === 'sendrecv' || a === b ? a : 'inactive';

/** What a description says about media, in m-line order. */
export function medias(sdp) {
    return sdp
        .split(/^m=/m)
        .slice(1)
        .map((text) => {
            const [, mediaType, port] = /^(\w+) (\d+)/.exec(text);
            return {
                mid: /^a=mid:(\S+)/m.exec(text)?.[1],
                mediaType,
                direction: /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m.exec(text)?.[1] ?? 'sendrecv',
                codecs: [...text.matchAll(/^a=rtpmap:\d+ ([^/]+)\//gm)].map(([, name]) => name),
                rejected: port === '0' || undefined,
            };
        });
}

class Problem extends Error {
    constructor(status, cause, detail) {
        super(cause);
        this.members = { problemDetails: { status, cause, title: cause, detail } };
    }
}

export class FakeWmcf {
    /** contextId → { terminations: Map<terminationId, object> } */
    contexts = new Map();
    /** Every request of the WSF, in order. */
    log = [];
    /** Per method a function (message) => members | null for silence | throws Problem. */
    overrides = {};
    restartCounter = 1;
    serviceState = 'inService';
    load = 0;
    enforcement = { level: 'relay', reason: 'a test' };
    #links = new Set();
    #count = 0;

    async start(port = 0) {
        this.server = new WebSocketServer({ port, host: '127.0.0.1', path: '/eirtcw-mc/v1',
            allowSynchronousEvents: false });
        this.server.on('connection', (socket) => this.#serve(new Endpoint(socket, 1)));
        await new Promise((resolve) => this.server.once('listening', resolve));
        this.port = this.server.address().port;
        this.url = `ws://127.0.0.1:${this.port}/eirtcw-mc/v1`;
        return this;
    }

    /** Goes away at once; contexts stay unless `forget`. */
    async stop({ forget = false } = {}) {
        for (const link of this.#links) await link.cut();
        await new Promise((resolve) => this.server.close(resolve));
        if (!forget) return;
        this.contexts.clear();
        this.restartCounter++;
        this.#count = 0;
    }

    restart() {
        return this.start(this.port);
    }

    /** Requests of this method, newest last. */
    requests(method) {
        return this.log.filter((message) => message.method === method);
    }

    get terminations() {
        return [...this.contexts.values()].flatMap((context) => [...context.terminations.values()]);
    }

    async notify(termination, event, details = {}, mid = undefined) {
        if (event === 'iceConnected') termination.connected = true;
        if (event === 'dtlsConnected') termination.encrypted = true;
        for (const link of this.#links) {
            await link.request('notify', {
                contextId: termination.contextId,
                terminationId: termination.terminationId,
                event,
                mid,
                details,
                sequence: ++this.#count,
            });
        }
    }

    async serviceChange() {
        for (const link of this.#links) await link.request('serviceChange', this.#service());
    }

    /** Its path is there and encrypted. */
    async connect(termination) {
        await this.notify(termination, 'iceConnected', {
            local: { ip: '192.0.2.20', port: 40000 },
            remote: { ip: '192.0.2.7', port: 51000 },
        });
        await this.notify(termination, 'dtlsConnected', { srtpProfile: 'SRTP_AEAD_AES_128_GCM' });
    }

    /** All terminations are connected. */
    async connectAll() {
        for (const termination of this.terminations) if (!termination.pipeline) await this.connect(termination);
    }

    #service() {
        const { serviceState, restartCounter, load, enforcement } = this;
        return { serviceState, restartCounter, load, enforcement };
    }

    async #serve(link) {
        this.#links.add(link);
        void link.closed.then(() => this.#links.delete(link));
        for (;;) {
            const request = await Promise.race([link.expectAny(), link.closed]);
            if (request.code !== undefined) return;
            this.log.push(request);
            try {
                const own = this[`_${request.method}`];
                const override = this.overrides[request.method];
                const members = override ? override(request, () => own.call(this, request)) : own.call(this, request);
                if (members !== null) request.reply(members);
            } catch (error) {
                if (!(error instanceof Problem)) throw error;
                const { status, cause, detail } = error.members.problemDetails;
                request.fail(status, cause, detail);
            }
        }
    }

    static problem(status, cause, detail) {
        return new Problem(status, cause, detail);
    }

    _auth({ authorization }) {
        if (authorization !== `Bearer ${TOKEN}`) throw new Problem(403, 'AUTHENTICATION_FAILED');
        return { ...this.#service(), disconnectionTtl: 60, keepAliveInterval: 20 };
    }

    #context(contextId) {
        const context = this.contexts.get(contextId);
        if (!context) throw new Problem(404, 'CONTEXT_NOT_FOUND');
        return context;
    }

    #termination({ contextId, terminationId }) {
        const termination = this.#context(contextId).terminations.get(terminationId);
        if (!termination) throw new Problem(404, 'TERMINATION_NOT_FOUND');
        return termination;
    }

    _add(message) {
        const { contextId = `c-${++this.#count}`, offerTemplate, sdpOffer, answerTemplate, iceMode } = message;
        const { appData, topology, mesh, mediaPolicy, pipeline, mediaPath } = message;
        const selects = topology === 'mesh' ? { lastN: 16, loudestN: 16, media: mesh?.media } : undefined;
        if (!this.contexts.has(contextId))
            this.contexts.set(contextId, { terminations: new Map(), appData, mesh: selects });
        if (pipeline && mediaPath !== 'pipeline') return this.#pipeline(contextId, message);
        const terminationId = `t-${++this.#count}`;
        const termination = { contextId, terminationId, iceMode, flowStatus: 'DISABLED' };
        for (const { flowStatus } of mediaPolicy ?? []) termination.flowStatus = flowStatus ?? termination.flowStatus;
        const sdp = offerTemplate
            ? this.#offer(termination, offerTemplate)
            : this.#answer(termination, sdpOffer, answerTemplate);
        this.contexts.get(contextId).terminations.set(terminationId, termination);
        return { contextId, terminationId, ...sdp, medias: termination.template.medias };
    }

    /** It plays at once, what it was asked for. */
    #pipeline(contextId, { pipeline, inputs, appData }) {
        const terminationId = `p-${++this.#count}`;
        const { terminations } = this.contexts.get(contextId);
        const taken = (inputs ?? []).map(({ terminationId: from, mid }) => {
            const { mediaType, codecs } = terminations.get(from).template.medias.find((one) => one.mid === mid);
            return { mid: mediaType, mediaType, direction: 'sendonly', codecs: codecs.slice(0, 1),
                source: { terminationId: from, mid } };
        });
        const given = (pipeline.medias ?? []).map(({ mid, mediaType }) =>
            ({ mid, mediaType, direction: 'recvonly', codecs: [mediaType === 'audio' ? 'opus' : 'VP8'] }));
        const medias = [...taken, ...given];
        terminations.set(terminationId, {
            contextId, terminationId, inputs, appData, flowStatus: 'ENABLED', template: { medias },
            pipeline: { template: pipeline.template, parameters: pipeline.parameters, state: 'playing' },
        });
        return { contextId, terminationId, medias, pipeline: { template: pipeline.template, state: 'playing' } };
    }

    #offer(termination, template) {
        if (termination.offer) throw new Problem(409, 'INVALID_STATE');
        const known = (termination.medias ?? []).filter(({ mid }) => !template.medias.some((one) => one.mid === mid));
        termination.template = {
            ...template,
            medias: [...known.map((one) => ({ ...one, direction: 'inactive' })), ...template.medias],
        };
        termination.offer = describe(termination.template);
        return { sdpOffer: termination.offer };
    }

    #answer(termination, sdpOffer, template) {
        if (termination.offer) throw new Problem(409, 'INVALID_STATE');
        const offered = medias(sdpOffer);
        for (const { mid, mediaType } of template.medias) {
            if (!offered.some((one) => one.mid === mid && one.mediaType === mediaType)) {
                throw new Problem(400, 'INVALID_MESSAGE');
            }
        }
        termination.template = {
            medias: offered.map((one) => {
                const wanted = template.medias.find(({ mid }) => mid === one.mid);
                if (!wanted || one.rejected) return { ...one, codecs: [], rejected: true };
                const both = one.codecs.filter((codec) => wanted.codecs.includes(codec));
                return { ...one, codecs: both, direction: meet(reverse[one.direction], wanted.direction) };
            }),
        };
        termination.medias = termination.template.medias;
        termination.sdpOffer = sdpOffer;
        return { sdpAnswer: describe(termination.template).replace(/actpass/g, 'passive') };
    }

    _modify(message) {
        const termination = this.#termination(message);
        const { sdpAnswer, sdpOffer, offerTemplate, rollback, candidates } = message;
        let members = {};
        if (sdpAnswer !== undefined) {
            if (!termination.offer) throw new Problem(409, 'INVALID_STATE');
            termination.offer = undefined;
            termination.medias = termination.template.medias;
            termination.answer = sdpAnswer;
        } else if (rollback) {
            if (!termination.offer) throw new Problem(409, 'INVALID_STATE');
            termination.offer = undefined;
        } else if (offerTemplate) {
            members = this.#offer(termination, offerTemplate);
        } else if (sdpOffer) {
            members = this.#answer(termination, sdpOffer, message.answerTemplate);
        }
        if (candidates) termination.candidates = [...(termination.candidates ?? []), ...candidates];
        if (message.routes) termination.routes = message.routes;
        for (const { flowStatus } of message.mediaPolicy ?? []) {
            termination.flowStatus = flowStatus ?? termination.flowStatus;
        }
        return { ...members, medias: termination.template.medias };
    }

    _subtract({ contextId, terminationId }) {
        const context = this.#context(contextId);
        if (terminationId) context.terminations.delete(terminationId);
        if (!terminationId || context.terminations.size === 0) this.contexts.delete(contextId);
        return {};
    }

    _audit({ contextId }) {
        if (contextId) {
            const terminations = [...this.#context(contextId).terminations.values()].map((one) => ({
                terminationId: one.terminationId,
                state: one.state ?? (one.connected ? 'connected' : 'connecting'),
                failure: one.failure,
                offerPending: one.offer ? true : undefined,
                ice: { connected: Boolean(one.connected), mode: 'lite' },
                dtls: { connected: Boolean(one.encrypted) },
                medias: one.template.medias,
                pipeline: one.pipeline,
                appData: one.appData,
            }));
            return { ...this.#service(), contextId, terminations, mesh: this.#context(contextId).mesh };
        }
        const contexts = [...this.contexts].map(([contextId, { terminations, appData }]) => ({
            contextId,
            terminations: [...terminations.keys()],
            appData,
        }));
        return { ...this.#service(), contexts };
    }

    _keepalive() {
        return {};
    }
}
