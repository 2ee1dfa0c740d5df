#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// The ladders against a WSF that the runner has not started and knows by URL and users alone, as
// another maker's would be (docs/conformance.md).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { run } from '../ladder/run.mjs';
import { Stack } from '../support/stack.mjs';

const USERS = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`user${index}@example.org`, `secret-${index}`]));
let stack;
before(async () => {
    stack = await Stack.start({
        users: USERS,
        wsf: ['limits.request_rate_unauthenticated=100', 'limits.connect_rate_per_address=1000',
            'auth.failures_free_identity=1000', 'auth.failures_free_address=1000'],
    });
});
after(() => stack.stop());

test('what a WSF can be asked without its configuration', { timeout: 120_000 }, async () => {
    const said = [];
    const users = Object.entries(USERS).flatMap(([id, password]) => ['--user', id, '--password', password]);
    const status = await run(['--url', `${stack.url.replace('http', 'ws')}eirtcw/v1`, ...users],
        (text) => said.push(text));
    assert.equal(status, 0, said.filter((text) => !/^(passed|skipped)/.test(text)).join('\n'));
    const [, passed, failed] = /(\d+) passed, (\d+) failed/.exec(said.at(-1));
    assert.equal(Number(failed), 0);
    assert.ok(Number(passed) > 50, said.at(-1));
});
