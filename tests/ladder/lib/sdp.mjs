// SPDX-License-Identifier: Apache-2.0
// Session descriptions of endpoints that signal and have no media: complete enough to be accepted,
// made from one line per medium such as "audio opus sendrecv" or "video VP8/H264 recvonly".

import { randomBytes } from 'node:crypto';

const CODECS = {
    opus: ['111', 'opus/48000/2', 'minptime=10;useinbandfec=1'],
    G722: ['9', 'G722/8000'],
    PCMU: ['0', 'PCMU/8000'],
    PCMA: ['8', 'PCMA/8000'],
    VP8: ['96', 'VP8/90000'],
    VP9: ['98', 'VP9/90000', 'profile-id=0'],
    H264: ['102', 'H264/90000', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f'],
    AV1: ['45', 'AV1/90000'],
};
const DIRECTIONS = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];
const OPPOSITE = { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', inactive: 'inactive' };

/** "audio opus/G722 sendrecv, video rejected" → [{ kind, codecs, direction, rejected }] */
export function readMedias(text) {
    return (Array.isArray(text) ? text : text.split(/,\s*/)).filter(Boolean).map((line) => {
        const [kind, ...words] = line.split(/\s+/);
        const media = { kind };
        if (!['audio', 'video', 'application'].includes(kind)) throw new Error(`${kind}: no kind of media`);
        for (const word of words) {
            if (DIRECTIONS.includes(word)) media.direction = word;
            else if (word === 'rejected') media.rejected = true;
            else media.codecs = word.split('/');
        }
        return media;
    });
}

/** What an endpoint puts into its descriptions: one transport, until it restarts ICE. */
export class SdpIdentity {
    #session = randomBytes(6).readUIntBE(0, 6);
    #version = 0;
    /** Candidates follow the next description (RFC 8838) instead of being in it. */
    trickles = false;
    fingerprint = [...randomBytes(32)].map((octet) => octet.toString(16).padStart(2, '0').toUpperCase()).join(':');

    /** An address of documentation (RFC 5737): nobody answers there. */
    constructor(address = '203.0.113.7') {
        this.address = address;
        this.restart();
    }

    /** What tells streams and their maker; nobody else shall see it. */
    source(mid) {
        const ssrc = 1000 + Number(mid);
        return [`a=msid:ladder-stream ladder-track-${mid}`, `a=ssrc:${ssrc} cname:ladder-cname`];
    }

    restart() {
        this.ufrag = randomBytes(6).toString('base64');
        this.password = randomBytes(18).toString('base64');
        this.port = 20000 + (randomBytes(2).readUInt16BE() % 20000);
    }

    get candidate() {
        return `candidate:1 1 udp 2130706431 ${this.address} ${this.port} typ host`;
    }

    head(mids) {
        return [
            'v=0',
            `o=ladder ${this.#session} ${++this.#version} IN IP4 ${this.address}`,
            's=-',
            't=0 0',
            ...(mids.length ? [`a=group:BUNDLE ${mids.join(' ')}`] : []),
            'a=msid-semantic: WMS *',
        ];
    }

    transport(setup) {
        return [
            `a=ice-ufrag:${this.ufrag}`,
            `a=ice-pwd:${this.password}`,
            'a=ice-options:trickle',
            `a=fingerprint:sha-256 ${this.fingerprint}`,
            `a=setup:${setup}`,
            ...(this.trickles ? [] : [`a=${this.candidate}`, 'a=end-of-candidates']),
        ];
    }
}

const end = (lines) => `${lines.join('\r\n')}\r\n`;

/** An offer, or a pre-offer, of these medias; their mids are 0, 1, … */
export function makeOffer(identity, medias) {
    const lines = identity.head(medias.map((_, mid) => mid));
    medias.forEach(({ kind, codecs, direction = 'sendrecv', rejected }, mid) => {
        if (kind === 'application') {
            lines.push('m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', `a=mid:${mid}`,
                ...identity.transport('actpass'), 'a=sctp-port:5000', 'a=max-message-size:262144');
            return;
        }
        const rows = (codecs ?? (kind === 'audio' ? ['opus'] : ['VP8'])).map((name) => {
            if (!CODECS[name]) throw new Error(`${name}: the generator knows no such codec`);
            return CODECS[name];
        });
        lines.push(
            `m=${kind} ${rejected ? 0 : 9} UDP/TLS/RTP/SAVPF ${rows.map(([payload]) => payload).join(' ')}`,
            'c=IN IP4 0.0.0.0',
            'a=rtcp:9 IN IP4 0.0.0.0',
            `a=mid:${mid}`,
            `a=${direction}`,
            ...identity.transport('actpass'),
            'a=rtcp-mux',
            ...(/send/.test(direction) ? identity.source(mid) : []),
            ...rows.flatMap(([payload, map, format]) => [
                `a=rtpmap:${payload} ${map}`,
                ...(format ? [`a=fmtp:${payload} ${format}`] : []),
                ...(kind === 'video' ? [`a=rtcp-fb:${payload} nack`, `a=rtcp-fb:${payload} nack pli`] : []),
            ]),
        );
    });
    return end(lines);
}

/** The sections of a description: the session's lines, then one list of lines per medium. */
function sections(sdp) {
    return sdp.split(/\r?\n/).filter(Boolean).reduce((all, line) => {
        if (line.startsWith('m=')) all.push([]);
        all.at(-1).push(line);
        return all;
    }, [[]]);
}

const attribute = (lines, name) =>
    lines.find((line) => line.startsWith(`a=${name}:`))?.slice(name.length + 3);
const directionOf = (lines) =>
    DIRECTIONS.find((direction) => lines.includes(`a=${direction}`)) ?? 'sendrecv';

/** What a description says: [{ kind, mid, direction, codecs, rejected }]; RTX and the like are no codecs. */
export function mediasOf(sdp) {
    return sections(sdp).slice(1).map((lines) => {
        const [, kind, port] = /^m=(\S+) (\d+)/.exec(lines[0]);
        const codecs = lines
            .map((line) => /^a=rtpmap:\d+ ([^/]+)/.exec(line)?.[1])
            .filter((name) => name && !/^(rtx|red|ulpfec|telephone-event|CN)$/i.test(name));
        return {
            kind,
            mid: attribute(lines, 'mid'),
            direction: directionOf(lines),
            codecs: [...new Set(codecs)],
            rejected: port === '0',
        };
    });
}

/** Takes every medium as it is offered, but for what `changes` (one per medium, in order) say. */
export function makeAnswer(identity, offer, changes = []) {
    const [, ...medias] = sections(offer);
    const bundled = [];
    const body = medias.flatMap((lines, index) => {
        const change = changes[index] ?? {};
        const [head, kind, , profile, payloads] = /^m=(\S+) (\d+) (\S+) (.+)$/.exec(lines[0]);
        const rejected = change.rejected ?? head.split(' ')[1] === '0';
        const mid = attribute(lines, 'mid');
        if (!rejected) bundled.push(mid);
        const wanted = payloads.split(' ').filter((payload) => {
            const name = lines.map((line) => new RegExp(`^a=rtpmap:${payload} ([^/]+)`).exec(line)?.[1]).find(Boolean);
            return !change.codecs || change.codecs.includes(name);
        });
        const offered = OPPOSITE[directionOf(lines)];
        const kept = lines.filter((line) => {
            const payload = /^a=(?:rtpmap|fmtp|rtcp-fb):(\d+|\*)/.exec(line)?.[1];
            return payload === '*' || wanted.includes(payload);
        });
        return [
            `m=${kind} ${rejected ? 0 : 9} ${profile} ${(wanted.length ? wanted : payloads.split(' ')).join(' ')}`,
            'c=IN IP4 0.0.0.0',
            `a=mid:${mid}`,
            ...(kind === 'application' ? lines.filter((line) => /^a=(sctp-port|max-message-size):/.test(line))
                : [`a=${change.direction ?? offered}`, 'a=rtcp-mux']),
            ...(kind !== 'application' && /send/.test(change.direction ?? offered) ? identity.source(index) : []),
            ...identity.transport(/a=setup:active\b/.test(offer) ? 'passive' : 'active'),
            ...kept,
        ];
    });
    return end([...identity.head(bundled), ...body]);
}

/** What is not as these medias say. A medium without codecs may have any, one without direction too. */
export function sdpFaults(sdp, detail) {
    if (!sdp.startsWith('v=0\r\n')) return ['not a session description'];
    if (!detail) return [];
    const found = mediasOf(sdp);
    const wanted = readMedias(detail);
    const faults = [];
    if (found.length !== wanted.length) faults.push(`${found.length} media instead of ${wanted.length}`);
    wanted.forEach(({ kind, codecs, direction, rejected }, index) => {
        const got = found[index];
        if (!got) return;
        const fault = (name, want, have) => faults.push(`medium ${index}: ${name} ${have} instead of ${want}`);
        if (got.kind !== kind) fault('kind', kind, got.kind);
        if (codecs && String(got.codecs) !== String(codecs)) fault('codecs', codecs, got.codecs);
        if (direction && got.direction !== direction) fault('direction', direction, got.direction);
        if (Boolean(rejected) !== got.rejected) fault('rejected', Boolean(rejected), got.rejected);
    });
    return faults;
}

/** A description in one line. */
export function describeSdp(sdp) {
    const medias = mediasOf(sdp).map(({ kind, codecs, direction, rejected }) =>
        `${kind} ${codecs} ${rejected ? 'rejected' : direction}`);
    return `SDP of ${sdp.length} octets (${medias.join(', ')})`;
}

/** A message with each description in one line, for people. */
export function withoutSdp(text) {
    return text.replace(/"(v=0\\r\\n(?:[^"\\]|\\.)*)"/g, (whole, escaped) => {
        try {
            return `"${describeSdp(JSON.parse(whole))}"`;
        } catch {
            return escaped.slice(0, 60);
        }
    });
}
