// SPDX-License-Identifier: Apache-2.0
// Starts a real wsf with a fake media centre for ladders, and registers bare clients at it.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkTrace } from '../schema/check-trace.mjs';
import { Endpoint } from './eirtcw-client.mjs';
import { FakeWmcf, TOKEN } from './fake-wmcf.mjs';

const root = path.resolve(fileURLToPath(import.meta.url), '../../..');
const build = path.resolve(root, process.env.WMCF_BUILD ?? process.env.BUILD ?? 'build-check');
const START_MS = 30_000;

export const PASSWORD = 'correct horse';
export const USERS = ['alice@example.org', 'bob@example.org', 'carol@example.org'];

export class Wsf {
    log = '';

    /**
     * `settings`: "section.key=value" over the test's defaults; `files`: name → text in its folder;
     * `conf`: more lines of configuration, whose paths may name them; `users`: who has a password.
     */
    static async start(settings = [], { wmcf = true, files = {}, conf = '', users = USERS } = {}) {
        const wsf = new Wsf();
        wsf.folder = mkdtempSync(path.join(tmpdir(), 'wsf-test-'));
        if (wmcf) wsf.wmcf = await new FakeWmcf().start();
        wsf.file('token', `${TOKEN}\n`);
        for (const [name, text] of Object.entries(files)) wsf.file(name, text);
        wsf.lines = [
            '[wsf]\nrealm = example.org\ntrace_file = trace.jsonl',
            '[listen "test"]\nport = 0',
            '[auth]\ncredentials_file = users\nfailures_free_identity = 100\nfailures_free_address = 100',
            '[limits]\nrequest_rate_unauthenticated = 100\nconnect_rate_per_address = 1000',
            `[wmcf "fake"]\nurl = ${wsf.wmcf?.url ?? 'ws://127.0.0.1:9/eirtcw-mc/v1'}\ntoken_file = token`,
            '[media]\nbackoff_max = 1',
            '[log]\nlevel = debug\nformat = text',
        ];
        wsf.configure(conf);
        for (const user of users) wsf.addUser(user, PASSWORD);
        wsf.settings = settings;
        await wsf.run();
        return wsf;
    }

    file(name, text) {
        const where = path.join(this.folder, name);
        writeFileSync(where, text, { mode: 0o600 });
        return where;
    }

    /** `conf` in place of what was given at the start; read at the next run or by reload(). */
    configure(conf) {
        this.config = this.file('wsf.conf', [...this.lines, conf].join('\n'));
    }

    /** SIGHUP, until the log has a line like `done`. */
    async reload(done) {
        const from = this.log.length;
        this.process.kill('SIGHUP');
        await this.until(() => done.test(this.log.slice(from)));
    }

    addUser(user, password) {
        const args = ['-c', this.config, '--add-user', user];
        const { status, stderr } = spawnSync(path.join(build, 'wsf/wsf'), args, { input: `${password}\n` });
        if (status !== 0) throw new Error(`--add-user: ${stderr}`);
    }

    async run() {
        const args = ['-c', this.config, ...this.settings.flatMap((one) => ['-s', one])];
        const child = spawn(path.join(build, 'wsf/wsf'), args, { stdio: ['ignore', 'inherit', 'pipe'] });
        const from = this.log.length;
        this.process = child;
        // "close" and not "exit": by then all is read that it has said.
        this.exited = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
        void this.exited.then((how) => {
            if (how !== 0 && how !== 'SIGKILL') process.stderr.write(`wsf ended with ${how}:\n${this.log}`);
        });
        child.stderr.on('data', (data) => {
            this.log += data;
        });
        await this.until(() => {
            if (child.exitCode !== null) throw new Error('wsf ended at once');
            return /in service: .*http:\/\/127\.0\.0\.1:(\d+)/.exec(this.log.slice(from));
        });
        const [, port] = /in service: .*http:\/\/127\.0\.0\.1:(\d+)/.exec(this.log.slice(from));
        this.base = `http://127.0.0.1:${port}`;
        this.url = `ws://127.0.0.1:${port}/eirtcw/v1`;
        if (this.wmcf) await this.ready();
    }

    ready(status = 200) {
        return this.until(async () => (await fetch(`${this.base}/readyz`)).status === status);
    }

    /** Waits until the log matches: who writes it and who reads it are in no hurry. */
    says(pattern) {
        return this.until(() => pattern.test(this.log));
    }

    /** Polls until the condition gives something true, and gives that. */
    async until(condition, wait = START_MS) {
        const end = Date.now() + wait;
        for (;;) {
            const result = await condition();
            if (result) return result;
            if (Date.now() > end) throw new Error(`not in time: ${condition}\n${this.log}`);
            await new Promise((resolve) => setTimeout(resolve, 15));
        }
    }

    /** A figure of /metrics, without its prefix; 0 when it is not there. */
    async metric(name) {
        const text = await (await fetch(`${this.base}/metrics`)).text();
        return Number(new RegExp(`^wsf_${name}(?:{[^}]*})? (\\S+)`, 'm').exec(text)?.[1] ?? 0);
    }

    /** What has happened so far has reached the store. */
    stored() {
        return this.until(async () => (await this.metric('store_waiting')) === 0);
    }

    /** Dies without a word, but not before the store has what has happened. */
    async kill() {
        await this.stored();
        this.process.kill('SIGKILL');
        await this.exited;
    }

    async stop(signal = 'SIGTERM') {
        this.process.kill(signal);
        const how = await this.exited;
        if (this.wmcf) await this.wmcf.stop();
        const { faults } = checkTrace(path.join(this.folder, 'trace.jsonl'), { sentOnly: true });
        rmSync(this.folder, { recursive: true, force: true });
        if (faults.length) throw new Error(`messages against their schemas:\n${faults.join('\n')}`);
        // Sanitizers speak on stderr and by the exit status.
        if (how !== 0 || /Sanitizer|runtime error/.test(this.log)) {
            throw new Error(`wsf ended with ${how}`);
        }
        return how;
    }

    connect() {
        return Endpoint.connect(this.url);
    }

    /** A new connection, registered; `.auth` is the response. */
    async register(webrtcId, members = {}) {
        const client = await this.connect();
        client.auth = await client.request('auth', {
            authType: 'basic',
            webrtcId,
            authorization: basic(webrtcId, PASSWORD),
            ...members,
        });
        if (!client.auth.success) throw new Error(JSON.stringify(client.auth));
        client.webrtcId = webrtcId;
        return client;
    }

    readTrace() {
        const text = readFileSync(path.join(this.folder, 'trace.jsonl'), 'utf8');
        return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
    }
}

export function basic(user, password) {
    return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** The answer of a lazy endpoint: it takes everything as offered. */
export function answerTo(sdpOffer) {
    return sdpOffer.replace(/a=setup:actpass/g, 'a=setup:active').replace(/192\.0\.2\.20/g, '192.0.2.7');
}

/** Alice asks for bob, whose endpoints all get the invitation: [aliceSession, invitations]. */
export async function invite(caller, resourceId, callees, members = {}) {
    const response = await caller.request('msetup', { resourceId, ...members });
    if (!response.success) throw new Error(JSON.stringify(response.problemDetails));
    const invitations = [];
    for (const callee of callees) {
        const invitation = await callee.expect('msetup');
        invitation.reply({ mediaSessionId: invitation.mediaSessionId });
        invitations.push(invitation);
    }
    return [response.mediaSessionId, invitations];
}

/** A whole call up to open gates; `a` and `b` are the mediaSessionIds of the two sides. */
export async function call(wsf, caller, callee, members = {}) {
    const [a, [invitation]] = await invite(caller, callee.webrtcId, [callee], members);
    const b = invitation.mediaSessionId;
    const taken = await callee.request('mupdate', {
        mediaSessionId: b,
        sdpAnswer: answerTo(invitation.sdpOffer),
        offerId: invitation.offerId,
    });
    if (!taken.success) throw new Error(JSON.stringify(taken.problemDetails));
    const offer = await caller.expect('mupdate');
    offer.reply();
    const answered = await caller.request('mupdate', {
        mediaSessionId: a,
        sdpAnswer: answerTo(offer.sdpOffer),
        offerId: offer.offerId,
    });
    if (!answered.success) throw new Error(JSON.stringify(answered.problemDetails));
    await wsf.wmcf.connectAll();
    await wsf.until(() => wsf.wmcf.terminations.every((one) => one.flowStatus === 'ENABLED'));
    return { a, b, invitation, offer };
}
