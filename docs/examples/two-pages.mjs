// SPDX-License-Identifier: Apache-2.0
// Another maker's WSF in a page of code: two pages call each other over a signalling of its own, and
// this script drives the wmcf for them (docs/protocol.md part B).
//   npm install && node two-pages.mjs ws://127.0.0.1:8188/eirtcw-mc/v1 wsf@example.org TOKEN_FILE 8080
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import WebSocket, { WebSocketServer } from 'ws';

const [url, webrtcId, tokenFile, port = '8080'] = process.argv.slice(2);
const page = `<!doctype html><meta charset=utf-8><title>two pages</title>
<video id=remote autoplay playsinline></video><script type=module>
const ws = new WebSocket('ws://' + location.host), pc = new RTCPeerConnection();
pc.ontrack = ({track, streams}) => { remote.srcObject = streams[0] ?? new MediaStream([track]); };
ws.onmessage = async ({data}) => {
  await pc.setRemoteDescription({type: 'offer', sdp: data});       // the media centre offers
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  for (const t of pc.getTransceivers()) {
    const track = media.getTracks().find(x => x.kind === t.receiver.track.kind);
    await t.sender.replaceTrack(track); t.direction = 'sendrecv';
  }
  await pc.setLocalDescription();
  ws.send(pc.localDescription.sdp);                                // ICE-lite: no candidates needed
};
window.pc = pc;</script>`;

// --- the control link: requests count 0, 2, 4 …; the wmcf's own (notify) are answered ------------
const link = new WebSocket(url, 'eirtcw-mc.v1');
const waiting = new Map();
let nextId = 0;
function request(method, members) {
  const transactionId = nextId;
  nextId += 2;
  link.send(JSON.stringify({ messageType: 'request', method, transactionId, ...members }));
  return new Promise((done, fail) => waiting.set(transactionId, { done, fail }));
}
link.on('message', (data) => {
  const m = JSON.parse(data);
  if (m.messageType === 'request') {
    if (m.method === 'notify') console.log(m.event, m.terminationId, m.details ?? '');
    link.send(JSON.stringify({ messageType: 'response', method: m.method,
      transactionId: m.transactionId, success: true }));
  } else {
    const { done, fail } = waiting.get(m.transactionId);
    if (m.success) done(m); else fail(new Error(m.problemDetails.detail ?? m.problemDetails.cause));
  }
});

// --- the call: one context, a termination for each page ------------------------------------------
const medias = ['audio', 'video'].map((mediaType) => ({ mediaType, direction: 'sendrecv' }));
const parties = []; // { terminationId }
let contextId;
async function join(ws) {
  const answer = new Promise((done) => ws.once('message', (sdp) => done(String(sdp))));
  const added = await request('add', { contextId, offerTemplate: { medias, bundle: true },
    events: ['iceConnected', 'dtlsConnected', 'dtlsFailed', 'consentExpired'] });
  ({ contextId } = added);
  const { terminationId } = added;
  ws.on('close', () => request('subtract', { contextId, terminationId }).catch(console.error));
  ws.send(added.sdpOffer);
  await request('modify', { contextId, terminationId, sdpAnswer: await answer });
  parties.push({ terminationId });
  if (parties.length !== 2) return;
  const [a, b] = parties.map((p) => p.terminationId);
  const route = (from, to) => ['0', '1'].map((mid) => ({ from: { terminationId: from, mid },
    to: { terminationId: to, mid } }));
  await request('modify', { contextId, terminationId: a, routes: [...route(a, b), ...route(b, a)] });
  for (const id of [a, b]) // until now every gate was closed
    await request('modify', { contextId, terminationId: id,
      mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  console.log('gates are open');
}

link.on('open', async () => {
  const token = readFileSync(tokenFile, 'utf8').trim();
  await request('auth', { authType: 'bearer', webrtcId, authorization: `Bearer ${token}` });
  const http = createServer((_, response) => response.end(page));
  let turn = Promise.resolve(); // one page after the other, so that both share a context
  new WebSocketServer({ server: http }).on('connection', (ws) => {
    turn = turn.then(() => join(ws)).catch(console.error);
  });
  http.listen(Number(port), '127.0.0.1', () => console.log(`open http://localhost:${http.address().port} twice`));
});
