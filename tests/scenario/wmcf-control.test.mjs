// SPDX-License-Identifier: Apache-2.0
// The control link of the real wmcf: each method, each refusal, and what stays after one.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { ControlLink, Wmcf } from '../support/wmcf.mjs';

const offerTemplate = { medias: [{ mediaType: 'audio', direction: 'sendrecv', codecs: ['opus'] },
  { mediaType: 'video', direction: 'sendrecv', codecs: ['VP8', 'H264'] }], bundle: true };

// The answer of a well-behaved endpoint to an offer of the wmcf, without a transport behind it.
function answerTo(offer) {
  const keep = offer.split('\r\n').filter((line) =>
    !/^a=(candidate|end-of-candidates|ice-lite|ice-ufrag|ice-pwd|fingerprint|setup|ssrc|msid)/.test(line));
  return keep.map((line) => (line.startsWith('m=')
    ? `${line}\r\na=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghabcdefghabcdefgh\r\na=setup:active\r\n` +
      `a=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}` : line)).join('\r\n')
    // c= belongs right behind m=
    .replace(/(m=[^\r]*)\r\n((?:a=[^\r]*\r\n){4})(c=[^\r]*)\r\n/g, '$1\r\n$3\r\n$2');
}

let wmcf, link;
before(async () => {
  wmcf = await Wmcf.start(['limits.terminations=40', 'limits.terminations_per_context=4',
    'control.disconnection_ttl=5']);
  link = await ControlLink.open(wmcf.url);
});
after(async () => {
  await link.close();
  assert.equal(await wmcf.stop(), 0);
});

const refused = async (cause, method, members) => {
  const response = await link.request(method, members);
  assert.equal(response.success, false, JSON.stringify(response));
  assert.equal(response.problemDetails.cause, cause, JSON.stringify(response.problemDetails));
  return response.problemDetails;
};
const add = async (members = { offerTemplate }) => {
  const response = await link.request('add', members);
  assert.equal(response.success, true, JSON.stringify(response.problemDetails));
  return response;
};

test('auth tells what the WSF needs', () => {
  const { authenticated } = link;
  assert.equal(authenticated.success, true);
  assert.equal(authenticated.serviceState, 'inService');
  assert.equal(authenticated.disconnectionTtl, 5);
  assert.ok(authenticated.restartCounter > 0);
});

test('a wrong token and an unknown identity get the same answer', async () => {
  const answers = [];
  for (const who of [{ token: 'wrong-wrong-wrong-wrong' }, { identity: 'nobody@example.org' }]) {
    const other = await ControlLink.open(wmcf.url, who);
    assert.equal(other.authenticated.success, false);
    delete other.authenticated.transactionId;
    answers.push(JSON.stringify(other.authenticated));
    await other.close();
  }
  assert.equal(answers[0], answers[1]);
  assert.match(answers[0], /AUTHENTICATION_FAILED/);
});

test('an instanceId that is no UUID is refused', async () => {
  const other = await ControlLink.open(wmcf.url, { instanceId: 'one' });
  assert.equal(other.authenticated.problemDetails.invalidParams[0].param, '/instanceId');
  await other.close();
});

test('auth without a token is challenged', async () => {
  const other = await ControlLink.open(wmcf.url, { auth: false });
  const response = await other.request('auth', { authType: 'bearer', webrtcId: 'wsf@example.org' });
  assert.equal(response.problemDetails.cause, 'AUTHENTICATION_REQUIRED');
  assert.match(response.wwwAuthenticate, /^Bearer/);
  await other.close();
});

test('before auth nothing else passes', async () => {
  const other = await ControlLink.open(wmcf.url, { auth: false });
  const response = await other.request('audit');
  assert.equal(response.problemDetails.cause, 'NOT_AUTHENTICATED');
  await other.close();
});

test('add makes an offer, a context and closed gates', async () => {
  const { contextId, terminationId, sdpOffer, medias } = await add();
  assert.match(sdpOffer, /a=ice-lite/);
  assert.match(sdpOffer, /a=setup:actpass/);
  assert.match(sdpOffer, /a=candidate:/);
  assert.deepEqual(medias.map((m) => [m.mid, m.mediaType, m.flowStatus]),
    [['0', 'audio', 'DISABLED'], ['1', 'video', 'DISABLED']]);
  assert.deepEqual(medias[1].codecs, ['VP8', 'H264']);
  const audit = await link.request('audit', { contextId, terminationId });
  assert.equal(audit.terminations[0].state, 'negotiating');
  const ended = await link.request('subtract', { contextId });
  assert.equal(ended.success, true);
  assert.equal(ended.terminations[0].terminationId, terminationId);
  await refused('CONTEXT_NOT_FOUND', 'audit', { contextId });
});

test('modify takes an answer once, and routes, policies and appData with it', async () => {
  const a = await add({ offerTemplate, appData: { call: 7 } });
  const b = await add({ contextId: a.contextId, offerTemplate });
  const { contextId } = a;
  const routes = [{ from: { terminationId: b.terminationId, mid: '1' },
    to: { terminationId: a.terminationId, mid: '1' } }];
  const done = await link.request('modify', { contextId, terminationId: a.terminationId,
    sdpAnswer: answerTo(a.sdpOffer), routes, mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' },
      { mid: '0', flowStatus: 'DISABLED' }] });
  assert.equal(done.success, true, JSON.stringify(done.problemDetails));
  assert.deepEqual(done.medias.map((m) => m.flowStatus), ['DISABLED', 'ENABLED']);
  assert.deepEqual(done.medias[1].source, { terminationId: b.terminationId, mid: '1' });
  await refused('INVALID_STATE', 'modify', { contextId, terminationId: a.terminationId,
    sdpAnswer: answerTo(a.sdpOffer) });
  const audit = await link.request('audit', { contextId, what: ['state', 'statistics'] });
  assert.equal(audit.terminations.length, 2);
  const seen = audit.terminations.find((t) => t.terminationId === a.terminationId);
  assert.equal(seen.state, 'connecting');
  assert.deepEqual(seen.appData, { call: 7 });
  await link.request('subtract', { contextId });
});

test('an offer of the endpoint is answered', async () => {
  const ours = await add(); // an offer to make the endpoint's from
  const sdpOffer = ours.sdpOffer.replace(/a=ice-lite\r\n/, '');
  const answered = await add({ sdpOffer });
  assert.match(answered.sdpAnswer, /a=setup:passive/);
  assert.deepEqual(answered.medias.map((m) => m.direction), ['sendrecv', 'sendrecv']);
  // One of two ends must check: the answer to a lite offer is a full agent's.
  assert.match(answered.sdpAnswer, /a=ice-lite/);
  const full = await add({ sdpOffer: ours.sdpOffer });
  assert.doesNotMatch(full.sdpAnswer, /a=ice-lite/);
  for (const { contextId } of [ours, answered, full]) await link.request('subtract', { contextId });
});

test('what is impossible is refused and changes nothing', async () => {
  const a = await add();
  const { contextId, terminationId } = a;
  await refused('MISSING_PARAMETER', 'add', {});
  await refused('INVALID_MESSAGE', 'add', { offerTemplate, sdpOffer: 'v=0' });
  await refused('INVALID_SDP', 'add', { sdpOffer: 'hello' });
  await refused('INVALID_MESSAGE', 'add', { offerTemplate: { medias: [] } });
  await refused('MISSING_PARAMETER', 'add', { offerTemplate, mediaPath: 'pipeline' });
  await refused('INVALID_MESSAGE', 'add',
    { offerTemplate, mediaPolicy: [{ mid: '*', policing: { sdr: 1000, mbs: -1 } }] });
  await refused('CONTEXT_NOT_FOUND', 'add', { contextId: 'c-0-0', offerTemplate });
  await refused('TERMINATION_NOT_FOUND', 'modify', { contextId, terminationId: 't-0-0' });
  await refused('INVALID_SDP', 'modify', { contextId, terminationId, sdpAnswer: 'v=0\r\nm=x' });
  await refused('INVALID_MESSAGE', 'modify', { contextId, terminationId, events: ['weather'] });
  await refused('INVALID_MESSAGE', 'modify', { contextId, terminationId,
    sdpAnswer: answerTo(a.sdpOffer), rollback: true });
  // The routes are wrong, so the good answer beside them is not applied either.
  await refused('TERMINATION_NOT_FOUND', 'modify', { contextId, terminationId,
    sdpAnswer: answerTo(a.sdpOffer), routes: [{ from: { terminationId: 't-9-9', mid: '0' },
      to: { terminationId, mid: '0' } }] });
  const { terminations } = await link.request('audit', { contextId });
  assert.equal(terminations[0].state, 'negotiating');
  await refused('INVALID_MESSAGE', 'modify', { contextId, terminationId, rollback: true,
    routes: [{ to: { terminationId, mid: '0' } }] });
  assert.equal((await link.request('audit', { contextId })).terminations[0].offerPending, true);
  assert.equal((await link.request('modify', { contextId, terminationId, rollback: true })).success, true);
  await refused('INVALID_STATE', 'modify', { contextId, terminationId, rollback: true });
  await link.request('subtract', { contextId });
  assert.equal((await wmcf.ctl('contexts')).contexts.length, 0);
});

test('limits are told in a sentence', async () => {
  const { contextId } = await add();
  for (let i = 0; i < 3; i++) await add({ contextId, offerTemplate });
  const problem = await refused('RESOURCES_UNAVAILABLE', 'add', { contextId, offerTemplate });
  assert.match(problem.detail, /terminations_per_context/);
  await link.request('subtract', { contextId });
});

test('a context of another WSF is not found', async () => {
  const { contextId } = await add();
  const stranger = await ControlLink.open(wmcf.url, { auth: false });
  assert.equal((await stranger.request('subtract', { contextId })).problemDetails.cause,
    'NOT_AUTHENTICATED');
  await stranger.close();
  await link.request('subtract', { contextId });
});

test('a link of the same instance supersedes, another one does not', async () => {
  const [one, two] = [randomUUID(), randomUUID()];
  const first = await ControlLink.open(wmcf.url, { instanceId: one });
  const other = await ControlLink.open(wmcf.url, { instanceId: two });
  const again = await ControlLink.open(wmcf.url, { instanceId: one });
  assert.equal(await first.closed, 4409);
  assert.equal((await other.request('audit')).success, true);
  await other.close();
  await again.close();
});

test('contexts outlive the last link for the time to live, then go', async () => {
  const { contextId, restartCounter } = { ...(await add()), ...link.authenticated };
  await link.close();
  link = await ControlLink.open(wmcf.url);
  assert.equal(link.authenticated.restartCounter, restartCounter);
  const audit = await link.request('audit');
  assert.deepEqual(audit.contexts.map((c) => c.contextId), [contextId]);
  await link.close();
  const gone = async () => (await wmcf.ctl('contexts')).contexts.length === 0;
  const deadline = Date.now() + 30000;
  while (!(await gone())) {
    assert.ok(Date.now() < deadline, 'the context is still there');
    await new Promise((done) => setTimeout(done, 100));
  }
  link = await ControlLink.open(wmcf.url);
});

test('after all this nothing is left', async () => {
  const deadline = Date.now() + 30000;
  for (;;) {
    const status = await wmcf.ctl('status');
    if (status.contexts + status.terminations + status.pipelines + status.reaping +
        status.workers.reduce((n, w) => n + w.legs, 0) === 0) break;
    assert.ok(Date.now() < deadline, JSON.stringify(status));
    await new Promise((done) => setTimeout(done, 50));
  }
});

test('a WSF whose credential cannot be checked is told at the start', async () => {
  const sentence = async (setting) => {
    const failed = await Wmcf.start([setting]).then(() => null, (error) => error);
    assert.ok(failed, `${setting} was accepted`);
    return failed.message;
  };
  assert.match(await sentence('wsf "test".token_file=/nowhere/token'), /\/nowhere\/token/);
  assert.match(await sentence('wsf "test".token_file=/dev/null'), /fewer than 16/);
  assert.match(await sentence('wsf "test".webrtc_id='), /needs webrtc_id/);
});

test('metrics are counters where they only grow', async () => {
  const page = await (await fetch(`http://127.0.0.1:${wmcf.port}/metrics`)).text();
  assert.match(page, /# TYPE wmcf_media_packets counter/);
  assert.match(page, /wmcf_media_packets_total\{worker="0",direction="in"\} \d+/);
  assert.match(page, /wmcf_media_transit_seconds_bucket\{worker="0",le="\+Inf"\} \d+/);
  assert.match(page, /wmcf_media_buffer_bytes\{worker="0"\} \d+/);
  assert.match(page, /wmcf_media_worker_cpu_seconds_total\{worker="0"\} \d+/);
  assert.ok(page.endsWith('# EOF\n'));
});

test('the end of the process is told with 1001', async () => {
  const other = await Wmcf.start();
  const wsf = await ControlLink.open(other.url);
  await wsf.request('add', { offerTemplate });
  const ended = other.stop();
  assert.equal(await wsf.closed, 1001);
  assert.equal(await ended, 0);
});

test('SIGHUP reads the TLS files again and ends nothing', async () => {
  const other = await Wmcf.start();
  const wsf = await ControlLink.open(other.url);
  other.process.kill('SIGHUP');
  while (!other.log.includes('TLS certificates and keys read again')) {
    assert.equal(other.process.exitCode ?? other.process.signalCode, null);
    await new Promise((done) => setTimeout(done, 20));
  }
  assert.equal((await wsf.request('audit')).success, true);
  await other.stop();
});

test('SIGTERM drains: no new contexts, the end with the last one', async () => {
  const other = await Wmcf.start();
  const wsf = await ControlLink.open(other.url);
  const { contextId } = await wsf.request('add', { offerTemplate, appData: 'mine' });
  assert.equal((await wsf.request('audit')).contexts[0].appData, 'mine');
  other.process.kill('SIGTERM');
  const drained = async () => (await wsf.request('audit')).serviceState === 'draining';
  while (!(await drained())) await new Promise((done) => setTimeout(done, 20));
  assert.equal((await wsf.request('add', { offerTemplate })).problemDetails.cause, 'DRAINING');
  assert.equal((await wsf.request('add', { contextId, offerTemplate })).success, true);
  await wsf.request('subtract', { contextId });
  assert.equal(await wsf.closed, 1001);
  assert.equal(await other.exited, 0);
  await other.stop();
});
