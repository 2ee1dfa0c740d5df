#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// What the store of wsf costs: registrations refreshed and calls made with and without it (CPU of wsf
// per piece, pieces per second with this client), and how long a start takes with what a busy one
// holds. BUILD names the build directory (a release build, for figures that mean something);
// REGISTRATIONS and CALLS the sizes.

import { generateKeyPairSync, createSign, randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { Wsf, answerTo, invite } from '../support/wsf.mjs';

const REGISTRATIONS = Number(process.env.REGISTRATIONS ?? 5000);
const CALLS = Number(process.env.CALLS ?? 1000);
const REFRESHES = 4000;
const SHORT_CALLS = 400;
const AT_A_TIME = 20;

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const unlimited = [
    ...['connections_per_address', 'connections_max', 'connect_rate_per_address'],
    ...['request_rate', 'request_burst', 'request_rate_per_address', 'request_rate_total'],
].map((name) => `limits.${name}=100000`);
const settings = [
    ...unlimited,
    'limits.request_rate_unauthenticated=1000',
    'registration.registrations_max=100000',
    'call.attempts_per_caller=100000',
    'call.attempts_per_callee=100000',
    'log.level=warning, server:info, main:info, store:info',
    'wsf.trace_file=/dev/null',
    'registration.disconnection_ttl_default=300',
];

function token(sub) {
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const body = `${encode({ alg: 'ES256', kid: 'one' })}.${encode({ sub, exp: Date.now() / 1000 + 3600 })}`;
    const signature = createSign('sha256').update(body);
    return `${body}.${signature.sign({ key: keys.privateKey, dsaEncoding: 'ieee-p1363' }, 'base64url')}`;
}

function start(store) {
    const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig' };
    return Wsf.start(settings, {
        files: { 'jwks.json': JSON.stringify({ keys: [jwk] }), 'trace.jsonl': '' },
        conf: `[auth]\njwk_set_file = jwks.json\n${store ? '[store]\nfile = wsf.db\n' : ''}`,
    });
}

async function register(wsf, user) {
    const client = await wsf.connect();
    client.webrtcId = `${user}@example.org`;
    client.auth = await client.request('auth', {
        authType: 'bearer',
        webrtcId: client.webrtcId,
        instanceId: randomUUID(),
        authorization: `Bearer ${token(client.webrtcId)}`,
    });
    if (!client.auth.success) throw new Error(JSON.stringify(client.auth));
    return client;
}

async function reauth(client, from = client) {
    const auth = await client.request('auth', {
        authType: 'reauth',
        webrtcId: from.webrtcId,
        instanceId: from.auth.instanceId,
        reAuthCredential: from.auth.reAuthCredential,
    });
    if (!auth.success) throw new Error(JSON.stringify(auth));
    client.auth = auth;
}

/** Runs one(i) for 0 … count - 1, so many at a time. */
async function many(count, one, atATime = AT_A_TIME) {
    let next = 0;
    const worker = async () => {
        while (next < count) await one(next++);
    };
    await Promise.all(Array.from({ length: atATime }, worker));
}

/** A whole call up to open gates. The helper of the tests looks at all calls, which are many here. */
async function call(wsf, caller, callee) {
    const [a, [{ mediaSessionId, sdpOffer, offerId }]] = await invite(caller, callee.webrtcId, [callee]);
    await callee.request('mupdate', { mediaSessionId, offerId, sdpAnswer: answerTo(sdpOffer) });
    const offer = await caller.expect('mupdate');
    offer.reply();
    const sdpAnswer = answerTo(offer.sdpOffer);
    await caller.request('mupdate', { mediaSessionId: a, offerId: offer.offerId, sdpAnswer });
    const { terminations } = [...wsf.wmcf.contexts.values()].at(-1);
    for (const one of terminations.values()) await wsf.wmcf.connect(one);
    return { a };
}

/** CPU of a process in µs. */
function cpu(pid) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

async function measure(title, wsf, count, work) {
    const [cpuBefore, begun] = [cpu(wsf.process.pid), performance.now()];
    await work();
    const seconds = (performance.now() - begun) / 1000;
    const each = (cpu(wsf.process.pid) - cpuBefore) / count;
    console.log(`${title}: ${(count / seconds).toFixed(0)} a second, ${each.toFixed(0)} µs of CPU each`);
}

async function metrics(wsf, ...names) {
    const text = await (await fetch(`${wsf.base}/metrics`)).text();
    for (const name of names) {
        for (const line of text.split('\n')) {
            if (line.startsWith(`wsf_${name}`)) console.log(`    ${line}`);
        }
    }
}

for (const store of [false, true, false, true]) {
    const with_ = store ? 'with store' : 'without store';
    const wsf = await start(store);
    const clients = [];
    for (let i = 0; i < 2 * AT_A_TIME; i++) clients.push(await register(wsf, `user${i}`));
    await measure(`refreshes ${with_}`, wsf, REFRESHES, () =>
        Promise.all(
            clients.map(async (client) => {
                for (let i = 0; i < REFRESHES / clients.length; i++) await reauth(client);
            }),
        ),
    );
    await measure(`calls made and ended ${with_}`, wsf, SHORT_CALLS, async () => {
        for (let i = 0; i < SHORT_CALLS; i++) {
            const { a } = await call(wsf, clients[0], clients[1]);
            await clients[0].request('mdisc', { mediaSessionId: a });
            (await clients[1].expect('mdisc')).reply();
        }
    });
    if (store) await metrics(wsf, 'store_', 'loop_slow');
    wsf.process.kill('SIGKILL');
    await wsf.exited;
    await wsf.wmcf.stop();
}

const wsf = await start(true);
const clients = [];
await measure(`${REGISTRATIONS} registrations`, wsf, REGISTRATIONS, () =>
    many(REGISTRATIONS, async (i) => {
        clients[i] = await register(wsf, `user${i}`);
    }),
);
await measure(`${CALLS} calls`, wsf, CALLS, () =>
    many(CALLS, (i) => call(wsf, clients[2 * i], clients[2 * i + 1]), 1),
);
await wsf.stored();
await metrics(wsf, 'store_', 'registrations', 'sessions');
wsf.process.kill('SIGKILL');
await wsf.exited;
const size = ['wsf.db', 'wsf.db-wal'].map((name) => statSync(path.join(wsf.folder, name)).size);
console.log(`killed; the file has ${size[0]} octets, its log ${size[1]}`);
const from = wsf.log.length;
const begun = performance.now();
await wsf.run();
console.log(`in service and linked after ${(performance.now() - begun).toFixed(0)} ms`);
for (const line of wsf.log.slice(from).split('\n')) if (/restored/.test(line)) console.log(`    ${line}`);
const again = [];
await measure('resumptions', wsf, REGISTRATIONS, () =>
    many(REGISTRATIONS, async (i) => {
        again[i] = await wsf.connect();
        again[i].webrtcId = clients[i].webrtcId;
        await reauth(again[i], clients[i]);
    }),
);
const listed = again.filter(({ auth }) => auth.mediaSessions.length === 1).length;
console.log(`${listed} of ${REGISTRATIONS} found their call again`);
await metrics(wsf, 'registrations', 'sessions', 'store_', 'loop_slow');
wsf.process.kill('SIGKILL');
await wsf.exited;
await wsf.wmcf.stop();
process.exit(0);
