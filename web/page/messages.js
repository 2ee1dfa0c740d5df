// SPDX-License-Identifier: Apache-2.0
// The messages between this page and the service, for whoever wants to see the protocol at work. The
// last of them are kept, without what signs the person in.

import { element } from './dom.js';

const KEPT = 200;
const SECRET = ['authorization', 'reAuthCredential', 'credential'];

/** @typedef {{ direction: 'sent' | 'received', text: string, at: Date }} Line */

export class MessageLog {
    /** @type {Line[]} */
    #lines = [];
    #shown = false;

    /** @param {import('../lib/index.js').Client} client */
    constructor(client) {
        client.addEventListener('message', ({ detail }) => {
            const line = { ...detail, at: new Date() };
            this.#lines.push(line);
            if (this.#lines.length > KEPT) this.#lines.shift();
            if (this.#shown) this.#append([line]);
        });
    }

    show() {
        if (this.#shown) return;
        this.#shown = true;
        element('messages').replaceChildren();
        this.#append(this.#lines);
    }

    hide() {
        this.#shown = false;
        element('messages').replaceChildren();
    }

    /** @param {Line[]} lines */
    #append(lines) {
        const list = element('messages');
        const scroller = element('drawer');
        const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
        list.append(...lines.map(row));
        while (list.childElementCount > KEPT) list.firstElementChild?.remove();
        if (atEnd) scroller.scrollTop = scroller.scrollHeight;
    }
}

/** @param {Line} line */
function row({ direction, text, at }) {
    const item = document.createElement('li');
    const details = document.createElement('details');
    const summary = document.createElement('summary');
    const message = parse(text);
    item.className = `${direction}${message.success === false ? ' failed' : ''}`;
    const arrow = document.createElement('span');
    arrow.className = 'arrow';
    arrow.textContent = direction === 'sent' ? '→' : '←';
    arrow.ariaLabel = direction;
    arrow.role = 'img';
    const method = document.createElement('span');
    method.className = 'method';
    method.textContent = title(message);
    const time = document.createElement('time');
    time.textContent = at.toTimeString().slice(0, 8);
    summary.append(arrow, method, time);
    details.append(summary);
    // Many rows, few of them ever opened.
    details.addEventListener('toggle', () => {
        if (!details.open || details.childElementCount > 1) return;
        const body = document.createElement('pre');
        body.tabIndex = 0;
        body.textContent = pretty(message);
        details.append(body);
    });
    item.append(details);
    return item;
}

/** @param {string} text */
function parse(text) {
    try {
        return JSON.parse(text, (key, value) => (SECRET.includes(key) ? '…' : value));
    } catch {
        return { method: 'not readable' };
    }
}

/** What it is about, in a few words. @param {Record<string, any>} message */
function title(message) {
    const about =
        message.success === false
            ? message.problemDetails?.cause
            : (['sdpOffer', 'sdpAnswer', 'preOfferDescription', 'resourceId', 'problemDetails'].find(
                  (key) => message[key] !== undefined,
              ) ??
              message.mediaSessionState ??
              message.cause ??
              (message.candidates && 'candidates'));
    const words = [message.method, message.messageType === 'response' ? '✓' : '', about];
    if (message.success === false) words[1] = '✗';
    return words.filter(Boolean).join(' ');
}

/** JSON, with descriptions line by line. @param {Record<string, any>} message */
function pretty(message) {
    return JSON.stringify(message, null, 2).replaceAll('\\r\\n', '\n    ');
}
