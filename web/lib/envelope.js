// SPDX-License-Identifier: Apache-2.0
// Text to message and back (protocol A2). Transaction ids of the peer may use all 64 bits, which a
// JavaScript number cannot hold: an id is therefore kept as its decimal digits.

import { isObject } from './problem.js';

const LARGEST = 2n ** 64n - 1n;

/**
 * @param {unknown} text
 * @returns {import('./index.js').Message & { transactionId: string }} with the id as digits
 * @throws {SyntaxError} where protocol A1 asks for close code 4400
 */
export function decode(text) {
    if (typeof text !== 'string') throw new SyntaxError('not a text message');
    const message = JSON.parse(text, exactInteger);
    if (!isObject(message)) throw new SyntaxError('not an object');
    const id = message.transactionId;
    if (typeof id === 'number' ? !(Number.isSafeInteger(id) && id >= 0) : !(typeof id === 'bigint' && id <= LARGEST)) {
        throw new SyntaxError('no usable transactionId');
    }
    if (message.messageType !== 'request' && message.messageType !== 'response') {
        throw new SyntaxError('neither request nor response');
    }
    return /** @type {any} */ ({ ...message, transactionId: String(id) });
}

/**
 * @param {string} method
 * @param {string} transactionId decimal digits
 * @param {Record<string, unknown>} members
 */
export function encodeRequest(method, transactionId, members) {
    return encode({ messageType: 'request', method }, transactionId, members);
}

/**
 * @param {string} method
 * @param {string} transactionId decimal digits, as received
 * @param {boolean} success
 * @param {Record<string, unknown>} members
 */
export function encodeResponse(method, transactionId, success, members) {
    return encode({ messageType: 'response', method }, transactionId, { success, ...members });
}

/**
 * The digits go in as they are, since JSON.stringify would round them.
 * @param {Record<string, unknown>} head
 * @param {string} transactionId
 * @param {Record<string, unknown>} members
 */
function encode(head, transactionId, members) {
    const rest = JSON.stringify(members).slice(1);
    return `${JSON.stringify(head).slice(0, -1)},"transactionId":${transactionId}${rest === '}' ? rest : `,${rest}`}`;
}

/**
 * A reviver that keeps a top-level id exact where the engine tells the source text of a number.
 * @param {string} key
 * @param {any} value
 * @param {{ source?: string }} [context]
 */
function exactInteger(key, value, context) {
    if (key !== 'transactionId' || typeof value !== 'number' || Number.isSafeInteger(value)) return value;
    return context?.source && /^\d{1,20}$/.test(context.source) ? BigInt(context.source) : value;
}
