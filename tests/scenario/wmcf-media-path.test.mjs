// SPDX-License-Identifier: Apache-2.0
// mediaPath "pipeline": what an endpoint sends goes through a filter before others get it. The endpoint
// is a termination of another context of the same media centre, so that it has a picture and a tone.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decibel, flows, look as lookAt, side, speakingLeg } from '../support/speaking-leg.mjs';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const EVENTS = ['endOfStream', 'resourceFailure', 'iceConnected'];
const OPEN = [{ mid: '*', flowStatus: 'ENABLED' }];
let wmcf, link, folder;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'path-'));
  wmcf = await Wmcf.start([`pipelines.folder=${folder}`, 'pipelines.stall_timeout=4']);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  const { contexts } = await link.request('audit');
  for (const { contextId } of contexts) await link.request('subtract', { contextId });
});

async function done(method, members) {
  const answer = await link.request(method, members);
  assert.ok(answer.success, JSON.stringify(answer));
  return answer;
}
const ids = ({ contextId, terminationId }) => ({ contextId, terminationId });
const change = (of, members) => done('modify', { ...ids(of), ...members });
const refused = async (method, members) => (await link.request(method, members)).problemDetails ?? {};
const audit = async (of) => (await done('audit', ids(of))).terminations[0];
const route = (from, to, mids = [['0', '0'], ['1', '1']]) => change(to, { routes: mids.map(([a, b]) => ({
  from: { terminationId: from.terminationId, mid: a }, to: { terminationId: to.terminationId, mid: b } })) });
async function until(condition, what) {
  for (const limit = Date.now() + 60000; ;) {
    const result = await condition();
    if (result) return result;
    assert.ok(Date.now() < limit, `not within 60 s: ${what}`);
    await sleep(50);
  }
}

/** An endpoint that sends bars and a tone, and the termination of the media centre in front of it. */
async function publisher(members = {}, template = {}) {
  const source = await done('add', { pipeline: { template: 'test',
    parameters: { width: 320, height: 180, framerate: 10, pattern: 'smpte', volume: 0.4, ...template } } });
  const far = await done('add', { contextId: source.contextId, mediaPolicy: OPEN, offerTemplate: { bundle: true,
    medias: [{ mediaType: 'audio', direction: 'sendrecv' }, { mediaType: 'video', direction: 'sendrecv', codecs: ['VP8'] }] } });
  const near = await done('add', { iceMode: 'full', mediaPolicy: OPEN, events: EVENTS, sdpOffer: far.sdpOffer, ...members });
  await change(far, { sdpAnswer: near.sdpAnswer });
  await route(source, far, [['audio', '0'], ['video', '1']]);
  return { ...ids(near), far, source };
}
const viewer = (contextId) => speakingLeg(link, { contextId }, { hold: true });
const look = (at) => lookAt(at, folder);
const received = (stats, kind) => stats.receive.find((r) => r.kind === kind);
/** Looks until it is as it shall be: what is on its way is still as it was. */
async function sees(viewer, right) {
  for (let tries = 0; ; tries++) {
    const seen = await look(viewer);
    if (right(seen)) return;
    assert.ok(tries < 10, JSON.stringify(seen));
  }
}

test('a picture is turned round and its sound halved, and nobody else notices', { timeout: 180000 }, async () => {
  const filter = { mediaPath: 'pipeline', pipeline: { template: 'flip', parameters: { volume: 0.5 } } };
  const plain = await publisher();
  const filtered = await publisher({ ...filter, contextId: plain.contextId });
  const [a, b] = [await viewer(plain.contextId), await viewer(plain.contextId)];
  await route(plain, a);
  await route(filtered, b);
  await flows(a);
  await flows(b);
  const [straight, turned] = await Promise.all([look(a), look(b)]);
  assert.deepEqual([side(straight), side(turned)], ['straight', 'turned']);
  assert.ok(Math.abs(decibel(turned, straight) + 6.02) < 0.5, `${decibel(turned, straight)} dB`);
  assert.ok(Math.abs(turned.audio.frequency - 440) < 5, JSON.stringify(turned));
  const { mediaPath, filter: state } = await audit(filtered);
  assert.deepEqual([mediaPath, state.template, state.state, state.medias.map((m) => [m.mid, m.codec])],
    ['pipeline', 'flip', 'playing', [['0', 'opus'], ['1', 'VP8']]]);

  // Other values while it runs; others' terminations and straight ones have none.
  const changed = await change(filtered, { pipeline: { parameters: { volume: 2, direction: 'identity' } } });
  assert.equal(changed.filter.state, 'playing');
  await sees(b, (again) => side(again) === 'straight' && Math.abs(decibel(again, straight) - 6.02) < 0.5);
  const wrong = await refused('modify', { ...ids(filtered), pipeline: { parameters: { volume: 5 } } });
  assert.deepEqual([wrong.cause, wrong.invalidParams?.[0]?.param], ['INVALID_MESSAGE', '/pipeline/parameters/volume']);
  assert.equal((await refused('modify', { ...ids(filtered), seek: 1 })).cause, 'INVALID_STATE');

  // Held, its picture and tone come back as they were, through the same filter.
  const renegotiate = async (direction) => {
    const offerTemplate = { bundle: true, medias: [{ mediaType: 'audio', mid: '0', direction },
      { mediaType: 'video', mid: '1', direction, codecs: ['VP8'] }] };
    const offered = await change(filtered.far, { offerTemplate });
    const answered = await change(filtered, { sdpOffer: offered.sdpOffer });
    await change(filtered.far, { sdpAnswer: answered.sdpAnswer });
  };
  await renegotiate('inactive');
  const { filter: held } = await audit(filtered);
  await renegotiate('sendrecv');
  await flows(b);
  assert.equal((await audit(filtered)).filter.startSeconds, held.startSeconds);
  assert.equal(received(await a.leg.stats(), 'video').lost, 0);

  // Straight, and by a filter again, in the midst of the call.
  await change(filtered, { mediaPath: 'relay' });
  await sees(b, (seen) => Math.abs(decibel(seen, straight)) < 0.5);
  assert.equal((await audit(filtered)).filter, undefined);
  await change(filtered, filter);
  await sees(b, (seen) => Math.abs(decibel(seen, straight) + 6.02) < 0.5);

  // A filter ends with its leg.
  await done('subtract', ids(filtered));
  await flows(a);
  await a.leg.close();
  await b.leg.close();
});

test('a filter that does not fit is refused', { timeout: 60000 }, async () => {
  const offerTemplate = { medias: [{ mediaType: 'audio', direction: 'sendrecv' }] };
  const add = (pipeline, mediaPath = 'pipeline') => refused('add', { offerTemplate, mediaPath, pipeline });
  assert.equal((await add()).cause, 'MISSING_PARAMETER');
  assert.equal((await add({ template: 'nothing-of-this-name' })).cause, 'RESOURCE_NOT_FOUND');
  const source = await add({ template: 'test' });
  assert.deepEqual([source.cause, source.invalidParams[0].param], ['INVALID_MESSAGE', '/pipeline/template']);
  assert.match(source.detail, /is no filter/);
  const value = await add({ template: 'flip', parameters: { volume: 'loud' } });
  assert.deepEqual([value.cause, value.invalidParams[0].param], ['INVALID_MESSAGE', '/pipeline/parameters/volume']);
  const alone = await refused('add', { pipeline: { template: 'flip' } });
  assert.equal(alone.cause, 'INVALID_MESSAGE', JSON.stringify(alone));
  assert.deepEqual((await link.request('audit')).contexts, []);
});

test('a filter that fails takes its leg with it, or lets media go by', { timeout: 180000 }, async () => {
  const write = (name, line) => writeFileSync(path.join(folder, `${name}.pipeline`),
    `filter\ninput sound audio opus\nwmcfsrc mid=sound ! rtpopusdepay ! ${line} ! rtpopuspay ! wmcfsink mid=sound\n`);
  write('missing', 'nosuchelement');
  write('short', 'identity error-after=20');
  write('stuck', 'valve drop=true');
  const failing = async (template, onFailure) => {
    const from = await publisher({ mediaPath: 'pipeline', pipeline: { template, onFailure } });
    const to = await viewer(from.contextId);
    await route(from, to);
    const event = await until(() => link.events.find((e) => e.event === 'resourceFailure' && e.terminationId === from.terminationId),
      'resourceFailure');
    return { from, to, event };
  };
  const missing = await failing('missing');
  assert.match(missing.event.details.reason, /missing\.pipeline:3: no element "nosuchelement"/);
  assert.equal((await audit(missing.from)).state, 'failed');
  assert.equal(received(await missing.to.leg.stats(), 'audio')?.packets ?? 0, 0);
  await Promise.all([['short', /Failed after/i], ['stuck', /takes packets at sound/]].map(async ([template, reason]) => {
    const { from, to, event } = await failing(template, 'bypass');
    assert.equal(event.details.bypassed, true);
    assert.match(event.details.reason, reason);
    await flows(to);
    const { state, filter } = await audit(from);
    assert.deepEqual([state, filter.state, filter.onFailure], ['connected', 'bypassed', 'bypass']);
    await to.leg.close();
  }));
  await missing.to.leg.close();
});
