// SPDX-License-Identifier: Apache-2.0
// Meshes over the control link: whom each one gets, chosen by speech, and that those who are not
// concerned by a change notice nothing of it. Media by generated legs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshParticipant, SILENCE, SPEECH } from '../support/mesh-participant.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

let wmcf, link;
before(async () => {
  wmcf = await Wmcf.start();
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

async function until(what, done, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (let value; !(value = await done()); await sleep(50))
    if (Date.now() > deadline) throw new Error(`has not happened: ${what}`);
}

/** `n` participants of a new context; all slots there. */
async function room(n, mesh, options) {
  const first = await MeshParticipant.join(link, { mesh }, options);
  const people = [first];
  while (people.length < n)
    people.push(await MeshParticipant.join(link, { contextId: first.contextId, mesh }, options));
  await settled(people);
  return people;
}
const settled = (people) => Promise.all(people.map((one) => one.settled()));
async function end(people) {
  assert.ok((await link.request('subtract', { contextId: people[0].contextId })).success);
  await Promise.all(people.map((one) => one.leg.close()));
}
const audit = async (one) => link.request('audit', { contextId: one.contextId });

/** mids of the slots of a type by whom they show, as the audit tells. */
function shown(termination, kind) {
  return Object.fromEntries(termination.medias.filter((m) => m.mediaType === kind && m.source)
    .map((m) => [m.source.terminationId, m.mid]));
}
/** Whom each participant is shown, checked against what was told of it: terminationId → {who: mid}. */
async function views(people, kind) {
  const { terminations } = await audit(people[0]);
  return new Map(terminations.map((t) => [t.terminationId, shown(t, kind)]));
}
/** Everybody sees exactly those; the view of one who is among them: those, and so many others. */
async function untilSeen(people, wanted, n) {
  await until(`seen: ${wanted}`, async () => {
    const all = await views(people, 'video');
    return people.every((one) => {
      const view = all.get(one.terminationId);
      return Object.keys(view).length === n && !view[one.terminationId] &&
        wanted.every((id) => id === one.terminationId || view[id]);
    });
  });
}
/** The pictures that are shown arrive, in the slots that are told. */
async function untilArrived(people, kind = 'video') {
  const ssrcs = Object.fromEntries(people.map((one) => [one.terminationId, one.ssrcs[kind]]));
  await Promise.all(people.map((one) => until(`${kind} arrives at ${one.terminationId}`, async () => {
    const { receive } = await one.leg.stats();
    const told = Object.entries(one.sources).filter(([, source]) => source);
    return told.every(([mid, { terminationId }]) => {
      const slot = receive.findLast((r) => r.mid === mid);
      return slot?.kind !== kind ? slot !== undefined : slot.origin === ssrcs[terminationId];
    });
  })));
}
const untouched = (r) => r.lost === 0 && r.jumps === 0 && r.broken === 0;

test('thirty with lastN 4: each gets four videos, chosen by speech', { timeout: 90_000 }, async () => {
  const N = 4;
  const began = Date.now();
  const people = await room(30, { lastN: N, loudestN: 3 }, { slots: N });
  const ids = people.map((one) => one.terminationId);
  // At first those who came first.
  await untilSeen(people, ids.slice(0, N), N);
  await untilArrived(people);
  const asked = people.map((one) => one.asked);
  const speakers = [29, 12, 7, 20, 25];
  for (const [turn, i] of speakers.entries()) {
    await people[i].speak(SPEECH);
    await until(`${i} leads`, () => people.every((one) => one.speakers.at(-1)?.terminationId === ids[i]));
    const last = speakers.slice(0, turn + 1).reverse().slice(0, N).map((who) => ids[who]);
    await untilSeen(people, last, N);
    assert.equal((await audit(people[0])).activeSpeaker.terminationId, ids[i]);
    await people[i].speak(SILENCE);
  }
  await untilArrived(people);
  // The last speaker sees those who spoke before him.
  const view = (await views(people, 'video')).get(ids[25]);
  assert.deepEqual(Object.keys(view).sort(), [20, 7, 12, 29].map((i) => ids[i]).sort());
  for (const [i, one] of people.entries()) {
    const videos = (await one.received('video')).filter((r) => r.packets > 0);
    assert.equal(videos.length, N);
    assert.ok(videos.every(untouched), JSON.stringify(videos));
    assert.equal(one.asked, asked[i], 'nobody has to negotiate');
    assert.ok(one.asked <= N, `${one.asked}`); // one for each slot at most
    const { send } = await one.leg.stats();
    // Thirty who wait for one picture ask for it together, twice a second at most.
    const requests = 2 * (Date.now() - began) / 1000 + 2;
    assert.ok(send.find((s) => s.kind === 'video').pliReceived <= requests, JSON.stringify(send));
  }
  // The voices of speakers were heard by all the others.
  for (const one of people) {
    const heard = new Set((await one.received('audio')).flatMap((r) => Object.keys(r.origins)));
    for (const i of speakers)
      assert.equal(heard.has(String(people[i].ssrcs.audio)), people[i] !== one);
    assert.ok((await one.received('audio')).every(untouched));
  }
  await end(people);
});

test('who joins or leaves is no interruption to the others', { timeout: 150_000 }, async () => {
  const [a, b, c, ...others] = await room(6);
  const stay = [a, b, c];
  const all = [...stay, ...others];
  // Slots are asked for at most every 200 ms: the last of them may come a little later.
  await until('all have slots for all', () => all.every((one) =>
    Object.values(one.sources).filter((source) => source).length === 2 * (all.length - 1)));
  await settled(all);
  await untilArrived(all);
  const asked = stay.map((one) => one.asked);
  const requests = async () => Promise.all(stay.map(async (one) =>
    (await one.leg.stats()).send.find((s) => s.kind === 'video').pliReceived));
  const before = await requests();
  for (let round = 0; round < 3; round++) {
    const gone = others.shift();
    await gone.leave();
    await until('its slots are empty', () => stay.every((one) =>
      Object.values(one.sources).every((source) => source?.terminationId !== gone.terminationId)));
    others.push(await MeshParticipant.join(link, { contextId: a.contextId }));
    await settled(others);
    await until('they are seen', () => stay.every((one) => others.every((other) =>
      Object.values(one.sources).some((source) => source?.terminationId === other.terminationId))));
    await untilArrived([...stay, ...others]);
  }
  assert.deepEqual(stay.map((one) => one.asked), asked, 'the slots were there');
  // One for each who came, and some more where it takes its time: twice a second the media centre asks
  // again, and who waits for a picture does so, too.
  const again = await Promise.all(others.map((one) => one.received('video')));
  for (const [i, requested] of (await requests()).entries()) {
    const late = again.flat().filter((r) => r.origins[stay[i].ssrcs.video]);
    const most = 4 * others.length + late.reduce((sum, r) => sum + r.pliSent, 0);
    assert.ok(requested - before[i] <= most, `${requested - before[i]} key frames asked of one, not ${most}`);
  }
  for (const one of stay) {
    for (const other of stay.filter((who) => who !== one)) {
      // One stream in this slot all along, and nothing of it is missing.
      const slots = (await one.received('video')).filter((r) => r.origins[other.ssrcs.video]);
      assert.equal(slots.length, 1);
      assert.equal(Object.keys(slots[0].origins).length, 1);
      assert.equal(slots[0].sourceLost, 0);
    }
  }
  for (const one of [...stay, ...others])
    for (const kind of ['audio', 'video'])
      assert.ok((await one.received(kind)).every(untouched));
  // One closes without a word to the control link: his picture does not stand still until he is subtracted.
  const [closed] = others;
  await closed.leg.command('close');
  await until('its slots are empty', () => stay.every((one) =>
    Object.values(one.sources).every((source) => source?.terminationId !== closed.terminationId)));
  await end([...stay, ...others]);
});

test('who leaves as soon as a result has told of him is gone from it', { timeout: 90_000 }, async () => {
  const people = await room(2);
  const [a] = people;
  for (let round = 0; round < 4; round++) {
    const hasty = await MeshParticipant.join(link, { contextId: a.contextId });
    await settled(people);
    await hasty.leave();
    await until('his slots are empty', () =>
      Object.values(a.sources).every((source) => source?.terminationId !== hasty.terminationId));
    people.push(await MeshParticipant.join(link, { contextId: a.contextId }));
    await settled(people);
  }
  await end(people);
});

test('a WSF that is busy is not asked again for the same', { timeout: 90_000 }, async () => {
  const mesh = { lastN: 3, loudestN: 1 };
  const began = Date.now();
  const a = await MeshParticipant.join(link, { mesh }, { busy: true });
  const people = [a];
  const grow = async (n) => {
    while (people.length < n)
      people.push(await MeshParticipant.join(link, { contextId: a.contextId }));
    await settled(people.slice(1));
  };
  const slots = () => a.template?.medias.filter((m) => m.mediaType === 'video').length;
  await grow(3);
  await until('a second slot is asked for', () => slots() === 2);
  // With the third one nothing more can be missing, whoever joins.
  await grow(6);
  await until('a third one is asked for', () => slots() === 3);
  const { asked } = a;
  await until('it is told again, late', () => a.asked > asked);
  assert.ok(a.asked <= 2 + (Date.now() - began) / 5000, `asked ${a.asked} times`);
  assert.equal(slots(), 3);
  a.grow();
  await settled(people);
  await until('all slots show somebody', () =>
    Object.values(a.sources).filter((source) => source).length === 4);
  await end(people);
});

test('the loudest are heard; who sends no level is not', { timeout: 90_000 }, async () => {
  const people = await room(5, { loudestN: 1, lastN: 0 });
  const [a, b, c, d, mute] = people;
  const hears = (one, other) => until(`${one.terminationId} hears ${other.terminationId}`, async () => {
    const slots = Object.values(one.sources).filter((source) => source);
    return slots.length === 1 && slots[0].terminationId === other.terminationId;
  });
  await mute.speak(-1);
  await hears(b, a);
  await hears(a, b);
  assert.equal((await a.received('video')).length, 0);
  await d.speak(SPEECH);
  for (const one of [a, b, c, mute])
    await hears(one, d);
  await hears(d, a);
  await untilArrived(people, 'audio');
  // One who joins in while somebody speaks at the same strength does not drive him out.
  await c.speak(SPEECH);
  await hears(d, c);
  await sleep(1000);
  await hears(a, d);
  await d.speak(SILENCE);
  await hears(a, c);
  // A cough changes the voices, and nobody's lead.
  await c.speak(SILENCE);
  const before = a.speakers.length;
  await b.speak([[1000, SPEECH], [1100, SILENCE]]);
  await hears(a, b);
  await sleep(500);
  assert.deepEqual(a.speakers.slice(before).filter((s) => s.terminationId === b.terminationId), []);
  // The leader leaves: nobody speaks. He who comes then is told nothing, until somebody does.
  await until('c leads', () => a.speakers.at(-1)?.terminationId === c.terminationId);
  await c.leave();
  await until('nobody leads', () => a.speakers.at(-1)?.terminationId === undefined);
  assert.equal((await audit(a)).activeSpeaker, undefined);
  await b.speak(SPEECH);
  await until('b leads', () => a.speakers.at(-1)?.terminationId === b.terminationId);
  const late = await MeshParticipant.join(link, { contextId: a.contextId });
  await until('the late one is told', () => late.speakers.at(-1)?.terminationId === b.terminationId);
  await hears(late, b);
  assert.ok(people.every((one) => one.speakers.every((s) => s.terminationId !== mute.terminationId)));
  await end([a, b, d, mute, late]);
});

test('what is said of a mesh is checked, and told', { timeout: 90_000 }, async () => {
  const offerTemplate = { medias: [{ mediaType: 'audio' }] };
  const refused = async (members, cause, param) => {
    const { success, problemDetails } = await link.request('add', { offerTemplate, ...members });
    assert.equal(success, false, JSON.stringify(members));
    assert.equal(problemDetails.cause, cause);
    assert.equal(problemDetails.invalidParams[0].param, param);
  };
  await refused({ mesh: { lastN: 2 } }, 'INVALID_MESSAGE', '/mesh');
  await refused({ topology: 'explicit', mesh: {} }, 'INVALID_MESSAGE', '/mesh');
  await refused({ topology: 'mesh', mesh: { lastN: 33 } }, 'INVALID_MESSAGE', '/mesh/lastN');
  await refused({ topology: 'mesh', mesh: { loudestN: 'all' } }, 'INVALID_MESSAGE', '/mesh/loudestN');
  await refused({ topology: 'mesh', mesh: 4 }, 'INVALID_MESSAGE', '/mesh');
  const { contextId } = await link.request('add', { topology: 'mesh', offerTemplate,
    mesh: { lastN: 3, loudestN: 32 } });
  assert.deepEqual((await link.request('audit', { contextId })).mesh, { lastN: 3, loudestN: 16 });
  await refused({ contextId, mesh: { lastN: 4 } }, 'INVALID_STATE', '/mesh');
  for (const members of [{}, { mesh: { lastN: 3 } }, { topology: 'mesh', mesh: { loudestN: 20 } }])
    assert.ok((await link.request('add', { contextId, offerTemplate, ...members })).success);
  await link.request('subtract', { contextId });
});
