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
import { makeFilm } from '../support/films.mjs';
import { GeneratedLeg } from '../support/generated-leg.mjs';
import { Stack, USERS } from '../support/stack.mjs';

const run = promisify(execFile);
const ROOT = new URL('../../', import.meta.url).pathname;
const BUILD = process.env.WMCF_BUILD ?? process.env.BUILD ?? join(ROOT, 'build-check');
const ALICE = 'alice@example.org';
const tone = (extra) => `audiotestsrc is-live=true num-buffers=200 samplesperbuffer=960 ${extra}
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
[resource "film"]
template = play
parameters = source=film.webm, width=320, height=180
[resource "strict"]
template = play
parameters = source=film.webm, width=320, height=180
control = no
[resource "cinema"]
template = play
parameters = source=film.webm, width=320, height=180
shared = yes
[resource "lost"]
template = play
parameters = source=lost.webm
`;

let stack, templates;
const open = [];
before(async () => {
  templates = mkdtempSync(join(tmpdir(), 'templates-'));
  writeFileSync(join(templates, 'short.pipeline'), tone(''));
  writeFileSync(join(templates, 'breaks.pipeline'), tone('! identity error-after=150'));
  await makeFilm(join(templates, 'film.webm'), { seconds: 20 });
  stack = await Stack.start({ conf: CONF,
    wmcf: [`pipelines.folder=${templates}`, `pipelines.media_folder=${templates}`] });
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
  // Sound that comes now has overtaken nothing: then all of the picture that was on its way is there.
  const sound = audio(await leg.stats()).packets;
  const still = await leg.until((s) => audio(s).packets > sound + 20);
  const later = await leg.until((s) => audio(s).packets > sound + 60);
  assert.equal(video(later).packets, video(still).packets);
  const before = video(later); // the picture may be back before the answer is
  assert.deepEqual(await change(2), ['sendonly', 'sendonly']);
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
  assert.equal((await cause('none')).cause, 'RESOURCE_NOT_FOUND');
  const room = await client.request('msetup', { resourceId: 'room/hall@example.org' });
  assert.equal(room.problemDetails.cause, 'RESOURCE_NOT_FOUND');
  assert.equal((await cause('nowhere')).cause, 'WMCF_ERROR');
  const lost = await cause('lost');
  assert.equal(lost.cause, 'WMCF_ERROR');
  assert.match(lost.detail, /lost\.webm/);
  const mistake = await cause('mistake');
  assert.equal(mistake.cause, 'WMCF_ERROR');
  assert.match(mistake.detail, /width/);
});

test('the end of the stream ends the session with NORMAL, a failure with MEDIA_FAILURE', async () => {
  const client = await register();
  const wanted = {};
  await Promise.all([['short', 'NORMAL'], ['breaks', 'MEDIA_FAILURE']].map(async ([name, cause]) => {
    const asked = await ask(client, name, { preOfferDescription: preOffer() });
    assert.ok(asked.success, JSON.stringify(asked));
    wanted[asked.mediaSessionId] = cause;
    await answer(client, asked, newLeg());
  }));
  const causes = {};
  for (let i = 0; i < 2; i++) {
    const ended = await client.expect('mdisc');
    ended.reply();
    causes[ended.mediaSessionId] = ended.cause;
  }
  assert.deepEqual(causes, wanted);
  await stack.contextsBecome(0);
});

test('a film is halted and sought by its viewer, as far as the operator lets it', async () => {
  const client = await register();
  const method = 'playback.example.org';
  const asked = await ask(client, 'film', { preOfferDescription: preOffer() });
  assert.ok(asked.success, JSON.stringify(asked));
  const { mediaSessionId } = asked;
  const leg = newLeg();
  await answer(client, asked, leg);
  await leg.until((s) => video(s)?.frames > 5 && audio(s)?.packets > 5);
  const playback = async (userData, name = method) => {
    const response = await client.request(name, { mediaSessionId, ...(userData ? { userData } : {}) });
    return response.success ? response.userData : response.problemDetails;
  };
  const told = await playback();
  assert.deepEqual(Object.keys(told).sort(), ['duration', 'paused', 'position', 'seekable']);
  assert.ok(told.position > 0 && Math.abs(told.duration - 20) < 0.1 && !told.paused, JSON.stringify(told));
  assert.equal((await playback({ pause: true })).paused, true);
  assert.deepEqual(await playback(), await playback());
  const far = await playback({ seek: 21 });
  assert.deepEqual([far.status, far.invalidParams[0].param], [400, '/userData/seek']);
  for (const wrong of [{ seek: -1 }, { seek: '1' }, { pause: 1 }, 5])
    assert.equal((await playback(wrong)).cause, 'INVALID_MESSAGE', JSON.stringify(wrong));
  assert.equal((await playback({}, 'playback.example.com')).cause, 'APP_METHOD_UNKNOWN');
  const often = await Promise.all(Array.from({ length: 40 }, () => playback()));
  assert.ok(often.some(({ cause, status }) => cause === 'TOO_MANY_REQUESTS' && status === 429), JSON.stringify(often));
  await new Promise((done) => setTimeout(done, 1000));
  const frames = video(await leg.stats()).frames;
  assert.equal((await playback({ seek: 19, pause: false })).paused, false);
  await leg.until((s) => video(s).frames > frames + 5);
  const ended = await client.expect('mdisc');
  assert.deepEqual([ended.mediaSessionId, ended.cause], [mediaSessionId, 'NORMAL']);
  ended.reply();
  await stack.contextsBecome(0);

  const strict = await ask(client, 'strict', { preOfferDescription: preOffer() });
  const second = newLeg();
  await answer(client, strict, second);
  await second.until((s) => audio(s)?.packets > 5);
  const refused = await client.request(method, { mediaSessionId: strict.mediaSessionId, userData: { pause: true } });
  assert.equal(refused.problemDetails.cause, 'NOT_AUTHORIZED');
  const seen = await client.request(method, { mediaSessionId: strict.mediaSessionId });
  assert.equal(seen.userData.seekable, true);
  await client.request('mdisc', { mediaSessionId: strict.mediaSessionId, cause: 'NORMAL' });
});

test('a shared film is one for all who watch, and nobody leads it elsewhere', async () => {
  const client = await register();
  const watching = [];
  for (let i = 0; i < 3; i++) {
    const asked = await ask(client, 'cinema', { preOfferDescription: preOffer() });
    assert.ok(asked.success, JSON.stringify(asked));
    const leg = newLeg();
    await answer(client, asked, leg);
    await leg.until((s) => video(s)?.frames > 5 && audio(s)?.packets > 5);
    watching.push(asked);
  }
  assert.equal(stack.wmcfctl('status').mediaResources, 1);
  const [{ mediaSessionId }] = watching;
  const refused = await client.request('playback.example.org', { mediaSessionId, userData: { seek: 0 } });
  assert.equal(refused.problemDetails.cause, 'NOT_AUTHORIZED');
  for (const { mediaSessionId: id } of watching)
    assert.ok((await client.request('mdisc', { mediaSessionId: id, cause: 'NORMAL' })).success);
  await stack.contextsBecome(0);
});
