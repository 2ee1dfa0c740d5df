// SPDX-License-Identifier: Apache-2.0
// Recordings of rooms and calls through the real wsf and the real wmcf: which files there are, what is
// in them, and what participants are told, over changes of the media, failures and restarts.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { RoomParticipant, preOffer } from '../support/room-participant.mjs';
import { Stack, until } from '../support/stack.mjs';

const run = promisify(execFile);
const NAMES = ['ann', '..bea~+', 'cem', 'dan', 'eve'];
const USERS = Object.fromEntries(NAMES.map((name) => [`${name}@example.org`, `${name}-password`]));
const CONF = `
[store]
file = wsf.db
[recording "archive"]
file = {called}_{participant}.mkv
[recording "nowhere"]
file = nowhere/{participant}.mkv
[recording "must"]
file = nowhere/{participant}.mkv
required = yes
[recording "breaks"]
template = breaks
[recording "seldom"]
file = {called}_{participant}.mkv
files_per_minute = 4
[recording "always"]
file = {called}_{participant}.mkv
required = yes
files_per_minute = 2
[room "open"]
names = open, later
record = archive
[room "lost"]
record = nowhere
[room "must"]
record = must
[room "breaks"]
record = breaks
[policy "cem"]
from = cem@example.org
to = eve@example.org
record = always
[policy "dan"]
from = dan@example.org
record = seldom
[class "agents"]
members = ann@example.org
[policy "agents"]
from = @agents
to = *@example.org
record = archive
`;
// What it takes comes to an end by an error of one of its elements.
const BREAKS = `parameter file file ""
input audio audio opus
wmcfsrc mid=audio ! identity error-after=25 ! rtpopusdepay ! opusparse ! matroskamux ! filesink location=\${file}
`;

let stack, folder;
const open = [];
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'recordings-'));
  mkdirSync(join(folder, 'files'));
  writeFileSync(join(folder, 'breaks.pipeline'), BREAKS);
  stack = await Stack.start({ conf: CONF, users: USERS,
    wmcf: [`pipelines.record_folder=${join(folder, 'files')}`, `pipelines.folder=${folder}`] });
});
afterEach(async (t) => {
  if (t.passed === false) console.error(stack.logs());
  await Promise.all(open.splice(0).map((one) => one.close()));
  await stack.contextsBecome(0);
  for (const name of files()) rmSync(join(folder, 'files', name));
});
after(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true });
});

async function register(name) {
  const url = `${stack.url.replace('http', 'ws').replace('localhost', '127.0.0.1')}eirtcw/v1`;
  const webrtcId = `${name}@example.org`;
  const one = await RoomParticipant.register({ url, webrtcId, password: USERS[webrtcId], bind: stack.address });
  open.push(one);
  return one;
}
const files = () => readdirSync(join(folder, 'files')).sort();
const named = (who) => files().filter((name) => name.includes(`_${who}-`));
// Every `recording` that was told, in order.
const told = (one) => one.requests.filter((r) => r.recording !== undefined).map((r) => r.recording);
const isTold = (one, ...values) =>
  one.until(() => JSON.stringify(told(one)) === JSON.stringify(values));

/** Waits until so many files are there that were not, and more and more comes to each. */
async function grow(count, former) {
  const begun = {};
  await until(() => {
    const fresh = files().filter((name) => !former.includes(name));
    const grown = fresh.filter((name) => {
      const { size } = statSync(join(folder, 'files', name));
      if (size > 0) begun[name] ??= size;
      return size > begun[name];
    });
    return grown.length === count && fresh.length === count;
  }, 30_000, () => `no ${count} files beside ${former}: ${files()}`);
}

/** What is in a whole file: codecs and seconds. */
async function look(name) {
  const { stdout } = await run('gst-discoverer-1.0', ['-v', `file://${join(folder, 'files', name)}`]);
  const [, h, m, s] = stdout.match(/Duration: (\d+):(\d+):([\d.]+)/) ?? [];
  return { stdout, seconds: h === undefined ? 0 : +h * 3600 + +m * 60 + +s };
}
const whole = (name) => until(async () => {
  const seen = await look(name).catch(() => ({}));
  return seen.seconds > 0 && seen;
}, 40_000, () => `${name} does not become whole`);

test('in a room each has a file, who comes later too, and who leaves completes it', async () => {
  const ann = await (await register('ann')).join('room/open@example.org');
  await isTold(ann, true);
  const bea = await (await register('..bea~+')).join('room/open@example.org');
  await isTold(bea, true);
  await Promise.all([ann, bea].map((one) => one.receives('video', 1)));
  assert.match(files().join(), /^open__\.bea__-[0-9a-f]{8}\.mkv,open_ann-[0-9a-f]{8}\.mkv$/);
  const cem = await (await register('cem')).join('room/open@example.org',
    { preOfferDescription: preOffer({ audio: 'recvonly', video: 'recvonly' }) });
  await isTold(cem, true);
  await ann.until(() => ann.participants.length === 2);
  await bea.leave();
  const { stdout } = await whole(files()[0]);
  assert.match(stdout, /Opus/i);
  assert.match(stdout, /VP8/i);
  await ann.leave();
  await whole(named('ann')[0]);
  // Nobody is left who sends.
  await isTold(cem, true, false);
  assert.deepEqual([told(ann), told(bea), files().length], [[true], [true], 2]);
});

test('in a larger room everybody has a file, too', async () => {
  const all = [];
  for (const name of NAMES)
    all.push(await (await register(name)).join('room/open@example.org', { preOfferDescription: preOffer({ video: null }) }));
  await until(() => files().length === NAMES.length, 5000, () => files().join());
});

/** A call of sound alone, of which both are told that it is recorded. */
async function recordedCall(caller, callee) {
  const [a, b] = [await register(caller), await register(callee)];
  const asked = await a.ask(`${callee}@example.org`, { preOfferDescription: preOffer({ video: null }) });
  assert.ok(asked.success, JSON.stringify(asked));
  const invitation = await b.until(() => b.requests.find(({ method }) => method === 'msetup'));
  b.mediaSessionId = invitation.mediaSessionId;
  await Promise.all([a, b].map((one) => isTold(one, true)));
  return [a, b];
}

/** The first of both wishes for other media, and both have the offers that follow. */
async function changes(both, media) {
  const [one] = both, offers = both.map((each) => each.offers.length);
  // The one before may have its last steps to do.
  await one.until(async () => {
    const wish = await one.client.request('mupdate', { mediaSessionId: one.mediaSessionId,
      preOfferDescription: preOffer(media) });
    assert.equal(wish.problemDetails?.cause ?? 'OFFER_GLARE', 'OFFER_GLARE', JSON.stringify(wish));
    return wish.success;
  });
  for (const [i, each] of both.entries()) await each.until(() => each.offers.length > offers[i]);
}

test('in a call each side has a file, a medium that comes later begins the next one', async () => {
  const [ann, cem] = await recordedCall('ann', 'cem');
  await Promise.all([ann, cem].map((one) => one.receives('audio', 1)));
  const change = (media) => changes([ann, cem], media);
  // On hold, and not: the same file.
  await change({ audio: 'inactive', video: null });
  await change({ video: null });
  await Promise.all([ann, cem].map((one) => one.receives('audio', 1)));
  const first = files();
  assert.equal(first.length, 2);
  await change({});
  await grow(2, first);
  const second = files();
  assert.deepEqual([named('ann').length, named('cem').length], [2, 2]);
  // A picture that is put away would hold up the sound.
  await change({ video: 'recvonly' });
  await grow(1, second);
  assert.deepEqual([named('ann').length, named('cem').length], [3, 2]);
  await ann.client.request('mdisc', { mediaSessionId: ann.mediaSessionId, cause: 'NORMAL' });
  for (const name of [...named('ann'), ...named('cem')]) await whole(name);
  const seen = await Promise.all(named('ann').map(look));
  assert.equal(seen.filter(({ stdout }) => /VP8/.test(stdout)).length, 1);
  assert.deepEqual([told(ann), told(cem)], [[true], [true]]);
});

test('who changes the media all the time begins no more files than may be, and what is at last has one', async () => {
  const began = Date.now(), log = stack.wsf.log.length;
  // One to which nothing has come when the next one begins is no file in the end.
  const begun = (who) => [...stack.wsf.log.slice(log).matchAll(
    new RegExp(`what ${who}@example.org sends is recorded in (\\S+\\.mkv)`, 'g'))].map(([, name]) => name);
  const [dan, eve] = await recordedCall('dan', 'eve');
  const allowed = () => 1 + 4 + Math.ceil((Date.now() - began) / 15_000);
  for (let i = 0; i < 7; i++) {
    await changes([dan, eve], i % 2 ? { video: 'recvonly' } : {});
    assert.ok(begun('dan').length <= allowed(), files().join());
  }
  await until(() => begun('dan').length > 5, 30_000, () => files().join());
  assert.equal(begun('eve').length, 2); // her picture came once, and stayed
  const newest = begun('dan').at(-1);
  await until(() => statSync(join(folder, 'files', newest)).size > 20_000, 30_000);
  assert.ok(begun('dan').length <= allowed(), files().join());
  await dan.client.request('mdisc', { mediaSessionId: dan.mediaSessionId, cause: 'NORMAL' });
  // Some of one packet: what lasts nothing plays as well.
  for (const name of files())
    await until(async () => /opus/i.test((await look(name).catch(() => ({}))).stdout), 40_000,
      () => `${name} does not become whole`);
  assert.match((await whole(newest)).stdout, /VP8/);
});

test('where it is required, who changes the media all the time has no conversation', async () => {
  const both = await recordedCall('cem', 'eve');
  for (let i = 0; i < 4 && !both.some(({ ended }) => ended); i++)
    await changes(both, i % 2 ? { video: 'recvonly' } : {}).catch(() => {});
  for (const one of both) {
    const { cause, problemDetails } = await one.until(({ ended }) => ended);
    assert.equal(cause, 'MEDIA_FAILURE');
    assert.match(problemDetails.detail, /must be recorded, and nobody's media may change so often/);
  }
  assert.ok(named('cem').length <= 3, files().join());
});

test('who calls whom without a recording is told nothing', async () => {
  const [cem, ann] = [await register('cem'), await register('ann')];
  const asked = await cem.ask('ann@example.org');
  await Promise.all([ann, cem].map((one) => one.until(() => one.offers.length > 0)));
  await Promise.all([ann, cem].map((one) => one.receives('audio', 1)));
  assert.deepEqual([told(ann), told(cem), files()], [[], [], []]);
  await cem.client.request('mdisc', { mediaSessionId: asked.mediaSessionId, cause: 'NORMAL' });
});

test('a recorder that fails is told in one line, and the conversation goes on', async () => {
  const lines = (text) => stack.wsf.log.split('\n').filter((line) => line.includes(text)).length;
  const lost = await (await register('ann')).join('room/lost@example.org');
  const dan = await (await register('dan')).join('room/lost@example.org');
  await Promise.all([lost, dan].map((one) => one.receives('audio', 1)));
  await until(() => lines('goes on without it') === 2, 30_000, () => 'no line for each');
  await stack.wsf.says(/ann@example\.org in nowhere\/ann-\w+\.mkv by template record has not begun: .*No such file/);
  assert.deepEqual([told(lost), told(dan)], [[], []]);
  const breaking = await (await register('cem')).join('room/breaks@example.org',
    { preOfferDescription: preOffer({ video: null }) });
  await isTold(breaking, true, false);
  await until(() => lines('goes on without it') === 3, 30_000, () => 'no line for the third');
  const figure = (await stack.page('metrics')).match(/wsf_pipelines_total\{kind="record",result="failed"\} (\d+)/);
  assert.equal(figure?.[1], '1');
  assert.equal(breaking.ended, undefined);
});

test('where it is required there is no conversation without', async () => {
  const ann = await (await register('ann')).join('room/must@example.org');
  const { cause, problemDetails } = await ann.until((one) => one.ended);
  assert.deepEqual([cause, problemDetails.cause], ['MEDIA_FAILURE', 'WMCF_ERROR']);
  assert.match(problemDetails.detail, /must be recorded/);
  assert.deepEqual([told(ann), files()], [[], []]);
});

test('a recording outlives a kill of the WSF, and is begun anew after one of the media centre', async () => {
  const all = [await (await register('ann')).join('room/open@example.org'),
    await (await register('cem')).join('room/open@example.org')];
  const [ann, cem] = all;
  await Promise.all(all.map((one) => isTold(one, true)));
  await Promise.all(all.map((one) => one.receives('video', 1)));
  await stack.stored();
  await stack.wsf.kill('SIGKILL');
  await stack.wsf.start();
  await stack.ready();
  for (const one of all) await one.connect();
  await Promise.all(all.map((one) => isTold(one, true, true)));
  await Promise.all(all.map((one) => one.receives('video', 1)));
  assert.equal(files().length, 2, files().join());
  await cem.leave();
  await whole(named('cem')[0]);
  assert.deepEqual(told(ann), [true, true]);

  await stack.wmcf.kill('SIGKILL');
  await stack.wmcf.start();
  await ann.until((one) => one.ended);
  await stack.ready();
  const again = await (await register('dan')).join('room/open@example.org');
  await isTold(again, true);
  const crashed = await look(named('ann')[0]);
  assert.match(crashed.stdout, /VP8/);
});
