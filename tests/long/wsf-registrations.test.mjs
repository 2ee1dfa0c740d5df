// SPDX-License-Identifier: Apache-2.0
// Thousands of registered clients (bearer, TLS, keep-alive) on one wsf, and 200 getinfo a second: how
// long an answer takes, what a registration costs, and whether a hundred that stop reading or send an
// octet a second are felt by the others. Prints what it measures.
// REGISTRATIONS, RATE and SECONDS change the size.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = path.resolve(fileURLToPath(import.meta.url), '../../..');
const build = path.resolve(root, process.env.BUILD ?? 'build-check');
const REGISTRATIONS = Number(process.env.REGISTRATIONS ?? 5000);
const RATE = Number(process.env.RATE ?? 200);
const SECONDS = Number(process.env.SECONDS ?? 30);
const SLOW = 100;
const PORT = 24703;

/** Tokens of so many users; leaves the key set in the folder too. */
function issue(folder) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const exp = Math.floor(Date.now() / 1000) + 7200;
    const lines = Array.from({ length: REGISTRATIONS }, (_, i) => {
        const sub = `user${i}@example.org`;
        const text = `${part({ alg: 'ES256', kid: 'k' })}.${part({ iss: 'https://issuer.example', aud: 'wsf', sub, exp })}`;
        const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
        return `${sub} ${text}.${signature.toString('base64url')}\n`;
    });
    const key = { ...publicKey.export({ format: 'jwk' }), kid: 'k', use: 'sig', alg: 'ES256' };
    writeFileSync(path.join(folder, 'jwks.json'), JSON.stringify({ keys: [key] }));
    writeFileSync(path.join(folder, 'tokens'), lines.join(''));
}

function configure(folder) {
    execFileSync('openssl', [
        ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost'.split(' '),
        ...['-keyout', path.join(folder, 'key.pem'), '-out', path.join(folder, 'cert.pem')],
    ], { stdio: 'ignore' });
    issue(folder);
    writeFileSync(path.join(folder, 'wsf.conf'), `
[wsf]
realm = example.org
[listen "load"]
address = 127.0.0.1
port = ${PORT}
tls_certificate = cert.pem
tls_key = key.pem
[auth]
jwk_set_file = jwks.json
issuer = https://issuer.example
audience = wsf
[store]
kind = sqlite
file = wsf.db
[limits]
connections_per_address = ${2 * REGISTRATIONS}
connect_rate_per_address = 100000
[log]
format = text
level = error
`);
}

async function start(folder) {
    const command = `ulimit -n 65536 2>/dev/null; exec "$0" -c wsf.conf -s log.level=error,main:info`;
    const wsf = spawn('bash', ['-c', command, path.join(build, 'wsf/wsf')], { cwd: folder, stdio: ['ignore', 'inherit', 'pipe'] });
    wsf.exited = new Promise((resolve) => wsf.on('exit', (code, signal) => resolve(signal ?? code)));
    let log = '';
    await new Promise((resolve, reject) => {
        wsf.stderr.on('data', (data) => {
            log = (log + data).slice(-10_000);
            if (log.includes('in service')) resolve();
        });
        void wsf.exited.then((how) => reject(new Error(`wsf ended with ${how}: ${log}`)));
    });
    return wsf;
}

function load(wsf, folder) {
    const command = `ulimit -n 65536 2>/dev/null; exec "$0" "$@"`;
    const tool = path.join(build, 'tests/support/wsf-load');
    const args = ['--port', PORT, '--tokens', path.join(folder, 'tokens'), '--clients', REGISTRATIONS,
        '--rate', RATE, '--slow', SLOW, '--seconds', SECONDS, '--pid', wsf.pid];
    return JSON.parse(execFileSync('bash', ['-c', command, tool, ...args.map(String)], {
        encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'],
    }));
}

test(`${REGISTRATIONS} registrations, ${RATE} getinfo a second`, async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'wsf-load-'));
    configure(folder);
    const wsf = await start(folder);
    try {
        const report = load(wsf, folder);
        const { normal, with_slow: slow } = report;
        const phase = ({ p50_ms: p50, p99_ms: p99, cpu_share: cpu }) =>
            `getinfo p50 ${p50} ms, p99 ${p99} ms, ${Math.round(100 * cpu)} % of a core`;
        t.diagnostic(`figures: ${report.registered} registrations over TLS, ${report.kb_per_registration} KB and ` +
            `${report.cpu_ms_per_registration} ms of CPU each`);
        t.diagnostic(`figures: ${RATE} requests a second: ${phase(normal)}`);
        t.diagnostic(`figures: with ${SLOW} slow ones: ${phase(slow)}`);
        assert.equal(report.registered, REGISTRATIONS);
        assert.ok(normal.answers >= 0.9 * RATE * SECONDS, `${normal.answers} answers`);
        assert.ok(normal.p99_ms < 50, `p99 of getinfo ${normal.p99_ms} ms`);
        assert.ok(report.kb_per_registration < 40, `${report.kb_per_registration} KB per registration`);
        // Within one run the machine is the same; below a few milliseconds it is its noise.
        assert.ok(slow.p99_ms < Math.max(2 * normal.p99_ms, 20), `${slow.p99_ms} against ${normal.p99_ms} ms`);
        assert.ok(slow.answers >= 0.9 * RATE * SECONDS);
        assert.ok(report.lost <= SLOW, 'others than the slow ones were lost');
    } finally {
        wsf.kill('SIGINT');
        await wsf.exited;
        rmSync(folder, { recursive: true, force: true });
    }
});
