// SPDX-License-Identifier: Apache-2.0
// HTTP/2 connections that do wrong, octet by octet: each ends at most itself, and whoever else is
// connected notices nothing.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { H2Session } from '../support/h2-websocket.mjs';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { PASSWORD, Wsf, basic } from '../support/wsf.mjs';

const TYPE = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, WINDOW_UPDATE: 8, CONTINUATION: 9 };
const END_STREAM = 1, END_HEADERS = 4;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
// :method GET, :scheme http, :path /, all from the static table (RFC 7541 A)
const GET = Buffer.from([0x82, 0x86, 0x84]);
const BIG = Buffer.alloc(3_000_000, 'abcdefg');
let wsf, folder, bystander;

before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'floods-'));
    mkdirSync(path.join(folder, 'web'));
    writeFileSync(path.join(folder, 'web', 'big.txt'), BIG);
    wsf = await Wsf.start([`wsf.web_folder=${folder}/web`]);
    bystander = await Endpoint.connect(wsf.url, 'eirtcw.v1', { transport: 'h2' });
    const auth = await bystander.request('auth', {
        authType: 'basic', webrtcId: 'alice@example.org', authorization: basic('alice@example.org', PASSWORD),
    });
    assert.equal(auth.success, true);
});

after(async () => {
    assert.equal((await bystander.request('keepalive')).success, true);
    await bystander.close();
    await wsf.stop();
    rmSync(folder, { recursive: true, force: true });
});

function frame(type, flags, stream, payload = Buffer.alloc(0)) {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
}

/** A connection past the preface; `.ended` resolves when the server has closed it. */
async function raw(preface = PREFACE) {
    const socket = connect(Number(new URL(wsf.url).port), '127.0.0.1');
    socket.ended = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => {});
    socket.resume();
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write(preface);
    if (preface === PREFACE) socket.write(frame(TYPE.SETTINGS, 0, 0));
    return socket;
}

async function ends(socket, wait = 15_000) {
    let timer;
    const late = new Promise((resolve, reject) => {
        timer = setTimeout(() => reject(new Error('the connection lives on')), wait);
    });
    await Promise.race([socket.ended, late]);
    clearTimeout(timer);
    assert.equal((await bystander.request('keepalive')).success, true);
}

const wrong = {
    'noise after the preface': [Buffer.alloc(5000, 0xff)],
    'a frame above the agreed size': [frame(TYPE.HEADERS, END_HEADERS, 1, Buffer.alloc(60_000))],
    'a header that does not decompress': [frame(TYPE.HEADERS, END_HEADERS, 1, Buffer.alloc(100, 0xff))],
    'data on stream 0': [frame(TYPE.DATA, 0, 0, Buffer.from('x'))],
    'an even stream': [frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 2, GET)],
    'a window beyond its limit': Array(3).fill(frame(TYPE.WINDOW_UPDATE, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))),
    'endless continuation': [
        frame(TYPE.HEADERS, 0, 1, GET),
        ...Array(2000).fill(frame(TYPE.CONTINUATION, 0, 1, Buffer.alloc(200, 0x84))),
    ],
    'streams opened and reset': Array.from({ length: 20_000 }, (_, i) => Buffer.concat([
        frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, GET),
        frame(TYPE.RST_STREAM, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
    ])),
    'a bent preface': null,
};

for (const [name, frames] of Object.entries(wrong)) {
    test(name, async () => {
        const socket = await raw(frames ? PREFACE : PREFACE.replace('SM', 'XX'));
        for (const one of frames ?? []) {
            if (socket.destroyed) break;
            if (!socket.write(one)) await Promise.race([new Promise((r) => socket.once('drain', r)), socket.ended]);
        }
        await ends(socket);
    });
}

test('who pings without reading the answers is cut off, or waits', async () => {
    const socket = await raw();
    socket.pause();
    const ping = Buffer.concat(Array(1000).fill(frame(TYPE.PING, 0, 0, Buffer.alloc(8))));
    for (let i = 0; i < 200 && !socket.destroyed; i++) {
        if (!socket.write(ping)) break; // the server has stopped reading
    }
    assert.equal((await bystander.request('keepalive')).success, true);
    socket.destroy();
});

test('who says nothing after the preface, or half a header, has the time of a handshake', async () => {
    const silent = await raw();
    const half = await raw();
    half.write(frame(TYPE.HEADERS, 0, 1, GET));
    await Promise.all([ends(silent), ends(half)]);
});

test('a file through a small window, whole', async () => {
    const session = new H2Session(wsf.url, { settings: { initialWindowSize: 1000 } });
    const [answer, other] = await Promise.all([session.request('/big.txt'), session.request('/healthz')]);
    assert.equal(other.status, 200);
    assert.ok(answer.body.equals(BIG));
    const again = await session.request('/big.txt', { 'if-none-match': answer.headers.etag });
    assert.deepEqual([again.status, again.body.length], [304, 0]);
    session.close();
});
