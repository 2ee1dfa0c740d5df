// SPDX-License-Identifier: Apache-2.0
// Ten calls at once between generated legs, through the real programs: every stream arrives whole, and
// what the media centre holds afterwards is what it held after the first ten.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Stack, until } from '../support/stack.mjs';

const run = promisify(execFile);
const ROOT = new URL('../../', import.meta.url).pathname;
const BUILD = process.env.WMCF_BUILD ?? process.env.BUILD ?? join(ROOT, 'build-check');
const CALLS = 10;
const USERS = Object.fromEntries(
    Array.from({ length: 2 * CALLS }, (_, i) => [`leg${i}@example.org`, `password-${i}`]),
);

let stack;
before(async () => {
    stack = await Stack.start({ users: USERS });
    const lines = Object.entries(USERS).map(([id, password]) => `${id} ${password}\n`);
    writeFileSync(join(stack.folder, 'legs'), lines.join(''));
});
after(() => stack?.stop());

async function load(...more) {
    const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
    const args = ['calls', '--url', url, '--users', join(stack.folder, 'legs'), '--audio',
        '--bitrate', '500000', '--contexts', String(CALLS), '--pid', String(stack.wmcf.pid), ...more];
    const { stdout } = await run(join(BUILD, 'tests/support/wmcf-load'), args);
    await stack.contextsBecome(0);
    return JSON.parse(stdout);
}

/** Loss is what the relay answers for; how late the machine runs is not. */
function check(report) {
    assert.equal(report.calls_failed, 0, JSON.stringify(report));
    for (const { media } of report.rounds) {
        assert.equal(media.streams, media.streams_expected);
        assert.ok(media.loss < 0.005, `loss ${media.loss}`);
        for (const never of ['broken_payload', 'srtp_failed', 'duplicates', 'reordered'])
            assert.equal(media[never], 0, `${never} in ${JSON.stringify(media)}`);
    }
}

test('ten calls at once, again and again', { timeout: 120_000 }, async () => {
    check(await load('--seconds', '2', '--warm-up', '1'));
    const first = stack.wmcf.resources();
    const again = await load('--seconds', '1', '--warm-up', '1', '--repeat', '3');
    check(again);
    assert.equal(again.calls_ok, 3 * CALLS);
    await until(
        () => stack.wmcf.resources().threads <= first.threads &&
            stack.wmcf.resources().fds <= first.fds,
        10_000,
        () => `${JSON.stringify(first)} became ${JSON.stringify(stack.wmcf.resources())}`,
    );
    const growth = (stack.wmcf.resources().rss - first.rss) / (3 * CALLS);
    if (!process.env.SANITIZED) assert.ok(growth < 100, `${growth} KB a call`);
});
