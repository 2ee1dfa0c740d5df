// SPDX-License-Identifier: Apache-2.0
// What an `mupdate` of the network may hold (protocol A6): at most one of five members.

import { ProblemError } from './problem.js';

const EXCLUSIVE = ['sdpOffer', 'sdpAnswer', 'preOfferDescription', 'resourceId', 'problemDetails'];

/**
 * @param {import('./index.js').Message} message
 * @throws {ProblemError}
 */
export function checkUpdate(message) {
    const exclusive = EXCLUSIVE.filter((key) => message[key] !== undefined);
    if (exclusive.length > 1 || !isText(message.sdpOffer) || !isText(message.sdpAnswer)) {
        throw new ProblemError({
            status: 400,
            cause: 'INVALID_MESSAGE',
            detail: exclusive.join(', '),
        });
    }
}

/** @param {unknown} value */
function isText(value) {
    return value === undefined || typeof value === 'string';
}
