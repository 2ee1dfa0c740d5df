// SPDX-License-Identifier: Apache-2.0
// mediaPolicy on the control link: what is in force and told, what is refused and leaves everything as
// it was, events, statistics, metrics and wmcfctl. What happens to single packets is in qos-*.test.mjs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Enforcement } from '../support/far-side.mjs';
import { connectTwo } from '../support/generated-leg.mjs';
import { ControlLink, WITHOUT_CAPABILITIES, Wmcf, build } from '../support/wmcf.mjs';

const offerTemplate = { bundle: true, medias: [{ mid: '0', mediaType: 'audio' }, { mid: '1', mediaType: 'video' }] };
const EF = { taggingBehaviour: 'mark', dscp: 46 };
const AF42 = { taggingBehaviour: 'mark', dscp: 36 };

/** A media centre and a link to it, both ended with the test. */
async function start(t, settings = [], wrapper = []) {
  const wmcf = await Wmcf.start(settings, wrapper);
  t.after(() => wmcf.stop());
  const link = await ControlLink.open(wmcf.url);
  t.after(() => link.close());
  return { wmcf, link };
}

async function refused(link, cause, method, members) {
  const { success, problemDetails } = await link.request(method, members);
  assert.equal(success, false);
  assert.equal(problemDetails.cause, cause, JSON.stringify(problemDetails));
  return problemDetails;
}

const idsOf = ({ contextId, terminationId }) => ({ contextId, terminationId });

async function audit(link, leg) {
  const { terminations } = await link.succeed('audit', { ...idsOf(leg), what: ['state', 'statistics'] });
  return terminations[0];
}

const words = (wmcf, ...args) => execFileSync(path.join(build, 'wmcf/wmcfctl'),
  ['-s', path.join(wmcf.folder, 'wmcf.sock'), ...args], { encoding: 'utf8' });

const metric = async (wmcf, name) => {
  const page = await (await fetch(`http://127.0.0.1:${wmcf.port}/metrics`)).text();
  const line = page.split('\n').find((l) => l.startsWith(`${name} `));
  return line && Number(line.split(' ')[1]);
};

/** The one line of the log about the enforcement. */
function saidOnce(wmcf, level) {
  const lines = wmcf.log.split('\n').filter((line) => line.includes('enforcement')).map((line) => JSON.parse(line));
  assert.deepEqual(lines.map((line) => line.level), [level], wmcf.log);
  return lines[0].message;
}

/** Waits until `look` gives something that `done` accepts. */
async function until(look, done, seconds = 15) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const seen = await look();
    if (done(seen)) return seen;
    assert.ok(Date.now() < deadline, JSON.stringify(seen));
    await sleep(50);
  }
}

test('the policy in force is told, what is default included', { timeout: 30000 }, async (t) => {
  const { link } = await start(t);
  const added = await link.succeed('add', { offerTemplate,
    mediaPolicy: [{ mid: '0', flowStatus: 'ENABLED-UPLINK', policing: { sdr: 12000, mbs: 6000 } },
      { mid: '2', marking: { taggingBehaviour: 'copy' } }] });
  const policies = ({ medias }) => medias.map(({ flowStatus, policing, marking }) => ({ flowStatus, policing, marking }));
  const first = { flowStatus: 'ENABLED-UPLINK', policing: { sdr: 12000, mbs: 6000 }, marking: EF };
  const second = { flowStatus: 'DISABLED', policing: undefined, marking: AF42 };
  assert.deepEqual(policies(added), [first, second]);
  assert.deepEqual(policies(await audit(link, added)), [first, second]);
  const policing = { sdr: 4294967295, mbs: 4294967295, pdr: 4294967295, dvt: 4294967295 };
  const marking = { taggingBehaviour: 'mark', dscp: 0 };
  const modified = await link.succeed('modify', { ...idsOf(added),
    mediaPolicy: [{ mid: '*', policing }, { mid: '0', policing: false, flowStatus: 'REMOVED' }, { mid: '1', marking }] });
  assert.deepEqual(policies(modified), [{ flowStatus: 'REMOVED', policing: undefined, marking: EF },
    { flowStatus: 'DISABLED', policing, marking }]);
  // What was said of a mid holds when it comes.
  await link.succeed('modify', { ...idsOf(added), rollback: true });
  const more = await link.succeed('modify', { ...idsOf(added),
    offerTemplate: { bundle: true, medias: [...offerTemplate.medias, { mid: '2', mediaType: 'video' }] } });
  assert.deepEqual(policies(more)[2], { flowStatus: 'DISABLED', policing, marking: { taggingBehaviour: 'copy', dscp: 36 } });
});

test('policies of mids that are not there are kept up to a limit', { timeout: 30000 }, async (t) => {
  const { link } = await start(t);
  const added = await link.succeed('add', { offerTemplate });
  const some = (n) => Array.from({ length: 128 }, (_, i) => ({ mid: `x${n}-${i}`, policing: false }));
  for (let n = 0; n < 4; n++) await link.succeed('modify', { ...idsOf(added), mediaPolicy: some(n) });
  await refused(link, 'RESOURCES_UNAVAILABLE', 'modify', { ...idsOf(added), mediaPolicy: some(4) });
  await link.succeed('modify', { ...idsOf(added), mediaPolicy: some(0) });
});

test('excess is told, counted and explained; what is refused leaves the policy as it was', { timeout: 150_000 }, async (t) => {
  const { wmcf, link } = await start(t, ['qos.level=relay', 'qos.discard_report=1']);
  const legs = await connectTwo(link, [{}, {}], ['policingDiscard', 'mediaGated']);
  t.after(() => Promise.all(legs.map((leg) => leg.close())));
  const [a, b] = legs;
  const video = ({ receive }) => receive.find(({ kind }) => kind === 'video')?.packets ?? 0;
  await b.until(({ receive }) => receive.length === 2);
  const policing = { sdr: 100, mbs: 200 };
  await link.succeed('modify', { ...idsOf(a), mediaPolicy: [{ mid: '0', policing }] });
  const excess = (after) => (e) => e.event === 'policingDiscard' && e.sequence > after;
  const { mid, terminationId, details, sequence } = await link.event(excess(0));
  assert.deepEqual([mid, terminationId, details.direction], ['0', a.terminationId, 'uplink']);
  assert.ok(details.packets > 0);

  const before = await audit(link, a);
  const sdpOffer = await a.offer();
  for (const wrong of [
    [{ mid: '0', policing: false }, { mid: '1', flowStatus: 'OPEN' }],
    [{ mid: '0', policing: false }, { mid: '1', policing: { sdr: 1000, mbs: 39 } }],
    [{ mid: '0', flowStatus: 'DISABLED' }, { mid: '1', policing: { sdr: 1000, mbs: 1500, pdr: 999, dvt: 0 } }],
    [{ mid: '*', policing: false, flowStatus: 'DISABLED' }, { mid: '1', marking: { taggingBehaviour: 'mark' } }],
  ]) {
    const { success } = await link.request('modify', { ...idsOf(a), sdpOffer, mediaPolicy: wrong });
    assert.equal(success, false);
  }
  // Another fault of the message does the same.
  await refused(link, 'TERMINATION_NOT_FOUND', 'modify', { ...idsOf(a), mediaPolicy: [{ mid: '*', policing: false, flowStatus: 'DISABLED' }],
    routes: [{ from: { terminationId: 't-9-9', mid: '0' }, to: { terminationId: a.terminationId, mid: '0' } }] });
  const after = await audit(link, a);
  assert.deepEqual(after.medias, before.medias);
  assert.deepEqual(after.medias[0].policing, policing);
  assert.equal(after.state, 'connected');
  assert.ok(after.statistics[0].uplink.policingDiscarded >= before.statistics[0].uplink.policingDiscarded);
  // It is still in force, and the gates are still open.
  await link.event(excess(sequence));
  const packets = video(await b.stats());
  await b.until((stats) => video(stats) > packets);

  const text = words(wmcf, 'termination', a.terminationId);
  assert.match(text, /policies held by relay/);
  assert.match(text, /mid 0: .*gate ENABLED, at most 100 octets\/s with bursts of 200, marked EF/);
  assert.match(text, /mid 1: .*gate ENABLED, marked AF42/);
  assert.match(text, /\d+ dropped above the rate/);
  const status = words(wmcf, 'status');
  assert.match(status, /enforcement +relay \(chosen by the configuration\)/);
  assert.match(status, /policies +4 media of 2 peer connections/);
  assert.match(status, /dropped by the relay: 0 at closed gates, [1-9]\d* above a rate/);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_level{level="relay"}'), 1);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_level{level="tc-bpf"}'), 0);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_flows'), 4);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_transports'), 2);
  assert.ok(await metric(wmcf, 'wmcf_enforcement_discarded_packets_total{judge="relay",reason="policing"}') > 0);
  assert.ok(await metric(wmcf, 'wmcf_events_total{event="policingDiscard"}') >= 2);

  // A gate closed and opened again: one event, and the count in the final statistics.
  await link.succeed('modify', { ...idsOf(a), mediaPolicy: [{ mid: '0', policing: false, flowStatus: 'ENABLED-DOWNLINK' }] });
  const gated = await link.event((e) => e.event === 'mediaGated');
  assert.deepEqual([gated.mid, gated.details.direction], ['0', 'uplink']);
  const closed = await audit(link, a);
  await link.succeed('modify', { ...idsOf(a), mediaPolicy: [{ mid: '0', flowStatus: 'ENABLED' }] });
  await until(() => audit(link, a), ({ statistics }) => statistics[0].uplink.packets > closed.statistics[0].uplink.packets);
  const ended = await link.succeed('subtract', { contextId: a.contextId });
  const last = ended.terminations.find((one) => one.terminationId === a.terminationId);
  assert.ok(last.statistics[0].uplink.gateDiscarded > 0);
  assert.ok(last.statistics[0].uplink.policingDiscarded > 0);
  assert.ok(last.statistics[0].downlink.marked > 0, 'EF by default');
  assert.equal(last.unattributedDiscarded, 0);
});

test('what a required level has no room for is refused; what it holds goes on', { timeout: 150_000 }, async (t) => {
  const e = await Enforcement.start('tc-bpf', ['qos.flows=4', 'qos.discard_report=1']);
  t.after(() => e.stop());
  const legs = await e.pair('IPv4');
  const { link, wmcf } = e;
  const [a] = legs;
  const byKernel = (reason) => metric(wmcf, `wmcf_enforcement_discarded_packets_total{judge="kernel",reason="${reason}"}`);
  const excess = async () => {
    const before = await byKernel('policing');
    await a.sendAll({ lines: [0], count: 50, size: 200, rate: 50000 });
    await until(() => byKernel('policing'), (now) => now > before);
  };
  await link.succeed('modify', { ...idsOf(a), mediaPolicy: [{ mid: '0', policing: { sdr: 100, mbs: 300 } }] });
  await excess();
  const before = await audit(link, a);
  assert.deepEqual(before.enforcement, { level: 'tc-bpf' });

  const { detail } = await refused(link, 'ENFORCEMENT_UNAVAILABLE', 'modify', { ...idsOf(a),
    offerTemplate: { bundle: true, medias: [...offerTemplate.medias, { mid: '2', mediaType: 'video' }] },
    mediaPolicy: [{ mid: '*', flowStatus: 'DISABLED', policing: false }] });
  assert.match(detail, /"tc-bpf" holds 4 media already, its limit \(qos\.flows\)/);
  await refused(link, 'ENFORCEMENT_UNAVAILABLE', 'add', { contextId: a.contextId, offerTemplate });
  await refused(link, 'ENFORCEMENT_UNAVAILABLE', 'add', { offerTemplate });
  assert.equal((await wmcf.ctl('contexts')).contexts.length, 1);
  const after = await audit(link, a);
  assert.deepEqual(after.medias, before.medias);
  assert.equal(after.offerPending, undefined);
  await excess();
  assert.equal(await metric(wmcf, 'wmcf_enforcement_level{level="tc-bpf"}'), 1);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_refuses'), 0);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_interfaces'), 1);
  assert.match(words(wmcf, 'status'), /4 media of 2 peer connections, filters on 1 interface\n +dropped by the kernel: 0 at closed gates, [1-9]/);

  // A closed gate: the kernel drops, and the event comes all the same.
  await link.succeed('modify', { ...idsOf(a), mediaPolicy: [{ mid: '1', flowStatus: 'ENABLED-DOWNLINK' }] });
  await a.sendAll({ lines: [1], count: 5, size: 200, rate: 20000 });
  const gated = await link.event(({ event }) => event === 'mediaGated');
  assert.deepEqual([gated.mid, gated.details], ['1', { direction: 'uplink' }]);
  await until(() => byKernel('gate'), (now) => now === 5);
  await link.succeed('subtract', { ...idsOf(a) });
  // The room is free when the worker has let go.
  await until(() => link.request('add', { offerTemplate }), ({ success }) => success);
});

test('a required level that does not work: everything but policies', { timeout: 30000 }, async (t) => {
  const { wmcf, link } = await start(t, ['qos.level=tc-bpf'], WITHOUT_CAPABILITIES);
  const { level, reason } = link.authenticated.enforcement;
  assert.equal(level, 'none');
  assert.match(reason, /^tc-bpf: ./);
  assert.match(saidOnce(wmcf, 'warning'),
    /"tc-bpf" \(qos\.level\) does not work, so policies are refused and gates stay closed: tc-bpf: /);
  for (const policy of [{ flowStatus: 'ENABLED' }, { flowStatus: 'ENABLED-DOWNLINK' }, { policing: { sdr: 1000, mbs: 1000 } },
    { marking: { taggingBehaviour: 'mark', dscp: 0 } }]) {
    const { detail, status } = await refused(link, 'ENFORCEMENT_UNAVAILABLE', 'add',
      { offerTemplate, mediaPolicy: [{ mid: '*', ...policy }] });
    assert.equal(status, 503);
    assert.ok(detail.includes(reason), detail);
  }
  assert.deepEqual((await wmcf.ctl('contexts')).contexts, []);
  const added = await link.succeed('add', { offerTemplate, mediaPolicy: [{ mid: '*', flowStatus: 'DISABLED', policing: false }] });
  // A step beside a policy that is refused is not taken.
  await refused(link, 'ENFORCEMENT_UNAVAILABLE', 'modify', { ...idsOf(added), rollback: true,
    mediaPolicy: [{ mid: '0', flowStatus: 'ENABLED' }] });
  const state = await audit(link, added);
  assert.equal(state.offerPending, true);
  assert.deepEqual(state.medias.map(({ flowStatus }) => flowStatus), ['DISABLED', 'DISABLED']);
  assert.deepEqual(state.enforcement, { level: 'relay' });
  await link.succeed('modify', { ...idsOf(added), rollback: true, mediaPolicy: [{ mid: '0', flowStatus: 'REMOVED' }] });
  assert.match(words(wmcf, 'status'), /enforcement +none \(tc-bpf: /);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_level{level="none"}'), 1);
  assert.equal(await metric(wmcf, 'wmcf_enforcement_refuses'), 1);
});

test('without privileges the relay holds policies, and the log says once why', { timeout: 30000 }, async (t) => {
  const { wmcf, link } = await start(t, ['qos.default_marking=false'], WITHOUT_CAPABILITIES);
  const { level, reason } = link.authenticated.enforcement;
  assert.equal(level, 'relay');
  assert.match(reason, /tc-bpf: .+; tc-flower: ./);
  assert.match(saidOnce(wmcf, 'info'), /^enforcement by "relay": tc-bpf: /);
  const { medias } = await link.succeed('add', { offerTemplate,
    mediaPolicy: [{ mid: '1', flowStatus: 'ENABLED', policing: { sdr: 1000, mbs: 1500 }, marking: AF42 }] });
  assert.deepEqual(medias.map(({ marking }) => marking), [undefined, AF42]);
});

test('a pipeline is policed like an endpoint', { timeout: 30000 }, async (t) => {
  const { link } = await start(t, ['qos.discard_report=1']);
  const added = await link.succeed('add', { pipeline: { template: 'test' }, events: ['policingDiscard'],
    mediaPolicy: [{ mid: '*', policing: { sdr: 1000, mbs: 1000 }, marking: EF }] });
  assert.deepEqual(added.medias[0].policing, { sdr: 1000, mbs: 1000 });
  assert.equal(added.medias[0].marking, undefined, 'nothing is sent to a pipeline');
  await link.event(({ event, details }) => event === 'policingDiscard' && details.packets > 0);
});

test('what is wrong in [qos] is said at the start', { timeout: 30000 }, async () => {
  const sentence = (setting) => Wmcf.start([setting]).then(() => assert.fail(`${setting} was accepted`), ({ message }) => message);
  assert.match(await sentence('qos.trusted=10.0.0.0/33'), /\[qos\].*10\.0\.0\.0\/33.*prefix/);
  assert.match(await sentence('qos.mark_bit=32'), /mark_bit/);
  assert.match(await sentence('qos.level=tc'), /auto.*tc-bpf.*tc-flower.*relay/);
});
