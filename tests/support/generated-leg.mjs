// SPDX-License-Identifier: Apache-2.0
// A generated leg (tests/support/generated-leg.c) for scripts.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from './wmcf.mjs';

export class GeneratedLeg {
  // `prefix`: a command that runs it elsewhere, in another network namespace; or a leg in whose
  // process it lives (64 of them at most), and with which it ends.
  constructor(prefix = []) {
    this.peer = 0;
    if (prefix instanceof GeneratedLeg) {
      this.host = prefix.host ?? prefix;
      this.peer = this.host.guests = (this.host.guests ?? 0) + 1;
      ({ process: this.process, replies: this.replies } = this.host);
      return;
    }
    const [command, ...args] = [...prefix, path.join(build, 'tests/support/generated-leg')];
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.replies = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async command(command, members = {}) {
    this.process.stdin.write(`${JSON.stringify({ command, peer: this.peer, ...members })}\n`);
    const { value } = await this.replies.next();
    const reply = JSON.parse(value);
    if (reply.error) throw new Error(reply.error);
    return reply;
  }

  // `faults`: names of generated-leg.c; `bind`: the leg's own address; `medias`: 1 = audio alone;
  // `lines`: a kind for each m-line instead, as many as the first offer has at least;
  // `hold`: no media but by send(); `plain`: no NACK; `data`: takes data channels;
  // `wide`: transport-wide congestion control; `cryptex`, `csrcs`, `drop`, `h264`: of generated-leg.c. `srtpProfiles`: of 'gcm', 'cm', 'gcm256'; absent: all. `levels`, `bitrate`, `fps`, `packetSize`:
  // of generated-leg.c.
  async answer(sdp, { faults = [], direction = 3, bind, medias, lite, hold, plain, data,
    srtpProfiles, lines, levels, bitrate, fps, packetSize, simulcast, temporal, wide, cryptex, csrcs, h264,
    drop } = {}) {
    return (await this.command('answer', { sdp, faults, direction, bind, medias, lite, hold, plain,
      data, srtpProfiles, lines, levels, bitrate, fps, packetSize, simulcast, temporal, wide, cryptex, csrcs, h264,
      drop })).sdp;
  }

  // The same for an offer of the leg's own; then setAnswer().
  async offer({ faults = [], direction = 3, bind, medias, lite, srtpProfiles } = {}) {
    return (await this.command('offer', { faults, direction, bind, medias, lite, srtpProfiles })).sdp;
  }

  setAnswer(sdp) { return this.command('setAnswer', { sdp }); }

  stats() { return this.command('stats'); }

  // Measured traffic: see "send" of generated-leg.c. `seconds` with `rate` stands for a count.
  async send({ seconds, ...members }) {
    const count = seconds ? Math.round(seconds * members.rate / members.size) : members.count;
    return (await this.command('send', { ...members, count })).id;
  }

  // Packets in hexadecimal, `as` 'rtp' or 'rtcp' with the leg's keys; `line`: the next ones of it.
  async octets(packets, { as, line } = {}) {
    return (await this.command('octets', { packets, as, line })).sent;
  }

  // send(), to its end; tells what has left.
  async sendAll(members) {
    const id = await this.send(members);
    const { traffic } = await this.until((s) => s.traffic[id].done, 60);
    return traffic[id];
  }

  // Waits until `done(stats)`.
  async until(done, seconds = 30) {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      const stats = await this.stats();
      if (done(stats)) return stats;
      if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(stats)}`);
      await sleep(50);
    }
  }

  async close() {
    if (this.host) return;
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.stdin.end();
    await new Promise((done) => this.process.on('exit', done));
  }
}

// Two legs in one context of `link`, routed both ways. `options` per leg as of answer(), `flowStatus`,
// `prefix` as of the constructor.
export async function connectTwo(link, options = [{}, {}], events = []) {
  const medias = [{ mediaType: 'audio', direction: 'sendrecv' },
    { mediaType: 'video', direction: 'sendrecv', codecs: ['VP8'] }];
  const legs = [];
  let contextId;
  for (const option of options) {
    const added = await link.request('add', { contextId, offerTemplate: { medias, bundle: true }, events,
      mediaPolicy: [{ mid: '*', flowStatus: option.flowStatus ?? 'ENABLED' }] });
    if (!added.success) throw new Error(added.problemDetails.detail);
    contextId = added.contextId;
    const leg = new GeneratedLeg(option.prefix);
    leg.contextId = contextId;
    leg.terminationId = added.terminationId;
    const [, address] = added.sdpOffer.match(/a=candidate:\S+ 1 udp \d+ ([\d.]+) /i);
    const sdpAnswer = await leg.answer(added.sdpOffer, { bind: address, ...option });
    const modified = await link.request('modify', { contextId, terminationId: leg.terminationId, sdpAnswer });
    if (!modified.success) throw new Error(modified.problemDetails.detail);
    legs.push(leg);
  }
  const [a, b] = legs.map((l) => l.terminationId);
  const route = (from, to) => ['0', '1'].map((mid) => ({ from: { terminationId: from, mid },
    to: { terminationId: to, mid } }));
  const routed = await link.request('modify', { contextId, terminationId: a,
    routes: [...route(a, b), ...route(b, a)] });
  if (!routed.success) throw new Error(routed.problemDetails.detail);
  return legs;
}
