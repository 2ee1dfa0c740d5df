// SPDX-License-Identifier: Apache-2.0
// The two transports of a WebSocket on one port (RFC 6455 over HTTP/1.1, RFC 8441 over HTTP/2) are
// the same to whoever signals over them: what holds for the one is tested for both, then what only
// HTTP/2 has, then that the log, the metrics and the trace tell them apart.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { H2Session, H2WebSocket } from '../support/h2-websocket.mjs';
import { PASSWORD, Wsf, basic } from '../support/wsf.mjs';

const SOCKETS = { 'http/1.1': WebSocket, h2: H2WebSocket };
const TLS_PORT = 24701;
const SIX_PORT = 24702;
const url = `wss://localhost:${TLS_PORT}/eirtcw/v1`;
let wsf, folder, ca;

function certificate(name) {
    execFileSync('openssl', [
        ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30'.split(' '),
        ...['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'],
        ...['-keyout', path.join(folder, `${name}.key`), '-out', path.join(folder, `${name}.pem`)],
    ], { stdio: 'ignore' });
    return readFileSync(path.join(folder, `${name}.pem`));
}

function use(name) {
    copyFileSync(path.join(folder, `${name}.pem`), path.join(folder, 'used.pem'));
    copyFileSync(path.join(folder, `${name}.key`), path.join(folder, 'used.key'));
}

const listeners = () => ['127.0.0.1', '::1'].map((address, i) => `
[listen "tls${i}"]
address = ${address}
port = ${[TLS_PORT, SIX_PORT][i]}
tls_certificate = ${folder}/used.pem
tls_key = ${folder}/used.key
metrics = true
origins = https://good.example
`).join('');

before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'transports-'));
    ca = certificate('first');
    certificate('second');
    use('first');
    wsf = await Wsf.start(
        ['limits.streams_per_connection=4', 'limits.request_rate=20000',
            'limits.request_burst=20000', 'limits.request_rate_per_address=100000',
            'limits.request_rate_total=100000', 'log.level=info,client:debug,main:info'],
        { conf: listeners() },
    );
});

after(async () => {
    await wsf?.stop();
    rmSync(folder, { recursive: true, force: true });
});

function connect(transport, { url: to = url, protocol = 'eirtcw.v1', ...options } = {}) {
    return Endpoint.connect(to, protocol, { transport, ca, ...options });
}

/** A bare socket, open. */
function open(transport, options = {}, to = url) {
    const socket = new SOCKETS[transport](to, ['eirtcw.v1'], { ca, ...options });
    socket.closed = new Promise((resolve) => {
        socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
    return new Promise((resolve, reject) => {
        socket.once('open', () => resolve(socket));
        socket.once('error', reject);
    });
}

async function register(endpoint, webrtcId = 'alice@example.org') {
    const auth = await endpoint.request('auth', {
        authType: 'basic', webrtcId, authorization: basic(webrtcId, PASSWORD),
    });
    assert.equal(auth.success, true, JSON.stringify(auth));
    return endpoint;
}

const request = (id, more = {}) =>
    JSON.stringify({ messageType: 'request', method: 'keepalive', transactionId: id, ...more });

async function metric(name) {
    const text = await (await fetch(`${wsf.base}/metrics`)).text();
    return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0);
}

for (const transport of Object.keys(SOCKETS)) {
    test(`${transport}: TLS 1.2 and 1.3, IPv4 and IPv6, told by log, metric and trace`, async () => {
        const places = [['TLSv1.2', `wss://[::1]:${SIX_PORT}`], ['TLSv1.3', `wss://127.0.0.1:${TLS_PORT}`]];
        for (const [version, where] of places) {
            const labels = `{role="server",transport="${transport}",tls="${version}"}`;
            const was = await metric(`wsf_link_opened_total${labels}`);
            const from = wsf.log.length;
            const endpoint = await connect(transport, {
                url: `${where}/eirtcw/v1`, minVersion: version, maxVersion: version,
            });
            assert.equal((await endpoint.request('keepalive')).success, true);
            await wsf.until(() => wsf.log.slice(from).includes(`over ${transport} ${version}`));
            assert.equal(await metric(`wsf_link_opened_total${labels}`), was + 1);
            const { transport: traced, tls } = wsf.readTrace().filter(({ path: p }) => p === '/eirtcw/v1').at(-1);
            assert.deepEqual([traced, tls], [transport, version]);
            assert.equal((await endpoint.close()).code, 1000);
        }
    });

    test(`${transport}: nothing below TLS 1.2`, async () => {
        await assert.rejects(connect(transport, {
            minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0',
        }));
    });

    test(`${transport}: an SDP of 60 KB in both directions`, async () => {
        const alice = await register(await connect(transport));
        const bob = await register(await connect(transport), 'bob@example.org');
        const pad = Array.from({ length: 600 }, (_, i) => `a=x-pad:${i} ${'x'.repeat(90)}\r\n`).join('');
        const preOfferDescription = `v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n` +
            `m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n` +
            `a=rtpmap:111 opus/48000/2\r\n${pad}`;
        wsf.wmcf.overrides.add = (message, own) => {
            const members = own();
            return { ...members, sdpOffer: members.sdpOffer + pad };
        };
        const response = await alice.request('msetup', { resourceId: 'bob@example.org', preOfferDescription });
        assert.equal(response.success, true, JSON.stringify(response));
        const invitation = await bob.expect('msetup');
        assert.ok(preOfferDescription.length > 60_000 && invitation.sdpOffer.length > 60_000);
        assert.ok(invitation.sdpOffer.endsWith(pad));
        invitation.reply({ mediaSessionId: invitation.mediaSessionId });
        delete wsf.wmcf.overrides.add;
        await alice.request('mdisc', { mediaSessionId: response.mediaSessionId, cause: 'NORMAL' });
        (await bob.expect('mdisc')).reply();
        await alice.close();
        await bob.close();
    });

    test(`${transport}: origin, path and subprotocol are checked`, async () => {
        await (await connect(transport, { origin: 'https://good.example' })).close();
        await assert.rejects(connect(transport, { origin: 'https://evil.example' }), /403/);
        await assert.rejects(connect(transport, { url: url.replace('v1', 'v2') }), /404/);
        await assert.rejects(connect(transport, { protocol: 'other.v1' }), /400/);
        const bare = new SOCKETS[transport](url, [], { ca });
        await new Promise((resolve, reject) => { bare.once('open', resolve); bare.once('error', reject); });
        assert.equal(bare.protocol, '');
        bare.close();
    });

    test(`${transport}: close codes with their reasons`, async () => {
        const wrong = [
            [(socket) => socket.send('{"no":"id"}'), 4400, 'malformed message'],
            [(socket) => socket.send(Buffer.from([1, 2])), 1003, 'only text messages'],
            [(socket) => socket.send(request(0, { pad: 'x'.repeat(17_000) })), 1009, 'the message is too large'],
        ];
        for (const [deed, code, reason] of wrong) {
            const socket = await open(transport);
            deed(socket);
            assert.deepEqual(await socket.closed, { code, reason });
        }
    });
}

test('who does not answer pings is closed with 4408, as is who stops reading', async () => {
    const other = await Wsf.start(['limits.keepalive=2', 'log.level=info,client:debug,main:info']);
    const [quiet, deaf, lively] = [[], [], []];
    for (const transport of Object.keys(SOCKETS)) {
        quiet.push(await open(transport, { autoPong: false }, other.url));
        deaf.push(await open(transport, {}, other.url));
        lively.push(await open(transport, {}, other.url));
        deaf.at(-1).pause(); // neither pings nor anything else
    }
    for (const { closed } of quiet) assert.equal((await closed).code, 4408);
    await other.until(() => other.log.match(/connection closed \(4408/g)?.length === quiet.length + deaf.length);
    for (const socket of deaf) socket.terminate();
    for (const socket of lively) {
        assert.equal(socket.readyState, 1);
        socket.close();
        await socket.closed;
    }
    await other.stop();
});

test('HTTP/2: who asks and does not read costs its window and its queue, then 1013', async () => {
    const socket = await open('h2');
    socket.send(JSON.stringify({
        messageType: 'request', method: 'auth', transactionId: 0, authType: 'basic',
        webrtcId: 'carol@example.org', authorization: basic('carol@example.org', PASSWORD),
    }));
    await new Promise((resolve) => socket.once('message', resolve));
    socket.pause();
    const from = wsf.log.length;
    for (let id = 2; id < 20_000; id += 2) socket.send(request(id, { method: 'getinfo' }));
    await wsf.until(() => /connection closed \(1013 the peer does not read/.test(wsf.log.slice(from)));
    socket.terminate();
});

test('HTTP/2: pages, as over HTTP/1.1', async () => {
    const session = new H2Session(url, { ca });
    const healthz = await session.request('/healthz');
    assert.deepEqual([healthz.status, String(healthz.body)], [200, 'ok\n']);
    assert.equal(healthz.headers['x-content-type-options'], 'nosniff');
    assert.match(String((await session.request('/metrics')).body), /wsf_link_open\{/);
    assert.equal((await session.request('/nowhere')).status, 404);
    assert.equal((await session.request('/healthz', { ':method': 'DELETE' })).status, 405);
    const head = await session.request('/healthz', { ':method': 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '3', 0]);
    session.close();
});

test('HTTP/2: one connection carries several links; one that ends leaves the others alone', async () => {
    const session = new H2Session(url, { ca });
    const sockets = [];
    for (let i = 0; i < 3; i++) sockets.push(await open('h2', { session }));
    const [first, second, third] = sockets;
    const from = wsf.log.length;
    first.close(1000, 'done'); // in order, its END_STREAM comes late
    assert.equal((await first.closed).code, 1000);
    second.terminate(); // RST_STREAM, as of a closed tab
    await wsf.until(() => /connection closed \(1006/.test(wsf.log.slice(from)));
    third.send(request(0));
    assert.match(String(await new Promise((resolve) => third.once('message', resolve))), /"success":true/);
    session.destroy();
    await third.closed;
});

test('HTTP/2: streams of a connection are limited, the next one waits for its turn', async () => {
    const session = new H2Session(url, { ca });
    const sockets = [];
    for (let i = 0; i < 4; i++) sockets.push(await open('h2', { session }));
    assert.equal(session.session.remoteSettings.maxConcurrentStreams, 4);
    let late = false;
    const fifth = open('h2', { session }).then((socket) => { late = true; return socket; });
    sockets[3].send(request(0));
    await new Promise((resolve) => sockets[3].once('message', resolve));
    assert.equal(late, false);
    sockets[0].close();
    await fifth;
    session.destroy();
    await Promise.all(sockets.map(({ closed }) => closed));
});

test('HTTP/2: a slow reader does not hold up the other links of its connection', async () => {
    const session = new H2Session(url, { ca });
    const [slow, quick] = [await open('h2', { session }), await open('h2', { session })];
    slow.pause();
    for (let id = 0; id < 200; id += 2) slow.send(request(id));
    for (let id = 0; id < 10; id += 2) {
        quick.send(request(id));
        await new Promise((resolve) => quick.once('message', resolve));
    }
    session.destroy();
    await quick.closed;
});

test('HTTP/2 with prior knowledge on the cleartext listener', async () => {
    const socket = await open('h2', {}, wsf.url);
    socket.send(request(0));
    await new Promise((resolve) => socket.once('message', resolve));
    const plain = await open('http/1.1', {}, wsf.url);
    plain.close();
    socket.close();
    assert.equal((await socket.closed).code, 1000);
});

test('renewed certificates are used for new connections only, broken ones not at all', async () => {
    const kept = await open('h2');
    use('second');
    let from = wsf.log.length;
    wsf.process.kill('SIGHUP');
    await wsf.until(() => wsf.log.slice(from).includes('TLS certificates and keys read again'));
    for (const transport of Object.keys(SOCKETS)) {
        await assert.rejects(open(transport)); // the client knows the first only
        (await open(transport, { ca: readFileSync(path.join(folder, 'second.pem')) })).close();
    }
    kept.send(request(0));
    await new Promise((resolve) => kept.once('message', resolve));
    writeFileSync(path.join(folder, 'used.pem'), 'nothing');
    from = wsf.log.length;
    wsf.process.kill('SIGHUP');
    await wsf.until(() => /TLS certificates and keys: .*stays in use/.test(wsf.log.slice(from)));
    (await open('http/1.1', { ca: readFileSync(path.join(folder, 'second.pem')) })).close();
    use('first');
    wsf.process.kill('SIGHUP');
    kept.close();
    await kept.closed;
});

test('links of one HTTP/2 connection count like connections, and all are told of the end', async () => {
    const other = await Wsf.start(['limits.connections_per_address=8']);
    const session = new H2Session(other.url);
    const sockets = [];
    let refused;
    while (!refused) await open('h2', { session }, other.url).then((it) => sockets.push(it), (e) => { refused = e; });
    assert.match(refused.message, /429/);
    assert.ok(sockets.length > 1 && sockets.length <= 8, `${sockets.length} links`);
    other.process.kill('SIGTERM');
    for (const { closed } of sockets) assert.ok([1001, 1012].includes((await closed).code));
    await other.stop();
});
