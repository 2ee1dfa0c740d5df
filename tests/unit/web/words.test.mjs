// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { LOCAL_CAUSES, ProblemError } from '../../../web/lib/problem.js';
import { SENTENCES, sentenceFor } from '../../../web/lib/words.js';

const root = new URL('../../../', import.meta.url);
const problems = [
    ...readFileSync(new URL('base/problems.def', root), 'utf8').matchAll(
        /^PROBLEM\((\w+), (\d+)/gm,
    ),
];
/** Mistakes of a program, not of a person's day: the general sentence does. */
const TECHNICAL = [
    'INVALID_MESSAGE',
    'MISSING_PARAMETER',
    'TRANSACTION_ID_PARITY',
    'CONTEXT_NOT_FOUND',
    'TERMINATION_NOT_FOUND',
    'TRANSACTION_ID_REUSED',
];

test('every cause of the problem table has a sentence', () => {
    assert.ok(problems.length > 30);
    for (const [, cause] of problems)
        assert.ok(cause in SENTENCES || TECHNICAL.includes(cause), cause);
});

test('every cause of mdisc and of this side has one', () => {
    for (const cause of [
        'NORMAL',
        'BUSY',
        'DECLINED',
        'NO_ANSWER',
        'ANSWERED_ELSEWHERE',
        'MEDIA_FAILURE',
        'QOS_LOST',
        'REGISTRATION_EXPIRED',
        'OPERATOR',
        'PEER_LOST',
        'PROTOCOL_ERROR',
        ...Object.keys(LOCAL_CAUSES),
    ]) {
        assert.ok(cause in SENTENCES, cause);
    }
});

test('sentences are sentences', () => {
    for (const cause of Object.keys(SENTENCES)) {
        for (const peer of [undefined, 'bob@example.org']) {
            const sentence = sentenceFor(cause, { peer });
            assert.match(sentence, /^[A-Z]|^bob@/, sentence);
            assert.match(sentence, /[.!?]$/, sentence);
            assert.doesNotMatch(sentence, /[{}]|undefined|[A-Z]{2,}_/, sentence);
        }
    }
});

test('names and seconds are filled in', () => {
    assert.equal(
        sentenceFor('DECLINED', { peer: 'bob@example.org' }),
        'bob@example.org declined the call.',
    );
    assert.equal(sentenceFor('DECLINED'), 'The other side declined the call.');
    const busy = (retryAfter) =>
        sentenceFor(new ProblemError({ cause: 'TOO_MANY_REQUESTS', retryAfter }));
    assert.match(busy(0.2), /wait 1 second /);
    assert.match(busy(12), /wait 12 seconds /);
    assert.match(busy(), /wait a moment /);
});

test('the end of a session: the more telling of cause and problem', () => {
    const end = (cause, problem) =>
        sentenceFor(
            { cause, problem: problem && new ProblemError({ cause: problem }), remote: true },
            { peer: 'Bob' },
        );
    assert.equal(end('BUSY'), 'Bob is in another call.');
    assert.equal(
        end('NO_ANSWER', 'USER_NOT_REGISTERED'),
        sentenceFor('USER_NOT_REGISTERED', { peer: 'Bob' }),
    );
    assert.equal(end('MEDIA_FAILURE', 'RESOURCES_UNAVAILABLE'), SENTENCES.RESOURCES_UNAVAILABLE);
    assert.equal(end('PEER_LOST', 'WMCF_ERROR'), sentenceFor('PEER_LOST', { peer: 'Bob' }));
    assert.equal(end('MEDIA_FAILURE', 'INVALID_MESSAGE'), SENTENCES.MEDIA_FAILURE);
    assert.equal(end('RESOURCE_NOT_FOUND', 'RESOURCE_NOT_FOUND'), 'There is nobody called Bob.');
});

test('an unknown cause is told as it is', () => {
    assert.equal(sentenceFor('SOMETHING_NEW'), 'Something went wrong (SOMETHING_NEW).');
});

test('another language', () => {
    assert.equal(
        sentenceFor('BUSY', { peer: 'Bob', sentences: { BUSY: '{peer} telefoniert gerade.' } }),
        'Bob telefoniert gerade.',
    );
});

test('problem details with holes still give an error', () => {
    for (const problemDetails of [undefined, null, 5, [], {}, { status: 'x', cause: 7 }]) {
        const problem = ProblemError.fromMessage({ problemDetails });
        assert.equal(problem.cause, 'INTERNAL_ERROR');
        assert.equal(problem.status, 500);
    }
    assert.equal(ProblemError.fromMessage({}, 'NORMAL').cause, 'NORMAL');
});
