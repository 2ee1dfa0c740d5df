// SPDX-License-Identifier: Apache-2.0
// Extensions of version 1 (protocol A3) and what is told of them in which message.

export const TRICKLE_ICE = 'trickle-ice';
export const PRE_OFFER_AS_OFFER = 'pre-offer-as-offer';
export const DIRECT_MEDIA = 'direct-media';
export const QOS_REPORT = 'qos-report';
export const DATACHANNEL = 'datachannel';

/**
 * What this endpoint can do. Direct media shows the far side our addresses, so it wants to be asked for.
 * @param {{ directMedia?: boolean }} options
 */
export function supported({ directMedia = false }) {
    const always = [TRICKLE_ICE, PRE_OFFER_AS_OFFER, DATACHANNEL, QOS_REPORT];
    return directMedia ? [...always, DIRECT_MEDIA] : always;
}

/**
 * What a response must not do: require an extension that its request did not list (A3).
 * @param {import('./index.js').Message} response
 * @param {unknown} offered supportedExtension of the request
 * @returns {string | undefined} the first such name
 */
export function overreach({ requiredExtension }, offered) {
    if (!Array.isArray(requiredExtension)) return undefined;
    const known = Array.isArray(offered) ? offered : [];
    return requiredExtension.find((name) => !known.includes(name));
}

/** @param {import('./index.js').Message} message */
export function listed({ supportedExtension }) {
    return Array.isArray(supportedExtension) ? supportedExtension.map(String) : undefined;
}
