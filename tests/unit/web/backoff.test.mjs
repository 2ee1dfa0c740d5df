// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterClose, leastDelay, reconnectDelay } from '../../../web/lib/backoff.js';

const most = () => 1;
const least = () => 0;

test('1 s doubles to 60 s', () => {
    const delays = [0, 1, 2, 3, 4, 5, 6, 7, 100].map((attempt) =>
        reconnectDelay(attempt, { random: most }),
    );
    assert.deepEqual(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
});

test('the jitter takes away at most a half', () => {
    assert.equal(reconnectDelay(3, { random: least }), 4);
    for (let i = 0; i < 100; i++) {
        const delay = reconnectDelay(3);
        assert.ok(delay >= 4 && delay <= 8);
    }
});

test('in a call at most 5 s and a sixth of the time to live', () => {
    assert.equal(reconnectDelay(9, { sessions: 1, disconnectionTtl: 30, random: most }), 5);
    assert.equal(reconnectDelay(9, { sessions: 1, disconnectionTtl: 12, random: most }), 2);
    assert.equal(reconnectDelay(9, { sessions: 1, disconnectionTtl: 300, random: most }), 5);
});

test('what a close code asks for', () => {
    for (const code of [1001, 1006, 1011, 1012, 1013, 4408])
        assert.equal(afterClose(code), 'resume', String(code));
    for (const code of [4401, 4409]) assert.equal(afterClose(code), 'stop', String(code));
    assert.equal(afterClose(4410), 'authenticate');
    assert.ok(leastDelay(4429) > 0);
    assert.equal(leastDelay(1012), 0);
});
