// SPDX-License-Identifier: Apache-2.0
// What a call of two and a room have in common on the screen: controls, drawer, clock, keys, the state
// of signalling and path in words. It lives as long as one session and undoes its listeners at the end.

import { Controls, resetControls } from './controls.js';
import { button, element, shortName, show } from './dom.js';
import { Drawer } from './drawer.js';
import { Figures } from './figures.js';
import { silence } from './tones.js';

export class StageView {
    session;
    controls;
    over = new AbortController();
    /** @type {number | undefined} */
    connectedAt;
    #drawer;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #clock;
    /** @type {WakeLockSentinel | undefined} */
    #awake;

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {MediaStream} stream our own
     * @param {import('../lib/index.js').Client} client
     * @param {import('./messages.js').MessageLog} messages
     * @param {{ room?: boolean }} [kind]
     */
    constructor(session, stream, client, messages, { room = false } = {}) {
        this.session = session;
        const { signal } = this.over;

        show('call');
        resetControls();
        element('timer').hidden = true;
        element('gap').hidden = true;
        this.#recorded();
        element('stage').classList.remove('connected', 'seen', 'held');
        element('stage').classList.toggle('in-room', room);
        this.#drawer = new Drawer({ figures: new Figures(session, client), messages }, signal);
        this.controls = new Controls(session, stream, signal);
        this.controls.leaving(room ? 'Leave' : 'Hang up');

        session.addEventListener('statechange', () => this.onState(), { signal });
        session.addEventListener('pathchange', () => this.#path(), { signal });
        session.addEventListener('recordingchange', () => this.#recorded(), { signal });
        session.addEventListener('ended', () => this.finish(), { signal });
        button('hang-up').addEventListener('click', () => session.hangUp(), { signal });
        document.addEventListener('keydown', (event) => this.#onKey(event), { signal });
        button('hang-up').focus({ preventScroll: true });
    }

    /** Seconds that the call lasted, undefined if it never came to that. */
    get duration() {
        return this.connectedAt === undefined
            ? undefined
            : (performance.now() - this.connectedAt) / 1000;
    }

    /** For the first time there is a path. */
    onConnected() {}

    onState() {
        element('stage').dataset.state = this.session.state;
    }

    /** The sign appears with its words, so that they are read to who does not see it. */
    #recorded() {
        element('recording').hidden = !this.session.recording;
        element('recording').textContent = this.session.recording ? 'Recording' : '';
    }

    #path() {
        const path = this.session.pathState;
        element('stage').dataset.path = path;
        const gap = path === 'disconnected';
        element('gap').hidden = !gap;
        element('gap').textContent = gap ? 'Sound and picture are interrupted…' : '';
        if (path !== 'connected' || this.connectedAt !== undefined) return;
        this.connectedAt = performance.now();
        element('stage').classList.add('connected');
        element('timer').hidden = false;
        this.#tick();
        this.#clock = setInterval(() => this.#tick(), 1000);
        this.onConnected();
        navigator.wakeLock
            ?.request('screen')
            .then((lock) => {
                if (this.over.signal.aborted) lock.release();
                else this.#awake = lock;
            })
            .catch(() => {});
    }

    #tick() {
        element('timer').textContent = clock(this.duration ?? 0);
    }

    /**
     * Plays what sounds; a browser may want a click before.
     * @param {HTMLMediaElement} media
     */
    async play(media) {
        try {
            await media.play();
            button('play').hidden = true;
        } catch (error) {
            // Other reasons pass by themselves.
            if (error instanceof DOMException && error.name === 'NotAllowedError')
                button('play').hidden = false;
        }
    }

    /**
     * @param {string} key
     * @returns {boolean} whether it meant something
     */
    onKey(key) {
        switch (key) {
            case 'm':
                this.controls.toggleMicrophone();
                return true;
            case 'v':
                void this.controls.toggleCamera();
                return true;
            case 's':
                this.#drawer.toggle();
                return true;
            case 'escape':
                this.#drawer.close();
                return true;
            default:
                return false;
        }
    }

    /** @param {KeyboardEvent} event */
    #onKey(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
        if (event.target instanceof HTMLInputElement) return;
        if (this.onKey(event.key.toLowerCase())) event.preventDefault();
    }

    finish() {
        this.over.abort();
        clearInterval(this.#clock);
        this.#drawer.close();
        silence();
        this.#awake?.release().catch(() => {});
        button('play').hidden = true;
        element('figures').replaceChildren();
    }
}

/** @param {string} state @param {string | undefined} name */
export function title(state, name) {
    document.title = `${state} ${shortName(name)}`;
}

/** 75 → 01:15, 3675 → 1:01:15. @param {number} seconds */
export function clock(seconds) {
    const whole = Math.floor(seconds);
    const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
    const hours = Math.floor(whole / 3600);
    return `${hours ? `${hours}:` : ''}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}
