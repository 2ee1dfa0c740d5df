// SPDX-License-Identifier: Apache-2.0
// A wmcf whose media cross a pair of virtual Ethernet interfaces: it has media0, endpoints live with
// media1 in a network namespace of their own, each with addresses of its own. For tests of what the
// kernel does to packets on their way. Needs tests/support/in-netns around the test.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GeneratedLeg } from './generated-leg.mjs';
import { ControlLink, Wmcf, root } from './wmcf.mjs';

export const FAMILIES = ['IPv4', 'IPv6'];
export const WMCF = { IPv4: '192.0.2.10', IPv6: 'fd00:db8::10' };
// Octets of IP and UDP header.
export const HEADERS = { IPv4: 28, IPv6: 48 };
// The networks of the addresses that FarSide gives with `trusted`.
const TRUSTED = '192.0.2.128/25, fd00:db8::2:0/112';
const AUDIO = '0';
const VIDEO = '1';

function command(program, ...args) {
  const { status, stderr, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

export class FarSide {
  // `mtu` is that of what the endpoints send.
  static async start({ mtu = 1280 } = {}) {
    const far = new FarSide();
    far.process = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
    const ours = readlinkSync('/proc/self/ns/net');
    const entered = () => {
      try {
        return readlinkSync(`/proc/${far.process.pid}/ns/net`) !== ours;
      } catch {
        return false;
      }
    };
    for (let i = 0; !entered(); i++) {
      if (i === 500) throw new Error('unshare --net did not work; run this in tests/support/in-netns');
      await sleep(10);
    }
    far.prefix = ['nsenter', `--net=/proc/${far.process.pid}/ns/net`];
    command('ip', 'link', 'set', 'media1', 'netns', String(far.process.pid));
    far.run('ip', 'link', 'set', 'lo', 'up');
    far.run('ip', 'link', 'set', 'media1', 'addrgenmode', 'none');
    far.run('ip', 'link', 'set', 'media1', 'mtu', String(mtu), 'up');
    far.next = { trusted: 0, other: 0 };
    return far;
  }

  run(...args) {
    return command(...this.prefix, ...args);
  }

  // A new address of an endpoint; those with `trusted` are in the networks of TRUSTED.
  address(family, trusted = false) {
    const number = trusted ? 128 + this.next.trusted++ : 20 + this.next.other++;
    const address = family === 'IPv4' ? `192.0.2.${number}` : `fd00:db8::${trusted ? 2 : 1}:${number}`;
    this.run('ip', 'addr', 'add', family === 'IPv4' ? `${address}/24` : `${address}/64`, 'dev', 'media1',
      ...(family === 'IPv4' ? [] : ['nodad']));
    return address;
  }

  // What tcpdump sees there of UDP towards `address` until stop(): one object per packet with tos,
  // length (of the IP datagram) and whether a checksum is wrong.
  async capture(address) {
    const dump = spawn(this.prefix[0], [...this.prefix.slice(1), 'tcpdump', '-i', 'media1', '-n', '-l', '-vv',
      '-s', '128', 'udp', 'and', 'dst', 'host', address], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let said = '';
    dump.stdout.on('data', (d) => { text += d; });
    dump.stderr.on('data', (d) => { said += d; });
    for (let i = 0; !said.includes('listening on'); i++) {
      if (i === 500 || dump.exitCode !== null) throw new Error(`tcpdump: ${said}`);
      await sleep(10);
    }
    // A packet is a line that begins with its time, and lines that do not.
    const packets = () => text.split(/\n(?=\d\d:\d\d:\d\d)/).filter(Boolean).flatMap((packet) => {
      const four = /IP \(tos 0x([0-9a-f]+).*?proto UDP \(17\), length (\d+)/s.exec(packet);
      const six = /IP6 \((?:class 0x([0-9a-f]+), )?.*?payload length: (\d+)/s.exec(packet);
      return four ?? six ? [{
        tos: parseInt((four ?? six)[1] ?? '0', 16),
        length: Number((four ?? six)[2]) + (four ? 0 : 40),
        wrong: /bad cksum [0-9a-f]+ \(/.test(packet), // of the IP header
        packet,
      }] : []; // not written to its end
    });
    return {
      // Once it has seen enough: what the kernel has for it yet would be lost.
      async stop(enough) {
        for (const limit = Date.now() + 20_000; Date.now() < limit && !enough(packets());) await sleep(50);
        dump.kill('SIGINT');
        await new Promise((done) => dump.on('close', done));
        return packets();
      },
    };
  }

  stop() {
    this.process.kill('SIGKILL');
  }
}

// A filter of somebody else on media0, before those of a wmcf, that makes what leaves ECN-capable.
// Returns the ECN bits that packets then have: none where there is no compiler for it.
function makeCapable() {
  const folder = mkdtempSync(path.join(tmpdir(), 'ect-'));
  const object = path.join(folder, 'ect.o');
  const compiled = spawnSync('clang', ['-O2', '-target', 'bpf', '-c',
    path.join(root, 'tests/support/ect.bpf.c'), '-o', object]);
  if (compiled.status === 0) {
    command('tc', 'qdisc', 'add', 'dev', 'media0', 'clsact');
    command('tc', 'filter', 'add', 'dev', 'media0', 'egress', 'prio', '1', 'bpf', 'da', 'obj', object,
      'sec', 'tc');
  }
  rmSync(folder, { recursive: true });
  return compiled.status === 0 ? 2 : 0;
}


// A wmcf on media0 that holds policies at one level, the link that drives it, and legs on the far side.
export class Enforcement {
  // `beside`: another one that has the same interfaces. `ecn`: the bits that its packets get from a
  // filter that stands before those of the wmcf.
  static async start(level, settings = [], beside = undefined) {
    const own = new Enforcement();
    own.level = level;
    own.beside = beside;
    own.legs = new Set();
    own.far = beside?.far ?? await FarSide.start();
    own.ecn = beside?.ecn ?? makeCapable();
    own.wmcf = await Wmcf.start([`qos.level=${level}`, `media.bind=${WMCF.IPv4}, ${WMCF.IPv6}`,
      `qos.trusted=${TRUSTED}`,
      'media.socket_buffer=134217728', // what the kernel lets pass waits for a relay that has to wait
      ...settings]);
    own.link = await ControlLink.open(own.wmcf.url);
    return own;
  }

  async stop() {
    // Of a test that has failed.
    for (const leg of this.legs) leg.process.kill('SIGKILL');
    await this.link.close();
    const how = await this.wmcf.stop();
    if (!this.beside) this.far.stop();
    return how;
  }

  async modify(leg, members) {
    const { contextId, terminationId } = leg;
    const answer = await this.link.request('modify', { contextId, terminationId, ...members });
    if (!answer.success) throw new Error(answer.problemDetails.detail);
    return answer;
  }

  // `policies` by mid.
  policy(leg, policies) {
    return this.modify(leg, { mediaPolicy: Object.entries(policies).map(([mid, p]) => ({ mid, ...p })) });
  }

  // What is counted for one medium: { uplink, downlink }.
  async counters(leg, mid) {
    const { contextId, terminationId } = leg;
    const audit = await this.link.request('audit', { contextId, terminationId, what: ['statistics'] });
    return audit.terminations[0].statistics.find((m) => m.mid === mid);
  }

  // Waits until done(counters).
  async counted(leg, mid, done, seconds = 30) {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      const now = await this.counters(leg, mid);
      if (done(now)) return now;
      if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(now)}`);
      await sleep(50);
    }
  }

  // Two legs with sound and picture in one bundle each, routed both ways, that send nothing by
  // themselves; connected, and known to each other by a few packets of each. Options per leg:
  // flowStatus, trusted, policy (by mid), data (a third m-line of data channels), sound (nothing else).
  async pair(family, options = [{}, {}], { warm = true, events = ['mediaGated', 'policingDiscard'] } = {}) {
    const legs = [];
    let contextId;
    for (const option of options) {
      const { trusted, flowStatus = 'ENABLED', policy = {}, sound, ...rest } = option;
      const medias = [{ mediaType: 'audio', direction: 'sendrecv' },
        ...(sound ? [] : [{ mediaType: 'video', direction: 'sendrecv', codecs: ['VP8'] }]),
        ...(rest.data ? [{ mediaType: 'application' }] : [])];
      const added = await this.link.request('add', { contextId, offerTemplate: { medias, bundle: true },
        events, mediaPolicy: [{ mid: '*', flowStatus },
          ...Object.entries(policy).map(([mid, p]) => ({ mid, ...p }))] });
      if (!added.success) throw new Error(added.problemDetails.detail);
      contextId = added.contextId;
      const leg = new GeneratedLeg(this.far.prefix);
      this.legs.add(leg);
      Object.assign(leg, { contextId, terminationId: added.terminationId,
        address: this.far.address(family, trusted) });
      const sdpAnswer = await leg.answer(added.sdpOffer,
        { bind: leg.address, hold: true, plain: true, ...rest });
      await this.modify(leg, { sdpAnswer });
      legs.push(leg);
    }
    const [a, b] = legs.map((l) => l.terminationId);
    const mids = options[0].sound ? [AUDIO] : [AUDIO, VIDEO];
    const route = (from, to) => mids.map((mid) => ({ from: { terminationId: from, mid },
      to: { terminationId: to, mid } }));
    await this.modify(legs[0], { routes: [...route(a, b), ...route(b, a)] });
    for (const leg of legs) await leg.until((s) => s.state === 'connected');
    if (warm) await this.#warm(legs, mids);
    return legs;
  }

  // Sends until five packets of each medium have come: a leg may be connected a moment before the
  // relay has its keys, and what comes in that moment is lost. A second between two attempts, lest
  // packets under way be counted as those of the test.
  async #warm(legs, mids) {
    for (const [i, leg] of legs.entries()) {
      let cold = mids;
      for (let attempts = 30; cold.length > 0; attempts--) {
        if (attempts === 0) throw new Error(`nothing of ${cold} came`);
        for (const mid of cold)
          await leg.sendAll({ lines: [Number(mid)], count: 5, size: 200, rate: 20000 });
        const isCold = (s) => mids.filter((mid) => received(s, mid).packets < 5);
        await legs[1 - i].until((s) => isCold(s).length === 0, 1).catch(() => {});
        cold = isCold(await legs[1 - i].stats());
      }
    }
  }

  async end(legs) {
    await this.link.request('subtract', { contextId: legs[0].contextId });
    await Promise.all(legs.map((leg) => leg.close()));
    for (const leg of legs) this.legs.delete(leg);
  }
}

// What a leg has received of a medium in all: sums over SSRCs.
export function received(stats, mid) {
  const sum = { packets: 0, keyFrames: 0, ipOctets: 0, lost: 0, broken: 0, tos: {} };
  for (const r of stats.receive.filter((one) => one.mid === mid)) {
    for (const key of ['packets', 'keyFrames', 'ipOctets', 'lost', 'broken']) sum[key] += r[key];
    for (const [tos, n] of Object.entries(r.tos)) sum.tos[tos] = (sum.tos[tos] ?? 0) + n;
  }
  return sum;
}
