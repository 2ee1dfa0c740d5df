// SPDX-License-Identifier: Apache-2.0
// The bar below a film: where it is, halted or not, and to another place. What has no end or may not
// be sought has no bar. Between answers the time is this side's own: the film goes on by itself.

import { sentenceFor } from '../lib/index.js';
import { button, element, input } from './dom.js';
import { notify } from './notice.js';

const TICK_MS = 250;

export class Player {
    #session;
    /** Whose film the bar is about. @type {string | undefined} */
    #peer;
    /** @type {import('../lib/index.js').Playback | undefined} */
    #told;
    #toldAt = 0;
    #holding = false;

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {AbortSignal} signal at the end of the call
     */
    constructor(session, signal) {
        this.#session = session;
        const timer = setInterval(() => this.#show(), TICK_MS);
        signal.addEventListener('abort', () => {
            clearInterval(timer);
            element('player').hidden = true;
        });
        session.addEventListener('statechange', () => void this.#look(), { signal });
        const bar = input('player-position');
        bar.addEventListener('input', () => this.#drag(), { signal });
        bar.addEventListener('change', () => void this.#ask({ seek: Number(bar.value) }), { signal });
        button('player-pause').addEventListener(
            'click',
            () => void this.#ask({ pause: !this.#told?.paused }),
            { signal },
        );
        element('player').hidden = true;
    }

    /** What plays now, if it is another film than before. */
    async #look() {
        const { peer, state } = this.#session;
        if (state !== 'established' || peer === this.#peer) return;
        this.#peer = peer;
        this.#told = undefined;
        this.#show();
        if (!peer?.startsWith('media/')) return;
        try {
            this.#take(await this.#session.playback());
        } catch {
            // Nobody who could be asked: there is no bar, then.
        }
    }

    /** @param {import('../lib/index.js').PlaybackWish} wish */
    async #ask(wish) {
        button('player-pause').disabled = true;
        try {
            this.#take(await this.#session.playback(wish));
        } catch (error) {
            const why = /** @type {import('../lib/index.js').ProblemError} */ (error);
            notify(sentenceFor(why, { peer: this.#session.peer }));
        }
        button('player-pause').disabled = false;
        this.#holding = false;
        this.#show();
    }

    /** @param {import('../lib/index.js').Playback} told */
    #take(told) {
        this.#told = told;
        this.#toldAt = performance.now();
        this.#show();
    }

    /** Where it is by now. */
    #position() {
        const { position = 0, duration = 0, paused } = this.#told ?? {};
        const since = paused ? 0 : (performance.now() - this.#toldAt) / 1000;
        return Math.min(position + since, duration);
    }

    #drag() {
        this.#holding = true;
        this.#time(Number(input('player-position').value));
    }

    #show() {
        const told = this.#told;
        element('player').hidden = !told?.seekable || !told.duration;
        if (!told?.duration || this.#holding) return;
        const bar = input('player-position');
        bar.max = String(told.duration);
        bar.value = String(this.#position());
        this.#time(this.#position());
        const pause = button('player-pause');
        pause.setAttribute('aria-pressed', String(told.paused));
        pause.title = told.paused ? 'Go on' : 'Halt';
        pause.querySelector('use')?.setAttribute('href', told.paused ? '#i-play' : '#i-pause');
    }

    /** @param {number} seconds */
    #time(seconds) {
        const text = `${clock(seconds)} / ${clock(this.#told?.duration ?? 0)}`;
        if (element('player-time').textContent !== text) element('player-time').textContent = text;
        input('player-position').setAttribute('aria-valuetext', text);
    }
}

/** 75 → 1:15. @param {number} seconds */
function clock(seconds) {
    const whole = Math.floor(seconds);
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
