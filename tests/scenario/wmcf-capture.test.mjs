// SPDX-License-Identifier: Apache-2.0
// wmcfctl pcap: what two endpoints send each other, in clear, as tshark reads it; limits, who may, and
// that a call does not notice.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createSocket } from 'node:dgram';
import { promisify } from 'node:util';
import { GeneratedLeg, connectTwo } from '../support/generated-leg.mjs';
import { ControlLink, Wmcf, build } from '../support/wmcf.mjs';

const run = promisify(execFile);
let wmcf, link, legs, folder;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'captures-'));
  wmcf = await Wmcf.start(['admin.captures=2', 'admin.capture_seconds=20', 'admin.capture_size=1',
    'admin.capture_buffer=1024']);
  link = await ControlLink.open(wmcf.url);
  legs = await connectTwo(link);
  for (const leg of legs) await leg.until((s) => s.receive.length === 2 && s.receive.every((r) => r.packets > 10));
});
after(async () => {
  for (const leg of legs) await leg.close();
  await link.close();
  assert.equal(await wmcf.stop(), 0);
  rmSync(folder, { recursive: true });
});

const ctl = (...args) => [path.join(build, 'wmcf/wmcfctl'), '-s', path.join(wmcf.folder, 'wmcf.sock'), ...args];
// Runs until it is told to end; `text` has what it says.
function capture(...args) {
  const [program, ...rest] = ctl('pcap', ...args);
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.text = '';
  child.stderr.on('data', (d) => { child.text += d; });
  child.over = new Promise((done) => child.on('exit', (code, signal) => done(signal ?? code)));
  return child;
}
const refused = async (args, sentence, wrapper = []) => {
  const [program, ...rest] = [...wrapper, ...ctl('pcap', ...args)];
  await assert.rejects(run(program, rest), sentence);
};
/** So many packets of each medium are sent from now on, and have come, both ways. */
async function traffic(n) {
  const sent = (s) => Object.fromEntries(s.send.map(({ kind, packets }) => [kind, packets]));
  const from = (await Promise.all(legs.map((leg) => leg.stats()))).map(sent);
  const to = (await Promise.all(legs.map((leg, i) => leg.until((s) =>
    Object.entries(sent(s)).every(([kind, packets]) => packets > from[i][kind] + n))))).map(sent);
  await Promise.all(legs.map((leg, i) => leg.until((s) =>
    s.receive.every(({ kind, packets }) => packets >= to[1 - i][kind]))));
}
// Each packet as an object of the fields, as tshark reads them with what wmcfctl proposes.
async function read(file, text, fields) {
  const [, line] = text.match(/tshark -r \S+( .*)$/m);
  const { stdout } = await run('tshark', ['-n', '-r', file, ...line.trim().split(' '), '-T', 'fields',
    '-E', 'separator=;', ...fields.flatMap((f) => ['-e', f])], { maxBuffer: 1 << 26 });
  return stdout.trim().split('\n').map((row) =>
    Object.fromEntries(row.split(';').map((value, i) => [fields[i], value])));
}


test('both directions of a termination open in tshark, opus and VP8', { timeout: 150_000 }, async () => {
  const [leg] = legs, file = path.join(folder, 'one.pcapng');
  const child = capture(leg.terminationId, '-o', file);
  while (!existsSync(file)) await traffic(1);
  await refused([leg.terminationId, '-o', path.join(folder, 'other.pcapng')], /is being captured already/);
  // Reports go once a second both ways: between two of ours lies one of the endpoint's.
  const reports = (s) => Math.min(...s.receive.map((r) => r.senderReports));
  const from = reports(await leg.stats());
  await Promise.all([traffic(60), leg.until((s) => reports(s) >= from + 2)]);
  child.kill('SIGINT');
  assert.equal(await child.over, 0, child.text);
  const [, told] = child.text.match(/^wmcfctl: (\d+) packets, 0 were lost$/m);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const packets = await read(file, child.text, ['frame.interface_name', 'frame.interface_description',
    'frame.packet_flags_direction', 'frame.protocols', 'ip.src', 'udp.srcport', 'ip.dst', 'udp.dstport',
    'ip.checksum.status', 'rtp.ssrc', 'rtp.p_type', 'rtp.seq', 'rtcp.pt', 'vp8.pld.partid', 'opus.TOC.config',
    '_ws.malformed']);
  assert.equal(packets.length, Number(told));
  for (const p of packets) assert.equal(p['_ws.malformed'], '', JSON.stringify(p));
  const stats = await leg.stats();
  const ports = new Set();
  for (const [way, list] of [['0x00000001', stats.send], ['0x00000002', stats.receive]]) {
    for (const { kind, ssrc } of list) {
      const of = packets.filter((p) => Number(p['rtp.ssrc']) === ssrc >>> 0);
      assert.ok(of.length > 60, `${of.length} of ${kind} ${way}`);
      const [mid, pt, codec, field] = kind === 'audio' ? ['0', '111', 'opus', 'opus.TOC.config']
        : ['1', '96', 'vp8', 'vp8.pld.partid'];
      for (const [i, p] of of.entries()) {
        assert.equal(p['frame.packet_flags_direction'], way);
        assert.equal(p['frame.interface_name'], `${leg.terminationId}/${mid}`);
        assert.ok(p['frame.interface_description'].startsWith(`${leg.terminationId} mid ${mid}: ${kind}/`));
        assert.equal(p['rtp.p_type'], pt);
        assert.equal(p['frame.protocols'], `raw:ip:udp:rtp:${codec}`);
        assert.notEqual(p[field], '', JSON.stringify(p));
        if (i) assert.equal(Number(p['rtp.seq']), (Number(of[i - 1]['rtp.seq']) + 1) % 65536);
        ports.add(way === '0x00000001' ? `${p['udp.srcport']}>${p['udp.dstport']}`
          : `${p['udp.dstport']}>${p['udp.srcport']}`);
      }
    }
  }
  assert.equal(ports.size, 1, [...ports].join());
  // Reports of both ends.
  for (const way of ['0x00000001', '0x00000002']) {
    assert.ok(packets.some((p) => p['rtcp.pt'].startsWith('200') && p['frame.packet_flags_direction'] === way &&
      p['frame.interface_name'] === leg.terminationId), `no sender report ${way}`);
  }
  await wmcf.says(new RegExp(`capture by uid ${process.getuid()}, process ${child.pid} begins: all media`));
  await wmcf.says(new RegExp(`capture by uid .* has ended after \\S+ s: ${told} packets, 0 were lost`));
});

test('a context, the front of packets, one medium: into the standard output, until the legs end', { timeout: 150_000 },
  async () => {
    // Header extensions that come ciphered (RFC 9335) are in the clear, too.
    const [a, b] = await connectTwo(link, [{ cryptex: true, csrcs: 2 }, { cryptex: true }]);
    const file = path.join(folder, 'context.pcapng'), log = path.join(folder, 'log');
    const command = ctl('pcap', a.contextId, '--snap', '64', '--mid', '1').join(' ');
    const pipeline = run('sh', ['-c', `${command} 2> ${log} | tshark -n -r - -w ${file}`]);
    while (!wmcf.log.includes('begins: medium 1')) await traffic(1);
    const count = (s) => s.receive.find((r) => r.kind === 'video')?.packets ?? 0;
    for (const leg of [a, b]) {
      const from = count(await leg.stats());
      await leg.until((s) => count(s) > from + 40);
    }
    assert.ok((await link.request('subtract', { contextId: a.contextId })).success);
    await pipeline;
    const packets = await read(file, readFileSync(log, 'utf8'), ['frame.interface_name',
      'frame.cap_len', 'rtp.p_type', 'rtp.ext', 'rtp.ext.profile', 'rtp.ext.rfc5285.data']);
    for (const { terminationId } of [a, b]) {
      assert.ok(packets.filter((p) => p['frame.interface_name'] === `${terminationId}/1` &&
        p['frame.cap_len'] === '92' && p['rtp.p_type'] === '96').length > 30, terminationId);
    }
    assert.deepEqual(packets.filter((p) => p['rtp.p_type'] === '111'), []);
    for (const p of packets.filter((one) => one['rtp.p_type'] === '96')) {
      assert.deepEqual([p['rtp.ext'], p['rtp.ext.profile']], ['1', '0xbede'], JSON.stringify(p));
      assert.match(p['rtp.ext.rfc5285.data'], /^31/); // mid 1
    }
    for (const leg of [a, b]) await leg.close();
  });

test('limits, and who may', { timeout: 150_000 }, async () => {
  const [{ terminationId, contextId }] = legs;
  const out = ['-o', path.join(folder, 'none')];
  await refused([terminationId, ...out, '--seconds', '21'], /20 s \(admin.capture_seconds\)/);
  await refused([terminationId, ...out, '--bytes', '1048577'], /1048576 octets/);
  await refused([terminationId, ...out, '--snap', '1'], /64 to 65535 octets/);
  await refused([terminationId, ...out, '--mid', 'none'], /no such medium/);
  await refused(['t-none', ...out], /no such termination or context/);
  assert.ok(!existsSync(out[1]));
  if (process.getuid() === 0) {
    chmodSync(wmcf.folder, 0o755);
    chmodSync(path.join(wmcf.folder, 'wmcf.sock'), 0o666);
    const nobody = ['setpriv', '--reuid', '65534', '--clear-groups'];
    await refused([terminationId], /only root and the user of wmcf may capture/, nobody);
    await wmcf.says(/uid 65534, process \d+ was refused a capture/);
  }
  const third = await connectTwo(link);
  const both = capture(contextId);
  await new Promise((done) => both.stdout.once('data', done));
  await refused([third[0].terminationId, ...out], /more than may be captured at once/);
  both.kill('SIGINT');
  both.stdout.resume();
  assert.equal(await both.over, 0, both.text);
  const child = capture(contextId, '--bytes', '20000');
  let octets = 0;
  child.stdout.on('data', (d) => { octets += d.length; });
  assert.equal(await child.over, 0, child.text);
  assert.ok(octets > 15000 && octets < 21000, `${octets}`);
  assert.ok((await link.request('subtract', { contextId: third[0].contextId })).success);
  for (const leg of third) await leg.close();
  const second = capture(terminationId, '--seconds', '1');
  second.stdout.resume();
  assert.equal(await second.over, 0, second.text);
  assert.match(second.text, /^wmcfctl: [1-9]\d* packets, 0 were lost$/m);
});

test('a reader that does not read loses packets of its own, and of no call', { timeout: 150_000 }, async () => {
  const [a, b] = legs;
  const child = capture(a.terminationId, '--seconds', '20');
  // Nobody takes what it writes: its pipe fills, then the connection, then the ring.
  await new Promise((done) => child.stdout.once('readable', done));
  const before = await b.stats();
  const sent = await a.sendAll({ lines: [1], size: 1200, count: 4000, rate: 2400000 });
  await b.until((s) => s.receive.find((r) => r.kind === 'video').packets >=
    before.receive.find((r) => r.kind === 'video').packets + sent.packets);
  child.kill('SIGINT');
  child.stdout.resume();
  assert.equal(await child.over, 0, child.text);
  assert.match(child.text, /packets, [1-9]\d* were lost/);
  for (const r of (await b.stats()).receive) assert.equal(r.lost, 0, JSON.stringify(r));
});

// The way of docs/pipelines.md: a capture of a medium, and a template's command that plays it.
test('a capture is played into a template outside of the media centre', { timeout: 150_000 }, async () => {
  const source = await link.request('add', { pipeline: { template: 'test',
    parameters: { width: 320, height: 180, framerate: 25 } } });
  assert.ok(source.success, JSON.stringify(source));
  const { contextId, terminationId } = source, file = path.join(folder, 'test.pcapng');
  const child = capture(terminationId, '--mid', 'video', '-o', file);
  while (!existsSync(file)) await traffic(1);
  // Who comes gets a key frame, so the capture has one.
  const added = await link.request('add', { contextId, offerTemplate: { medias: [
    { mediaType: 'video', direction: 'sendonly', codecs: ['VP8'] }] } });
  const leg = new GeneratedLeg();
  const [, bind] = added.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
  const sdpAnswer = await leg.answer(added.sdpOffer, { bind, direction: 2, lines: ['video'] });
  assert.ok((await link.request('modify', { contextId, terminationId: added.terminationId, sdpAnswer,
    mediaPolicy: [{ mid: '*', flowStatus: 'ENABLED' }],
    routes: [{ from: { terminationId, mid: 'video' }, to: { terminationId: added.terminationId, mid: '0' } }] })).success);
  await leg.until((s) => s.receive[0]?.frames > 30);
  child.kill('SIGINT');
  assert.equal(await child.over, 0, child.text);
  await leg.close();
  assert.ok((await link.request('subtract', { contextId })).success);

  const plugin = path.join(build, 'pipelines/libgstwmcf.so');
  // With a sanitizer in it, it can be loaded only by who has that from the start.
  const [sanitizer = ''] = (await run('ldd', [plugin])).stdout.match(/\/\S*\/lib[at]san\.so\S*/) ?? [];
  const env = { ...process.env, LD_PRELOAD: sanitizer,
    ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:detect_leaks=0` };
  const { stdout: about } = await run('gst-inspect-1.0', [plugin], { env });
  for (const element of ['wmcfsrc', 'wmcfsink']) assert.match(about, new RegExp(`${element}: Media centre`));
  const { stdout: command } = await run(path.join(build, 'wmcf/wmcf'),
    ['--print-pipeline', 'transcode', 'width=160', 'height=90', 'framerate=25', 'video=H264', 'camera=VP8']);
  const socket = createSocket('udp4'), packets = [];
  socket.on('message', (packet) => packets.push(packet));
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  const here = command.replace('gst-launch-1.0', `gst-launch-1.0 --gst-plugin-load=${plugin}`)
    .replace('port=5004', `location=${file}`)
    .replace('wmcfsink', `wmcfsink host=127.0.0.1 port=${socket.address().port}`);
  const { stdout } = await run('bash', ['-c', here], { env });
  const [, sent] = stdout.match(/wmcfsink, mid=\(string\)video, packets=\(guint64\)(\d+)/);
  assert.ok(Number(sent) > 0, stdout); // it is played as fast as it was, and what is late is left out
  for (const limit = Date.now() + 20_000; packets.length < Number(sent) && Date.now() < limit;)
    await new Promise((done) => setTimeout(done, 20));
  socket.close();
  assert.equal(packets.length, Number(sent));
  for (const packet of packets) assert.equal(packet[1] & 127, 102); // H264's payload type
  await assert.rejects(run(path.join(build, 'wmcf/wmcf'), ['--print-pipeline', 'transcode', 'width=1']),
    /width is an integer from 160 to 1920/);
});
