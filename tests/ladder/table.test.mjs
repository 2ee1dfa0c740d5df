// SPDX-License-Identifier: Apache-2.0
// The ladders as a whole: every step of the draft, every cause and every close code is shown, and
// docs/conformance.md says where. `tests/ladder/run --table` writes that table.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { faults, featuresOf, table, withTable } from './lib/table.mjs';
import { readAll } from './run.mjs';

const DOCUMENT = fileURLToPath(new URL('../../docs/conformance.md', import.meta.url));

/** What waits for code that is not there yet. */
const NOT_YET = new Set();

test('every procedure, step, cause and close code is shown', () => {
    const found = faults(readAll());
    assert.deepEqual(found.filter((text) => !NOT_YET.has(text)), []);
    assert.deepEqual([...NOT_YET].filter((text) => !found.includes(text)), [], 'shown by now');
});

test('docs/conformance.md has the table of these ladders', () => {
    const text = readFileSync(DOCUMENT, 'utf8');
    assert.equal(text, withTable(text, table(readAll())), 'write it with tests/ladder/run --table');
});

test('docs/conformance.md names every feature that a ladder asks for', () => {
    const text = readFileSync(DOCUMENT, 'utf8');
    for (const feature of featuresOf(readAll())) assert.match(text, new RegExp(`\`${feature}\``));
});
