// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encodeRequest, encodeResponse } from '../../../web/lib/envelope.js';

test('ids below 2^53 come as digits', () => {
    const message = decode('{"messageType":"request","method":"keepalive","transactionId":7}');
    assert.equal(message.transactionId, '7');
    assert.equal(message.method, 'keepalive');
});

test('an id of all 64 bits is echoed digit by digit', () => {
    const digits = '18446744073709551615';
    const message = decode(`{"messageType":"request","method":"mdisc","transactionId":${digits}}`);
    assert.equal(message.transactionId, digits);
    assert.equal(
        encodeResponse('mdisc', message.transactionId, true, {}),
        `{"messageType":"response","method":"mdisc","transactionId":${digits},"success":true}`,
    );
});

test('a large id is found among its likes', () => {
    const message = decode(
        String.raw`{"userData":{"transactionId":1,"s":"\"transactionId\":2 }"},` +
            String.raw`"x":["transactionId",3],"messageType":"request","transaction\u0049d" : 9007199254740993,"y":4}`,
    );
    assert.equal(message.transactionId, '9007199254740993');
});

for (const text of [
    '',
    '[]',
    'null',
    '"x"',
    '{',
    '{"messageType":"request","method":"x"}',
    '{"messageType":"request","transactionId":-1}',
    '{"messageType":"request","transactionId":1.5}',
    '{"messageType":"request","transactionId":"1"}',
    '{"messageType":"request","transactionId":null}',
    '{"messageType":"request","transactionId":18446744073709551616}',
    '{"messageType":"event","transactionId":1}',
]) {
    test(`malformed: ${text}`, () => assert.throws(() => decode(text), SyntaxError));
}

test('a binary message is malformed', () => {
    assert.throws(() => decode(new ArrayBuffer(4)), SyntaxError);
});

test('requests and responses are written as the protocol says', () => {
    assert.deepEqual(JSON.parse(encodeRequest('msetup', '4', { resourceId: 'a@b.c' })), {
        messageType: 'request',
        method: 'msetup',
        transactionId: 4,
        resourceId: 'a@b.c',
    });
    assert.deepEqual(JSON.parse(encodeRequest('keepalive', '0', {})), {
        messageType: 'request',
        method: 'keepalive',
        transactionId: 0,
    });
    assert.deepEqual(
        JSON.parse(encodeResponse('mdisc', '3', false, { problemDetails: { status: 404 } })),
        {
            messageType: 'response',
            method: 'mdisc',
            transactionId: 3,
            success: false,
            problemDetails: { status: 404 },
        },
    );
});
