// SPDX-License-Identifier: Apache-2.0
// Our own programs as what is tested: a wsf with a configuration and users of its own for each set of
// `configured` lines, all at one wmcf unless a scenario does something to it.

import { spawn, spawnSync } from 'node:child_process';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkTrace } from '../../schema/check-trace.mjs';
import { Authority } from '../../support/certificates.mjs';
import { Connection } from './connection.mjs';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BUILD = resolve(ROOT, process.env.BUILD ?? 'build-check');
const START_MS = 30_000;
const USERS = 400;
const PEERS = 24;
/** As many set-ups as one wmcf may know WSFs, which is 256. */
const SETUPS = 256 - PEERS;
const PASSWORD = 'correct horse';
const TOKEN = 'a-token-for-the-ladders-0123456789';
const REALM = 'example.org';
/** HTTP/2 is agreed upon inside of TLS. */
const SECURE = process.env.EIRTCW_TRANSPORT === 'h2';

/** Who the nth of a kind is. */
const IDENTITIES = {
    user: (index) => `u${index}@${REALM}`,
    provider: (index) => `server@provider-${index}.example`,
    operator: (index) => `wsf@operator-${index}.example`,
    wsf: (index) => `wsf-of-script-${index}@${REALM}`,
    controller: (index) => `script-${index}@${REALM}`,
};

const SETTING = /^([a-z_]+)\.([a-z_]+)=(.*)$/;

function asSection(setting) {
    const [, section, key, value] = SETTING.exec(setting);
    return `[${section}]\n${key} = ${value}`;
}

/** What a `configured` line "C section.key=value" says to the media centre, or undefined. */
const ofCentre = (line) => /^C (.*)$/.exec(line)?.[1];

/** A program of ours in a folder of its own. */
class Program {
    log = '';

    constructor(name, folder, ready) {
        this.name = name;
        this.folder = folder;
        this.ready = ready;
    }

    async start() {
        const binary = join(BUILD, this.name, this.name);
        if (!existsSync(binary)) throw new Error(`${binary} is not built; BUILD names the build directory`);
        const from = this.log.length;
        // GStreamer's plug-ins leak by themselves; for leaks of ours there are the flow tests.
        const leaks = this.name === 'wmcf' ? ':detect_leaks=0' : '';
        const env = { ...process.env, ASAN_OPTIONS: (process.env.ASAN_OPTIONS ?? '') + leaks };
        const child = spawn(binary, ['--config', join(this.folder, `${this.name}.conf`)],
            { stdio: ['ignore', 'ignore', 'pipe'], env });
        this.child = child;
        this.exited = new Promise((done) => child.on('exit', (code, signal) => done(signal ?? code)));
        child.stderr.on('data', (data) => {
            this.log += data;
        });
        this.match = await this.says(this.ready, from);
    }

    /** The match of what the program has logged or logs. */
    async says(pattern, from = 0) {
        const end = Date.now() + START_MS;
        for (;;) {
            const match = pattern.exec(this.log.slice(from));
            if (match) return match;
            if (this.child.exitCode !== null || this.child.signalCode !== null || Date.now() > end)
                throw new Error(`${this.name} does not say ${pattern}:\n${this.log.slice(-4000)}`);
            await new Promise((done) => setTimeout(done, 10));
        }
    }

    /** Sends a signal and waits until the program has said so. */
    async signal(name, pattern) {
        const from = this.log.length;
        this.child.kill(name);
        await this.says(pattern, from);
    }

    async stop(signal) {
        if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return undefined;
        this.child.kill(signal);
        const insist = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
        const how = await this.exited;
        clearTimeout(insist);
        return how;
    }

    /** Ends it for good: [text] of what was not right with it or with what it has sent. */
    async end() {
        const how = await this.stop('SIGINT');
        const faults = [];
        const trace = join(this.folder, 'trace.jsonl');
        if (existsSync(trace)) faults.push(...checkTrace(trace, { sentOnly: true }).faults);
        if (/Sanitizer|runtime error/.test(this.log)) faults.push(this.log.slice(-6000));
        if (how !== 0 && how !== undefined) faults.push(`${this.name} ended with ${how}`);
        return faults;
    }
}

const KEYS = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let passwordHash;

/** A JWT (RFC 7519) by the ladders' own key. */
function jwt(claims) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const now = Math.floor(Date.now() / 1000);
    const times = Object.fromEntries(Object.entries(claims)
        .map(([name, value]) => [name, ['exp', 'nbf'].includes(name) ? now + value : value]));
    const body = `${part({ alg: 'ES256', kid: 'ladders' })}.` +
        part({ iss: 'https://login.example.org', aud: 'wsf', exp: now + 600, ...times });
    const signature = createSign('sha256').update(body).sign({ key: KEYS.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${body}.${signature.toString('base64url')}`;
}

class MediaCentre extends Program {
    /** `configured`: "section.key=value". */
    static async start(parent, identities, configured = []) {
        const folder = mkdtempSync(join(parent, 'wmcf-'));
        const centre = new MediaCentre('wmcf', folder, /in service[^\n]*/);
        writeFileSync(join(folder, 'token'), `${TOKEN}\n`, { mode: 0o600 });
        const rows = identities.map((name) =>
            `[wsf "${name}"]\nwebrtc_id = ${name}@${REALM}\ntoken_file = token`);
        writeFileSync(join(folder, 'wmcf.conf'), [
            ...rows,
            '[control]\nport = 0\ntrace_file = trace.jsonl\nconnections_max = 300\nconnections_per_address = 300',
            '[media]\nport = 0',
            `[admin]\nsocket = ${folder}/wmcf.sock`,
            '[log]\nformat = text',
            ...configured.map(asSection),
            '',
        ].join('\n'));
        await centre.start();
        return centre;
    }

    async start() {
        await super.start();
        const { stdout } = spawnSync(join(BUILD, 'wmcf/wmcfctl'), ['-s', join(this.folder, 'wmcf.sock'), '-j', 'status'],
            { encoding: 'utf8' });
        this.port = JSON.parse(stdout).controlPort;
        this.url = `ws://127.0.0.1:${this.port}/eirtcw-mc/v1`;
    }
}

/** One wsf, and what scenarios want to know of what they test. */
export class OwnTarget {
    tidies = false;
    /** How many of each kind have been handed out. */
    #handed = { user: 0, provider: 0, operator: 0, wsf: 0, controller: 0 };
    features = new Set(['basic', 'bearer', 'certificate', 'token-claims', 'media', 'configuration', 'control']);

    constructor(set, name, configured) {
        this.set = set;
        this.name = name;
        this.configured = configured;
        this.procedures = set.procedures;
        this.variables = { realm: REALM, 'W.id': `${name}@${REALM}`, 'nobody.id': `nobody@${REALM}`, 'foreign.realm': 'other.example' };
    }

    async start(centre) {
        this.centre = centre;
        const folder = mkdtempSync(join(this.set.folder, 'wsf-'));
        this.program = new Program('wsf', folder, /in service: .*http:\/\/127\.0\.0\.1:(\d+)/);
        const jwk = { ...KEYS.publicKey.export({ format: 'jwk' }), kid: 'ladders', use: 'sig' };
        const file = (name, text) => writeFileSync(join(folder, name), text, { mode: 0o600 });
        file('token', `${TOKEN}\n`);
        file('password', `${PASSWORD}\n`);
        file('jwks.json', JSON.stringify({ keys: [jwk] }));
        const { ca, certificate, key } = this.set.certificate();
        file('ca.pem', ca);
        file('server.pem', certificate);
        file('server.key', key);
        const own = this.configured.filter((line) => !ofCentre(line));
        const lines = own.filter((line) => !SETTING.test(line));
        const settings = own.filter((line) => SETTING.test(line)).map(asSection);
        file('wsf.conf', [
            `[wsf]\nrealm = ${REALM}\nidentity = ${this.name}@${REALM}\ntrace_file = trace.jsonl`,
            '[listen "ladders"]\nport = 0',
            '[listen "secure"]\nport = 0\ntls_certificate = server.pem\ntls_key = server.key\ntls_client_ca = ca.pem',
            '[auth]\ncredentials_file = users\njwk_set_file = jwks.json\n' +
                'issuer = https://login.example.org\naudience = wsf\n' +
                'failures_free_identity = 100\nfailures_free_address = 1000',
            '[limits]\nrequest_rate_unauthenticated = 100\nconnect_rate_per_address = 1000',
            `[wmcf "ladders"]\nurl = ${centre.url}\ntoken_file = token`,
            '[media]\nbackoff_max = 1',
            ...this.#peers(),
            '[log]\nlevel = debug\nformat = text',
            ...settings,
            ...lines,
            '',
        ].join('\n'));
        file('users', this.#credentials(join(folder, 'wsf.conf'), join(folder, 'users')));
        await this.#run();
    }

    /** One hash for all: making one takes long on purpose. */
    #credentials(config, users) {
        if (!passwordHash) {
            const { status, stderr } = spawnSync(join(BUILD, 'wsf/wsf'),
                ['--config', config, '--add-user', `one@${REALM}`], { input: `${PASSWORD}\n`, encoding: 'utf8' });
            if (status !== 0) throw new Error(`--add-user: ${stderr}`);
            passwordHash = readFileSync(users, 'utf8').trim().replace(/^[^:]*:/, '');
        }
        const names = Object.keys(IDENTITIES).flatMap((kind) =>
            Array.from({ length: kind === 'user' ? USERS : PEERS }, (_, index) => IDENTITIES[kind](index)));
        return names.map((name) => `${name}:${passwordHash}\n`).join('');
    }

    /** Servers that may register; nobody is obliged to. */
    #peers() {
        return ['provider', 'operator', 'wsf'].flatMap((kind) => Array.from({ length: PEERS }, (_, index) => {
            const id = IDENTITIES[kind](index);
            const realms = kind === 'wsf' ? '' : `realms = ${id.split('@')[1]}\n`; // its realm is ours
            return `[peer "${kind}-${index}"]\nkind = ${kind}\n${realms}webrtc_id = ${id}`;
        }));
    }

    async #run() {
        await this.program.start();
        this.base = `http://127.0.0.1:${this.program.match[1]}`;
        // In the line of this start: after a restart it is another port.
        const [, port] = /https:\/\/127\.0\.0\.1:(\d+)/.exec(this.program.match.input);
        this.secureBase = `wss://127.0.0.1:${port}`;
        this.webSocketBase = SECURE ? this.secureBase : this.base.replace('http', 'ws');
        const end = Date.now() + START_MS;
        while ((await fetch(`${this.base}/readyz`)).status !== 200) {
            if (Date.now() > end) throw new Error(`wsf is not ready\n${this.program.log.slice(-4000)}`);
            await new Promise((done) => setTimeout(done, 10));
        }
    }

    /** Users and peers that nobody else has: roles → who. Nothing has to be given back. */
    async take(roles) {
        return new Map(roles.map((role) => {
            const [kind] = role.split(' ');
            const id = (IDENTITIES[kind] ?? IDENTITIES.user)(this.#handed[kind]++);
            if (this.#handed[kind] > (kind === 'user' ? USERS : PEERS)) throw new Error(`more ${kind}s are needed`);
            const [name, realm] = id.split('@');
            return [role, { id, name, password: PASSWORD, realm, authType: 'bearer' }];
        }));
    }

    release() {}

    token({ id }, claims) {
        return jwt({ sub: id, ...claims });
    }

    credentials({ kind, user }) {
        if (kind === 'controller') return { authType: 'bearer', webrtcId: user.id, authorization: `Bearer ${TOKEN}` };
        return { authType: 'bearer', webrtcId: user.id, authorization: `Bearer ${this.token(user, {})}` };
    }

    /** { cert, key } that names the user. */
    certificate({ id }) {
        const { certificate, key } = this.set.issue(`email:${id}`);
        return { cert: certificate, key };
    }

    open({ kind }, path, options) {
        const [base, own] = kind === 'controller'
            ? [this.centre.url, '/eirtcw-mc/v1']
            : [options.certificate ? this.secureBase : this.webSocketBase, '/eirtcw/v1'];
        const tls = base.startsWith('wss:') ? { ca: this.set.certificate().ca, ...options.certificate } : {};
        return Connection.open(new URL(path ?? own, base).href, { ...options, tls });
    }

    async fetch(path) {
        const response = await fetch(this.base + path);
        return { status: response.status, body: await response.text() };
    }

    /** What it has said is in its store by then. */
    async #killed() {
        const waiting = /^wsf_store_waiting(?:\{[^}]*\})? [1-9]/m;
        while (waiting.test(await (await fetch(`${this.base}/metrics`)).text()))
            await new Promise((done) => setTimeout(done, 10));
        await this.program.stop('SIGKILL');
    }

    /** The wsf has noticed it by then: a call in between would be begun and given up. */
    async #lost() {
        await this.centre.stop('SIGKILL');
        const up = /^wsf_wmcf_up(?:\{[^}]*\})? 1$/m;
        while (up.test(await (await fetch(`${this.base}/metrics`)).text()))
            await new Promise((done) => setTimeout(done, 10));
    }

    async #again(server, program) {
        await program.exited;
        await (server === 'W' ? this.#run() : program.start());
    }

    async control(server, what) {
        const program = { W: this.program, C: this.centre }[server];
        if (!program) throw new Error(`there is no ${server}`);
        if (what === 'is killed') await (server === 'W' ? this.#killed() : this.#lost());
        else if (what === 'drains') await program.signal('SIGINT', /draining/);
        else if (what === 'ends for a restart') await program.signal('SIGTERM', /restart/);
        else if (what === 'reads its configuration again') await program.signal('SIGHUP', /read again/);
        else if (what === 'starts') await this.#again(server, program);
        else throw new Error(`${server} cannot do that`);
    }

    /** Ends it; what its own side said on any link must be as the schemas say. */
    stop() {
        return this.program.end();
    }
}

/** The programs for a set of scenarios, started when the first of them needs them. */
export class OwnPrograms {
    #groups = new Map();
    #count = 0;

    constructor(procedures) {
        this.procedures = procedures;
        this.folder = mkdtempSync(join(tmpdir(), 'ladders-'));
        this.names = Array.from({ length: SETUPS }, (_, index) => `wsf-${index}`);
    }

    /** Of all wsf. */
    certificate() {
        this.#certificate ??= { ...this.issue('IP:127.0.0.1'), ca: this.#authority.ca };
        return this.#certificate;
    }

    issue(names) {
        this.#authority ??= new Authority();
        return this.#authority.issue(names);
    }

    #certificate;
    #authority;

    /** Why a scenario cannot run here, or undefined. */
    lacks() {
        return undefined;
    }

    /** The target of scenarios with these `configured` lines; with `alone` its wsf, or its wmcf too, is nobody else's. */
    target(configured, alone) {
        const key = alone ? `alone ${this.#count}` : JSON.stringify(configured);
        if (!this.#groups.has(key)) this.#groups.set(key, this.#start(configured, alone === 'wmcf'));
        return this.#groups.get(key);
    }

    async #start(configured, ownCentre) {
        const name = this.names[this.#count++];
        const target = new OwnTarget(this, name, configured);
        const ofIts = configured.map(ofCentre).filter(Boolean);
        const shares = !ownCentre && !ofIts.length;
        if (shares) this.#centre ??= MediaCentre.start(this.folder, this.#identities());
        await target.start(shares ? await this.#centre : await this.#ownCentre(ofIts));
        return target;
    }

    #centre;
    #centres = [];

    #identities() {
        const scripts = Array.from({ length: PEERS }, (_, index) => IDENTITIES.controller(index).split('@')[0]);
        return [...this.names, ...scripts];
    }

    async #ownCentre(configured) {
        const centre = await MediaCentre.start(this.folder, this.#identities(), configured);
        this.#centres.push(centre);
        return centre;
    }

    async stop() {
        const targets = await Promise.allSettled([...this.#groups.values()]);
        const faults = (await Promise.all(targets.filter(({ value }) => value).map(({ value }) => value.stop()))).flat();
        const shared = await this.#centre?.catch(() => undefined);
        for (const centre of [shared, ...this.#centres].filter(Boolean)) faults.push(...(await centre.end()));
        this.#authority?.remove();
        if (!process.env.LADDER_KEEP) rmSync(this.folder, { recursive: true, force: true });
        return faults;
    }
}
