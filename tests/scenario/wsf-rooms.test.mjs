// SPDX-License-Identifier: Apache-2.0
// Conferences (protocol A6, "Rooms") through the real wsf and the real wmcf, with generated legs.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { RoomParticipant, preOffer } from '../support/room-participant.mjs';
import { Stack } from '../support/stack.mjs';

const NAMES = ['ann', 'bea', 'cem', 'dan', 'eve', 'flo', 'gus', 'hal'];
const USERS = Object.fromEntries(NAMES.map((name) => [`${name}@example.org`, `${name}-password`]));
const CONF = `
[store]
file = wsf.db
[room "lecture"]
creators = ann@example.org
joiners = bea@example.org, cem@example.org
capacity = 2
attributes = purpose=lecture
[room "large"]
last_n = 1
loudest_n = 2
display = nothing
[room "any"]
names = *
rooms_max = 2
attributes = purpose=anything
`;

let stack;
const open = [];
before(async () => {
  stack = await Stack.start({ conf: CONF, users: USERS, wmcf: ['media.qos_report_interval=1'] });
});
afterEach(async (t) => {
  if (t.passed === false) console.error(stack.logs());
  await Promise.all(open.splice(0).map((one) => one.close()));
  await stack.contextsBecome(0);
});
after(() => stack?.stop());

async function register(name, members, options) {
  const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
  const webrtcId = `${name}@example.org`;
  const one = await RoomParticipant.register({ url, webrtcId, password: USERS[webrtcId],
    bind: stack.address, members, options });
  open.push(one);
  return one;
}
const others = (all, one) => all.filter((other) => other !== one);
const allSee = (all) => Promise.all(all.map((one) => one.sees(others(all, one), 2)));

test('everybody hears and sees everybody, whoever comes and goes', async () => {
  const all = [];
  for (const name of ['ann', 'bea', 'cem']) {
    all.push(await (await register(name)).join('room/green@example.org'));
    await all.at(-1).until((one) => one.participantId);
  }
  await allSee(all);
  assert.equal(stack.contexts().length, 1);
  await Promise.all(all.flatMap((one) => [one.receives('video', 2), one.receives('audio', 2)]));
  const [ann, bea, cem] = all;
  assert.equal(ann.participants.find((one) => one.participantId === bea.participantId).displayName,
    'bea@example.org');
  // The last one got all with its first offer; the first was asked once more, for the third.
  assert.equal(cem.offers.length, 1);
  assert.ok(ann.offers.length >= 2);
  const former = bea.participantId;
  await bea.leave();
  await allSee([ann, cem]);
  await bea.join('room/green@example.org');
  await bea.until((one) => one.participantId !== former);
  await allSee(all);
  await Promise.all(all.map((one) => one.receives('video', 2)));
});

test('what the media centre measures is told to who understands it, of each medium', async () => {
  const ann = await (await register('ann', { supportedExtension: ['qos-report'] })).join('room/red@example.org');
  const bea = await (await register('bea')).join('room/red@example.org');
  await Promise.all([ann, bea].map((one) => one.receives('video', 1)));
  const measured = (one) => one.requests.flatMap(({ qos = [] }) => qos).filter((entry) => entry.measured);
  const [told] = await ann.until((one) => {
    const all = measured(one).filter((entry) => entry.measured.uplink && entry.measured.downlink?.roundTrip);
    return all.length > 1 && all;
  });
  assert.ok(told.measured.uplink.bitrate > 0 && told.measured.downlink.bitrate > 0, JSON.stringify(told));
  assert.deepEqual(measured(bea), []);
});

test('who may open, who may come in, how many, how many rooms', async () => {
  const [ann, bea, cem, dan] = await Promise.all(NAMES.slice(0, 4).map((name) => register(name)));
  const refused = async (one, room) => {
    const asked = await one.ask(`room/${room}@example.org`);
    assert.equal(asked.success, false);
    assert.ok(asked.mediaSessionId);
    return asked;
  };
  const early = await refused(bea, 'lecture');
  assert.equal(early.problemDetails.cause, 'RESOURCE_NOT_FOUND');
  assert.match(early.problemDetails.detail, /nobody has opened/);
  await ann.join('room/lecture@example.org');
  assert.equal((await refused(dan, 'lecture')).problemDetails.cause, 'NOT_AUTHORIZED');
  await bea.join('room/Lecture@example.org').then(
    () => assert.fail('it is another room, and not open'), (error) => assert.match(error.message, /nobody/));
  await bea.join('room/lecture@example.org');
  const full = await refused(cem, 'lecture');
  assert.equal(full.problemDetails.cause, 'RESOURCES_UNAVAILABLE');
  assert.match(full.problemDetails.detail, /2 places/);
  assert.ok(full.retryAfter > 0);
  await bea.leave();
  await cem.join('room/lecture@example.org');
  await ann.sees([cem], 2);
  // Two others of the second section, and no third one.
  await bea.join('room/one@example.org');
  await dan.join('room/two@example.org');
  const eve = await register('eve');
  assert.equal((await refused(eve, 'three')).problemDetails.cause, 'RESOURCES_UNAVAILABLE');
  const shown = async (one) => (await one.client.request('getinfo', { resources: ['directory'] }))
    .resources.directory;
  assert.deepEqual(await shown(eve), []);
  assert.deepEqual(await shown(bea), [{ resourceId: 'room/lecture@example.org', kind: 'room',
    attributes: { purpose: 'lecture' } }]);
  // A room is left by mdisc, not for something else.
  const changed = await bea.client.request('mupdate', { mediaSessionId: bea.mediaSessionId,
    resourceId: 'room/two@example.org' });
  assert.equal(changed.problemDetails.cause, 'INVALID_STATE');
});

test('only listening, publishing later, and what is said to all', async () => {
  const ann = await (await register('ann')).join('room/green@example.org');
  const bea = await (await register('bea')).join('room/green@example.org',
    { preOfferDescription: preOffer({ video: 'recvonly' }) });
  const cem = await (await register('cem')).join('room/green@example.org',
    { preOfferDescription: preOffer({ video: null }) });
  await ann.until((one) => one.participants.length === 2);
  assert.ok(!/m=video/.test(cem.offers[0].sdpOffer));
  await bea.receives('video', 1);
  await cem.receives('audio', 2);
  const wish = await bea.client.request('mupdate', { mediaSessionId: bea.mediaSessionId,
    preOfferDescription: preOffer() });
  assert.ok(wish.success, JSON.stringify(wish));
  await ann.receives('video', 1);
  assert.equal(cem.offers.every(({ sdpOffer }) => !/m=video/.test(sdpOffer)), true);
  const said = await ann.client.request('say.example.com', { mediaSessionId: ann.mediaSessionId,
    userData: { text: 'hello' } });
  assert.ok(said.success, JSON.stringify(said));
  for (const one of [bea, cem]) {
    const heard = await one.until(({ requests }) => requests.find(({ method }) => method === 'say.example.com'));
    assert.deepEqual([heard.userData, heard.participantId], [{ text: 'hello' }, ann.participantId]);
  }
  const view = (views) => ann.client.request('view.example.org', { mediaSessionId: ann.mediaSessionId,
    userData: { views } });
  const shown = await view([{ mid: '1', width: 640, height: 360 }]);
  assert.ok(shown.success, JSON.stringify(shown));
  for (const wrong of [[{ mid: '0', width: 1, height: 1 }], [{ mid: '1', width: -1, height: 1 }], 'all'])
    assert.equal((await view(wrong)).problemDetails.cause, 'INVALID_MESSAGE');
  const often = await Promise.all(Array.from({ length: 30 }, () => view([])));
  assert.ok(often.some(({ problemDetails }) => problemDetails?.cause === 'TOO_MANY_REQUESTS'));
  const burst = await Promise.all(Array.from({ length: 30 }, () =>
    ann.client.request('say.example.com', { mediaSessionId: ann.mediaSessionId })));
  const { problemDetails } = burst.find(({ success }) => !success);
  assert.equal(problemDetails.cause, 'TOO_MANY_REQUESTS');
});

test('who refuses more m-lines stays without them', async () => {
  const [ann, bea] = [await register('ann'), await register('bea')];
  for (const one of [ann, bea]) await one.join('room/green@example.org');
  await allSee([ann, bea]);
  ann.refuses = true;
  const cem = await (await register('cem')).join('room/green@example.org');
  await Promise.all([bea, cem].map((one) => one.sees(others([ann, bea, cem], one), 2)));
  await ann.until(({ requests }) => requests.filter(({ sdpOffer }) => sdpOffer).length > 0);
  await ann.sees([bea, cem]);
  assert.deepEqual(ann.participants.map(({ mids }) => mids.length).sort(), [0, 2]);
  await ann.receives('video', 1);
  // Asked again with the next change only, and taken then.
  ann.refuses = false;
  await (await register('dan')).join('room/green@example.org');
  await ann.until(({ participants }) => participants.length === 3 &&
    participants.every(({ mids }) => mids.length === 2));
  assert.equal(ann.ended, undefined);
});

test('who is lost goes after the time to live, the others stay', async () => {
  const ann = await (await register('ann')).join('room/green@example.org');
  const bea = await (await register('bea', { disconnectionTtl: 1 })).join('room/green@example.org');
  await ann.until((one) => one.participants.length === 1);
  await bea.client.cut();
  await ann.until((one) => one.participants.length === 0);
  await stack.contextsBecome(1);
});

test('kill -9 of wsf: nobody notices, and the room goes on', async () => {
  const ann = await (await register('ann')).join('room/green@example.org');
  const bea = await (await register('bea')).join('room/green@example.org');
  await allSee([ann, bea]);
  await stack.stored();
  await stack.wsf.kill();
  await stack.wsf.start();
  await stack.ready();
  for (const one of [ann, bea]) {
    await one.connect();
    assert.deepEqual(one.auth.mediaSessions.map((session) => session.mediaSessionId), [one.mediaSessionId]);
    await one.receives('video', 1);
  }
  const cem = await (await register('cem')).join('room/green@example.org');
  const all = [ann, bea, cem];
  await allSee(all);
  await Promise.all(all.map((one) => one.receives('video', 2)));
  assert.equal(stack.contexts().length, 1);
  // Again, while one has an offer that it has not answered.
  ann.ignores = true;
  const heard = ann.requests.length;
  const dan = await (await register('dan')).join('room/green@example.org');
  await ann.until(({ requests }) => requests.slice(heard).some(({ sdpOffer }) => sdpOffer));
  await stack.stored();
  await stack.wsf.kill();
  await stack.wsf.start();
  await stack.ready();
  ann.ignores = false;
  all.push(dan);
  await Promise.all(all.map((one) => one.connect()));
  await allSee(all);
  await Promise.all(all.map((one) => one.receives('video', 3)));
  for (const one of all) await one.leave();
  await stack.contextsBecome(0);
});

test('a media centre that drains keeps its rooms open; one that dies ends them', async () => {
  const ann = await (await register('ann')).join('room/green@example.org');
  const [bea, cem] = [await register('bea'), await register('cem')];
  stack.wmcfctl('drain');
  await stack.says(/media centre/);
  assert.equal((await cem.ask('room/blue@example.org')).problemDetails.cause, 'RESOURCES_UNAVAILABLE');
  await bea.join('room/green@example.org');
  await ann.sees([bea], 2);
  stack.wmcfctl('undrain');
  await stack.ready();
  await stack.wmcf.kill();
  await stack.wmcf.start();
  for (const one of [ann, bea])
    assert.equal((await one.until(({ ended }) => ended)).cause, 'MEDIA_FAILURE');
  await stack.ready();
  await cem.join('room/green@example.org');
  assert.deepEqual(cem.participants, []);
});

test('eight come at once; where one comes and goes the others see no gap', async () => {
  const all = await Promise.all(NAMES.map((name) => register(name)));
  await Promise.all(all.map((one) => one.join('room/green@example.org')));
  await allSee(all);
  const seen = (stats) => stats.receive.filter(({ kind, packets }) => kind === 'video' && packets > 5);
  await Promise.all(all.map(({ leg }) => leg.until((stats) => seen(stats).length === 7)));
  const [hal, ...stay] = all.toReversed();
  const before = await Promise.all(stay.map(({ leg }) => leg.stats()));
  for (let round = 0; round < 2; round++) {
    await hal.leave();
    await Promise.all(stay.map((one) => one.sees(others(stay, one), 2)));
    await hal.join('room/green@example.org');
    await allSee(all);
    await hal.leg.until((stats) => seen(stats).length === 7);
  }
  for (const [index, { leg }] of stay.entries()) {
    const now = await leg.stats();
    // The same streams, whole, in the same places; but for the one that came and went.
    const kept = before[index].receive.filter(({ ssrc }) => {
      const one = now.receive.find((other) => other.ssrc === ssrc);
      return one && one.jumps === 0 && one.lost * 100 < one.packets;
    });
    assert.ok(kept.length >= 2 * 6, JSON.stringify(now.receive));
    assert.equal(now.receive.length, before[index].receive.length);
  }
});

test('in a large room pictures follow speech, and all are told who speaks', async () => {
  const all = [];
  for (const name of ['ann', 'bea', 'cem', 'dan'])
    all.push(await (await register(name, {}, { levels: true })).join('room/large@example.org'));
  await Promise.all(all.map((one) => one.until(({ participants }) => participants.length === 3)));
  const video = ({ told }, mids) => mids.filter((mid) => told.get(mid) === 'video').length;
  for (const speaker of [all[2], all[0]]) {
    await speaker.leg.command('speak', { index: 0, steps: [[0, 20]] });
    await Promise.all(all.map((one) => one.until(({ activeSpeaker }) => activeSpeaker === speaker.participantId)));
    await Promise.all(others(all, speaker).map((one) => one.until(({ participants }) => {
      const pictures = participants.filter(({ mids }) => video(one, mids) > 0);
      return pictures.length === 1 && pictures[0].participantId === speaker.participantId;
    })));
    await speaker.leg.command('speak', { index: 0, steps: [[0, 127]] });
  }
  for (const one of all) {
    assert.ok(one.participants.every(({ displayName }) => displayName === undefined));
    assert.equal([...one.told.values()].filter((kind) => kind === 'video').length, 1);
    assert.ok([...one.told.values()].filter((kind) => kind === 'audio').length <= 2);
  }
});
