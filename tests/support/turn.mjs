// SPDX-License-Identifier: Apache-2.0
// A TURN server (coturn) on a host of its own, with time-limited credentials.

import { spawn } from 'node:child_process';

export const SECRET = 'shared with the TURN server';

/**
 * Resolves when it listens, on port 3478 of UDP and TCP.
 * @param {import("./namespace.mjs").Namespace} host
 */
export async function startTurn(host) {
    const server = spawn(
        host.prefix[0],
        [
            ...[...host.prefix.slice(1), 'turnserver', '-n', '--use-auth-secret'],
            ...[`--static-auth-secret=${SECRET}`, '--realm=example.org', '--no-tls', '--no-dtls', '--no-cli'],
            ...[`--listening-ip=${host.address}`, `--relay-ip=${host.address}`, '--listening-port=3478'],
            ...['--min-port=49200', '--max-port=49300', '--pidfile=', '--log-file=stdout'],
        ],
        { stdio: 'ignore' }, // it says much about address families that a kernel may lack
    );
    for (let i = 0; i < 500; i++) {
        const { stdout } = host.run('ss', '-Hltun', 'sport = :3478');
        if (/^tcp/m.test(stdout) && /^udp/m.test(stdout)) return server;
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('turnserver does not listen');
}
