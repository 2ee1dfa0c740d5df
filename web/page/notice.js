// SPDX-License-Identifier: Apache-2.0
// The one sentence that tells what happened. It stays until dismissed, or until the next thing happens.

import { button, element } from './dom.js';

/**
 * @param {string} sentence
 * @param {{ calm?: boolean }} [manner] calm: news rather than a problem
 */
export function notify(sentence, { calm = false } = {}) {
    element('notice-text').textContent = sentence;
    element('notice').classList.toggle('calm', calm);
    element('notice').hidden = false;
}

export function clearNotice() {
    element('notice').hidden = true;
    element('notice-text').textContent = '';
}

button('notice-close').addEventListener('click', clearNotice);
