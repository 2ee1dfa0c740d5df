// SPDX-License-Identifier: Apache-2.0
// One person in a room: the picture or an initial, the name, whether they are muted or speak, and a
// button that pins them. The element stays where it is in the document, because a video that is moved
// there stops; its place on the screen is absolute.

import { shortName } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDE = 16 / 9;

export class Tile {
    element = document.createElement('li');
    #video = document.createElement('video');
    #avatar = document.createElement('div');
    #label = document.createElement('span');
    #lack = document.createElement('p');
    #pin = document.createElement('button');
    /** @type {MediaStreamTrack | null} */
    #track = null;
    /** Ends what listens to the present track. */
    #change = new AbortController();
    #name = '';
    #initial;
    #said = '';

    /**
     * @param {string} id
     * @param {{ own?: boolean, initial?: string, pin: () => void }} options
     */
    constructor(id, { own = false, initial, pin }) {
        this.id = id;
        this.#initial = initial;
        this.own = own;
        this.element.className = own ? 'tile own' : 'tile';
        this.element.dataset.id = id;
        Object.assign(this.#video, { autoplay: true, playsInline: true, muted: true });
        this.#avatar.className = 'avatar';
        this.#avatar.ariaHidden = 'true';
        const label = document.createElement('span');
        label.className = 'label';
        label.append(icon('i-mic-off'), this.#label);
        this.#pin.type = 'button';
        this.#pin.className = 'icon pin';
        this.#pin.append(icon('i-pin'));
        this.#pin.addEventListener('click', (event) => {
            event.stopPropagation();
            pin();
        });
        this.element.addEventListener('click', pin);
        this.#lack.className = 'lack';
        this.element.append(this.#video, this.#avatar, this.#lack, label, this.#pin);
        for (const type of ['loadeddata', 'resize', 'playing'])
            this.#video.addEventListener(type, () => this.#look());
        this.pinned = false;
    }

    get name() {
        return this.#name;
    }

    set name(name) {
        if (name === this.#name) return;
        this.#name = name;
        this.#label.textContent = name;
        this.#avatar.textContent = shortName(this.#initial ?? name).slice(0, 1);
        this.#avatar.style.setProperty('--hue', String(hue(this.#initial ?? this.id)));
        this.pinned = this.pinned;
        this.#tell();
    }

    get track() {
        return this.#track;
    }

    /** The picture; the same one again leaves everything as it is. */
    set track(track) {
        if (track === this.#track) return;
        this.#track = track;
        // What was seen in this element before is somebody else's.
        this.#video.srcObject = track ? new MediaStream([track]) : null;
        this.#change.abort();
        this.#change = new AbortController();
        const { signal } = this.#change;
        for (const type of ['mute', 'unmute', 'ended'])
            track?.addEventListener(type, () => this.#look(), { signal });
        this.#look();
    }

    /** Of a picture that cannot be shown here; '' of one that can. @param {string} codec */
    set noPicture(codec) {
        const text = codec && `The picture comes in ${codec}, which this browser cannot show.`;
        if (this.#lack.textContent === text) return;
        this.#lack.textContent = this.element.title = text;
        this.#tell();
    }

    /** Width of the picture by its height. */
    get shape() {
        const { videoWidth, videoHeight } = this.#video;
        return videoWidth > 2 ? videoWidth / videoHeight : WIDE;
    }

    /** The picture stands still although it should move: nothing comes. */
    set still(still) {
        this.#toggle('still', still);
    }

    get still() {
        return this.element.classList.contains('still');
    }

    set muted(muted) {
        if (this.#toggle('muted', muted)) this.#tell();
    }

    get muted() {
        return this.element.classList.contains('muted');
    }

    set speaking(speaking) {
        if (this.#toggle('speaking', speaking)) this.#tell();
    }

    get speaking() {
        return this.element.classList.contains('speaking');
    }

    set pinned(pinned) {
        this.#toggle('pinned', pinned);
        this.#pin.ariaPressed = String(pinned);
        this.#pin.ariaLabel = `Pin ${this.#name}`;
        this.#pin.title = pinned ? 'Unpin' : 'Pin';
    }

    get pinned() {
        return this.element.classList.contains('pinned');
    }

    /**
     * @param {import('./layout.js').Box | undefined} box undefined: there is no place for it
     * @param {boolean} front whether it is the large one
     */
    place(box, front) {
        this.element.hidden = !box;
        this.#toggle('front', front);
        if (!box) return;
        const { style } = this.element;
        style.width = `${box.width}px`;
        style.height = `${box.height}px`;
        style.transform = `translate(${box.x}px, ${box.y}px)`;
        this.#toggle('small', box.width < 170);
        this.#toggle('wide', box.width > box.height * 1.5);
        this.#avatar.style.setProperty('--size', `${avatarSize(box)}px`);
    }

    remove() {
        this.track = null;
        this.element.remove();
    }

    #look() {
        const there = this.#track?.readyState === 'live' && !this.#track.muted;
        this.#toggle('seen', Boolean(there) && this.#video.videoWidth > 2);
    }

    #tell() {
        const { own, muted, speaking } = this;
        const lack = this.#lack.textContent;
        const said = [own ? 'You' : this.#name, muted && 'muted', speaking && 'speaking', lack]
            .filter(Boolean)
            .join(', ');
        if (said !== this.#said) this.element.ariaLabel = this.#said = said;
    }

    /**
     * @param {string} name
     * @param {boolean} on
     */
    #toggle(name, on) {
        const { classList } = this.element;
        if (classList.contains(name) === on) return false;
        classList.toggle(name, on);
        return true;
    }
}

/** @param {string} name of the sprite */
export function icon(name) {
    const picture = document.createElementNS(SVG, 'svg');
    const use = document.createElementNS(SVG, 'use');
    use.setAttribute('href', `#${name}`);
    picture.setAttribute('aria-hidden', 'true');
    picture.classList.add(name);
    picture.append(use);
    return picture;
}

/** The same person has the same colour on every screen. @param {string} id */
export function hue(id) {
    let sum = 0;
    for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) % 360;
    return sum;
}

/** @param {import('./layout.js').Box} box */
function avatarSize({ width, height }) {
    return Math.round(Math.max(32, Math.min(104, Math.min(width, height) * 0.42)));
}
