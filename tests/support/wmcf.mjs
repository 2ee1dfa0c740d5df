// SPDX-License-Identifier: Apache-2.0
// Starts a real wmcf for a test, and the control link by which a test is its WSF.
import assert from 'node:assert/strict';
import { spawn, execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { checkTrace } from '../schema/check-trace.mjs';

const run = promisify(execFile);
export const root = path.resolve(fileURLToPath(import.meta.url), '../../..');
export const build = path.resolve(root, process.env.BUILD ?? 'build-check');
export const TOKEN = 'a-token-for-tests-0123456789';
export const IDENTITY = 'wsf@example.org';
// No kernel level works for a process without capabilities.
export const WITHOUT_CAPABILITIES = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];

export class Wmcf {
  // `settings`: "section.key=value" over the test's defaults. `wrapper`: a command that starts it.
  static async start(settings = [], wrapper = []) {
    const wmcf = new Wmcf();
    wmcf.wrapper = wrapper;
    wmcf.folder = mkdtempSync(path.join(tmpdir(), 'wmcf-test-'));
    writeFileSync(path.join(wmcf.folder, 'token'), TOKEN);
    writeFileSync(path.join(wmcf.folder, 'wmcf.conf'), `
[wsf "test"]
webrtc_id = ${IDENTITY}
token_file = token
[control]
port = 0
trace_file = trace.jsonl
[media]
port = 0
[admin]
socket = ${wmcf.folder}/wmcf.sock
`);
    wmcf.settings = settings;
    await wmcf.run();
    return wmcf;
  }

  async run() {
    this.log = '';
    const [program, ...args] = [...this.wrapper, path.join(build, 'wmcf/wmcf'),
      '-c', path.join(this.folder, 'wmcf.conf'), ...this.settings.flatMap((s) => ['-s', s])];
    this.process = spawn(program, args,
      { stdio: ['ignore', 'ignore', 'pipe'] });
    this.process.stderr.on('data', (d) => { this.log += d; });
    // "close" and not "exit": by then all is read that it has said.
    this.exited = new Promise((done) => this.process.on('close', (code, signal) => done(signal ?? code)));
    for (;;) {
      if (this.process.exitCode !== null) {
        await this.exited;
        throw new Error(`wmcf did not start:\n${this.log}`);
      }
      if (existsSync(path.join(this.folder, 'wmcf.sock'))) {
        const status = await this.ctl('status').catch(() => null);
        if (status) { this.port = status.controlPort; break; }
      }
      await sleep(20);
    }
    this.url = `ws://127.0.0.1:${this.port}/eirtcw-mc/v1`;
  }

  async ctl(...args) {
    const { stdout } = await run(path.join(build, 'wmcf/wmcfctl'),
      ['-s', path.join(this.folder, 'wmcf.sock'), '-j', ...args]);
    return JSON.parse(stdout);
  }

  // Waits until the log has a line that matches: who writes it and who reads it are in no hurry.
  async says(pattern, from = 0) {
    for (const limit = Date.now() + 30_000; !pattern.test(this.log.slice(from)); await sleep(20))
      if (Date.now() > limit) throw new Error(`the log does not say ${pattern}:\n${this.log.slice(from)}`);
  }

  get trace() { return path.join(this.folder, 'trace.jsonl'); }

  // Threads, descriptors and resident KiB of the process, as the kernel tells.
  resources() {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    const number = (key) => Number(status.match(new RegExp(`^${key}:\\s+(\\d+)`, 'm'))[1]);
    return { threads: number('Threads'), rss: number('VmRSS') };
  }

  // Whatever was said on the wire must match the schemas.
  async stop(signal = 'SIGINT') {
    this.process.kill(signal);
    const how = await this.exited;
    const { faults } = checkTrace(this.trace);
    assert.deepEqual(faults, []);
    rmSync(this.folder, { recursive: true, force: true });
    return how;
  }
}

// A control link: requests by promise, the wmcf's own requests answered and kept in `events`.
export class ControlLink {
  static async open(url, { auth = true, token = TOKEN, identity = IDENTITY, instanceId } = {}) {
    const link = new ControlLink();
    // One message a turn: who awaits a response goes on before the event behind it in the same packet.
    link.ws = new WebSocket(url, 'eirtcw-mc.v1', { maxPayload: 1 << 24, allowSynchronousEvents: false });
    link.nextId = 0;
    link.waiting = new Map();
    link.events = [];
    link.watchers = [];
    link.closed = new Promise((done) => link.ws.on('close', (code) => done(code)));
    link.ws.on('message', (data) => link.receive(JSON.parse(data)));
    await new Promise((done, fail) => { link.ws.on('open', done); link.ws.on('error', fail); });
    if (auth) {
      link.authenticated = await link.request('auth', { authType: 'bearer', webrtcId: identity,
        authorization: `Bearer ${token}`, instanceId });
    }
    return link;
  }

  receive(message) {
    if (message.messageType === 'response') {
      this.waiting.get(message.transactionId)?.(message);
      this.waiting.delete(message.transactionId);
      return;
    }
    this.ws.send(JSON.stringify({ messageType: 'response', method: message.method,
      transactionId: message.transactionId, success: true }));
    this.events.push(message);
    this.watchers = this.watchers.filter((watch) => !watch(message));
  }

  request(method, members = {}) {
    const transactionId = this.nextId;
    this.nextId += 2;
    this.ws.send(JSON.stringify({ messageType: 'request', method, transactionId, ...members }));
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`no response to ${method}`)), 30000);
      this.waiting.set(transactionId, (m) => { clearTimeout(timer); done(m); });
    });
  }

  // A request that is taken, or the test fails with the reason.
  async succeed(method, members) {
    const reply = await this.request(method, members);
    assert.equal(reply.success, true, `${method}: ${JSON.stringify(reply.problemDetails)}`);
    return reply;
  }

  // The first event that `matches`, seen already or yet to come.
  event(matches, seconds = 30) {
    const seen = this.events.find(matches);
    if (seen) return Promise.resolve(seen);
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error('the event has not come')), seconds * 1000);
      this.watchers.push((m) => {
        if (!matches(m)) return false;
        clearTimeout(timer);
        done(m);
        return true;
      });
    });
  }

  async close() {
    this.ws.close(1000);
    await this.closed;
  }
}
