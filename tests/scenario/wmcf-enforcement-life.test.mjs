// SPDX-License-Identifier: Apache-2.0
// The filters of a media centre from its start to its end, whatever the end: whose they are, what is
// left of them, what becomes of those of others, of interfaces that go and of privileges that lack.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FarSide, WMCF } from '../support/far-side.mjs';
import { ControlLink, WITHOUT_CAPABILITIES, Wmcf } from '../support/wmcf.mjs';

const HOOKS = ['ingress', 'egress'];
const BIND = `media.bind=${WMCF.IPv4}, ${WMCF.IPv6}`;
const REQUIRED = 'qos.level=tc-bpf';
const offerTemplate = { bundle: true, medias: [{ mid: '0', mediaType: 'audio' }, { mid: '1', mediaType: 'video' }] };
let far, there;
before(async () => {
  far = await FarSide.start();
  there = far.address('IPv4');
});
after(() => far.stop());

function command(program, ...args) {
  const { status, stderr, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** The cls_bpf filters of a hook: name, priority, number of the program. */
const filters = (hook, device = 'media0') => [...command('tc', 'filter', 'show', 'dev', device, hook)
  .matchAll(/pref (\d+) bpf .*?handle \S+ (\S+) direct-action .*?\bid (\d+)/g)]
  .map(([, priority, name, id]) => ({ name, priority: Number(priority), id: Number(id) }));
const names = (device) => HOOKS.map((hook) => filters(hook, device).map(({ name }) => name));
const both = (...all) => [all, all];
const clsacts = () => command('tc', 'qdisc', 'show').split('\n').filter((line) => line.startsWith('qdisc clsact'));
const clean = () => assert.deepEqual(clsacts(), []);

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

async function start(t, port, settings = [], wrapper = []) {
  const wmcf = await Wmcf.start([`media.port=${port}`, BIND, ...settings], wrapper);
  t.after(() => wmcf.process.kill('SIGKILL'));
  t.after(() => rmSync(wmcf.folder, { recursive: true, force: true }));
  return wmcf;
}

async function crash(wmcf) {
  wmcf.process.kill('SIGKILL');
  await wmcf.exited;
}

/** Starts it again in its folder, after a crash. */
async function again(wmcf) {
  rmSync(path.join(wmcf.folder, 'wmcf.sock'), { force: true });
  await wmcf.run();
}

const said = (wmcf, words) => wmcf.log.split('\n').filter(Boolean).map((line) => JSON.parse(line))
  .filter(({ category, message }) => category === 'enforcement' && message.includes(words));

/** Counting filters of somebody else on both hooks of media0. */
class Foreign {
  constructor(priority) {
    this.priority = String(priority);
    for (const hook of HOOKS) {
      command('tc', 'filter', 'add', 'dev', 'media0', hook, 'prio', this.priority, 'protocol', 'all',
        'u32', 'match', 'u32', '0', '0', 'action', 'mirred', 'egress', 'mirror', 'dev', 'sink0', 'continue');
    }
  }

  counts() {
    return HOOKS.map((hook) => Number(/Sent \d+ bytes (\d+) pkt/.exec(
      command('tc', '-s', 'filter', 'show', 'dev', 'media0', hook, 'prio', this.priority))[1]));
  }

  /** Datagrams come in and go out until both are counted. */
  async works() {
    const before = this.counts();
    await until(() => {
      far.run('bash', '-c', `echo >/dev/udp/${WMCF.IPv4}/9`);
      command('bash', '-c', `echo >/dev/udp/${there}/9`);
      return this.counts();
    }, (now) => now.every((n, i) => n > before[i]));
  }
}

// What a test that has failed has left would fail the next ones as well.
afterEach(() => {
  for (const device of ['media0', 'extra0']) spawnSync('tc', ['qdisc', 'del', 'dev', device, 'clsact']);
  for (const device of ['sink0', 'extra0']) spawnSync('ip', ['link', 'del', device]);
});

test('killed and started again it replaces its filters; stopped it leaves nothing', { timeout: 120000 }, async (t) => {
  clean();
  const wmcf = await start(t, 41000, [REQUIRED]);
  assert.deepEqual(names(), both('wmcf-41000+clsact'));
  const first = HOOKS.flatMap((hook) => filters(hook));
  await crash(wmcf);
  assert.deepEqual(HOOKS.flatMap((hook) => filters(hook)), first, 'they go on');
  await again(wmcf);
  assert.deepEqual(names(), both('wmcf-41000+clsact'));
  const second = HOOKS.flatMap((hook) => filters(hook));
  for (const [i, { id, priority }] of second.entries()) {
    assert.notEqual(id, first[i].id);
    assert.equal(priority, first[i].priority);
  }
  assert.deepEqual(said(wmcf, 'stale'), []);
  assert.equal(await wmcf.stop('SIGTERM'), 0);
  clean();
});

test('what others have on the interface stays and works', { timeout: 120000 }, async (t) => {
  command('ip', 'link', 'add', 'sink0', 'type', 'veth', 'peer', 'name', 'sink1');
  for (const device of ['sink0', 'sink1']) command('ip', 'link', 'set', device, 'addrgenmode', 'none', 'up');
  command('tc', 'qdisc', 'add', 'dev', 'media0', 'clsact');
  const foreign = [new Foreign(10)];
  const wmcf = await start(t, 41000, [REQUIRED, 'qos.priority=20']);
  assert.deepEqual(names(), both('wmcf-41000')); // the clsact is not ours
  foreign.push(new Foreign(30));
  for (const one of foreign) await one.works();
  await crash(wmcf);
  for (const one of foreign) await one.works();
  await again(wmcf);
  assert.deepEqual(names(), both('wmcf-41000'));
  for (const one of foreign) await one.works();
  assert.equal(await wmcf.stop('SIGTERM'), 0);
  assert.deepEqual(names(), both());
  for (const one of foreign) await one.works();
  // The clsact is ours this time, and somebody moves in.
  command('tc', 'qdisc', 'del', 'dev', 'media0', 'clsact');
  const other = await start(t, 41000, [REQUIRED]);
  const guest = new Foreign(10);
  assert.equal(await other.stop('SIGTERM'), 0);
  assert.equal(clsacts().length, 1);
  await guest.works();
});

test('several on one interface do not touch each other', { timeout: 120000 }, async (t) => {
  const [a, b] = [await start(t, 41000, [REQUIRED]), await start(t, 41100, [REQUIRED])];
  assert.deepEqual(names(), both('wmcf-41000+clsact', 'wmcf-41100+clsact'));
  const first = filters('ingress')[0];
  await crash(b);
  await again(b);
  assert.deepEqual(filters('ingress')[0], first);
  assert.deepEqual(names(), both('wmcf-41000+clsact', 'wmcf-41100+clsact'));
  // The same configuration once more by mistake: it ends, and takes nothing along.
  const mistake = Wmcf.start(['media.port=41000', BIND, REQUIRED]);
  await assert.rejects(mistake, /41000/);
  assert.deepEqual(filters('ingress')[0], first);
  assert.equal(await a.stop('SIGTERM'), 0);
  assert.deepEqual(names(), both('wmcf-41100+clsact'));
  assert.equal(await b.stop('SIGTERM'), 0);
  clean();
});

test('what the dead have left is swept away, and said once', { timeout: 120000 }, async (t) => {
  const dead = await start(t, 41200, [REQUIRED]);
  await crash(dead);
  const wmcf = await start(t, 41000, [REQUIRED]);
  assert.deepEqual(names(), both('wmcf-41000+clsact'));
  const [{ message }, ...more] = said(wmcf, 'stale');
  assert.deepEqual(more, []);
  assert.equal(message, 'removed the stale filters of wmcf-41200 on media0');
  await crash(wmcf);
  // Without the level, its filters would judge by gates that nobody moves.
  const relay = await start(t, 41000, ['qos.level=relay']);
  assert.equal(said(relay, 'removed the stale filters of wmcf-41000 on media0').length, 1);
  clean();
  assert.equal(await relay.stop('SIGTERM'), 0);
});

test('a media interface that is gone: policies are refused and the old ones stand', { timeout: 120000 }, async (t) => {
  const make = () => command('ip', 'link', 'add', 'extra0', 'type', 'veth', 'peer', 'name', 'extra1');
  make();
  const wmcf = await start(t, 41000, [REQUIRED, 'qos.interfaces=extra0']);
  const link = await ControlLink.open(wmcf.url);
  const added = await link.request('add', { offerTemplate,
    mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED', policing: { sdr: 12000, mbs: 6000 } }] });
  assert.equal(added.success, true, JSON.stringify(added.problemDetails));
  const ids = { contextId: added.contextId, terminationId: added.terminationId };
  const medias = async () => (await link.request('audit', { ...ids, what: ['state'] })).terminations[0].medias;
  const before = await medias();
  const change = (flowStatus) => link.request('modify', { ...ids, mediaPolicy: [{ mid: '*', flowStatus }] });
  assert.deepEqual(names('extra0'), both('wmcf-41000+clsact'));

  command('ip', 'link', 'del', 'extra0');
  const gone = await link.event((m) => m.method === 'serviceChange' && /extra0/.test(JSON.stringify(m)));
  assert.match(JSON.stringify(gone), /the media interface extra0 is not there/);
  const { success, problemDetails } = await change('ENABLED-UPLINK');
  assert.equal(success, false);
  assert.equal(problemDetails.cause, 'ENFORCEMENT_UNAVAILABLE');
  assert.match(problemDetails.detail, /extra0/);
  assert.deepEqual(await medias(), before);
  assert.equal((await change('DISABLED')).success, true, 'what closes is always possible');

  const seen = link.events.length;
  make();
  await link.event((m) => m.method === 'serviceChange' && link.events.indexOf(m) >= seen);
  assert.deepEqual(names('extra0'), both('wmcf-41000+clsact'));
  assert.equal((await change('ENABLED-UPLINK')).success, true);
  await link.request('subtract', { contextId: ids.contextId });
  await link.close();
  assert.equal(await wmcf.stop('SIGTERM'), 0);
  clean();
});

test('what others take away is put back; what they hinder is told until it is over', { timeout: 120000 }, async (t) => {
  const wmcf = await start(t, 41000, [REQUIRED]);
  const reason = async () => (await wmcf.ctl('status')).enforcement.reason;
  command('tc', 'filter', 'del', 'dev', 'media0', 'egress');
  await until(names, (now) => now.every((one) => one.length === 1));
  command('tc', 'qdisc', 'del', 'dev', 'media0', 'clsact');
  command('tc', 'qdisc', 'add', 'dev', 'media0', 'ingress');
  await until(reason, (text) => text.includes('legacy "ingress" qdisc'));
  command('tc', 'qdisc', 'del', 'dev', 'media0', 'ingress');
  assert.equal(await until(reason, (text) => !text.includes('ingress')), 'the highest level');
  assert.deepEqual(names(), both('wmcf-41000+clsact'));
  assert.equal(await wmcf.stop('SIGTERM'), 0);
  clean();
});

test('without capabilities the relay holds policies, and one line says so', { timeout: 120000 }, async (t) => {
  const wmcf = await start(t, 41000, [], WITHOUT_CAPABILITIES);
  const lines = said(wmcf, '');
  assert.equal(lines.length, 1, wmcf.log);
  assert.match(lines[0].message, /^enforcement by "relay": .*CAP_NET_ADMIN/);
  clean();
  assert.equal(await wmcf.stop('SIGTERM'), 0);
});

test('two capabilities are enough for the highest level', { timeout: 120000 }, async (t) => {
  const two = '-all,+net_admin,+bpf';
  const wmcf = await start(t, 41000, [REQUIRED], ['sh', '-c', `chown -R nobody "$(dirname "$3")"
    exec setpriv --reuid nobody --clear-groups --inh-caps=${two} --ambient-caps=${two} \\
      --bounding-set=${two} "$@"`, 'sh']);
  assert.deepEqual(names(), both('wmcf-41000+clsact'));
  assert.match(said(wmcf, '')[0].message, /^enforcement by "tc-bpf"/);
  await crash(wmcf);
  await again(wmcf);
  assert.deepEqual(names(), both('wmcf-41000+clsact'));
  assert.equal(await wmcf.stop('SIGTERM'), 0);
  clean();
});
