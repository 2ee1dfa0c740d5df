// SPDX-License-Identifier: Apache-2.0
// Pipelines of the operator's through the real wsf and the real wmcf. Rooms whose sound is mixed: each
// hears the others and not itself, on the one m-line that it has, whoever comes and goes and whatever is
// restarted. Calls with a filter in the path, by rows of the policy table: what both sides see and hear.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { RoomParticipant, preOffer } from '../support/room-participant.mjs';
import { decibel, flows, look, side, vp8Bars } from '../support/speaking-leg.mjs';
import { Stack, until } from '../support/stack.mjs';
import { Hearer, opusTone } from '../support/tones.mjs';

const NAMES = ['ann', 'bea', 'cem', 'dan'];
const TONES = [500, 900, 1300];
const USERS = Object.fromEntries(NAMES.map((name) => [`${name}@example.org`, `${name}-password`]));
const CONF = `
[store]
file = wsf.db
[room "mixed"]
mix = audio
mix_parameters = bitrate=24000
[room "broken"]
mix = audio
mix_template = fragile
[policy "filtered"]
from = ann@*
to = bea@*
side = caller
media_path = flip
media_path_parameters = volume=0.5
[policy "careless"]
from = bea@*
to = ann@*
side = caller
media_path = stops
media_path_failure = bypass
[policy "strict"]
from = dan@*
to = cem@*
media_path = stops
`;
// A member's part breaks at its twentieth packet.
const FRAGILE = `input member* audio opus
wmcfmix name=mix
each member: wmcfsrc mid=\${member} ! identity error-after=20 ! rtpopusdepay ! opusdec ! mix.sink_\${member}
each member: mix.src_\${member} ! opusenc ! rtpopuspay pt=111 ! wmcfsink mid=\${member} sync=false
`;
const STOPS = `filter
input sound audio opus
wmcfsrc mid=sound ! identity error-after=20 ! rtpopusdepay ! rtpopuspay ! wmcfsink mid=sound
`;

let stack, folder, tones, bars;
const open = [];
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'wsf-mix-'));
  writeFileSync(join(folder, 'fragile.pipeline'), FRAGILE);
  writeFileSync(join(folder, 'stops.pipeline'), STOPS);
  bars = await vp8Bars();
  tones = await Promise.all(TONES.map((frequency) => opusTone(frequency)));
  stack = await Stack.start({ conf: CONF, users: USERS, wmcf: [`pipelines.folder=${folder}`, 'limits.pipeline_members=3'] });
});
afterEach(async (t) => {
  if (t.passed === false) console.error(stack.logs());
  await Promise.all(open.splice(0).map((one) => one.close()));
  await stack.contextsBecome(0);
});
after(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true });
});

const SOUND = { preOfferDescription: preOffer({ video: '' }) };

async function register(n, options) {
  const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
  const webrtcId = `${NAMES[n]}@example.org`;
  const one = await RoomParticipant.register({ url, webrtcId, password: USERS[webrtcId], bind: stack.address, options });
  open.push(one);
  return one;
}
/** Somebody who speaks in a tone of their own, in a room. */
async function speaker(n, room, members = SOUND) {
  const one = await register(n);
  await come(one, n, room, members);
  return one;
}
async function come(one, n, room, members = SOUND) {
  await one.join(`room/${room}@example.org`, members);
  await one.leg.command('tone', { index: 0, payloads: tones[n] });
  one.hearer = new Hearer(one.leg, folder, n);
}
/** Each hears the tones of the others that are in, and no other. */
const allHear = (all) => Promise.all(all.map((one) => one && one.hearer.hears(
  TONES.filter((_, i) => all[i] && all[i] !== one),
  TONES.filter((_, i) => !all[i] || all[i] === one), 30)));

test('each hears the others and not itself, and nobody has a gap when one comes and goes', async () => {
  const all = [await speaker(0, 'mixed'), await speaker(1, 'mixed')];
  await allHear(all);
  all.push(await speaker(2, 'mixed'));
  await allHear(all);
  await Promise.all(all.map((one) => one.until(({ participants }) => participants.length === 2)));
  for (const one of all) assert.deepEqual([...one.told.values()], ['audio']);
  // The media centre mixes no more than three, so a fourth would not be heard.
  const dan = await register(3);
  const { problemDetails: full } = await dan.ask('room/mixed@example.org', SOUND);
  assert.deepEqual([full.status, full.cause, full.detail], [503, 'RESOURCES_UNAVAILABLE',
    'the room is full: its media centre mixes 3 participants at most (limits.pipeline_members)']);
  assert.match(stack.wsf.log, /mixed[^ ]* has 32 places, but the media centre mixes 3 participants at most/);
  const cem = all.pop();
  await cem.leave();
  await allHear(all);
  await come(cem, 2, 'mixed');
  all.push(cem);
  await allHear(all);
  for (const one of all.slice(0, 2)) {
    const { receive: [sound] } = await one.leg.stats();
    assert.equal(sound.lost, 0, JSON.stringify(sound));
  }
});

test('kill -9 of wsf: the same mixer goes on, and takes who comes later', async () => {
  const all = [await speaker(0, 'mixed'), await speaker(1, 'mixed')];
  await allHear(all);
  await stack.stored();
  await stack.wsf.kill();
  await stack.wsf.start();
  await stack.ready();
  for (const one of all) await one.connect();
  all.push(await speaker(2, 'mixed'));
  await allHear(all);
  assert.equal(stack.wmcfctl('status').mediaResources, 1);
});

test('pictures are selected as in any room; whose part breaks is mixed again', async () => {
  const all = [await speaker(0, 'broken', {}), await speaker(1, 'broken', {})];
  await Promise.all(all.map((one) => one.receives('video', 1)));
  await stack.wsf.says(/a participant of room\/broken@example\.org is not mixed any more/);
  await Promise.all(all.map((one) => one.receives('audio', 1)));
});

/** One calls another one; what they send can be seen and heard. */
async function call(one, other) {
  await one.call(other);
  for (const { leg } of [one, other]) {
    await leg.command('tone', { index: 0, payloads: tones[0] });
    await leg.command('tone', { index: 1, payloads: bars });
  }
  await Promise.all([one, other].map((each) => flows(each)));
}
const filters = () => stack.contexts().flatMap(({ terminationIds }) => terminationIds)
  .map((id) => stack.wmcfctl('termination', id).termination.filter?.state);

test('what one side sends is turned round and halved by a row of the policy, and a call beside is as ever', async () => {
  const [ann, bea, cem, dan] = await Promise.all([0, 1, 2, 3].map((n) => register(n, { fps: 15 })));
  await Promise.all([call(cem, dan), call(ann, bea)]);
  const [turned, back, beside] = await Promise.all([bea, ann, dan].map((one) => look(one, folder, TONES[0])));
  assert.deepEqual([turned, back, beside].map(side), ['turned', 'straight', 'straight']);
  assert.ok(Math.abs(decibel(turned, beside) + 6.02) < 0.5, `${decibel(turned, beside)} dB`);
  assert.ok(Math.abs(decibel(back, beside)) < 0.5, `${decibel(back, beside)} dB`);
  for (const { receive } of await Promise.all([ann, dan].map(({ leg }) => leg.stats())))
    assert.deepEqual(receive.map(({ lost, jumps }) => [lost, jumps]), [[0, 0], [0, 0]]);
});

test('a filter that stops lets media go by, or takes its call with it, as its row says', async () => {
  const [ann, bea, cem, dan] = await Promise.all([0, 1, 2, 3].map((n) => register(n, { fps: 15 })));
  await call(bea, ann);
  await until(() => filters().includes('bypassed'), 15_000, () => `filters are ${filters()}`);
  const past = await look(ann, folder, TONES[0]);
  assert.equal(side(past), 'straight');
  assert.ok(past.loudness > 0.1, JSON.stringify(past));
  await dan.call(cem);
  for (const one of [dan, cem]) await one.until(({ ended }) => ended?.cause === 'MEDIA_FAILURE');
});
