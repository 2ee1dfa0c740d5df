// SPDX-License-Identifier: Apache-2.0
// A call of two on the screen, from the first ring to the end: the far picture, or the person's initial
// and what is going on in one word.

import { button, element, shortName, video } from './dom.js';
import { Player } from './player.js';
import { StageView, title } from './stage-view.js';
import { ringBack, silence } from './tones.js';

export class CallView extends StageView {
    /**
     * @param {import('../lib/index.js').Session} session
     * @param {MediaStream} stream our own
     * @param {import('../lib/index.js').Client} client
     * @param {import('./messages.js').MessageLog} messages
     */
    constructor(session, stream, client, messages) {
        super(session, stream, client, messages);
        const { signal } = this.over;
        this.#name();
        element('on-hold').hidden = true;
        new Player(session, signal);
        video('remote').srcObject = session.remoteStream;
        session.addEventListener('update', () => this.#name(), { signal });
        session.addEventListener('holdchange', () => this.#hold(), { signal });
        session.addEventListener('track', (event) => this.#onTrack(event.detail.track), { signal });
        for (const type of ['loadeddata', 'resize', 'emptied']) {
            video('remote').addEventListener(type, () => this.#seen(), { signal });
        }
        button('play').addEventListener('click', () => this.#play(), { signal });
        this.onState();
    }

    #name() {
        const peer = this.session.peer;
        element('peer-name').textContent = peer ?? 'Somebody';
        element('top-name').textContent = peer ?? '';
        element('avatar').textContent = shortName(peer).slice(0, 1);
    }

    onState() {
        super.onState();
        const { state, direction, peer } = this.session;
        /** @type {Record<string, string>} */
        const words =
            direction === 'outgoing'
                ? { initiating: 'Calling…', proceeding: 'Calling…', alerting: 'Ringing…' }
                : {};
        element('call-state').textContent =
            words[state] ?? (this.connectedAt === undefined ? 'Connecting…' : '');
        title(words[state] ?? 'In a call:', peer);
        if (direction === 'outgoing' && state === 'alerting') ringBack();
        else silence();
        if (this.connectedAt !== undefined) this.#seen();
    }

    onConnected() {
        this.onState();
    }

    /** @param {string} key */
    onKey(key) {
        if (key !== 'h') return super.onKey(key);
        void this.controls.toggleHold();
        return true;
    }

    /** Who holds the call, if anybody does. */
    #hold() {
        const { held, heldByPeer, peer } = this.session;
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

    /** @param {MediaStreamTrack} track */
    #onTrack(track) {
        const { signal } = this.over;
        for (const type of ['mute', 'unmute', 'ended'])
            track.addEventListener(type, () => this.#seen(), { signal });
        void this.#play();
    }

    async #play() {
        await this.play(video('remote'));
        this.#seen();
    }

    /** The far picture is shown once there is one, else the person's initial. */
    #seen() {
        const remote = video('remote');
        const live = this.session.remoteStream
            ?.getVideoTracks()
            .some((track) => track.readyState === 'live' && !track.muted);
        const { held, heldByPeer } = this.session;
        const seen =
            Boolean(live) &&
            remote.videoWidth > 2 &&
            this.connectedAt !== undefined &&
            !held &&
            !heldByPeer;
        element('stage').classList.toggle('seen', seen);
        if (!seen && this.connectedAt !== undefined)
            element('call-state').textContent = live || held || heldByPeer ? '' : 'No picture';
    }

    finish() {
        super.finish();
        video('remote').srcObject = null;
        video('local').srcObject = null;
    }
}
