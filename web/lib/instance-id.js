// SPDX-License-Identifier: Apache-2.0
// One instanceId per tab (protocol A5). sessionStorage keeps it over a reload, but a duplicated tab
// copies sessionStorage and would push the original out (4409). A Web Lock named after the id is
// held as long as the page lives: who cannot get it is the duplicate and takes a new id. A reloaded
// page may run before the old document has let go, so it waits a moment for the lock.

const KEY = 'eirtcw.instanceId';
const RELEASE_MS = 400;

/**
 * @param {object} [environment] injectable for tests
 * @param {Pick<Storage, 'getItem' | 'setItem'>} [environment.storage]
 * @param {Pick<LockManager, 'request'>} [environment.locks]
 * @param {number} [environment.patience] milliseconds
 * @returns {Promise<string>}
 */
export async function tabInstanceId({
    storage = tabStorage(),
    locks = globalThis.navigator?.locks,
    patience = RELEASE_MS,
} = {}) {
    const stored = storage?.getItem(KEY);
    if (stored && isUuid(stored) && (await hold(locks, stored, patience))) return stored;
    const fresh = randomUuid();
    await hold(locks, fresh, patience);
    storage?.setItem(KEY, fresh);
    return fresh;
}

/**
 * Resolves once the lock is held (for the life of the page) or cannot be had. Without Web Locks,
 * which need a secure context, a duplicate cannot be told and the stored id is used.
 * @param {Pick<LockManager, 'request'> | undefined} locks
 * @param {string} id
 * @param {number} patience
 * @returns {Promise<boolean>}
 */
function hold(locks, id, patience) {
    if (!locks) return Promise.resolve(true);
    const impatience = new AbortController();
    const timer = setTimeout(() => impatience.abort(), patience);
    return new Promise((resolve) => {
        locks
            .request(`${KEY}:${id}`, { signal: impatience.signal }, () => {
                clearTimeout(timer);
                resolve(true);
                return new Promise(() => {});
            })
            .catch(() => resolve(false));
    });
}

function tabStorage() {
    try {
        return globalThis.sessionStorage;
    } catch {
        return undefined; // refused by the browser's settings: then one id per page load
    }
}

/** @param {string} text */
function isUuid(text) {
    return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

/** crypto.randomUUID needs a secure context, getRandomValues does not. RFC 9562 version 4. */
export function randomUuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
