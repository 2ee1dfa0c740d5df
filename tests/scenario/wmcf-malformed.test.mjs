// SPDX-License-Identifier: Apache-2.0
// Malformed input at the real wmcf ends its own connection and nothing else.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { floodMedia, floodWebSocket, slowClient } from '../support/floods.mjs';
import { connectTwo } from '../support/generated-leg.mjs';
import { until } from '../support/stack.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

let wmcf, link;
before(async () => {
  wmcf = await Wmcf.start(['control.connect_rate_per_address=2000', 'control.keepalive=5',
    'control.connections_max=200', 'control.connections_per_address=200']);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

test('1000 malformed messages each end as they should', { timeout: 180000 }, async () => {
  const wrong = await floodWebSocket(wmcf.url, 'eirtcw-mc.v1', 1000);
  assert.deepEqual(wrong, []);
  assert.equal((await link.request('audit')).success, true);
});

test('a client that sends an octet a second is let go', { timeout: 180000 }, async () => {
  const where = { path: '/eirtcw-mc/v1', subprotocol: 'eirtcw-mc.v1' };
  const [handshake, frame] = await Promise.all([
    slowClient(wmcf.port, { ...where, afterHandshake: false }),
    slowClient(wmcf.port, { ...where, afterHandshake: true })]);
  assert.ok(handshake < 25, `${handshake} s in the handshake`);
  assert.ok(frame < 25, `${frame} s in a frame`);
});

test('10 000 random datagrams are counted and dropped', { timeout: 180000 }, async () => {
  const { sdpOffer, contextId } = await link.request('add',
    { offerTemplate: { medias: [{ mediaType: 'audio' }], bundle: true } });
  const [, address, port] = sdpOffer.match(/a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host/i);
  await floodMedia(address, Number(port), 10000);
  const dropped = async () => (await wmcf.ctl('status')).workers.reduce((n, w) =>
    n + w.unknownSourceDropped + w.malformed + w.stunRejected, 0);
  await until(async () => await dropped() > 1000, 20_000, () => 'they are not counted');
  assert.equal((await link.request('subtract', { contextId })).success, true);
});

// What an endpoint says with the right keys from the right address and that still is nothing. The
// header's numbers are the next ones of the video line.
const head = (first) => `${first}60000000000000000000000000`.slice(0, 24);
const rtp = {
  malformed: [
    head('a0') + '10'.repeat(20) + '00', // padding of no octets
    head('a0') + '10'.repeat(20) + 'ff', // more padding than payload
    head('a0'), // padding without payload
  ],
  passedOver: [
    head('90') + 'bede00011fffffff' + '90', // an element longer than its block
    head('90') + '1000000101ff0000' + '90', // the same in the other form
    head('90') + 'bede0000' + '10', // a block without elements, a descriptor without a frame
    head('90') + '123400020000000000000000' + 'ff', // of a profile nobody knows
    head('8f') + '00000001'.repeat(15), // many contributors and nothing else
  ],
};
const rtcp = {
  malformed: [
    '9fc80006' + '11111111'.repeat(6), // a sender report with 31 blocks and none
    '81c90001' + '11111111', // a receiver report whose block is missing
    '80c90001' + '11111111' + '80ca00ff', // a second packet longer than the datagram
    '80c90001' + '11111111' + '00', // … or shorter than a header
    '81cd0001' + '11111111', // a NACK of nobody
    '84ce0002' + '11111111'.repeat(2), // a FIR without an entry
    'a0c90001' + '111111ff', // more padding than report
    '40c90001' + '11111111', // of another version
  ],
  passedOver: [
    '80c90001' + '11111111', // a report of nothing
    '81cd0003' + '11111111'.repeat(3), // a NACK for an SSRC that nobody has
    '9fcd0001' + '11111111', '9fce0001' + '11111111', // feedback nobody knows
    '80ff0001' + '11111111', '80cc0001' + '11111111', '80cb0001' + '11111111',
  ],
};
const unprotected = [
  head('9f'), // contributors that are not there
  head('90') + 'bedeffff' + '00'.repeat(20), // an extension block longer than the packet
  head('90') + 'bede', // half a length
  head('80'), // no room for a tag
  '40'.repeat(40), 'ff'.repeat(40), '80',
];

test('hostile packets of a validated leg each cost themselves alone', { timeout: 180000 }, async () => {
  const [a, b] = await connectTwo(link);
  const flows = (leg, more) => leg.until((s) => s.receive.length === 2 &&
    s.receive.every((r, i) => r.packets >= more + (before.get(leg)?.[i] ?? 0)));
  const before = new Map();
  const note = (leg, stats) => before.set(leg, stats.receive.map((r) => r.packets));
  const malformed = async () => (await wmcf.ctl('status')).workers.reduce((n, w) => n + w.malformed, 0);
  for (const leg of [a, b]) note(leg, await flows(leg, 30));
  const was = await malformed();
  const line = 1;
  assert.equal(await a.octets(rtp.malformed, { as: 'rtp', line }), rtp.malformed.length);
  assert.equal(await a.octets(rtp.passedOver, { as: 'rtp', line }), rtp.passedOver.length);
  assert.equal(await a.octets(rtcp.malformed, { as: 'rtcp' }), rtcp.malformed.length);
  assert.equal(await a.octets(rtcp.passedOver, { as: 'rtcp' }), rtcp.passedOver.length);
  assert.equal(await a.octets(unprotected), unprotected.length);
  for (const leg of [a, b]) {
    const stats = await flows(leg, 60);
    assert.equal(stats.state, 'connected');
    const lost = stats.receive.reduce((n, r) => n + r.lost, 0);
    assert.ok(lost <= rtp.malformed.length, JSON.stringify(stats.receive));
  }
  const wanted = rtp.malformed.length + rtcp.malformed.length + unprotected.length;
  await until(async () => await malformed() - was >= wanted, 20_000, () => 'they are not counted');
  assert.equal(await malformed() - was, wanted);
  assert.equal((await link.request('subtract', { contextId: a.contextId })).success, true);
  await Promise.all([a.close(), b.close()]);
});
