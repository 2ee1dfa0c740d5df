// SPDX-License-Identifier: Apache-2.0
// Who has no codec in common gets a picture nevertheless, where the operator permits it: calls and rooms
// through the real wsf and the real wmcf, with generated legs that send VP8 and others that take H264.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { FakeWmcf } from '../support/fake-wmcf.mjs';
import { RoomParticipant, preOffer } from '../support/room-participant.mjs';
import { Stack } from '../support/stack.mjs';
import { Wsf, answerTo, invite } from '../support/wsf.mjs';

const NAMES = ['ann', 'bea', 'cem', 'dan'];
const USERS = Object.fromEntries(NAMES.map((name) => [`${name}@example.org`, `${name}-password`]));
const CONF = `
[store]
file = wsf.db
[transcode]
video = yes
max = 4
video_parameters = width=320, height=180, framerate=15
video_bitrate = 300000
[room "any"]
names = *
[resource "test"]
parameters = width=320, height=180, video=H264
`;

let stack;
const open = [];
before(async () => {
  stack = await Stack.start({ conf: CONF, users: USERS });
});
afterEach(async (t) => {
  if (t.passed === false) console.error(stack.logs());
  await Promise.all(open.splice(0).map((one) => one.close()));
  await stack.contextsBecome(0);
});
after(() => stack?.stop());

async function register(name, options = {}) {
  const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
  const webrtcId = `${name}@example.org`;
  const one = await RoomParticipant.register({ url, webrtcId, password: USERS[webrtcId], bind: stack.address, options });
  open.push(one);
  return one;
}
const H264 = { h264: true };
const SEES_ONLY = { preOfferDescription: preOffer({ video: 'recvonly', codec: 'H264' }) };
const videos = (stats) => stats.receive.filter((one) => one.kind === 'video');
/** Frames of so many videos go on coming. */
async function sees(one, streams = 1, frames = 10) {
  const before = new Map(videos(await one.leg.stats()).map((v) => [v.ssrc, v.frames]));
  return one.leg.until((stats) => videos(stats).filter((v) => v.frames >= (before.get(v.ssrc) ?? 0) + frames).length >= streams, 15);
}
const metric = async (name) =>
  Number(new RegExp(`^wsf_${name} (\\S+)`, 'm').exec(await (await fetch(`${stack.url}metrics`)).text())?.[1]);
async function metricBecomes(name, value) {
  for (const end = Date.now() + 15_000; (await metric(name)) !== value;) {
    assert.ok(Date.now() < end, `${name} is ${await metric(name)} and not ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
const transcoders = (count) => metricBecomes('transcoders', count);

test('a call between VP8 and H264 is converted, as long as it must be', { timeout: 150_000 }, async () => {
  const [ann, bea] = [await register('ann'), await register('bea', H264)];
  await ann.call(bea);
  const formats = (sdp) => [...sdp.matchAll(/^a=rtpmap:\d+ (VP8|VP9|H264|AV1)\//gm)].map(([, name]) => name);
  assert.deepEqual([...new Set(formats(bea.offers[0].sdpOffer))], ['VP8', 'H264']);
  assert.deepEqual([...new Set(formats(ann.offers[0].sdpOffer))], ['VP8']);
  await transcoders(1);
  const stats = await sees(bea);
  assert.equal(videos(stats)[0].lost, 0);
  await bea.receives('audio', 1);

  // Nothing to be converted on hold, and again afterwards.
  const wish = async (direction) => {
    const asked = await ann.client.request('mupdate', { mediaSessionId: ann.mediaSessionId,
      preOfferDescription: preOffer({ video: direction }) });
    assert.ok(asked.success, JSON.stringify(asked));
  };
  await wish('inactive');
  await transcoders(0);
  await wish('sendrecv');
  await transcoders(1);
  await sees(bea);
});

test('what needs no conversion has none, and what cannot be converted is refused in words', { timeout: 150_000 }, async () => {
  const [ann, bea, cem] = [await register('ann'), await register('bea'), await register('cem', H264)];
  await ann.call(bea);
  await sees(bea);
  await sees(ann);
  assert.equal(await metric('transcoders'), 0);
  assert.equal(ann.offers.length + bea.offers.length, 2);
  await ann.leave();
  // What the network itself gives is converted as well.
  const { offers } = await ann.join('media/test@example.org');
  assert.ok(!/H264/.test(offers.at(-1).sdpOffer));
  await sees(ann);
  await transcoders(1);
  await ann.leave();
  // AV1 is nothing that the template takes: refused in words, to both.
  await ann.ask('cem@example.org', { preOfferDescription: preOffer({ audio: null, codec: 'AV1' }) });
  await ann.until((one) => one.ended);
  assert.equal(ann.ended.problemDetails.cause, 'SDP_NOT_ACCEPTABLE', JSON.stringify(ann.ended));
  assert.match(ann.ended.problemDetails.detail, /video with AV1.*converts VP8, VP9, H264 into H264, VP8 only/);
  await cem.until((one) => one.fault);
  assert.match(cem.fault.message, /video with AV1.*converts VP8, VP9, H264 into H264, VP8 only/);
});

test('a room shows who takes H264 alone the others, and the others notice nothing', { timeout: 150_000 }, async () => {
  const converted = stack.wsf.log.match(/is converted into/g).length;
  const all = [];
  for (const name of ['ann', 'bea']) all.push(await (await register(name)).join('room/green@example.org'));
  const [ann, bea] = all;
  await sees(bea);
  const before = videos(await bea.leg.stats())[0];
  const cem = await (await register('cem', H264)).join('room/green@example.org', SEES_ONLY);
  await transcoders(2);
  await sees(cem, 2);
  await cem.sees([ann, bea], 2);
  const [now] = videos(await bea.leg.stats());
  assert.deepEqual([now.ssrc, now.lost], [before.ssrc, 0]);
  // Another one shares what is there, and his wish for a key frame is the encoder's business.
  const dan = await (await register('dan', H264)).join('room/green@example.org', SEES_ONLY);
  await sees(dan, 2);
  await transcoders(2);
  await sees(bea);
  const [then] = videos(await bea.leg.stats());
  assert.deepEqual([then.ssrc, then.lost, then.keyFrames], [now.ssrc, 0, now.keyFrames]);

  // A restart of the signalling function finds them again, and nobody notices.
  await metricBecomes('store_waiting', 0);
  await stack.wsf.kill();
  await stack.wsf.start();
  await stack.ready();
  await transcoders(2);
  const four = [ann, bea, cem, dan];
  await Promise.all(four.map((one) => one.connect()));
  await sees(dan, 2);
  for (const one of [cem, dan])
    assert.deepEqual(videos(await one.leg.stats()).map((v) => [v.lost, v.jumps]), [[0, 0], [0, 0]]);
  assert.equal(stack.wsf.log.match(/is converted into/g).length - converted, 2);
  await cem.leave();
  await dan.leave();
  await transcoders(0);
  await sees(bea);
});

// A media centre that does what the test says: the requests, and what becomes of failures.
test('one that fails is tried again, in both directions, within what the receiver wants', { timeout: 150_000 }, async (t) => {
  const wsf = await Wsf.start(['transcode.video=yes', 'transcode.video_parameters=width=320']);
  t.after(() => wsf.stop());
  const fake = wsf.wmcf;
  const asked = [];
  let good = false;
  fake.overrides.add = (message, own) => {
    if (!message.pipeline) return own();
    asked.push(message);
    if (!good) throw FakeWmcf.problem(502, 'WMCF_ERROR');
    const [terminationId, { contextId }] = [`p-${asked.length}`, message];
    fake.contexts.get(contextId).terminations.set(terminationId,
      { contextId, terminationId, codec: message.pipeline.parameters.video, template: { medias: [] }, flowStatus: 'ENABLED' });
    return { contextId, terminationId, medias: [] };
  };
  const [alice, bob] = await Promise.all(['alice@example.org', 'bob@example.org'].map((id) => wsf.register(id)));
  const [a, [invitation]] = await invite(alice, bob.webrtcId, [bob], { preOfferDescription: preOffer() });
  const answer = (sdp, codec) => answerTo(sdp).split('\r\n').filter((line) => !/rtpmap:\d+ (VP8|H264)/.test(line) || line.includes(codec))
    .map((line) => (/^m=video/.test(line) ? line.replace(/96 102/, codec === 'VP8' ? '96' : '102') : line))
    .flatMap((line) => (/^m=video/.test(line) && codec === 'H264' ? [line, 'b=AS:200'] : [line])).join('\r\n');
  assert.match(invitation.sdpOffer, /VP8[^]*H264/);
  const taken = await bob.request('mupdate', { mediaSessionId: invitation.mediaSessionId,
    sdpAnswer: answer(invitation.sdpOffer, 'H264'), offerId: invitation.offerId });
  assert.ok(taken.success, JSON.stringify(taken));
  const offer = await alice.expect('mupdate');
  offer.reply();
  assert.ok(!/H264/.test(offer.sdpOffer), offer.sdpOffer);
  const agreed = await alice.request('mupdate', { mediaSessionId: a, sdpAnswer: answer(offer.sdpOffer, 'VP8'), offerId: offer.offerId });
  assert.ok(agreed.success, JSON.stringify(agreed));
  // Only sound is routed directly; nothing is made before the gates are open.
  const [bobs, alices] = fake.terminations;
  assert.deepEqual(alices.routes.map(({ from }) => from.mid), ['0', '0']);
  assert.equal(asked.length, 0);
  await fake.connectAll();
  await wsf.until(() => asked.length === 2);
  good = true;
  await wsf.until(() => asked.length === 4);
  const wanted = (target) => asked.slice(2).find(({ pipeline }) => pipeline.parameters.video === target);
  const towards = (target, from, to, bitrate) => {
    const { pipeline, inputs, terminationId, appData } = wanted(target);
    assert.deepEqual(pipeline, { template: 'transcode', parameters: { width: 320, video: target, bitrate } });
    assert.deepEqual(inputs, [{ terminationId: from.terminationId, mid: '1' }]);
    assert.equal(terminationId, undefined);
    assert.deepEqual(appData.to, { terminationId: to.terminationId, mid: '1' });
  };
  towards('H264', alices, bobs, 200_000);
  towards('VP8', bobs, alices, 800_000);
  const routed = await wsf.until(() => {
    const all = fake.requests('modify').filter(({ terminationId }) => /^p-/.test(terminationId));
    return all.length === 2 && all;
  });
  for (const { terminationId, routes } of routed)
    assert.deepEqual(routes[0].from, { terminationId, mid: 'video' });
  // It breaks: another one takes its place, and the call goes on.
  await wsf.until(async () => (await wsf.metric('transcoders')) === 2);
  const broken = fake.terminations.find(({ codec }) => codec === 'H264');
  await fake.notify(broken, 'resourceFailure', { reason: 'a test' });
  await wsf.until(() => asked.length === 5);
  assert.equal(asked[4].pipeline.parameters.video, 'H264');
  await wsf.until(async () => (await wsf.metric('transcoders')) === 2);
  // Another codec in the midst of the call makes them needless.
  const wish = await alice.request('mupdate', { mediaSessionId: a, preOfferDescription: preOffer({ codec: 'H264' }) });
  assert.ok(wish.success, JSON.stringify(wish));
  const anew = await alice.expect('mupdate');
  anew.reply();
  assert.ok(!/VP8/.test(anew.sdpOffer), anew.sdpOffer);
  const again = await alice.request('mupdate', { mediaSessionId: a, sdpAnswer: answerTo(anew.sdpOffer), offerId: anew.offerId });
  assert.ok(again.success, JSON.stringify(again));
  await wsf.until(async () => (await wsf.metric('transcoders')) === 0);
  assert.deepEqual(alices.routes.map(({ from }) => from.mid), ['0', '0', '1', '1']);
  await wsf.until(() => fake.terminations.length === 2);
  assert.equal(await wsf.metric('calls_ended_total'), 0);
});

test('without permission nothing more is offered, and a refusal says so', { timeout: 150_000 }, async (t) => {
  const wsf = await Wsf.start();
  t.after(() => wsf.stop());
  const [alice, bob] = await Promise.all(['alice@example.org', 'bob@example.org'].map((id) => wsf.register(id)));
  const [, [invitation]] = await invite(alice, bob.webrtcId, [bob], { preOfferDescription: preOffer({ audio: null }) });
  assert.ok(!/H264/.test(invitation.sdpOffer));
  const refused = await bob.request('mupdate', { mediaSessionId: invitation.mediaSessionId,
    sdpAnswer: answerTo(invitation.sdpOffer).replace('m=video 9', 'm=video 0'), offerId: invitation.offerId });
  const words = /\(video with VP8\), and this network converts no codec into another/;
  assert.deepEqual([refused.problemDetails.status, refused.problemDetails.cause], [422, 'SDP_NOT_ACCEPTABLE']);
  assert.match(refused.problemDetails.detail, words);
  const over = await alice.expect('mdisc');
  over.reply();
  assert.equal(over.problemDetails.cause, 'SDP_NOT_ACCEPTABLE');
  assert.match(over.problemDetails.detail, words);
  (await bob.expect('mdisc')).reply();
  // Of H264 both have a profile in common, and each hears the level of the other (RFC 6184 8.2.2).
  const form = (level) => `H264;packetization-mode=1;profile-level-id=${level}`;
  const said = (levels) => levels.map((level, i) => `a=rtpmap:${102 + i} H264/90000\r\na=fmtp:${102 + i} ` +
    `${form(level).slice(5)};level-asymmetry-allowed=1`).join('\r\n');
  const both = preOffer({ codec: 'H264' }).replace(/m=video (\d+ \S+) 97/, 'm=video $1 102 103')
    .replace(/a=rtpmap:97 .*/, said(['64001f', '42e01f']));
  const adds = wsf.wmcf.requests('add').length;
  const [, [asked]] = await invite(alice, bob.webrtcId, [bob], { preOfferDescription: both });
  const forms = () => wsf.wmcf.requests('add').slice(adds).map(({ offerTemplate }) => offerTemplate.medias[1].formats);
  assert.deepEqual(forms(), [[form('64001f'), form('42e01f')]]);
  const taken = await bob.request('mupdate', { mediaSessionId: asked.mediaSessionId, offerId: asked.offerId,
    sdpAnswer: answerTo(asked.sdpOffer).replace(/a=rtpmap:102 .*/, said(['42e00c'])) });
  assert.ok(taken.success, JSON.stringify(taken));
  (await alice.expect('mupdate')).reply();
  assert.deepEqual(forms()[1], [form('42e00c')]);
});
