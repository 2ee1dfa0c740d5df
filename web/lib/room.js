// SPDX-License-Identifier: Apache-2.0
// Who is in a room and which m-lines bring them (protocol A6, rooms). The network gives an m-line to
// another person without a new offer, so neither the msid of a description nor the event `track` tells
// whose picture it is: the list of participants alone does. Each person has one MediaStream for as long
// as they are there, and tracks move between the streams as the m-lines do; what plays a stream need
// not know.

/** @typedef {import('./index.js').Participant} Participant */
/** @typedef {import('./index.js').ParticipantsChange} ParticipantsChange */

const MAX_PARTICIPANTS = 1000;
const MAX_MIDS = 64;
const MAX_NAME = 32;

export class Room {
    /** @type {Map<string, Participant>} */
    #people = new Map();
    /** @type {string | undefined} */
    #speaker;

    /** Who this side is for the others. @type {string | undefined} */
    participantId;

    /** The others, in the network's order; a copy. @returns {Participant[]} */
    get participants() {
        return [...this.#people.values()].map(copy);
    }

    /** Whose voice is heard most at the moment, as the network tells. */
    get activeSpeaker() {
        return this.#speaker;
    }

    /**
     * Takes the member `participants` of a message: always the whole list. An entry that makes no
     * sense is passed over.
     * @param {unknown} list
     * @param {RTCPeerConnection | null} connection
     * @returns {ParticipantsChange | undefined} undefined when nothing has changed
     */
    take(list, connection) {
        if (!Array.isArray(list)) return undefined;
        const before = this.#people;
        /** @type {Map<string, Participant>} */
        const people = new Map();
        const changed = new Set();
        for (const entry of list.slice(0, MAX_PARTICIPANTS)) {
            const id = entry?.participantId;
            if (typeof id !== 'string' || id === '' || people.has(id)) continue;
            const known = before.get(id);
            const one = read(id, entry, known?.stream ?? newStream());
            if (known && !same(known, one)) changed.add(id);
            people.set(id, one);
        }
        const joined = [...people.keys()].filter((id) => !before.has(id));
        const left = [...before.values()].filter((one) => !people.has(one.participantId));
        this.#people = people;
        for (const id of this.#assign(connection)) if (before.has(id)) changed.add(id);
        for (const { stream } of left) empty(stream);
        if (joined.length + left.length + changed.size === 0) return undefined;
        return this.#change({ joined, left, changed: [...changed] });
    }

    /**
     * After a description was applied or a track has come: m-lines that a list named before they were
     * there.
     * @param {RTCPeerConnection | null} connection
     * @returns {ParticipantsChange | undefined}
     */
    look(connection) {
        const changed = this.#assign(connection);
        return changed.length > 0 ? this.#change({ changed }) : undefined;
    }

    /**
     * Takes the member `activeSpeaker`; null and "" are nobody.
     * @param {unknown} told
     * @returns {boolean} whether it is another one now
     */
    speaks(told) {
        const speaker = typeof told === 'string' && told !== '' ? told : undefined;
        if (speaker === this.#speaker) return false;
        this.#speaker = speaker;
        return true;
    }

    /** @param {string} mid */
    ownerOf(mid) {
        for (const one of this.#people.values())
            if (one.mids.includes(mid)) return one.participantId;
        return undefined;
    }

    /** @param {string} participantId @returns {readonly string[]} */
    midsOf(participantId) {
        return this.#people.get(participantId)?.mids ?? [];
    }

    /**
     * @param {{ joined?: string[], left?: Participant[], changed: string[] }} what
     * @returns {ParticipantsChange}
     */
    #change({ joined = [], left = [], changed }) {
        const of = (/** @type {string[]} */ ids) =>
            this.participants.filter((one) => ids.includes(one.participantId));
        return {
            participants: this.participants,
            joined: of(joined),
            left: left.map(copy),
            changed: of(changed),
        };
    }

    /**
     * Each stream gets the tracks of its m-lines. What stays is not touched, or it would flicker.
     * @param {RTCPeerConnection | null} connection
     * @returns {string[]} whose streams have become different
     */
    #assign(connection) {
        if (!connection || this.#people.size === 0) return [];
        /** @type {Map<string | null, MediaStreamTrack>} */
        const tracks = new Map();
        for (const { mid, receiver } of connection.getTransceivers())
            if (mid !== null) tracks.set(mid, receiver.track);
        const changed = [];
        for (const { participantId, mids, stream } of this.#people.values()) {
            if (!stream) continue;
            const wanted = new Set(mids.flatMap((mid) => tracks.get(mid) ?? []));
            const there = new Set(stream.getTracks());
            const gone = [...there].filter((track) => !wanted.has(track));
            const come = [...wanted].filter((track) => !there.has(track));
            for (const track of gone) stream.removeTrack(track);
            for (const track of come) stream.addTrack(track);
            if (gone.length + come.length > 0) changed.push(participantId);
        }
        return changed;
    }
}

/**
 * @param {string} participantId
 * @param {any} entry
 * @param {MediaStream | null} stream
 * @returns {Participant}
 */
function read(participantId, { displayName, mids, noPicture }, stream) {
    const named = Array.isArray(mids) ? mids.filter((mid) => typeof mid === 'string') : [];
    return {
        participantId,
        displayName: typeof displayName === 'string' ? displayName : '',
        mids: named.slice(0, MAX_MIDS),
        noPicture: typeof noPicture === 'string' ? noPicture.slice(0, MAX_NAME) : '',
        stream,
    };
}

/**
 * @param {Participant} one
 * @param {Participant} other
 */
function same(one, other) {
    return (
        one.displayName === other.displayName &&
        one.noPicture === other.noPicture &&
        one.mids.length === other.mids.length &&
        one.mids.every((mid, index) => mid === other.mids[index])
    );
}

/** @param {Participant} one */
function copy(one) {
    return { ...one, mids: [...one.mids] };
}

function newStream() {
    return globalThis.MediaStream ? new MediaStream() : null;
}

/** @param {MediaStream | null} stream */
function empty(stream) {
    for (const track of stream?.getTracks() ?? []) stream?.removeTrack(track);
}
