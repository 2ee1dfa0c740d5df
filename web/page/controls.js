// SPDX-License-Identifier: Apache-2.0
// The buttons under the picture: microphone, camera, hold. Muting is a matter of this side alone; the
// camera and hold are changes of the call, so they are shown as busy until the other side has agreed,
// and go back with a sentence if it has not.

import { sentenceFor } from '../lib/index.js';
import { button, element, video } from './dom.js';
import { openCamera } from './media.js';
import { notify } from './notice.js';

export class Controls {
    #session;
    #stream;
    #changing = new Set();
    /** Called whenever something of our own is different. */
    changed = () => {};

    /**
     * @param {import('../lib/index.js').Session} session
     * @param {MediaStream} stream our own; pictures come and go in it
     * @param {AbortSignal} signal at the end of the call
     */
    constructor(session, stream, signal) {
        this.#session = session;
        this.#stream = stream;
        button('mic').addEventListener('click', () => this.toggleMicrophone(), { signal });
        button('camera').addEventListener('click', () => this.toggleCamera(), { signal });
        button('hold').addEventListener('click', () => this.toggleHold(), { signal });
        button('restart').addEventListener('click', () => this.#restart(), { signal });
        for (const type of ['statechange', 'holdchange'])
            session.addEventListener(type, () => this.show(), { signal });
        this.show();
    }

    toggleMicrophone() {
        const tracks = this.#stream.getAudioTracks();
        const on = !tracks.some((track) => track.enabled);
        for (const track of tracks) track.enabled = on;
        this.show();
    }

    async toggleCamera() {
        if (!this.#running || button('camera').disabled) return;
        await this.#change('camera', () =>
            this.#stream.getVideoTracks().length > 0 ? this.#cameraOff() : this.#cameraOn(),
        );
    }

    async toggleHold() {
        if (!this.#running) return;
        await this.#change('hold', () =>
            this.#session.held ? this.#session.resume() : this.#session.hold(),
        );
    }

    show() {
        const { held } = this.#session;
        const [sound, picture] = [this.#stream.getAudioTracks(), this.#stream.getVideoTracks()];
        const muted = sound.length > 0 && !sound.some((track) => track.enabled);
        this.#label('mic', muted, muted ? 'Unmute' : 'Mute', 'M', sound.length === 0 && 'No microphone');
        const camera = picture.length > 0;
        this.#label(
            'camera',
            !camera,
            camera ? 'Camera off' : 'Camera on',
            'V',
            !navigator.mediaDevices?.getUserMedia && 'No camera',
        );
        this.#label('hold', held, held ? 'Resume' : 'Hold', 'H', !this.#running && 'Not yet');
        video('local').hidden = !camera || held;
        if (video('local').srcObject !== this.#stream) video('local').srcObject = this.#stream;
        button('restart').disabled = !this.#running || this.#changing.has('restart');
        this.changed();
    }

    /** What the red button says. @param {string} word */
    leaving(word) {
        this.#label('hang-up', false, word, '', false);
    }

    get #running() {
        return this.#session.state === 'established' || this.#session.state === 'modifying';
    }

    async #cameraOn() {
        const { track, sentence } = await openCamera();
        if (!track) {
            notify(sentence);
            return;
        }
        if (!this.#running) {
            track.stop();
            return;
        }
        this.#stream.addTrack(track);
        this.show();
        try {
            await this.#session.addVideo(track);
        } catch (error) {
            this.#forget(track);
            throw error;
        }
    }

    async #cameraOff() {
        for (const track of this.#stream.getVideoTracks()) this.#forget(track);
        this.show();
        await this.#session.removeVideo();
    }

    async #restart() {
        await this.#change('restart', () => this.#session.restartIce());
    }

    /** @param {MediaStreamTrack} track */
    #forget(track) {
        track.stop(); // the light beside the lens goes out
        this.#stream.removeTrack(track);
    }

    /**
     * @param {string} id
     * @param {() => Promise<void>} change
     */
    async #change(id, change) {
        if (this.#changing.has(id)) return;
        this.#changing.add(id);
        button(id).ariaBusy = 'true';
        try {
            await change();
        } catch (error) {
            // The end of the call is told elsewhere.
            if (this.#running) notify(refusal(error, this.#session.peer));
        } finally {
            this.#changing.delete(id);
            button(id).ariaBusy = 'false';
            if (this.#running) this.show();
        }
    }

    /**
     * @param {string} id
     * @param {boolean} pressed
     * @param {string} label
     * @param {string} key
     * @param {string | false} reason why it cannot be used
     */
    #label(id, pressed, label, key, reason) {
        const control = button(id);
        control.disabled = Boolean(reason);
        if (control.ariaPressed !== null) control.ariaPressed = String(pressed && !reason);
        const text = control.querySelector('span');
        if (text) text.textContent = label;
        control.title = reason || (key ? `${label} (${key})` : label);
    }
}

/**
 * @param {unknown} error
 * @param {string | undefined} peer
 */
function refusal(error, peer) {
    const why =
        error instanceof Error && 'status' in error
            ? sentenceFor(/** @type {import('../lib/index.js').ProblemError} */ (error), { peer })
            : 'Something went wrong on this page.';
    return `The call stays as it was. ${why}`;
}

/** Before a call's controls are there. */
export function resetControls() {
    for (const id of ['mic', 'camera', 'hold', 'restart']) element(id).ariaBusy = 'false';
}
