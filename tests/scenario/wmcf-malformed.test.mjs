// SPDX-License-Identifier: Apache-2.0
// Malformed input at the real wmcf ends its own connection and nothing else.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { floodMedia, floodWebSocket, slowClient } from '../support/floods.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

let wmcf, link;
before(async () => {
  wmcf = await Wmcf.start(['control.connect_rate_per_address=2000', 'control.keepalive=2',
    'control.connections_max=200', 'control.connections_per_address=200']);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

test('1000 malformed messages each end as they should', { timeout: 120000 }, async () => {
  const wrong = await floodWebSocket(wmcf.url, 'eirtcw-mc.v1', 1000);
  assert.deepEqual(wrong, []);
  assert.equal((await link.request('audit')).success, true);
});

test('a client that sends an octet a second is let go', { timeout: 60000 }, async () => {
  const where = { path: '/eirtcw-mc/v1', subprotocol: 'eirtcw-mc.v1' };
  const [handshake, frame] = await Promise.all([
    slowClient(wmcf.port, { ...where, afterHandshake: false }),
    slowClient(wmcf.port, { ...where, afterHandshake: true })]);
  assert.ok(handshake < 25, `${handshake} s in the handshake`);
  assert.ok(frame < 25, `${frame} s in a frame`);
});

test('10 000 random datagrams are counted and dropped', { timeout: 60000 }, async () => {
  const { sdpOffer, contextId } = await link.request('add',
    { offerTemplate: { medias: [{ mediaType: 'audio' }], bundle: true } });
  const [, address, port] = sdpOffer.match(/a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host/i);
  await floodMedia(address, Number(port), 10000);
  const status = await wmcf.ctl('status');
  const dropped = status.workers.reduce((n, w) =>
    n + w.unknownSourceDropped + w.malformed + w.stunRejected, 0);
  assert.ok(dropped > 1000, `${dropped} counted`);
  assert.equal((await link.request('subtract', { contextId })).success, true);
});
