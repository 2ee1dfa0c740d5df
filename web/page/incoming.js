// SPDX-License-Identifier: Apache-2.0
// Somebody calls: a dialog that rings until it is answered, declined or over.

import { button, element, shortName } from './dom.js';
import { ring, silence } from './tones.js';

const dialog = /** @type {HTMLDialogElement} */ (element('incoming'));
// Escape would decline by accident.
dialog.addEventListener('cancel', (event) => event.preventDefault());
dialog.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') event.preventDefault();
});

/**
 * @param {import('../lib/index.js').Session} session
 * @returns {Promise<'picture' | 'sound' | 'no'>} no when declined or ended from the other side
 */
export function askToAnswer(session) {
    const name = session.peer ?? 'Somebody';
    element('incoming-name').textContent = name;
    element('incoming-avatar').textContent = shortName(name).slice(0, 1);
    const title = document.title;
    document.title = `${shortName(name)} is calling`;
    dialog.showModal();
    button('answer').focus();
    ring();
    return new Promise((resolve) => {
        const over = new AbortController();
        const { signal } = over;
        const finish = (/** @type {'picture' | 'sound' | 'no'} */ answer) => {
            over.abort();
            silence();
            dialog.close();
            document.title = title;
            resolve(answer);
        };
        button('answer').addEventListener('click', () => finish('picture'), { signal });
        button('answer-sound').addEventListener('click', () => finish('sound'), { signal });
        button('decline').addEventListener(
            'click',
            () => {
                finish('no');
                session.decline();
            },
            { signal },
        );
        session.addEventListener('ended', () => finish('no'), { signal });
        // A browser may close it although `cancel` was prevented.
        dialog.addEventListener('close', () => dialog.showModal(), { signal });
    });
}
