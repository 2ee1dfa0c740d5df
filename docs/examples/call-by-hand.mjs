// SPDX-License-Identifier: Apache-2.0
// Another maker's client in a page of code: two people register, one calls, the other answers, the
// caller holds and resumes and hangs up, message by message (docs/protocol.md part A). No media flow:
// the descriptions are complete, but nobody listens at their addresses.
//   npm install && node call-by-hand.mjs wss://example.org/eirtcw/v1 alice@example.org PASSWORD bob@example.org PASSWORD
import { randomBytes, randomUUID } from 'node:crypto';
import WebSocket from 'ws';

const [url, alice, alicePassword, bob, bobPassword] = process.argv.slice(2);
const supportedExtension = ['trickle-ice', 'pre-offer-as-offer'];

/** One endpoint: requests count 0, 2, 4 …; those of the network are waited for by next(). */
async function connect(webrtcId, password) {
  const socket = new WebSocket(url, 'eirtcw.v1');
  const waiting = new Map(), come = [], heard = [];
  let nextId = 0;
  const send = (message) => socket.send(JSON.stringify(message));
  socket.on('message', (data) => {
    const m = JSON.parse(data);
    console.log(`${webrtcId} < ${m.method} ${m.messageType}`, m.success ?? '', m.mediaSessionState ?? '');
    if (m.messageType === 'response') {
      const { done, fail } = waiting.get(m.transactionId);
      if (m.success) done(m); else fail(new Error(`${m.method}: ${m.problemDetails.cause}`));
    } else if (heard.length > 0) heard.shift()(m);
    else come.push(m);
  });
  await new Promise((done, fail) => socket.on('open', done).on('error', fail));
  const request = (method, members) => new Promise((done, fail) => {
    console.log(`${webrtcId} > ${method} request`);
    waiting.set(nextId, { done, fail });
    send({ messageType: 'request', method, transactionId: nextId, ...members });
    nextId += 2;
  });
  const next = () => new Promise((done) => (come.length > 0 ? done(come.shift()) : heard.push(done)));
  const respond = ({ method, transactionId }, members) =>
    send({ messageType: 'response', method, transactionId, success: true, ...members });
  const me = { webrtcId, instanceId: randomUUID(), supportedExtension };
  const authorization = `Basic ${Buffer.from(`${webrtcId}:${password}`).toString('base64')}`;
  const { reAuthCredential } = await request('auth', { authType: 'basic', ...me, authorization });
  const signOut = async () => {
    await request('auth', { authType: 'reauth', ...me, reAuthCredential, expirationTime: 0 });
    socket.close();
  };
  return { request, next, respond, signOut, identity: identity() };
}

// --- descriptions --------------------------------------------------------------------------------
function identity() {
  const fingerprint = [...randomBytes(32)].map((one) => one.toString(16).padStart(2, '0')).join(':');
  return { version: 0, ufrag: randomBytes(3).toString('hex'), pwd: randomBytes(12).toString('hex'),
    fingerprint: fingerprint.toUpperCase() };
}
const opposite = { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', inactive: 'inactive' };
const CODECS = { audio: [111, 'opus/48000/2'], video: [96, 'VP8/90000'] };

/** Medias: { kind, direction, codec: [payload type, name] }; setup: actpass in offers. */
function describe(own, medias, setup) {
  return ['v=0', `o=- 1 ${++own.version} IN IP4 127.0.0.1`, 's=-', 't=0 0',
    `a=group:BUNDLE ${medias.map((_, mid) => mid).join(' ')}`,
    ...medias.flatMap(({ kind, direction, codec: [type, name] }, mid) => [
      `m=${kind} 9 UDP/TLS/RTP/SAVPF ${type}`, 'c=IN IP4 0.0.0.0', `a=mid:${mid}`, `a=${direction}`,
      `a=rtpmap:${type} ${name}`, 'a=rtcp-mux', `a=setup:${setup}`, `a=ice-ufrag:${own.ufrag}`,
      `a=ice-pwd:${own.pwd}`, `a=fingerprint:sha-256 ${own.fingerprint}`,
      'a=candidate:1 1 udp 2130706431 192.0.2.7 9 typ host']), ''].join('\r\n');
}
const offer = (own, direction = 'sendrecv') =>
  describe(own, ['audio', 'video'].map((kind) => ({ kind, direction, codec: CODECS[kind] })), 'actpass');
/** Takes everything that is offered, with the first codec of each medium. */
function answer(own, sdpOffer) {
  const medias = sdpOffer.split(/\r\n(?=m=)/).slice(1).map((media) => {
    const [, kind, type] = /^m=(\w+) \d+ \S+ (\d+)/.exec(media);
    const [, direction] = /^a=(sendrecv|sendonly|recvonly|inactive)\r?$/m.exec(media);
    const [, name] = new RegExp(`^a=rtpmap:${type} (\\S+)`, 'm').exec(media);
    return { kind, direction: opposite[direction], codec: [type, name] };
  });
  return describe(own, medias, /a=setup:active/.test(sdpOffer) ? 'passive' : 'active');
}
/** The network's offer, answered in a request of its own. */
const take = (who, { sdpOffer, offerId, mediaSessionId }) => who.request('mupdate', { mediaSessionId,
  sdpAnswer: answer(who.identity, sdpOffer), ...(offerId ? { offerId } : {}) });

// --- the call ------------------------------------------------------------------------------------
const a = await connect(alice, alicePassword), b = await connect(bob, bobPassword);
const asked = await a.request('msetup', { resourceId: bob, preOfferDescription: offer(a.identity),
  supportedExtension });
const { mediaSessionId } = asked;
const invitation = await b.next();
const there = { mediaSessionId: invitation.mediaSessionId }; // another id on each leg
b.respond(invitation, { ...there, supportedExtension });
await b.request('mupdate', { ...there, mediaSessionState: 'alerting' });
a.respond(await a.next(), { mediaSessionId });
await take(b, invitation);
const connected = await a.next(); // the answer to the pre-offer, or an offer
a.respond(connected, { mediaSessionId });
if (connected.sdpOffer) await take(a, connected);
for (const [offerId, direction] of [['1', 'inactive'], ['2', 'sendrecv']]) { // hold, resume
  await a.request('mupdate', { mediaSessionId, sdpOffer: offer(a.identity, direction), offerId });
  const changed = await b.next();
  b.respond(changed, there);
  await take(b, changed);
  const answered = await a.next();
  if (!answered.sdpAnswer) throw new Error(`refused: ${answered.problemDetails?.cause}`);
  a.respond(answered, { mediaSessionId });
}
await a.request('mdisc', { mediaSessionId, cause: 'NORMAL' });
b.respond(await b.next(), there);
await a.signOut();
await b.signOut();
