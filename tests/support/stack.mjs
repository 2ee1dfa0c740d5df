// SPDX-License-Identifier: Apache-2.0
// The real programs: one wmcf and one wsf with configuration, users and tokens of their own in a
// temporary folder, on free ports that stay the same over a restart. Their logs are kept and shown
// when a test fails.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkTrace } from '../schema/check-trace.mjs';

const ROOT = new URL('../../', import.meta.url).pathname;
const BUILD = process.env.WMCF_BUILD ?? process.env.BUILD ?? join(ROOT, 'build-check');
const START_MS = 30_000;

export const USERS = {
    'alice@example.org': 'wonderland',
    'bob@example.org': 'builder',
    'carol@example.org': 'christmas',
};

/** The address at which browsers shall find the media centre: the first that is not loopback. */
export function mediaAddress() {
    for (const addresses of Object.values(networkInterfaces())) {
        const found = addresses.find((one) => !one.internal && one.family === 'IPv4');
        if (found) return found.address;
    }
    return '127.0.0.1';
}

/** A program that can be killed and started again. */
class Program {
    log = '';
    /** @type {import('node:child_process').ChildProcess | undefined} */
    child;

    /** `prefix`: a command that runs the program somewhere, e.g. in another network namespace. */
    constructor(name, args, ready, prefix = []) {
        this.name = name;
        this.args = args;
        this.ready = ready;
        this.prefix = prefix;
    }

    get pid() {
        return this.child?.pid;
    }

    async start() {
        const binary = join(BUILD, this.name, this.name);
        if (!existsSync(binary)) throw new Error(`${binary} is not built`);
        const [command, ...args] = [...this.prefix, binary, ...this.args];
        const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
        this.child = child;
        const from = this.log.length;
        await new Promise((resolve, reject) => {
            const timer = setTimeout(
                () => reject(new Error(`${this.name} is not ready:\n${this.log.slice(from)}`)),
                START_MS,
            );
            const hear = (data) => {
                this.log += data;
                if (!this.ready.test(this.log.slice(from))) return;
                clearTimeout(timer);
                resolve();
            };
            child.stdout.on('data', hear);
            child.stderr.on('data', hear);
            child.on('error', reject);
            // "close" and not "exit": by then all is read that it has said.
            child.on('close', (code, signal) => {
                clearTimeout(timer);
                this.log += `(${this.name} ended: ${signal ?? code})\n`;
                reject(new Error(`${this.name} ended at once:\n${this.log.slice(from)}`));
            });
        });
    }

    /** Resolves when the process is gone. */
    async kill(signal = 'SIGKILL') {
        const { child } = this;
        if (!child || child.exitCode !== null || child.signalCode !== null) return;
        const gone = new Promise((resolve) => child.once('close', resolve));
        child.kill(signal);
        const insist = setTimeout(() => child.kill('SIGKILL'), 10_000);
        await gone;
        clearTimeout(insist);
    }

    /** Waits until the log matches: who writes it and who reads it are in no hurry. */
    async says(pattern, from = 0) {
        await until(
            () => pattern.test(this.log.slice(from)),
            30_000,
            () => `${this.name} does not say ${pattern}:\n${this.log.slice(from)}`,
        );
    }

    /** Resident memory in KB, and what of it belongs to no file; threads, open descriptors. */
    resources() {
        const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
        const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
        return {
            rss: field('VmRSS'),
            anon: field('RssAnon'),
            threads: field('Threads'),
            fds: readdirSync(`/proc/${this.pid}/fd`).length,
        };
    }
}

export class Stack {
    /**
     * @param {object} [options]
     * @param {string[]} [options.wsf] settings, e.g. 'call.no_answer_time=2'
     * @param {string[]} [options.wmcf]
     * @param {Record<string, string>} [options.users]
     * @param {boolean} [options.tls] a second listener with TLS on the media address: `secureUrl`
     * @param {string} [options.realm]
     * @param {string} [options.conf] more sections of wsf.conf; paths are relative to the folder
     * @param {string} [options.wmcfConf] and of wmcf.conf
     * @param {Record<string, string>} [options.files] name → text, in the folder
     * @param {Namespace} [options.namespace] where both programs run (namespace.mjs)
     */
    static async start({ namespace, ...options } = {}) {
        const stack = new Stack();
        stack.namespace = namespace;
        try {
            await stack.#prepare(options);
            await stack.wmcf.start();
            await stack.wsf.start();
            await stack.ready();
        } catch (error) {
            await stack.stop();
            throw error;
        }
        return stack;
    }

    async #prepare({
        wsf: wsfSettings = [],
        wmcf: wmcfSettings = [],
        users = USERS,
        tls = false,
        realm = 'example.org',
        conf = '',
        wmcfConf: moreConf = '',
        files = {},
    }) {
        this.folder = mkdtempSync(join(tmpdir(), 'stack-'));
        this.address = this.namespace?.address ?? mediaAddress();
        const [web, control] = [await freeTcp(), await freeTcp()];
        this.control = `http://127.0.0.1:${control}/`;
        this.url = `http://localhost:${web}/`;
        const file = (name, text) => {
            writeFileSync(join(this.folder, name), text, { mode: 0o600 });
            return join(this.folder, name);
        };
        file('token', `${'0123456789abcdef'.repeat(2)}\n`);
        for (const [name, text] of Object.entries(files)) file(name, text);
        const wmcfConf = file(
            'wmcf.conf',
            `[control]\nport = ${control}\ntrace_file = wmcf.trace\n` +
                `[wsf "test"]\nwebrtc_id = wsf@${realm}\ntoken_file = token\n` +
                `[media]\nbind = ${this.address}\nport = 0\n` +
                `[admin]\nsocket = wmcf.sock\n` +
                moreConf,
        );
        file('users', '');
        let secure = '';
        if (tls) {
            const port = await freeTcp();
            this.secureUrl = `https://${this.address}:${port}/`;
            makeCertificate(this.folder, this.address);
            secure =
                `[listen "secure"]\naddress = ${this.address}\nport = ${port}\n` +
                `tls_certificate = cert.pem\ntls_key = key.pem\n`;
        }
        const wsfConf = file(
            'wsf.conf',
            `[wsf]\nrealm = ${realm}\nweb_folder = ${join(ROOT, 'web')}\ntrace_file = wsf.trace\n` +
                `[listen "test"]\naddress = 127.0.0.1\nport = ${web}\n` +
                secure +
                `[auth]\ncredentials_file = users\n` +
                `[wmcf "test"]\nurl = ws://127.0.0.1:${control}/eirtcw-mc/v1\ntoken_file = token\n` +
                conf,
        );
        const sets = (settings) => settings.flatMap((one) => ['--set', one]);
        for (const [user, password] of Object.entries(users)) addUser(wsfConf, user, password);
        this.wmcf = new Program(
            'wmcf',
            ['--config', wmcfConf, ...sets(wmcfSettings)],
            /in service/,
            this.namespace?.prefix,
        );
        this.wsf = new Program(
            'wsf',
            ['--config', wsfConf, ...sets(wsfSettings)],
            /in service/,
            this.namespace?.prefix,
        );
    }

    /** Waits until wsf has a media centre, which is when it takes calls. */
    async ready(timeout = 40_000) {
        await this.says(/^ready$/m, timeout);
    }

    /** A page of wsf, from its own host; "" while there is no answer. */
    async page(path) {
        if (this.namespace) {
            const look = `fetch('${this.url}${path}').then((r) => r.text()).then(console.log)`;
            return this.namespace.run(process.execPath, '-e', look).stdout;
        }
        const reply = await fetch(`${this.url}${path}`).catch(() => null);
        return (await reply?.text()) ?? '';
    }

    /** The sum of what the media centre says of a metric, over all its labels. */
    async metric(name) {
        const page = await (await fetch(`${this.control}metrics`)).text();
        const values = page.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'));
        return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
    }

    /** Waits until /readyz matches. */
    async says(pattern, timeout = 40_000) {
        await until(
            async () => pattern.test(await this.page('readyz')),
            timeout,
            () => `readyz does not say ${pattern}\n${this.logs()}`,
        );
    }

    /** What wmcfctl says, as an object. */
    wmcfctl(...args) {
        const { status, stdout, stderr } = spawnSync(
            join(BUILD, 'wmcf', 'wmcfctl'),
            ['--socket', join(this.folder, 'wmcf.sock'), '--json', ...args],
            { encoding: 'utf8' },
        );
        if (status !== 0) throw new Error(`wmcfctl ${args.join(' ')}: ${stderr || stdout}`);
        return JSON.parse(stdout);
    }

    contexts() {
        return this.wmcfctl('contexts').contexts;
    }

    /** Waits until the media centre has so many contexts, and pipelines on their way out are gone. */
    async contextsBecome(count, timeout = 40_000) {
        await until(
            () => {
                const status = this.wmcfctl('status');
                return (
                    status.contexts === count &&
                    (count > 0 || status.pipelines + status.reaping === 0)
                );
            },
            timeout,
            () => `contexts do not become ${count}: ${JSON.stringify(this.contexts(), null, 1)}`,
        );
    }

    /** What has happened so far has reached the store. */
    async stored() {
        await until(
            async () => /^wsf_store_waiting 0$/m.test(await this.page('metrics')),
            20_000,
            () => 'the store does not come to rest',
        );
    }

    logs() {
        return [this.wmcf, this.wsf]
            .map((program) => `--- ${program?.name}\n${program?.log.slice(-20_000)}`)
            .join('\n');
    }

    /** Ends both programs; throws when a message between anybody did not match the schemas. */
    async stop() {
        await Promise.all([this.wsf?.kill('SIGINT'), this.wmcf?.kill('SIGINT')]);
        if (!this.folder) return;
        const faults = ['wsf.trace', 'wmcf.trace']
            .map((name) => join(this.folder, name))
            .filter((file) => existsSync(file))
            .flatMap((file) => checkTrace(file).faults);
        rmSync(this.folder, { recursive: true, force: true });
        if (faults.length > 0)
            throw new Error(`not as the schemas say:\n${faults.slice(0, 20).join('\n')}`);
    }
}

/**
 * @param {string} folder
 * @param {string} address
 */
function makeCertificate(folder, address) {
    const { status, stderr } = spawnSync(
        'openssl',
        [
            ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
            ...['-days', '2', '-subj', '/CN=test', '-addext', `subjectAltName=IP:${address}`],
            ...['-keyout', 'key.pem', '-out', 'cert.pem'],
        ],
        { cwd: folder, encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`openssl: ${stderr}`);
}

/** @param {string} conf */
function addUser(conf, user, password) {
    const { status, stderr } = spawnSync(
        join(BUILD, 'wsf', 'wsf'),
        ['--config', conf, '--add-user', user],
        { input: `${password}\n`, encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`wsf --add-user ${user}: ${stderr}`);
}

/**
 * Looks until something is true; for things that nobody tells about by themselves.
 * @param {() => unknown} condition
 * @param {number} timeout milliseconds
 * @param {() => string} complaint
 */
export async function until(condition, timeout, complaint) {
    const end = Date.now() + timeout;
    for (;;) {
        const value = await condition();
        if (value) return value;
        if (Date.now() > end) throw new Error(complaint());
        await pause(50);
    }
}

/** @param {number} milliseconds */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export async function freeTcp() {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}
