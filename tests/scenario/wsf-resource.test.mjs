// SPDX-License-Identifier: Apache-2.0
// Calls to the network's own media resources (protocol A5 media/<name>@realm) through the real wsf
// and the real wmcf: a client alone with a picture and a tone, decoded at a generated leg.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { Stack, USERS } from '../support/stack.mjs';

const run = promisify(execFile);
const ROOT = new URL('../../', import.meta.url).pathname;
const BUILD = process.env.WMCF_BUILD ?? process.env.BUILD ?? join(ROOT, 'build-check');
const ALICE = 'alice@example.org';
const tone = (extra) => `audiotestsrc is-live=true num-buffers=50 samplesperbuffer=960 ${extra}
  ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=audio\n`;
const CONF = `
[resource "test"]
parameters = width=320, height=180, frequency=1000, volume=0.5, title=Hello there
[resource "short"]
[resource "1"]
name = media/breaks
[resource "mistake"]
template = test
parameters = width=1
[resource "nowhere"]
[resource "hall"]
name = room/hall
`;

let stack, templates;
const open = [];
before(async () => {
  templates = mkdtempSync(join(tmpdir(), 'templates-'));
  writeFileSync(join(templates, 'short.pipeline'), tone(''));
  writeFileSync(join(templates, 'breaks.pipeline'), tone('! identity error-after=40'));
  stack = await Stack.start({ conf: CONF, wmcf: [`pipelines.folder=${templates}`] });
});
afterEach(async (t) => {
  if (t.passed === false) console.error(stack.logs());
  await Promise.all(open.splice(0).map((one) => one.close()));
  await stack.contextsBecome(0);
});
after(async () => {
  await stack?.stop();
  rmSync(templates, { recursive: true });
});

async function register() {
  const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
  const client = await Endpoint.connect(url);
  const authorization = `Basic ${Buffer.from(`${ALICE}:${USERS[ALICE]}`).toString('base64')}`;
  const { success } = await client.request('auth', { authType: 'basic', webrtcId: ALICE, authorization });
  assert.ok(success);
  open.push(client);
  return client;
}
function newLeg() {
  const leg = new GeneratedLeg();
  open.push(leg);
  return leg;
}
const video = (stats) => stats.receive.find((r) => r.kind === 'video');
const audio = (stats) => stats.receive.find((r) => r.kind === 'audio');

// A pre-offer as a page makes it, with both directions open; `codec` of the picture.
const preOffer = (codec = 'VP8') => ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:a', 'a=sendrecv', 'a=rtpmap:111 opus/48000/2',
  'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=mid:v', 'a=recvonly', `a=rtpmap:96 ${codec}/90000`, '']
  .join('\r\n');

async function ask(client, name, members = {}) {
  return client.request('msetup', { resourceId: `media/${name}@example.org`, ...members });
}
async function answer(client, asked, leg) {
  const [, bind] = asked.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
  const sdpAnswer = await leg.answer(asked.sdpOffer, { bind, direction: 2 });
  const answered = await client.request('mupdate', { mediaSessionId: asked.mediaSessionId, sdpAnswer,
    offerId: asked.offerId });
  assert.ok(answered.success, JSON.stringify(answered));
}
async function look(leg) {
  const file = join(stack.folder, 'capture');
  await leg.command('capture', { file });
  // The gates open with a key frame, which may be lost on a leg that has not connected yet.
  await leg.until((s) => video(s) && audio(s));
  await leg.command('keyFrame');
  const from = await leg.stats();
  await leg.until((s) => video(s).frames - video(from).frames > 50 &&
    audio(s).packets - audio(from).packets > 80);
  await leg.command('capture');
  const { stdout } = await run(join(BUILD, 'tests/support/rtp-look'), [file, 'VP8']);
  return JSON.parse(stdout);
}
function check(seen) {
  assert.deepEqual([seen.video.width, seen.video.height], [320, 180]);
  assert.ok(seen.video.changes > 30, JSON.stringify(seen));
  assert.ok(Math.abs(seen.audio.frequency - 1000) < 10, JSON.stringify(seen));
}
const directions = (sdp) => [...sdp.matchAll(/^a=(sendrecv|sendonly|recvonly|inactive)\r?$/gm)].map((m) => m[1]);

test('the response brings the offer; the picture moves, the tone is heard, mdisc ends it', async () => {
  const client = await register();
  for (const members of [{ preOfferDescription: preOffer() }, {}]) {
    const asked = await ask(client, 'test', members);
    assert.ok(asked.success, JSON.stringify(asked));
    assert.ok(asked.mediaSessionId && asked.sdpOffer && !asked.sdpAnswer);
    assert.deepEqual(directions(asked.sdpOffer), ['sendonly', 'sendonly']);
    assert.doesNotMatch(asked.sdpOffer, /H264/);
    const leg = newLeg();
    await answer(client, asked, leg);
    check(await look(leg));
    const ended = await client.request('mdisc', { mediaSessionId: asked.mediaSessionId, cause: 'NORMAL' });
    assert.ok(ended.success);
    await stack.contextsBecome(0);
  }
});

test('a pre-offer that may be answered is', async () => {
  const client = await register();
  const leg = newLeg();
  const { sdp } = await leg.command('offer', { direction: 2, bind: stack.address });
  const asked = await ask(client, 'test', { preOfferDescription: sdp,
    supportedExtension: ['pre-offer-as-offer'] });
  assert.ok(asked.success, JSON.stringify(asked));
  assert.ok(asked.sdpAnswer && !asked.sdpOffer, JSON.stringify(asked));
  await leg.command('setAnswer', { sdp: asked.sdpAnswer });
  check(await look(leg));
  assert.ok((await client.request('mdisc', { mediaSessionId: asked.mediaSessionId, cause: 'NORMAL' })).success);
});

test('the client puts the picture away and takes it again', async () => {
  const client = await register();
  const asked = await ask(client, 'test', { preOfferDescription: preOffer() });
  const leg = newLeg();
  await answer(client, asked, leg);
  await leg.until((s) => video(s)?.frames > 5 && audio(s)?.packets > 5);
  const change = async (direction) => {
    await leg.command('direction', { index: 1, direction });
    const { sdp } = await leg.command('offer');
    const changed = await client.request('mupdate', { mediaSessionId: asked.mediaSessionId, sdpOffer: sdp });
    assert.ok(changed.success, JSON.stringify(changed));
    let { sdpAnswer } = changed;
    if (!sdpAnswer) {
      const update = await client.expect('mupdate');
      update.reply();
      ({ sdpAnswer } = update);
    }
    await leg.setAnswer(sdpAnswer);
    return directions(sdpAnswer);
  };
  assert.deepEqual(await change(0), ['sendonly', 'inactive']);
  const still = await leg.stats();
  const sound = audio(still).packets;
  await leg.until((s) => audio(s).packets > sound + 40);
  assert.ok(video(await leg.stats()).packets <= video(still).packets + 5);
  assert.deepEqual(await change(2), ['sendonly', 'sendonly']);
  const before = video(await leg.stats());
  const after = video(await leg.until((s) => video(s).frames > before.frames + 20));
  assert.ok(after.keyFrames > before.keyFrames);
  assert.ok((await client.request('mdisc', { mediaSessionId: asked.mediaSessionId, cause: 'NORMAL' })).success);
});

test('only what the client can receive is offered; nothing in common is 422', async () => {
  const client = await register();
  const asked = await ask(client, 'test', { preOfferDescription: preOffer('H264') });
  assert.ok(asked.success, JSON.stringify(asked));
  assert.match(asked.sdpOffer, /m=audio/);
  assert.doesNotMatch(asked.sdpOffer, /m=video/);
  await client.request('mdisc', { mediaSessionId: asked.mediaSessionId, cause: 'NORMAL' });
  const only = preOffer('H264').replace(/m=audio[^]*(?=m=video)/, '');
  const refused = await ask(client, 'test', { preOfferDescription: only });
  assert.equal(refused.success, false);
  assert.equal(refused.problemDetails.status, 422);
  assert.equal(refused.problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
  assert.ok(refused.mediaSessionId);
});

test('resources that are not there or cannot be made are refused', async () => {
  const client = await register();
  const cause = async (name) => (await ask(client, name)).problemDetails;
  assert.equal((await cause('film')).cause, 'RESOURCE_NOT_FOUND');
  const room = await client.request('msetup', { resourceId: 'room/hall@example.org' });
  assert.equal(room.problemDetails.cause, 'RESOURCE_NOT_FOUND');
  assert.equal((await cause('nowhere')).cause, 'WMCF_ERROR');
  const mistake = await cause('mistake');
  assert.equal(mistake.cause, 'WMCF_ERROR');
  assert.match(mistake.detail, /width/);
});

test('the end of the stream ends the session with NORMAL, a failure with MEDIA_FAILURE', async () => {
  const client = await register();
  for (const [name, cause] of [['short', 'NORMAL'], ['breaks', 'MEDIA_FAILURE']]) {
    const asked = await ask(client, name, { preOfferDescription: preOffer() });
    assert.ok(asked.success, JSON.stringify(asked));
    const leg = newLeg();
    await answer(client, asked, leg);
    const ended = await client.expect('mdisc');
    assert.equal(ended.mediaSessionId, asked.mediaSessionId);
    assert.equal(ended.cause, cause);
    ended.reply();
    await stack.contextsBecome(0);
  }
});
