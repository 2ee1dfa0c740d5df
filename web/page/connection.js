// SPDX-License-Identifier: Apache-2.0
// What the page says about its connection to the service: a dot beside the address, and a banner
// with a countdown while it is away.

import { button, element } from './dom.js';

/** @param {import('../lib/index.js').Client} client */
export function watchConnection(client) {
    /** @type {ReturnType<typeof setInterval> | undefined} */
    let countdown;
    let why = '';

    const say = (/** @type {string} */ text, /** @type {boolean} */ waiting) => {
        element('banner-text').textContent = text;
        element('retry').hidden = !waiting;
        element('banner').hidden = text === '';
    };
    // Read aloud once, not every second.
    const announce = (/** @type {string} */ text) => {
        element('banner-said').textContent = text;
    };

    client.addEventListener('statechange', ({ detail: { state } }) => {
        const away = state === 'reconnecting';
        element('link-dot').classList.toggle('away', away);
        element('link-text').textContent = away ? 'not connected' : 'connected';
        document.body.dataset.link = state;
        if (away) return;
        if (why) announce('Connected again.');
        clearInterval(countdown);
        why = '';
        say('', false);
    });

    client.addEventListener('reconnecting', ({ detail: { delay, code } }) => {
        if (code !== undefined) {
            why =
                code === 1001 || code === 1012
                    ? 'The service is restarting.'
                    : 'The connection to the service is lost.';
            if (client.sessions.length > 0) why += ' Your call goes on.';
            announce(why);
        }
        const end = performance.now() + delay * 1000;
        const tick = () => {
            const left = Math.ceil((end - performance.now()) / 1000);
            say(left > 0 ? `${why} Trying again in ${left} s.` : `${why} Trying again…`, left > 1);
        };
        clearInterval(countdown);
        countdown = setInterval(tick, 500);
        tick();
    });

    button('retry').addEventListener('click', () => client.reconnectNow());
    addEventListener('online', () => client.networkChanged());
    // From Wi-Fi to mobile the browser is never offline.
    /** @type {any} */ (navigator).connection?.addEventListener('change', () =>
        client.networkChanged(),
    );
}
