// SPDX-License-Identifier: Apache-2.0
// Bad input in bulk: malformed messages on a WebSocket and random datagrams on a media port.
import { randomBytes, randomInt } from 'node:crypto';
import { fork } from 'node:child_process';
import dgram from 'node:dgram';
import net from 'node:net';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';

const request = (members) => JSON.stringify({ messageType: 'request', ...members });
const text = (bytes) => ({ data: bytes, options: { binary: false } });

// Each kind: what is sent, and the close codes that may follow; null = the connection stays and
// answers with a problem.
export const malformed = {
  brokenJson: { make: () => text('{"messageType":"request",'), closes: [4400] },
  notAnObject: { make: () => text('[1,2,3]'), closes: [4400] },
  noTransactionId: { make: () => text(request({ method: 'auth' })), closes: [4400] },
  textTransactionId: { make: () => text(request({ method: 'auth', transactionId: 'zero' })), closes: [4400] },
  hugeTransactionId: { make: () => text('{"messageType":"request","method":"auth","transactionId":18446744073709551616}'), closes: [4400] },
  wrongTypes: { make: () => text(request({ method: 'auth', transactionId: 0, authType: 7, webrtcId: [] })), closes: null },
  wrongParity: { make: () => text(request({ method: 'auth', transactionId: 1 })), closes: null },
  unauthenticated: { make: () => text(request({ method: 'msetup', transactionId: 0 })), closes: null },
  duplicateKeys: { make: () => text('{"messageType":"request","method":"auth","transactionId":0,"transactionId":2}'), closes: [4400] },
  deepNesting: { make: () => text(`{"messageType":"request","method":"auth","transactionId":0,"x":${'['.repeat(5000)}${']'.repeat(5000)}}`), closes: [4400] },
  tenMegabytes: { make: () => text(request({ method: 'auth', transactionId: 0, userData: 'x'.repeat(10 << 20) })), closes: [1009, 1006], rare: true },
  binary: { make: () => ({ data: randomBytes(100), options: { binary: true } }), closes: [1003] },
  badUtf8: { make: () => text(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0xc0, 0x22, 0x7d])), closes: [1007] },
  randomText: { make: () => text(randomBytes(200).toString('latin1').replace(/[^\x20-\x7e]/g, '?')), closes: [4400] },
};

// Opens a connection, sends one malformed message, tells what came of it.
function one(url, subprotocol, kind) {
  const { make, closes } = malformed[kind];
  return new Promise((done) => {
    const ws = new WebSocket(url, subprotocol, { rejectUnauthorized: false });
    const timer = setTimeout(() => { ws.terminate(); done({ kind, ok: false, got: 'nothing' }); }, 15000);
    const finish = (ok, got) => { clearTimeout(timer); done({ kind, ok, got }); };
    ws.on('open', () => { const { data, options } = make(); ws.send(data, options, () => {}); });
    ws.on('message', (data) => {
      const m = JSON.parse(data);
      finish(closes === null && m.success === false, m.problemDetails?.cause);
      ws.terminate();
    });
    ws.on('close', (code) => finish(closes?.includes(code) ?? false, code));
    ws.on('error', () => {}); // `close` follows
  });
}

// `n` malformed messages of all kinds, `parallel` connections at a time. The ones that did not end as
// they should.
export async function floodWebSocket(url, subprotocol, n, parallel = 20) {
  const kinds = Object.keys(malformed);
  const jobs = Array.from({ length: n }, (_, i) => kinds[i % kinds.length])
    .map((kind, i) => (malformed[kind].rare && i > 4 * kinds.length ? 'brokenJson' : kind));
  const wrong = [];
  await Promise.all(Array.from({ length: parallel }, async () => {
    for (let kind; (kind = jobs.pop()) !== undefined;) {
      const result = await one(url, subprotocol, kind);
      if (!result.ok) wrong.push(result);
    }
  }));
  return wrong;
}

// A client that sends a handshake, or after it a frame, one octet a second. Resolves with the seconds
// until the server had enough.
export function slowClient(port, { afterHandshake, path, subprotocol }) {
  return new Promise((done) => {
    const started = Date.now();
    const head = `GET ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nUpgrade: websocket\r\n` +
      'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
      `Sec-WebSocket-Protocol: ${subprotocol}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    const frame = Buffer.concat([Buffer.from([0x81, 0xfe, 0x10, 0x00, 0, 0, 0, 0]), Buffer.alloc(4096, 0x20)]);
    const bytes = afterHandshake ? frame : Buffer.from(head);
    const socket = net.connect(port, '127.0.0.1');
    let timer, sent = 0;
    socket.on('connect', () => {
      if (afterHandshake) socket.write(head);
      timer = setInterval(() => socket.write(bytes.subarray(sent, ++sent)), 1000);
    });
    socket.on('data', () => {});
    socket.on('error', () => {});
    socket.on('close', () => { clearInterval(timer); done((Date.now() - started) / 1000); });
  });
}

// Runs floodWebSocket() or floodMedia() in a process of its own at the lowest priority: what is
// measured beside it shall suffer from what arrives, not from the making of it.
export function apart(name, ...args) {
  const child = fork(fileURLToPath(import.meta.url), [name, JSON.stringify(args)]);
  setPriority(child.pid, 19);
  return new Promise((done, fail) => {
    child.on('message', done);
    child.on('exit', (code) => fail(new Error(`${name} ended with ${code}`)));
  });
}

// `n` datagrams that look like STUN, DTLS, RTP, RTCP or nothing at all, with random content.
// `n` ClientHellos from `sources` addresses that nobody knows, each with a random of its own; `hello`:
// one in hexadecimal. How many datagrams came back until `until()` was fulfilled.
export async function floodHellos(address, port, n, sources, hello, until) {
  const sockets = await Promise.all(Array.from({ length: sources }, () => new Promise((done) => {
    const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, address, () => done(socket));
  })));
  let answers = 0;
  for (const socket of sockets) socket.on('message', () => { answers += 1; });
  for (let i = 0; i < n; i++) {
    const datagram = Buffer.from(hello, 'hex');
    randomBytes(32).copy(datagram, 27); // behind the heads of record and message, and the version
    await new Promise((done) => sockets[i % sources].send(datagram, port, address, done));
  }
  await until();
  await Promise.all(sockets.map((s) => new Promise((done) => s.close(done))));
  return answers;
}

export async function floodMedia(address, port, n) {
  const firsts = [[0, 3], [20, 63], [128, 191], [64, 127], [192, 255]];
  const sockets = Array.from({ length: 8 }, () => dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4'));
  const magic = Buffer.from([0x21, 0x12, 0xa4, 0x42]);
  for (let i = 0; i < n; i++) {
    const packet = randomBytes(randomInt(0, 1400));
    const [low, high] = firsts[i % firsts.length];
    if (packet.length) packet[0] = randomInt(low, high + 1);
    if (i % 10 === 0 && packet.length >= 20) { // a Binding request with a plausible head
      packet[0] = 0; packet[1] = 1; magic.copy(packet, 4);
      packet.writeUInt16BE((packet.length - 20) & ~3, 2);
    }
    await new Promise((done) => sockets[i % 8].send(packet, port, address, done));
  }
  await Promise.all(sockets.map((s) => new Promise((done) => s.close(done))));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [name, args] = process.argv.slice(2);
  const result = await { floodMedia, floodWebSocket }[name](...JSON.parse(args));
  process.send(result ?? [], () => process.exit(0));
}
