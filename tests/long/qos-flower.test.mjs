// SPDX-License-Identifier: Apache-2.0
// Policies held by tc without BPF, in a kernel that has the actions: the level by itself, and the
// scenarios of all levels with QOS_LEVEL=tc-flower. Each under a user-mode-linux of its own, which is slow
// and has one processor.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const build = process.env.BUILD ?? `${root}build-check`;
const scenarios = [
  ...readdirSync(`${root}tests/scenario`).filter((f) => /^qos-.*(?<!-relay)\.test\.mjs$/.test(f))
    .map((f) => `tests/scenario/${f}`),
  'tests/long/uml/one-medium.test.mjs',
];

function inUml(command) {
  return new Promise((done, failed) => {
    const env = { ...process.env, BUILD: build, QOS_LEVEL: 'tc-flower', UML_MEMORY: '2G', AT_ONCE: '1',
      TIME_SLIPS: '1' };
    const uml = spawn(`${root}tests/support/in-uml`, command, { env });
    let output = '';
    uml.stdout.on('data', (d) => { output += d; });
    uml.stderr.on('data', (d) => { output += d; });
    uml.on('error', failed);
    uml.on('close', (status) => done({ status, output }));
  });
}

async function run(t, command) {
  const { status, output } = await inUml(command);
  for (const [, figures] of output.matchAll(/^ *# (figures: .*)$/gm)) t.diagnostic(figures);
  assert.equal(status, 0, output);
  assert.match(output, /^ *ok 1/m, 'something has run');
}

test('the level by itself', (t) => run(t, [`${build}/tests/flow/qos/test-qos-flower`]));

for (const file of scenarios) {
  test(`${file} with tc-flower`, (t) => run(t, ['tests/support/in-netns', 'timeout', '1200', 'node',
    '--test', '--test-reporter=tap', file]));
}
