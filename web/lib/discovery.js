// SPDX-License-Identifier: Apache-2.0
// Where a realm's service is (protocol A6, discovery): the operator says it under its own name, so an
// application needs no more than a person's address.

import { ProblemError, isObject } from './problem.js';

const TIMEOUT_MS = 10_000;

/**
 * @param {string} realm
 * @param {{ fetch?: typeof globalThis.fetch }} [environment]
 * @returns {Promise<string[]>} addresses in order of preference
 */
export async function discover(realm, { fetch = globalThis.fetch } = {}) {
    const failed = (/** @type {string} */ detail) =>
        new ProblemError({ cause: 'CONNECTION_FAILED', detail });
    let found;
    try {
        const response = await fetch(`https://${realm}/.well-known/eirtcw`, {
            signal: AbortSignal.timeout(TIMEOUT_MS),
            credentials: 'omit',
        });
        if (!response.ok) throw failed(`${realm} answers ${response.status}`);
        found = await response.json();
    } catch (error) {
        throw error instanceof ProblemError ? error : failed(`${realm} does not say where it is`);
    }
    /** @type {unknown[]} */
    const named = isObject(found) && Array.isArray(found.wsf) ? found.wsf : [];
    const urls = named.filter((one) => typeof one === 'string' && one.startsWith('wss://'));
    if (urls.length === 0) throw failed(`${realm} names no service`);
    return /** @type {string[]} */ (urls);
}
