// SPDX-License-Identifier: Apache-2.0
// What the drawer tells of single media: own getStats beside what the media centre has measured. A
// picture that is sent in several sizes is one section with a line for each; in a room what is received
// is one section for each person.

import { count, curve, figure, KEPT, milliseconds, packets, percent, rate, size } from './figure.js';

/** @typedef {import('../lib/index.js').MediaSummary} MediaSummary */
/** @typedef {[string, string | undefined | null]} Row */

/** Why a picture is smaller than it could be. @type {Record<string, string>} */
const REASONS = { bandwidth: 'the link', cpu: 'the processor', other: 'its size on the screen' };

/** Of a size that is not sent nobody knows how large it is. */
const NAMES = ['Large', 'Middle', 'Small'];

export class MediaFigures {
    #session;
    /** @type {Map<string, number[]>} */
    #history = new Map();

    /** @param {import('../lib/index.js').Session} session */
    constructor(session) {
        this.#session = session;
    }

    /** Bits per second that the way to this side carries, as the media centre estimates. */
    get estimate() {
        const told = this.#session.qos.flatMap(({ measured }) => measured?.downlink?.estimate ?? []);
        return told.length > 0 ? Math.max(...told) : undefined;
    }

    /** @param {MediaSummary[]} media */
    sections(media) {
        const live = media.filter((one) => one.packets > 0 || one.direction === 'send' || one.codec);
        const { participants } = this.#session;
        const parts = this.#sent(live.filter((one) => one.direction === 'send'));
        const received = live.filter((one) => one.direction === 'receive');
        if (participants.length === 0)
            return [...parts, ...received.map((one) => this.#received(one))];
        return [
            ...parts,
            ...participants.map((one) =>
                this.#person(
                    one,
                    received.filter(({ mid }) => mid !== undefined && one.mids.includes(mid)),
                ),
            ),
        ];
    }

    /** @param {MediaSummary[]} media */
    #sent(media) {
        /** @type {Map<string, MediaSummary[]>} */
        const lines = new Map();
        for (const one of media) {
            const key = one.mid ?? one.id;
            lines.set(key, [...(lines.get(key) ?? []), one]);
        }
        return [...lines.values()].map((all) => (all.length > 1 ? this.#sizes(all) : this.#one(all[0])));
    }

    /** @param {MediaSummary} one */
    #one(one) {
        const measured = this.#measured(one);
        return this.#section(name(one), one.codec ?? '', [one], [
            ['Bitrate', rate(one.bitrate)],
            ['Size', size(one)],
            ['Frames per second', one.kind === 'video' ? count(one.fps) : undefined],
            ['Frames', one.kind === 'video' ? count(one.frames) : undefined],
            ['Limited by', reason(one.limited)],
            ['Packets', count(one.packets)],
            ['Lost', lost(one)],
            ['Arrives', rate(measured?.bitrate)],
            ['Dropped by the network', this.#dropped(one)],
            ['Jitter', milliseconds(one.jitter)],
            ['Round trip', milliseconds(one.roundTrip ?? measured?.roundTrip)],
        ]);
    }

    /** @param {MediaSummary[]} all of one m-line */
    #sizes(all) {
        const sizes = [...all].sort((one, other) => rank(other) - rank(one));
        const measured = this.#measured(all[0]);
        const sent = sizes.filter((one) => one.active !== false && one.frames);
        return this.#section(name(all[0]), `${all[0].codec ?? ''}, ${sizes.length} sizes`, all, [
            ...sizes.map((one, index) => {
                /** @type {Row} */
                const row = [
                    size(one) ?? NAMES[Math.min(index, NAMES.length - 1)],
                    sent.includes(one)
                        ? [rate(one.bitrate), `${count(one.fps ?? 0)} fps`].filter(Boolean).join(', ')
                        : 'not sent',
                ];
                return row;
            }),
            ['Limited by', reason(all.find((one) => reason(one.limited))?.limited)],
            ['Lost', lost(total(all))],
            ['Arrives', rate(measured?.bitrate)],
            ['Dropped by the network', this.#dropped(all[0])],
            ['Round trip', milliseconds(all.find((one) => one.roundTrip)?.roundTrip ?? measured?.roundTrip)],
        ]);
    }

    /** @param {MediaSummary} one */
    #received(one) {
        return this.#section(name(one), one.codec ?? '', [one], [
            ['Bitrate', rate(one.bitrate)],
            ...this.#picture(one),
            ['Frames', one.kind === 'video' ? count(one.frames) : undefined],
            ['Packets', count(one.packets)],
            ['Lost', lost(one)],
            ['Dropped by the network', this.#dropped(one)],
            ['Jitter', milliseconds(one.jitter)],
            ['Round trip', milliseconds(this.#measured(one)?.roundTrip)],
        ]);
    }

    /**
     * @param {import('../lib/index.js').Participant} person
     * @param {MediaSummary[]} media what brings them
     */
    #person({ displayName, participantId }, media) {
        const sound = media.find((one) => one.kind === 'audio');
        const picture = media.find((one) => one.kind === 'video');
        const speaks = this.#session.activeSpeaker === participantId ? 'speaks' : '';
        const from = displayName.split('@')[0] || 'Guest';
        if (media.length === 0) return figure(from, 'not sent now', []);
        return this.#section(from, speaks || (picture?.codec ?? ''), picture ? [picture] : [], [
            ...(picture
                ? [
                      /** @type {Row} */ (['Picture', rate(picture.bitrate)]),
                      ...this.#picture(picture),
                      /** @type {Row} */ (['Picture lost', lost(picture)]),
                  ]
                : []),
            ['Sound', sound && rate(sound.bitrate)],
            ['Sound lost', sound && lost(sound)],
            ['Round trip', milliseconds(this.#measured(picture ?? sound)?.roundTrip)],
        ]);
    }

    /**
     * How large it comes, and why not larger.
     * @param {MediaSummary} one
     * @returns {Row[]}
     */
    #picture(one) {
        if (one.kind !== 'video') return [];
        const measured = this.#measured(one);
        return [
            ['Size', size(one)],
            ['Layer', layer(measured?.layer)],
            ['Limited by', reason(measured?.qualityLimitationReason)],
            ['Frames per second', count(one.fps)],
            ['Freezes', one.freezes === undefined ? undefined : count(one.freezes)],
        ];
    }

    /** @param {MediaSummary | undefined} one */
    #measured(one) {
        const told = this.#session.qos.find(({ mid }) => mid === one?.mid)?.measured;
        return one?.direction === 'send' ? told?.uplink : told?.downlink;
    }

    /** @param {MediaSummary} one */
    #dropped(one) {
        const qos = this.#session.qos.find(({ mid }) => mid === one.mid);
        const dropped = qos?.policingDiscarded[one.direction === 'send' ? 'uplink' : 'downlink'];
        return dropped ? packets(dropped) : undefined;
    }

    /**
     * With the curve of the bitrate of these media together.
     * @param {string} title
     * @param {string} beside
     * @param {MediaSummary[]} media
     * @param {Row[]} rows
     */
    #section(title, beside, media, rows) {
        const part = figure(title, beside, rows);
        const told = media.filter((one) => one.bitrate !== undefined);
        if (told.length === 0) return part;
        const key = `${media[0].direction} ${media[0].mid ?? media[0].id}`;
        const points = this.#history.get(key) ?? [];
        points.push(told.reduce((sum, one) => sum + (one.bitrate ?? 0), 0));
        if (points.length > KEPT) points.shift();
        this.#history.set(key, points);
        if (points.length > 1) part.append(curve(points));
        return part;
    }
}

/** @param {MediaSummary} one */
function name({ kind, direction }) {
    return `${kind === 'audio' ? 'Sound' : 'Picture'} ${direction === 'send' ? 'sent' : 'received'}`;
}

/** @param {Pick<MediaSummary, 'lost' | 'lossShare'>} one */
function lost(one) {
    return `${count(one.lost)} (${percent(one.lossShare)})`;
}

/** @param {MediaSummary[]} all */
function total(all) {
    return {
        lost: all.reduce((sum, one) => sum + one.lost, 0),
        lossShare: Math.max(...all.map((one) => one.lossShare)),
    };
}

/** The network names them l, m, h. @param {MediaSummary} one */
function rank({ rid, width = 0 }) {
    return 'lmh'.indexOf(rid ?? '') * 1e6 + width;
}

/** @param {string | undefined} told */
function reason(told) {
    return told && REASONS[told];
}

/** @param {import('../lib/index.js').Layer | undefined} told */
function layer(told) {
    if (!told) return undefined;
    const parts = [
        told.rid,
        told.spatial && `spatial ${told.spatial}`,
        told.temporal && `temporal ${told.temporal}`,
    ];
    return parts.filter(Boolean).join(', ');
}
