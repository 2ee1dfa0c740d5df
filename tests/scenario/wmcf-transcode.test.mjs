// SPDX-License-Identifier: Apache-2.0
// A picture in another codec or size for a subscriber that cannot take it as it comes: H264 out of VP8
// and VP8 out of that, while others go on with the first; key frames, another source, the end, and
// what does not fit. Several pictures in one, and media as plain RTP to an address.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { GeneratedLeg, connectTwo } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf, build } from '../support/wmcf.mjs';

const EVENTS = ['endOfStream', 'resourceFailure'];
const run = promisify(execFile);
let wmcf, link, tapped, folder;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'templates-'));
  writeFileSync(path.join(folder, 'tile.pipeline'), `parameter pattern choice white white|red|blue
videotestsrc is-live=true pattern=\${pattern} ! video/x-raw,format=I420,width=160,height=90,framerate=15/1
! vp8enc deadline=1 cpu-used=8 ! rtpvp8pay mtu=1200 pt=96 picture-id-mode=15-bit ! wmcfsink mid=video
`);
  tapped = createSocket('udp4');
  await new Promise((done) => tapped.bind(0, '127.0.0.1', done));
  wmcf = await Wmcf.start([`pipelines.tap_addresses=127.0.0.0/8:${tapped.address().port}`,
    `pipelines.folder=${folder}`, 'limits.pipelines_per_context=5']);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  tapped.close();
  await link.close();
  assert.equal(await wmcf.stop(), 0);
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  const { contexts } = await link.request('audit');
  for (const { contextId } of contexts) await link.request('subtract', { contextId });
});

const video = (stats) => stats.receive.find((r) => r.kind === 'video');
const change = ({ contextId, terminationId }, members) => link.request('modify', { contextId, terminationId, ...members });

async function viewer(contextId, from, codec = 'VP8') {
  const added = await link.request('add', { contextId, offerTemplate: { bundle: true, medias: [
    { mediaType: 'video', direction: 'sendonly', codecs: [codec] }] }, mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }] });
  const leg = new GeneratedLeg();
  const [, bind] = added.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
  const sdpAnswer = await leg.answer(added.sdpOffer, { bind, direction: 2 });
  const answered = await change(added, { sdpAnswer });
  assert.ok(answered.success, JSON.stringify(answered));
  const route = await change(added, { routes: [{ from, to: { terminationId: added.terminationId, mid: '0' } }] });
  assert.ok(route.success, JSON.stringify(route));
  return { leg, ...added };
}
const flows = async ({ leg }, n = 20) => {
  const from = await leg.stats();
  await leg.until((s) => video(s)?.frames >= (video(from)?.frames ?? 0) + n);
};
const film = () => link.request('add', { events: EVENTS,
  pipeline: { template: 'test', parameters: { width: 320, height: 180 } } });
const transcode = (from, mid = 'video', parameters = { width: 320, height: 180 }) => link.request('add', {
  contextId: from.contextId, events: EVENTS, pipeline: { template: 'transcode', parameters },
  inputs: [{ terminationId: from.terminationId, mid }] });

test('a picture goes through H264 and back, and nobody else notices', { timeout: 150_000 }, async () => {
  const from = await film();
  const { contextId, terminationId } = from;
  const plain = await viewer(contextId, { terminationId, mid: 'video' });
  await flows(plain);
  const made = await transcode(from);
  assert.ok(made.success, JSON.stringify(made));
  assert.deepEqual(made.medias.map((m) => [m.mid, m.direction, ...m.codecs]),
    [['camera', 'sendonly', 'VP8'], ['video', 'recvonly', 'H264']]);
  const back = await transcode(made, 'video', { video: 'VP8', width: 160, height: 90 });
  assert.ok(back.success, JSON.stringify(back));
  assert.deepEqual(back.medias.map((m) => [m.mid, ...m.codecs]), [['camera', 'H264'], ['video', 'VP8']]);
  const other = await viewer(contextId, { terminationId: back.terminationId, mid: 'video' });
  await flows(other);
  // A later one needs a key frame, which the encoder makes for it.
  const late = await viewer(contextId, { terminationId: back.terminationId, mid: 'video' });
  await flows(late);
  assert.ok(video(await late.leg.stats()).keyFrames >= 1);
  assert.equal(video(await plain.leg.stats()).lost, 0);

  // What it takes comes from elsewhere; its subscribers see one stream go on.
  const second = await link.request('add', { contextId, events: EVENTS,
    pipeline: { template: 'test', parameters: { width: 320, height: 180, pattern: 'smpte' } } });
  assert.ok(second.success, JSON.stringify(second));
  const moved = await change(made, { routes: [{ from: { terminationId: second.terminationId, mid: 'video' },
    to: { terminationId: made.terminationId, mid: 'camera' } }] });
  assert.ok(moved.success, JSON.stringify(moved));
  assert.equal(moved.medias.find((m) => m.mid === 'camera').source.terminationId, second.terminationId);
  await flows(other);
  assert.equal(video(await other.leg.stats()).lost, 0);
  await flows(plain);

  const ended = await link.request('subtract', { contextId, terminationId: made.terminationId });
  assert.ok(ended.success, JSON.stringify(ended));
  await flows(plain);
  for (const { leg } of [plain, other, late]) await leg.close();
});

test('what does not fit an input is refused', { timeout: 150_000 }, async () => {
  const from = await film();
  const sound = await transcode(from, 'audio');
  assert.equal(sound.problemDetails?.cause, 'INVALID_MESSAGE', JSON.stringify(sound));
  const made = await transcode(from);
  assert.ok(made.success, JSON.stringify(made));
  const coded = await link.request('add', { contextId: from.contextId, events: EVENTS,
    pipeline: { template: 'test', parameters: { width: 320, height: 180, video: 'H264' } } });
  const routed = await change(made, { routes: [{ from: { terminationId: coded.terminationId, mid: 'video' },
    to: { terminationId: made.terminationId, mid: 'camera' } }] });
  assert.equal(routed.problemDetails?.cause, 'INVALID_MESSAGE', JSON.stringify(routed));
  assert.match(routed.problemDetails.detail, /takes VP8/);
  const backwards = await change(made, { routes: [{ from: { terminationId: from.terminationId, mid: 'video' },
    to: { terminationId: made.terminationId, mid: 'video' } }] });
  assert.equal(backwards.problemDetails?.cause, 'INVALID_MESSAGE', JSON.stringify(backwards));
});

// The payload of an RTP packet, behind CSRCs and header extensions.
const payload = (rtp) => {
  const csrcs = 12 + 4 * (rtp[0] & 15);
  return rtp.subarray(rtp[0] & 16 ? csrcs + 4 + 4 * rtp.readUInt16BE(csrcs + 2) : csrcs).toString('hex');
};

test('what a participant sends arrives as plain RTP at an address that is allowed', { timeout: 150_000 }, async () => {
  // So little that no socket runs full while a process of this test stands.
  const [a, b] = await connectTwo(link, [{ bitrate: 300_000, packetSize: 600 }, {}]);
  const { contextId, terminationId } = a, { port } = tapped.address();
  const tap = (parameters) => link.request('add', { contextId, events: EVENTS, pipeline: { template: 'tap', parameters },
    inputs: [{ terminationId, mid: '1', input: 'video' }] });
  for (const [parameters, detail] of [
    [{}, /needs the address video_to/],
    [{ video_to: 'localhost:5004' }, /not a numeric address with a port/],
    [{ video_to: `127.0.0.1:${port - 1}` }, /tap_addresses does not allow it/],
    [{ video_to: `192.0.2.7:${port}` }, /tap_addresses does not allow it/],
    [{ video_to: `127.255.255.255:${port}` }, /tap_addresses does not allow it/]]) {
    const { problemDetails } = await tap(parameters);
    assert.equal(problemDetails?.invalidParams?.[0].param, '/pipeline/parameters/video_to', JSON.stringify(problemDetails));
    assert.match(problemDetails.detail, detail);
  }
  // What another subscriber gets is what must come here; that it gets it already is waited for, since what
  // comes while its keys are not there is not for it.
  const file = path.join(wmcf.folder, 'subscriber');
  await b.command('capture', { file });
  await flows({ leg: b }, 1);
  const packets = [];
  tapped.on('message', (packet) => packets.push(packet));
  const made = await tap({ video_to: `127.0.0.1:${port}` });
  assert.ok(made.success, JSON.stringify(made));
  while (packets.length < 100) await flows({ leg: b }, 3);
  assert.ok((await link.request('subtract', { contextId, terminationId: made.terminationId })).success);
  await flows({ leg: b });
  await b.command('capture');
  tapped.removeAllListeners('message');
  // In the order of their numbers: one that b has missed came again, behind others.
  const seen = new Map(), octets = readFileSync(file);
  for (let at = 0; at + 3 <= octets.length; at += 3 + octets.readUInt16BE(at + 1)) {
    const packet = octets.subarray(at + 3, at + 3 + octets.readUInt16BE(at + 1));
    if (octets[at] === 118) seen.set(packet.readUInt16BE(2), payload(packet));
  }
  const got = packets.map(payload), [begin] = [...seen].find(([, octets]) => octets === got[0]) ?? [];
  assert.ok(begin !== undefined, 'the first packet is none of the publisher');
  assert.deepEqual(got, got.map((_, i) => seen.get((begin + i) % 65536)));
  for (const [i, packet] of packets.entries()) {
    assert.deepEqual([packet[0] >> 6, packet[1] & 127, packet.readUInt32BE(8)], [2, 96, packets[0].readUInt32BE(8)]);
    if (i) assert.equal(packet.readUInt16BE(2), (packets[i - 1].readUInt16BE(2) + 1) % 65536);
  }
  for (const leg of [a, b]) await leg.close();
});

test('pictures come together in one, each in its place', { timeout: 150_000 }, async () => {
  let contextId;
  const tiles = [];
  for (const pattern of ['white', 'red', 'blue']) {
    const tile = await link.request('add', { contextId, events: EVENTS, pipeline: { template: 'tile', parameters: { pattern } } });
    assert.ok(tile.success, JSON.stringify(tile));
    contextId = tile.contextId;
    tiles.push(tile);
  }
  const [white, red, blue] = tiles.map(({ terminationId }) => ({ terminationId, mid: 'video' }));
  const made = await link.request('add', { contextId, events: EVENTS,
    pipeline: { template: 'compose', parameters: { framerate: 15 } },
    inputs: [{ ...white, input: 'first' }, { ...red, input: 'second' }, { ...blue, input: 'third' }] });
  assert.ok(made.success, JSON.stringify(made));
  const watching = await viewer(contextId, { terminationId: made.terminationId, mid: 'video' });
  const file = path.join(wmcf.folder, 'composed');
  const look = async (n = 15) => {
    await watching.leg.command('capture', { file });
    await watching.leg.command('keyFrame');
    await flows(watching, n);
    await watching.leg.command('capture');
    return JSON.parse((await run(path.join(build, 'tests/support/rtp-look'), [file, 'VP8'])).stdout).video;
  };
  const names = ({ quarters }) => quarters.map((q) => (q > 200 ? 'white' : q > 60 ? 'red' : q > 28 ? 'blue' : 'black'));
  const until = async (wanted) => {
    for (;;) {
      const seen = await look();
      assert.deepEqual([seen.width, seen.height], [640, 360]);
      if (names(seen).join() === wanted.join()) return;
    }
  };
  await until(['white', 'red', 'blue', 'black']);
  // Another picture in a place.
  const moved = await change(made, { routes: [{ from: red, to: { terminationId: made.terminationId, mid: 'third' } }] });
  assert.ok(moved.success, JSON.stringify(moved));
  await until(['white', 'red', 'red', 'black']);
  await watching.leg.close();
});
