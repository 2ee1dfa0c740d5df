#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// The information query (clause 6.3.2.6.x.5.1, protocol A6, A7) and application methods (6.3.2.5.x.6)
// between two operators: real wsf, a real TURN server for the credentials.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { PASSWORD, USERS, Wsf, call } from '../support/wsf.mjs';

const [ALICE, BOB, CAROL] = USERS;
const [GAMES, A] = ['games@provider.example', 'wsf@example.org'];
const SECRET = 'shared with the TURN server';

async function freePort() {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}

/** Runs a program. */
function run(program, args) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    return { child, ended: new Promise((resolve) => child.on('exit', (code) => resolve({ code, output }))) };
}

describe('getinfo', () => {
    let wsf, alice, port;
    const ask = async (client, members) => (await client.request('getinfo', members)).resources;
    const found = async (client, match) =>
        (await ask(client, { resources: ['directory'], match })).directory.map(({ resourceId }) => resourceId);
    before(async () => {
        port = await freePort();
        wsf = await Wsf.start(['registration.directory_max=3'], {
            users: [...USERS, GAMES],
            files: { secret: `${SECRET}\n` },
            conf: `
[ice]
servers = stun:127.0.0.1:${port}, turn:127.0.0.1:${port}?transport=udp
turn_secret_file = secret
turn_ttl = 600
[resource "test"]
attributes = kind=clock, seats=2, free=true
[policy "carol-may-not"]
from = carol@*
to = bob@*, media/*
permit = false
[peer "games"]
kind = provider
realms = provider.example
webrtc_id = ${GAMES}
`,
        });
        alice = await wsf.register(ALICE);
    });
    after(() => wsf.stop());

    test('all, some, unknown', async () => {
        const all = await ask(alice);
        assert.deepEqual(Object.keys(all).sort(), [
            'directory',
            'iceServers',
            'mediaSessions',
            'registration',
            'serverInfo',
        ]);
        assert.equal(all.serverInfo.realm, 'example.org');
        assert.equal(all.registration.webrtcId, ALICE);
        const answer = await alice.request('getinfo', { resources: ['serverInfo', 'weather'] });
        assert.deepEqual(Object.keys(answer.resources), ['serverInfo']);
        assert.deepEqual(answer.unknownResources, ['weather']);
        const odd = await alice.request('getinfo', { match: { deep: {} } });
        assert.equal(odd.problemDetails.invalidParams[0].param, '/match');
    });

    test('TURN credentials: as computed elsewhere, and a TURN server takes them', async () => {
        const { iceServers } = await ask(alice, { resources: ['iceServers'] });
        assert.deepEqual(iceServers[0], { urls: [`stun:127.0.0.1:${port}`] });
        const { urls, username, credential } = iceServers[1];
        assert.deepEqual(urls, [`turn:127.0.0.1:${port}?transport=udp`]);
        const [expiry, webrtcId] = username.split(/:(.*)/);
        assert.equal(webrtcId, ALICE);
        const left = Number(expiry) - Date.now() / 1000;
        assert.ok(left > 500 && left <= 600);
        assert.equal(credential, createHmac('sha1', SECRET).update(username).digest('base64'));

        const server = run('turnserver', [
            ...['-n', '--use-auth-secret', `--static-auth-secret=${SECRET}`, '--realm=example.org', '--no-tls'],
            ...['--no-dtls', '--no-cli', '--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', '--allow-loopback-peers'],
            ...[`--listening-port=${port}`, '--min-port=49200', '--max-port=49220', '--pidfile=', '--log-file=stdout'],
        ]);
        try {
            const socket = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
            await wsf.until(() => readFileSync('/proc/net/udp', 'utf8').includes(socket));
            const use = (password) =>
                run('turnutils_uclient', [
                    ...['-u', username, '-w', password, '-p', String(port), '-n', '1', '-m', '1', '-y', '-c', '127.0.0.1'],
                ]).ended;
            const [good, bad] = await Promise.all([use(credential), use('another')]);
            assert.equal(good.code, 0, good.output);
            assert.match(good.output, /tot_recv_msgs=[1-9]/);
            assert.match(bad.output, /Cannot complete Allocation/);
        } finally {
            server.child.kill('SIGKILL');
            await server.ended;
        }
    });

    test('the directory: who publishes, is here, matches and may be called', async () => {
        assert.deepEqual(await found(alice), ['media/test@example.org']);
        const bob = await wsf.register(BOB, { attributes: { language: 'fr', age: 40, kind: 'person' } });
        const again = await wsf.register(BOB, { attributes: { language: 'fr' } });
        const carol = await wsf.register(CAROL);
        const games = await wsf.register(GAMES, { attributes: { kind: 'game', free: true } });
        const { directory } = await ask(alice, { resources: ['directory'], match: { kind: 'person' } });
        assert.deepEqual(directory, [
            { resourceId: BOB, kind: 'client', attributes: { language: 'fr', age: 40, kind: 'person' } },
        ]);
        assert.deepEqual(await found(alice, { language: 'fr' }), [BOB], 'once for all endpoints');
        assert.deepEqual((await found(alice, { free: true })).sort(), [GAMES, 'media/test@example.org']);
        assert.deepEqual(await found(alice, { seats: 2 }), ['media/test@example.org']);
        assert.deepEqual(await found(alice, { age: 40.0, language: 'de' }), []);
        assert.deepEqual(await found(alice, { seats: '2' }), [], 'a text is no number');
        assert.deepEqual(await found(carol), [GAMES], 'only whom she may call');
        assert.ok(!(await found(bob)).includes(BOB), 'nobody finds himself');
        assert.deepEqual((await found(games, { language: 'fr' })).sort(), [BOB]);
        await again.cut();
        await bob.close();
        assert.deepEqual(await found(alice, { language: 'fr' }), [], 'who is away is not found');
        await carol.close();
        await games.close();
    });

    test('its answer is bounded', async () => {
        const crowd = [];
        for (let i = 0; i < 4; i++) crowd.push(await wsf.register([BOB, CAROL, GAMES, BOB][i], { attributes: { n: i } }));
        const resources = await ask(alice, { resources: ['directory'] });
        assert.equal(resources.directory.length, 3);
        assert.equal(resources.directoryIncomplete, true);
        for (const one of crowd) await one.close();
    });
});

test('unknown and away are one answer unless configured', async () => {
    for (const [reveal, unknown] of [
        [false, 'USER_NOT_REGISTERED'],
        [true, 'RESOURCE_NOT_FOUND'],
    ]) {
        const wsf = await Wsf.start([`call.reveal_unknown=${reveal}`]);
        const alice = await wsf.register(ALICE);
        const cause = async (resourceId) => (await alice.request('msetup', { resourceId })).problemDetails.cause;
        assert.equal(await cause(BOB), 'USER_NOT_REGISTERED');
        assert.equal(await cause('nobody@example.org'), unknown);
        await alice.close();
        await wsf.stop();
    }
});

test('discovery for pages of any origin; the origins that may connect are configured', async () => {
    const wsf = await Wsf.start(['wsf.public_urls=wss://wsf.example.org/eirtcw/v1'], {
        conf: '[listen "strict"]\nport = 0\norigins = https://app.example.org, https://www.example.org\n',
    });
    const reply = await fetch(`${wsf.base}/.well-known/eirtcw`, { headers: { origin: 'https://elsewhere.example' } });
    assert.equal(reply.headers.get('access-control-allow-origin'), '*');
    assert.equal(reply.headers.get('cross-origin-resource-policy'), 'cross-origin');
    assert.deepEqual(await reply.json(), { realm: 'example.org', wsf: ['wss://wsf.example.org/eirtcw/v1'] });
    const page = await fetch(`${wsf.base}/healthz`);
    assert.equal(page.headers.get('access-control-allow-origin'), null);
    const [free, strict] = [...wsf.log.matchAll(/http:\/\/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port);
    const from = (port, origin) => Endpoint.connect(`ws://127.0.0.1:${port}/eirtcw/v1`, 'eirtcw.v1', { origin });
    for (const origin of ['https://app.example.org', 'https://www.example.org']) await (await from(strict, origin)).close();
    await assert.rejects(from(strict, 'https://elsewhere.example'), /403/);
    await (await from(free, 'https://elsewhere.example')).close();
    await wsf.stop();
});

describe('application methods between two operators', () => {
    let a, b, alice, bob;
    const up = (wsf) => wsf.until(async () => /operator \w+ registered/.test(await (await fetch(`${wsf.base}/readyz`)).text()));
    before(async () => {
        b = await Wsf.start(['wsf.realm=example.net', 'limits.response_time=1'], {
            users: [A, 'bob@example.net'],
            conf: '[peer "a"]\nrealms = example.org\n[policy "chat"]\nto = bob@*\napplication_methods = true\n',
        });
        a = await Wsf.start([], {
            files: { secret: `${PASSWORD}\n` },
            conf: `[peer "b"]\nrealms = example.net\nbackoff_max = 1\npassword_file = secret\nurl = ${b.url}\n[policy "chat"]\nto = *@example.net\napplication_methods = true\n`,
        });
        await up(a);
        await up(b);
        alice = await a.register(ALICE);
        bob = await b.register('bob@example.net');
    });
    after(async () => {
        await a.stop();
        await b.stop();
    });

    test('outside of a session: hop by hop to the user that is named, when both policies permit', async () => {
        const asked = alice.request('chat.app.example', { resourceId: 'bob@Example.net', userData: { say: 'hello' } });
        const heard = await bob.expect('chat.app.example');
        assert.equal(heard.resourceId, 'bob@example.net');
        assert.equal(heard.assertedOriginatingId, ALICE);
        assert.deepEqual(heard.identityVerified, { authority: 'example.org' });
        assert.deepEqual(heard.userData, { say: 'hello' });
        assert.equal(heard.hopLimit, undefined);
        heard.reply({ userData: ['you too'] });
        const answer = await asked;
        assert.equal(answer.success, true);
        assert.equal(answer.resourceId, 'bob@Example.net');
        assert.deepEqual(answer.userData, ['you too']);
    });

    test('refusals come back; unknown there is 404', async () => {
        const asked = alice.request('dance.app.example', { resourceId: 'bob@example.net' });
        (await bob.expect('dance.app.example')).fail(501, 'METHOD_NOT_SUPPORTED');
        assert.equal((await asked).problemDetails.cause, 'APP_METHOD_UNKNOWN');
        const cause = async (members) => (await alice.request('chat.app.example', members)).problemDetails.cause;
        assert.equal(await cause({ resourceId: BOB }), 'NOT_AUTHORIZED');
        assert.equal(await cause({ resourceId: 'nobody@example.net' }), 'NOT_AUTHORIZED', "the far operator's policy");
        assert.equal(await cause({}), 'MISSING_PARAMETER');
        assert.equal(await cause({ resourceId: 'bob@example.net', userData: 'x'.repeat(5000) }), 'MESSAGE_TOO_LARGE');
    });

    test('who does not answer is a time-out, told by the last WSF', async () => {
        const asked = alice.request('sleep.app.example', { resourceId: 'bob@example.net' });
        await bob.expect('sleep.app.example');
        const { problemDetails } = await asked;
        assert.equal(problemDetails.cause, 'PEER_TIMEOUT');
        assert.equal(problemDetails.status, 504);
    });

    test('within a session: over both networks to the far end', async () => {
        const carol = await a.register(CAROL);
        const { a: near, b: far } = await call(a, alice, carol);
        const asked = alice.request('chat.app.example', { mediaSessionId: near, userData: 1 });
        const heard = await carol.expect('chat.app.example');
        assert.equal(heard.mediaSessionId, far);
        heard.reply({ userData: 2 });
        const answer = await asked;
        assert.equal(answer.mediaSessionId, near);
        assert.equal(answer.userData, 2);
        await carol.close();
    });
});
