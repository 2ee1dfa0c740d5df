// SPDX-License-Identifier: Apache-2.0
// A client's bad access link: a network namespace of its own ("far"), joined to the test's ("near") by
// the emulator of tests/support/link, which loses, delays, jitters and limits what passes, and can be
// told otherwise at any time. Needs tests/support/in-netns around the test.
//
//   const link = await Link.start({ seed: 7 });
//   await link.set('down', { rate: 300e3, queueMs: 200, loss: 0.05, delayMs: 20, jitterMs: 20 });
//   const leg = new GeneratedLeg(link.prefix);                    // binds to link.far
//   const browser = await person.launch({ executablePath: link.wrapper(folder, '/usr/bin/chromium') });
//
// "down" is towards the client, "up" from it. From the far side every address of the near side can be
// reached (192.0.2.10 of in-netns, Link.near); its own loopback is another one, so pages come from
// there by `secureUrl` (Stack with tls: true) or with the origin named to Chromium: see chromiumArgs().

import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = new URL('../../', import.meta.url).pathname;
const BUILD = process.env.WMCF_BUILD ?? process.env.BUILD ?? join(ROOT, 'build-check');

function ip(...args) {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

export class Link {
    static #count = 0;

    /**
     * @param {object} [options]
     * @param {number} [options.seed] the same seed and packets: the same losses
     */
    static async start({ seed = 1 } = {}) {
        const link = new Link();
        const n = ++Link.#count;
        // RFC 2544's own block.
        Object.assign(link, {
            net: `198.18.${n}`,
            near: `198.18.${n}.1`,
            far: `198.18.${n}.2`,
            near6: `fd00:db8:18:${n}::1`,
            far6: `fd00:db8:18:${n}::2`,
            device: `link${n}`,
        });
        link.process = spawn(
            join(BUILD, 'tests/support/link-emulator'),
            [link.device, 'media', String(seed)],
            { stdio: ['pipe', 'pipe', 'inherit'] },
        );
        const ended = new Promise((_, fail) => {
            link.process.on('error', fail);
            link.process.on('exit', (code) => fail(new Error(`link-emulator ended: ${code}`)));
        });
        ended.catch(() => {});
        link.replies = createInterface({ input: link.process.stdout })[Symbol.asyncIterator]();
        const { value } = await Promise.race([link.replies.next(), ended]);
        if (!value) throw new Error('the link emulator did not start');
        link.prefix = ['nsenter', `--net=/proc/${link.process.pid}/ns/net`];
        link.#join();
        return link;
    }

    #join() {
        // A link-local address that comes up later is a changed network: browsers drop their loading.
        ip('link', 'set', this.device, 'addrgenmode', 'none');
        ip('addr', 'add', `${this.near}/24`, 'dev', this.device);
        ip('-6', 'addr', 'add', `${this.near6}/64`, 'dev', this.device, 'nodad');
        ip('link', 'set', this.device, 'up');
        this.inside('ip', 'link', 'set', 'lo', 'up');
        this.inside('ip', 'link', 'set', 'media', 'addrgenmode', 'none');
        this.inside('ip', 'addr', 'add', `${this.far}/24`, 'dev', 'media');
        this.inside('ip', '-6', 'addr', 'add', `${this.far6}/64`, 'dev', 'media', 'nodad');
        this.inside('ip', 'link', 'set', 'media', 'up');
        // Browsers learn their default address from the route to the world.
        this.inside('ip', 'route', 'add', 'default', 'dev', 'media');
        this.inside('ip', '-6', 'route', 'add', 'default', 'dev', 'media');
    }

    async #command(command) {
        this.process.stdin.write(`${JSON.stringify(command)}\n`);
        const { value } = await this.replies.next();
        if (!value) throw new Error('the link emulator has ended');
        const reply = JSON.parse(value);
        if (reply.error) throw new Error(reply.error);
        return reply;
    }

    /**
     * Changes what is named, at once; the rest stays.
     * @param {'down' | 'up' | 'both'} direction
     * @param {{rate?: number, queueMs?: number, loss?: number, burst?: number, delayMs?: number,
     *     jitterMs?: number, reorder?: boolean, spareTcp?: boolean}} conditions rate in bits/s of IP
     *     octets, 0 = unlimited; queueMs: longest wait at the bottleneck (200); loss 0..1, `burst`
     *     the mean length of runs; delayMs ± jitterMs, overtaking unless `reorder` is false;
     *     spareTcp: TCP (signalling, pages) passes untouched
     */
    set(direction, conditions) {
        return this.#command({ ...conditions, set: direction });
    }

    /** {down, up}, each: packets, octets, lost, overflowed, passedPackets, passedOctets, reordered,
     * queueMs (the longest wait so far). */
    counters() {
        return this.#command({ counters: true });
    }

    /** Runs a command on the far side and waits; like spawnSync. */
    run(command, ...args) {
        const [enter, ...rest] = [...this.prefix, command, ...args];
        return spawnSync(enter, rest, { encoding: 'utf8' });
    }

    /** The same; throws when it fails. */
    inside(command, ...args) {
        const { status, stderr } = this.run(command, ...args);
        if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
    }

    /** Starts a command there; like spawn. */
    spawn(command, args = [], options = {}) {
        return spawn(this.prefix[0], [...this.prefix.slice(1), command, ...args], options);
    }

    /** The client gets another IPv4 address, as when it changes its network: 198.18.N.`number`. */
    move(number) {
        const to = `${this.net}.${number}`;
        this.inside('ip', 'addr', 'add', `${to}/24`, 'dev', 'media');
        this.inside('ip', 'addr', 'del', `${this.far}/24`, 'dev', 'media');
        // With the first address of a net its routes may have gone.
        this.run('ip', 'addr', 'add', `${to}/24`, 'dev', 'media');
        this.run('ip', 'route', 'add', 'default', 'dev', 'media');
        this.far = to;
    }

    /** A file that runs a program there, for what takes only the name of a program. */
    wrapper(folder, program = process.env.CHROMIUM ?? '/usr/bin/chromium') {
        const file = join(folder, `on-${this.device}`);
        writeFileSync(file, `#!/bin/sh\nexec ${this.prefix.join(' ')} ${program} "$@"\n`, { mode: 0o700 });
        return file;
    }

    stop() {
        this.process.kill('SIGKILL');
    }
}

/** Makes a page at `url` (http, not localhost) a secure context, so that it gets camera and sound. */
export const chromiumArgs = (url) => [
    `--unsafely-treat-insecure-origin-as-secure=${new URL(url).origin}`,
    '--ignore-certificate-errors',
];
