// SPDX-License-Identifier: Apache-2.0
// The call on the screen, from the first ring to the end: pictures, what is going on in one word,
// the clock, the controls. It lives as long as one session and undoes its listeners at the end.

import { button, element, shortName, show, video } from './dom.js';
import { StatsDrawer } from './stats-drawer.js';
import { ringBack, silence } from './tones.js';

export class CallView {
    #session;
    #stream;
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
     * @param {MediaStream | undefined} stream our own
     */
    constructor(session, stream) {
        this.#session = session;
        this.#stream = stream;
        this.#drawer = new StatsDrawer(session);
        const { signal } = this.#over;

        show('call');
        this.#name();
        element('timer').hidden = true;
        element('gap').hidden = true;
        element('stage').classList.remove('connected', 'seen');
        this.#showFigures(false);
        this.#showLocal();
        video('remote').srcObject = session.remoteStream;

        session.addEventListener('statechange', () => this.#state(), { signal });
        session.addEventListener('pathchange', () => this.#path(), { signal });
        session.addEventListener('update', () => this.#name(), { signal });
        session.addEventListener('track', (event) => this.#onTrack(event.detail.track), { signal });
        session.addEventListener('ended', () => this.#finish(), { signal });
        for (const type of ['loadeddata', 'resize', 'emptied']) {
            video('remote').addEventListener(type, () => this.#seen(), { signal });
        }
        button('play').addEventListener('click', () => this.#play(), { signal });
        button('mic').addEventListener('click', () => this.#toggle('audio'), { signal });
        button('camera').addEventListener('click', () => this.#toggle('video'), { signal });
        button('stats').addEventListener(
            'click',
            () => this.#showFigures(Boolean(element('drawer').hidden)),
            { signal },
        );
        button('stats-close').addEventListener(
            'click',
            () => {
                this.#showFigures(false);
                button('stats').focus();
            },
            { signal },
        );
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
        this.#seen();
        navigator.wakeLock
            ?.request('screen')
            .then((lock) => {
                if (this.#over.signal.aborted) lock.release();
                else this.#awake = lock;
            })
            .catch(() => {});
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
        const seen = Boolean(live) && remote.videoWidth > 2 && this.#connectedAt !== undefined;
        element('stage').classList.toggle('seen', seen);
        if (!seen && this.#connectedAt !== undefined)
            element('call-state').textContent = live ? '' : 'No picture';
    }

    #showLocal() {
        const local = video('local');
        local.srcObject = this.#stream ?? null;
        this.#showToggle('audio');
        this.#showToggle('video');
    }

    /** @param {'audio' | 'video'} kind */
    #toggle(kind) {
        const tracks = this.#stream?.getTracks().filter((track) => track.kind === kind) ?? [];
        const on = !tracks.some((track) => track.enabled);
        for (const track of tracks) track.enabled = on;
        this.#showToggle(kind);
    }

    /** @param {'audio' | 'video'} kind */
    #showToggle(kind) {
        const tracks = this.#stream?.getTracks().filter((track) => track.kind === kind) ?? [];
        const off = tracks.length > 0 && !tracks.some((track) => track.enabled);
        const control = button(kind === 'audio' ? 'mic' : 'camera');
        control.disabled = tracks.length === 0;
        control.ariaPressed = String(off);
        const [label, key] =
            kind === 'audio'
                ? [off ? 'Unmute' : 'Mute', 'M']
                : [off ? 'Camera on' : 'Camera off', 'V'];
        const text = control.querySelector('span');
        if (text) text.textContent = label;
        control.title =
            tracks.length > 0
                ? `${label} (${key})`
                : kind === 'audio'
                  ? 'No microphone'
                  : 'No camera';
        if (kind === 'video') video('local').hidden = off || tracks.length === 0;
    }

    /** @param {boolean} open */
    #showFigures(open) {
        element('drawer').hidden = !open;
        button('stats').ariaExpanded = String(open);
        if (open) this.#drawer.open();
        else this.#drawer.close();
    }

    /** @param {KeyboardEvent} event */
    #onKey(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
        if (event.target instanceof HTMLInputElement) return;
        switch (event.key.toLowerCase()) {
            case 'm':
                this.#toggle('audio');
                break;
            case 'v':
                this.#toggle('video');
                break;
            case 's':
                this.#showFigures(Boolean(element('drawer').hidden));
                break;
            case 'escape':
                this.#showFigures(false);
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
