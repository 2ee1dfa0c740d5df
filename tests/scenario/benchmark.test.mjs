// SPDX-License-Identifier: Apache-2.0
// The benchmark runs: every kind of scenario, tiny, with nothing lost and a figure in every column.
// What the figures are is not looked at.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = new URL('../../', import.meta.url).pathname;
const BUILD = process.env.WMCF_BUILD ?? process.env.BUILD ?? join(ROOT, 'build-check');
const folder = mkdtempSync(join(tmpdir(), 'benchmark-'));
after(() => rmSync(folder, { recursive: true }));

async function bench(scenarios, ...more) {
    const files = ['--json', join(folder, 'runs'), '--markdown', join(folder, 'table')];
    await run(join(ROOT, 'tests/bench/run'), ['--build', BUILD, '--polite', '--repeat', '1',
        '--seconds', '0.5', '--warm-up', '0.3', '--scenarios', scenarios, ...files, ...more]);
    return {
        ...JSON.parse(readFileSync(join(folder, 'runs'), 'utf8')),
        table: readFileSync(join(folder, 'table'), 'utf8'),
    };
}

test('a room, on wmcf and on the bare forwarder', { timeout: 150_000 }, async () => {
    const { runs, table } = await bench('rooms', '--servers', 'wmcf,bare', '--generator',
        '--contexts 1 --room 3');
    assert.deepEqual(runs.map((r) => [r.profile, r.server]), [['cm', 'wmcf'],
        ['cm', 'bare forwarder'], ['gcm', 'wmcf'], ['gcm', 'bare forwarder']]);
    for (const { server, profile, setup, media } of runs) {
        assert.equal(setup.legs, 3);
        assert.equal(setup.srtp_profile, profile);
        assert.equal(media.streams, 12, server); // audio and video of two others, three times
        assert.equal(media.lost, 0, server);
        assert.equal(media.broken_payload + media.srtp_failed + media.jumps, 0, server);
        assert.ok(media.latency_p50_us > 0 && media.cpu_us > 0, JSON.stringify(media));
    }
    assert.match(table, /\| wmcf \| \d+\.\d\d \| \d+ \| \d+ \| 0\.000% \|/);
});

test('idle legs and set-up', { timeout: 150_000 }, async () => {
    const { runs, table } = await bench('idle,setup50', '--servers', 'wmcf', '--generator',
        '--contexts 2');
    assert.deepEqual(runs.map((r) => [r.scenario, r.setup.legs, r.setup.failed]),
        [['idle', 4, 0], ['setup50', 4, 0]]);
    assert.ok(runs[0].idle.process.resident_kb > 0);
    for (const { setup, teardown } of runs) {
        assert.ok(setup.cpu_us > 0 && setup.legs_per_second > 0);
        assert.ok(teardown.cpu_us > 0);
    }
    assert.match(table, /KB\/leg/);
    assert.match(table, /legs\/s/);
});
