// SPDX-License-Identifier: Apache-2.0
// Text to message and back (protocol A2). Transaction ids of the peer may use all 64 bits, which a
// JavaScript number cannot hold: an id is therefore kept as its decimal digits.

import { isObject } from './problem.js';

const LARGEST = 2n ** 64n - 1n;
const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]|-?\d[\d.eE+-]*/g;

/**
 * @param {unknown} text
 * @returns {import('./index.js').Message & { transactionId: string }} with the id as digits
 * @throws {SyntaxError} where protocol A1 asks for close code 4400
 */
export function decode(text) {
    if (typeof text !== 'string') throw new SyntaxError('not a text message');
    const message = JSON.parse(text);
    if (!isObject(message)) throw new SyntaxError('not an object');
    if (typeof message.transactionId !== 'number') throw new SyntaxError('no usable transactionId');
    const id = Number.isSafeInteger(message.transactionId)
        ? String(message.transactionId)
        : digitsOfId(text);
    if (!/^\d+$/.test(id) || BigInt(id) > LARGEST) throw new SyntaxError('no usable transactionId');
    if (message.messageType !== 'request' && message.messageType !== 'response') {
        throw new SyntaxError('neither request nor response');
    }
    return /** @type {any} */ ({ ...message, transactionId: id });
}

/**
 * The id as it was written, found in valid JSON by its tokens: JSON.parse has rounded it.
 * @param {string} text
 */
function digitsOfId(text) {
    let depth = 0;
    let expected = false;
    let found = '';
    for (const [token, colon] of text.matchAll(TOKEN)) {
        if (expected) found = token; // the last of equal keys counts, as in JSON.parse
        expected = false;
        if (token === '{' || token === '[') depth += 1;
        else if (token === '}' || token === ']') depth -= 1;
        else if (colon && depth === 1) {
            expected = JSON.parse(token.slice(0, -colon.length)) === 'transactionId';
        }
    }
    return found;
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
    const start = `${JSON.stringify(head).slice(0, -1)},"transactionId":${transactionId}`;
    return rest === '}' ? `${start}}` : `${start},${rest}`;
}
