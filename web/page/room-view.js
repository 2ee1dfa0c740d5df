// SPDX-License-Identifier: Apache-2.0
// A room on the screen: a tile for each person, all of one size or one of them in front; who speaks has
// a ring and, if that is wanted, the large place. In a large room those whose picture the network does
// not send are chips below. The network is told how large each picture is.

import { choose } from './cast.js';
import { button, element, shortName } from './dom.js';
import { capacity, grid, spotlight } from './layout.js';
import { notify } from './notice.js';
import { Pulse } from './pulse.js';
import { StageView } from './stage-view.js';
import { Tile, hue } from './tile.js';

const OWN = 'own';
/** From so many on, those who are only heard become chips. */
const FEW = 6;
const MOST_TILES = 25;
/** Sizes of a picture come in steps: one that is a little too large is better than half of it. */
const TOLERANCE = 4 / 3;
/** What is asked of a picture that is on no screen. */
const GLIMPSE = { width: 160, height: 90 };

export class RoomView extends StageView {
    #stream;
    #sound = new MediaStream();
    #pulse;
    /** @type {Map<string, Tile>} in order of joining */
    #tiles = new Map();
    /** Who has a place, in order. @type {string[]} */
    #order = [];
    /** @type {string | undefined} */
    #pinned;
    #follows = false;
    /** Somebody else than this side. @type {string | undefined} */
    #speaker;
    /** @type {Map<string, number>} */
    #spoke = new Map();
    /** @type {Map<string, string>} */
    #owners = new Map();

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {MediaStream} stream our own
     * @param {import('../lib/index.js').Client} client
     * @param {import('./messages.js').MessageLog} messages
     */
    constructor(session, stream, client, messages) {
        super(session, stream, client, messages, { room: true });
        this.#stream = stream;
        const { signal } = this.over;
        const name = roomName(session.peer);
        element('peer-name').textContent = name;
        element('top-name').textContent = name;
        element('avatar').textContent = name.slice(0, 1);
        element('invitation').textContent = link(session.peer);
        element('on-hold').hidden = true;
        element('tiles').replaceChildren();
        this.#add(OWN, client.webrtcId ?? '');
        this.controls.changed = () => this.#own();
        this.#follow(false);
        this.#pulse = new Pulse(session, () => this.#signs(), signal);

        const sound = /** @type {HTMLAudioElement} */ (element('room-sound'));
        sound.srcObject = this.#sound;
        session.addEventListener('track', ({ detail: { track } }) => {
            if (track.kind !== 'audio') return;
            this.#sound.addTrack(track);
            void this.play(sound);
        }, { signal });
        session.addEventListener('participantschange', ({ detail }) => this.#people(detail), { signal });
        session.addEventListener('activespeakerchange', () => this.#speaks(), { signal });
        button('play').addEventListener('click', () => this.play(sound), { signal });
        button('layout').addEventListener('click', () => this.#follow(!this.#follows), { signal });
        button('invite').addEventListener('click', () => this.#invite(), { signal });
        document.addEventListener('visibilitychange', () => this.#arrange(), { signal });
        const observer = new ResizeObserver(() => this.#arrange());
        observer.observe(element('room'));
        signal.addEventListener('abort', () => observer.disconnect());
        this.#people({ participants: session.participants, joined: [], left: [] });
        this.#own();
        this.onState();
    }

    onState() {
        super.onState();
        const joining = this.connectedAt === undefined;
        element('call-state').textContent = joining ? 'Joining…' : '';
        document.title = `${joining ? 'Joining' : 'In the room'} ${roomName(this.session.peer)}`;
    }

    onConnected() {
        this.onState();
        this.#arrange();
    }

    /** @param {string} key */
    onKey(key) {
        if (key !== 'g') return super.onKey(key);
        this.#follow(!this.#follows);
        return true;
    }

    /** @param {Pick<import('../lib/index.js').ParticipantsChange, 'participants' | 'joined' | 'left'>} change */
    #people({ participants, joined, left }) {
        for (const { participantId } of left) {
            this.#tiles.get(participantId)?.remove();
            this.#tiles.delete(participantId);
            this.#spoke.delete(participantId);
            if (this.#pinned === participantId) this.#pinned = undefined;
            if (this.#speaker === participantId) this.#speaker = undefined;
        }
        for (const one of participants) {
            const tile = this.#tiles.get(one.participantId) ?? this.#add(one.participantId);
            tile.name = nameOf(one);
            tile.track = one.stream?.getVideoTracks()[0] ?? null;
            tile.noPicture = one.noPicture;
            for (const mid of one.mids) {
                if (this.#owners.get(mid) === one.participantId) continue;
                this.#owners.set(mid, one.participantId);
                this.#pulse.forget(mid);
                tile.still = false;
            }
        }
        const names = (/** @type {import('../lib/index.js').Participant[]} */ list) =>
            list.map(nameOf).join(', ');
        if (joined.length > 0) element('room-said').textContent = `${names(joined)} joined.`;
        else if (left.length > 0) element('room-said').textContent = `${names(left)} left.`;
        const count = participants.length + 1;
        element('people').textContent = count === 1 ? '1 person' : `${count} people`;
        element('stage').classList.toggle('alone', count === 1);
        this.#signs();
        this.#arrange();
    }

    /**
     * @param {string} id
     * @param {string} [name] whose letter is shown
     */
    #add(id, name) {
        const own = id === OWN;
        const tile = new Tile(id, { own, initial: name, pin: () => this.#pin(id) });
        if (own) tile.name = 'You';
        this.#tiles.set(id, tile);
        element('tiles').append(tile.element);
        return tile;
    }

    #own() {
        const tile = this.#tiles.get(OWN);
        if (!tile) return;
        tile.track = this.#stream.getVideoTracks()[0] ?? null;
        tile.muted = !this.#stream.getAudioTracks().some((track) => track.enabled);
        this.#arrange();
    }

    #speaks() {
        const id = this.session.activeSpeaker;
        const speaker = id !== undefined && id === this.session.participantId ? OWN : id;
        if (speaker) this.#spoke.set(speaker, performance.now());
        if (speaker !== undefined && speaker !== OWN) this.#speaker = speaker;
        for (const tile of this.#tiles.values()) tile.speaking = tile.id === speaker;
        this.#arrange();
    }

    /** What the m-lines tell by themselves. */
    #signs() {
        let changed = false;
        const kinds = new Map(
            this.session.connection?.getTransceivers().map((one) => [one.mid, one.receiver.track.kind]),
        );
        for (const { participantId, mids } of this.session.participants) {
            const tile = this.#tiles.get(participantId);
            if (!tile) continue;
            const [sounds, pictures] = ['audio', 'video'].map((kind) =>
                mids.filter((mid) => kinds.get(mid) === kind),
            );
            tile.muted = sounds.length > 0 && sounds.every((mid) => this.#pulse.isStill(mid));
            const still = pictures.length > 0 && pictures.every((mid) => this.#pulse.isStill(mid));
            if (still !== tile.still) changed = true;
            tile.still = still;
        }
        if (changed) this.#arrange();
    }

    /** @param {string} id */
    #pin(id) {
        this.#pinned = this.#pinned === id ? undefined : id;
        this.#arrange();
    }

    /** @param {boolean} follows the speaker, or everybody alike */
    #follow(follows) {
        this.#follows = follows;
        this.#pinned = undefined;
        const control = button('layout');
        control.ariaPressed = String(follows);
        control.title = `${follows ? 'Show everybody alike' : 'Follow the speaker'} (G)`;
        this.#arrange();
    }

    #arrange() {
        const people = [...this.#tiles.values()].map((tile) => ({
            id: tile.id,
            seen: tile.track !== null && !tile.still,
            spoke: this.#spoke.get(tile.id) ?? 0,
        }));
        const others = people.filter((one) => one.id !== OWN);
        const front = this.#pinned ?? (this.#follows ? this.#inFront(others) : undefined);
        const always = [OWN, front, this.#speaker].filter((id) => id !== undefined);
        const crowded = people.length > FEW;
        const shown = crowded
            ? people.filter((one) => one.seen || always.includes(one.id))
            : people;
        const chosen = this.#choose(shown, people.length, front, always);
        const order = front ? [front, ...chosen.filter((id) => id !== front)] : chosen;
        const area = size(element('tiles'));
        const boxes = front ? spotlight(order.length, area) : grid(order.length, area);
        this.#order = chosen;
        const views = [];
        for (const tile of this.#tiles.values()) {
            const box = boxes[order.indexOf(tile.id)];
            tile.place(box, tile.id === front);
            tile.pinned = tile.id === this.#pinned;
            if (tile.id !== OWN && tile.track)
                views.push({ participantId: tile.id, ...this.#pixels(tile, box) });
        }
        if (area.width > 0) this.session.view(views);
    }

    /**
     * Who has a tile; the others are chips, and these take from the tiles' place.
     * @param {import('./cast.js').Candidate[]} shown
     * @param {number} all
     * @param {string | undefined} front
     * @param {string[]} always
     */
    #choose(shown, all, front, always) {
        /** @type {string[]} */
        let chosen = [];
        element('room').classList.remove('with-chips');
        for (let turn = 0; turn < 2; turn++) {
            const area = size(element('tiles'));
            const least = Math.min(area.width, area.height) < 500 ? 92 : 120;
            const places = front
                ? spotlight(shown.length, area).length
                : capacity(area, { least, most: Math.min(MOST_TILES, shown.length) });
            chosen = choose(shown, { before: this.#order, places, always });
            this.#chips([...this.#tiles.keys()].filter((id) => !chosen.includes(id)));
            if (chosen.length === all) break;
        }
        return chosen;
    }

    /** @param {import('./cast.js').Candidate[]} others */
    #inFront(others) {
        const there = others.some((one) => one.id === this.#speaker);
        return there ? this.#speaker : (others.find((one) => one.seen) ?? others[0])?.id;
    }

    /**
     * Of the whole picture, of which a tile may show a part.
     * @param {Tile} tile
     * @param {import('./layout.js').Box | undefined} box
     */
    #pixels(tile, box) {
        if (document.hidden || !box) return GLIMPSE;
        const width = Math.max(box.width, box.height * tile.shape) * devicePixelRatio * TOLERANCE;
        return { width, height: width / tile.shape };
    }

    /** @param {string[]} ids */
    #chips(ids) {
        const list = element('chips');
        element('room').classList.toggle('with-chips', ids.length > 0);
        const text = ids.map((id) => `${id} ${this.#tiles.get(id)?.name}`).join();
        if (list.dataset.shows !== text) {
            list.dataset.shows = text;
            list.replaceChildren(...ids.map((id) => chip(id, this.#tiles.get(id)?.name ?? '')));
        }
        ids.forEach((id, index) =>
            list.children[index].classList.toggle('muted', this.#tiles.get(id)?.muted),
        );
    }

    async #invite() {
        try {
            await navigator.clipboard.writeText(link(this.session.peer));
        } catch {
            // There is none on an insecure page, and it may be forbidden.
            notify('The browser keeps the clipboard shut: copy the link above by hand.');
            return;
        }
        element('room-said').textContent = 'The link is copied.';
        button('invite').textContent = 'Copied';
        setTimeout(() => (button('invite').textContent = 'Copy the link'), 2000);
    }

    finish() {
        super.finish();
        for (const tile of this.#tiles.values()) tile.remove();
        this.#tiles.clear();
        element('chips').replaceChildren();
        delete element('chips').dataset.shows;
        /** @type {HTMLAudioElement} */ (element('room-sound')).srcObject = null;
        element('stage').classList.remove('in-room', 'alone');
    }
}

/** room/green@example.org → green. @param {string | undefined} id */
export function roomName(id) {
    return shortName(id).replace(/^room\//, '');
}

/** @param {import('../lib/index.js').Participant} one */
function nameOf({ displayName }) {
    return displayName ? shortName(displayName) : 'Guest';
}

/** Where this page joins the same room. @param {string | undefined} id */
function link(id) {
    return `${location.origin}${location.pathname}#${shortName(id)}`;
}

/** @param {HTMLElement} one */
function size({ clientWidth: width, clientHeight: height }) {
    return { width, height };
}

/**
 * @param {string} id
 * @param {string} name
 */
function chip(id, name) {
    const one = document.createElement('li');
    const avatar = document.createElement('span');
    avatar.className = 'avatar';
    avatar.ariaHidden = 'true';
    avatar.textContent = name.slice(0, 1);
    avatar.style.setProperty('--hue', String(hue(id)));
    one.append(avatar, name);
    return one;
}
