// SPDX-License-Identifier: Apache-2.0
// The page's elements by id, and which of its three views is shown.

/**
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function element(id) {
    const found = document.getElementById(id);
    if (!found) throw new Error(`no element #${id}`);
    return /** @type {T} */ (found);
}

/** @param {string} id */
export const input = (id) => /** @type {HTMLInputElement} */ (element(id));

/** @param {string} id */
export const button = (id) => /** @type {HTMLButtonElement} */ (element(id));

/** @param {string} id */
export const video = (id) => /** @type {HTMLVideoElement} */ (element(id));

/** @param {'sign-in' | 'home' | 'call'} view */
export function show(view) {
    document.body.dataset.view = view;
}

/**
 * bob@example.org → bob: short, where the realm says nothing new.
 * @param {string | undefined} id
 */
export function shortName(id) {
    return id?.split('@')[0] || 'Somebody';
}
