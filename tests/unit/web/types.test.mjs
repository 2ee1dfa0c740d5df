// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const tsc = join(
    dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
    'bin/tsc',
);

for (const [name, project] of [
    ['the library and the page are typed', '../../../web/tsconfig.json'],
    ['the hand-kept types agree with the code', './tsconfig.json'],
]) {
    test(name, () => {
        const path = new URL(project, import.meta.url).pathname;
        const { status, stdout } = spawnSync(process.execPath, [tsc, '--noEmit', '-p', path], {
            encoding: 'utf8',
        });
        assert.equal(status, 0, stdout);
    });
}
