// SPDX-License-Identifier: Apache-2.0
// The call on the screen, from the first ring to the end: pictures, what is going on in one word,
// the clock, the controls. It lives as long as one session and undoes its listeners at the end.

import { Controls, resetControls } from './controls.js';
import { button, element, shortName, show, video } from './dom.js';
import { Drawer } from './drawer.js';
import { Figures } from './figures.js';
import { ringBack, silence } from './tones.js';

export class CallView {
    #session;
    #controls;
    #drawer;
    #over = new AbortController();
    /** @type {number | undefined} */
    #connectedAt;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #clock;
    /** @type {WakeLockSentinel | undefined} */
    #awake;

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {MediaStream} stream our own
     * @param {import('../lib/index.js').Client} client
     * @param {import('./messages.js').MessageLog} messages
     */
    constructor(session, stream, client, messages) {
        this.#session = session;
        const { signal } = this.#over;

        show('call');
        resetControls();
        this.#name();
        element('timer').hidden = true;
        element('gap').hidden = true;
        element('on-hold').hidden = true;
        element('stage').classList.remove('connected', 'seen', 'held');
        this.#drawer = new Drawer({ figures: new Figures(session, client), messages }, signal);
        this.#controls = new Controls(session, stream, signal);
        video('remote').srcObject = session.remoteStream;

        session.addEventListener('statechange', () => this.#state(), { signal });
        session.addEventListener('pathchange', () => this.#path(), { signal });
        session.addEventListener('update', () => this.#name(), { signal });
        session.addEventListener('holdchange', () => this.#hold(), { signal });
        session.addEventListener('track', (event) => this.#onTrack(event.detail.track), { signal });
        session.addEventListener('ended', () => this.#finish(), { signal });
        for (const type of ['loadeddata', 'resize', 'emptied']) {
            video('remote').addEventListener(type, () => this.#seen(), { signal });
        }
        button('play').addEventListener('click', () => this.#play(), { signal });
        button('hang-up').addEventListener('click', () => session.hangUp(), { signal });
        document.addEventListener('keydown', (event) => this.#onKey(event), { signal });
        this.#state();
        button('hang-up').focus({ preventScroll: true });
    }

    /** Seconds that the call lasted, undefined if it never came to that. */
    get duration() {
        return this.#connectedAt === undefined
            ? undefined
            : (performance.now() - this.#connectedAt) / 1000;
    }

    #name() {
        const peer = this.#session.peer;
        element('peer-name').textContent = peer ?? 'Somebody';
        element('top-name').textContent = peer ?? '';
        element('avatar').textContent = shortName(peer).slice(0, 1);
    }

    #state() {
        const { state, direction } = this.#session;
        /** @type {Record<string, string>} */
        const words =
            direction === 'outgoing'
                ? { initiating: 'Calling…', proceeding: 'Calling…', alerting: 'Ringing…' }
                : {};
        element('call-state').textContent =
            words[state] ?? (this.#connectedAt === undefined ? 'Connecting…' : '');
        element('stage').dataset.state = state;
        document.title = `${words[state] ?? 'In a call:'} ${shortName(this.#session.peer)}`;
        if (direction === 'outgoing' && state === 'alerting') ringBack();
        else silence();
        if (this.#connectedAt !== undefined) this.#seen();
    }

    #path() {
        const path = this.#session.pathState;
        element('stage').dataset.path = path;
        const gap = path === 'disconnected';
        element('gap').hidden = !gap;
        element('gap').textContent = gap ? 'Sound and picture are interrupted…' : '';
        if (path !== 'connected' || this.#connectedAt !== undefined) return;
        this.#connectedAt = performance.now();
        element('stage').classList.add('connected');
        element('timer').hidden = false;
        this.#tick();
        this.#clock = setInterval(() => this.#tick(), 1000);
        this.#state();
        navigator.wakeLock
            ?.request('screen')
            .then((lock) => {
                if (this.#over.signal.aborted) lock.release();
                else this.#awake = lock;
            })
            .catch(() => {});
    }

    /** Who holds the call, if anybody does. */
    #hold() {
        const { held, heldByPeer, peer } = this.#session;
        const text = held
            ? heldByPeer
                ? 'On hold, on both sides'
                : 'On hold'
            : heldByPeer
              ? `${shortName(peer)} has put the call on hold`
              : '';
        element('on-hold').textContent = text;
        element('on-hold').hidden = text === '';
        element('stage').classList.toggle('held', text !== '');
        this.#seen();
    }

    #tick() {
        element('timer').textContent = clock(this.duration ?? 0);
    }

    /** @param {MediaStreamTrack} track */
    #onTrack(track) {
        const { signal } = this.#over;
        for (const type of ['mute', 'unmute', 'ended'])
            track.addEventListener(type, () => this.#seen(), { signal });
        this.#play();
    }

    async #play() {
        const remote = video('remote');
        try {
            await remote.play();
            button('play').hidden = true;
        } catch (error) {
            // The browser wants a click before it makes a sound; other reasons pass by themselves.
            if (error instanceof DOMException && error.name === 'NotAllowedError')
                button('play').hidden = false;
        }
        this.#seen();
    }

    /** The far picture is shown once there is one, else the person's initial. */
    #seen() {
        const remote = video('remote');
        const live = this.#session.remoteStream
            ?.getVideoTracks()
            .some((track) => track.readyState === 'live' && !track.muted);
        const { held, heldByPeer } = this.#session;
        const seen =
            Boolean(live) &&
            remote.videoWidth > 2 &&
            this.#connectedAt !== undefined &&
            !held &&
            !heldByPeer;
        element('stage').classList.toggle('seen', seen);
        if (!seen && this.#connectedAt !== undefined)
            element('call-state').textContent = live || held || heldByPeer ? '' : 'No picture';
    }

    /** @param {KeyboardEvent} event */
    #onKey(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
        if (event.target instanceof HTMLInputElement) return;
        switch (event.key.toLowerCase()) {
            case 'm':
                this.#controls.toggleMicrophone();
                break;
            case 'v':
                void this.#controls.toggleCamera();
                break;
            case 'h':
                void this.#controls.toggleHold();
                break;
            case 's':
                this.#drawer.toggle();
                break;
            case 'escape':
                this.#drawer.close();
                break;
            default:
                return;
        }
        event.preventDefault();
    }

    #finish() {
        this.#over.abort();
        clearInterval(this.#clock);
        this.#drawer.close();
        silence();
        this.#awake?.release().catch(() => {});
        video('remote').srcObject = null;
        video('local').srcObject = null;
        button('play').hidden = true;
        element('figures').replaceChildren();
    }
}

/** 75 → 01:15, 3675 → 1:01:15. @param {number} seconds */
export function clock(seconds) {
    const whole = Math.floor(seconds);
    const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
    const hours = Math.floor(whole / 3600);
    return `${hours ? `${hours}:` : ''}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}
