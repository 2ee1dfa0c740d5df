// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
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

test('the applications of docs/client.md are typed', () => {
    const text = readFileSync(new URL('../../../docs/client.md', import.meta.url), 'utf8');
    // The first is run in a browser by page.test.mjs.
    const [, ...applications] = [...text.matchAll(/```js\n(import .*?)```/gs)]
        .map(([, code]) => code)
        .filter((code) => code.includes('new Client('));
    assert.ok(applications.length >= 5);
    const folder = mkdtempSync(join(tmpdir(), 'applications-'));
    try {
        symlinkSync(new URL('../../../web/lib', import.meta.url).pathname, join(folder, 'lib'));
        writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
        applications.forEach((code, index) => writeFileSync(join(folder, `${index}.js`), code));
        const tsconfig = JSON.parse(
            readFileSync(new URL('../../../web/tsconfig.json', import.meta.url), 'utf8'),
        );
        const { compilerOptions } = tsconfig;
        writeFileSync(
            join(folder, 'tsconfig.json'),
            JSON.stringify({ compilerOptions, include: ['*.js'] }),
        );
        const { status, stdout } = spawnSync(process.execPath, [tsc, '--noEmit', '-p', folder], {
            encoding: 'utf8',
        });
        assert.equal(status, 0, stdout);
    } finally {
        rmSync(folder, { recursive: true });
    }
});
