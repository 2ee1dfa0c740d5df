// SPDX-License-Identifier: Apache-2.0
// Network namespaces for tests in which each operator has a host of its own. All hang on two bridges of
// the test's namespace: one carries media, one what signalling functions say to each other, so that a
// test can cut either alone. Needs tests/support/in-netns around the test.

import { spawn, spawnSync } from 'node:child_process';
import { readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const NETS = { media: '203.0.113', core: '198.51.100' };

function ip(...args) {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

function ensureBridge(name) {
    if (spawnSync('ip', ['link', 'show', name]).status === 0) return;
    ip('link', 'add', name, 'type', 'bridge');
    ip('link', 'set', name, 'addrgenmode', 'none');
    ip('addr', 'add', `${NETS[name.slice(3)]}.1/24`, 'dev', name);
    ip('link', 'set', name, 'up');
}

export class Namespace {
    /** `number` 2 to 254 is the last part of its addresses. */
    static async start(name, number) {
        const own = new Namespace();
        own.name = name;
        own.process = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
        await own.#entered();
        own.prefix = ['nsenter', `--net=/proc/${own.process.pid}/ns/net`];
        own.address = `${NETS.media}.${number}`;
        own.core = `${NETS.core}.${number}`;
        for (const net of Object.keys(NETS)) own.#join(net, number);
        own.inside('ip', 'link', 'set', 'lo', 'up');
        // Browsers learn their default address from the route to the world.
        own.inside('ip', 'route', 'add', 'default', 'dev', 'media');
        return own;
    }

    async #entered() {
        const ours = readlinkSync('/proc/self/ns/net');
        for (let i = 0; i < 500; i++) {
            try {
                if (readlinkSync(`/proc/${this.process.pid}/ns/net`) !== ours) return;
            } catch {
                // not there yet
            }
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
        throw new Error('unshare --net did not work; run this in tests/support/in-netns');
    }

    #join(net, number) {
        const outside = `${net}-${this.name}`.slice(0, 15);
        ensureBridge(`br-${net}`);
        ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', net, 'netns', String(this.process.pid));
        ip('link', 'set', outside, 'master', `br-${net}`, 'addrgenmode', 'none', 'up');
        this.inside('ip', 'link', 'set', net, 'addrgenmode', 'none');
        this.inside('ip', 'addr', 'add', `${NETS[net]}.${number}/24`, 'dev', net);
        this.inside('ip', 'link', 'set', net, 'up');
    }

    /** Runs a command in there and waits; like spawnSync. */
    run(command, ...args) {
        const [enter, ...rest] = [...this.prefix, command, ...args];
        return spawnSync(enter, rest, { encoding: 'utf8' });
    }

    inside(command, ...args) {
        const { status, stderr } = this.run(command, ...args);
        if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
    }

    /** Cuts or joins the way to the other namespaces: "media" or "core". */
    setLink(net, up) {
        ip('link', 'set', `${net}-${this.name}`.slice(0, 15), up ? 'up' : 'down');
    }

    /** A file that runs a program in there, for what takes only the name of a program. */
    wrapper(folder, program) {
        const file = join(folder, `in-${this.name}`);
        writeFileSync(file, `#!/bin/sh\nexec ${this.prefix.join(' ')} ${program} "$@"\n`, { mode: 0o700 });
        return file;
    }

    stop() {
        this.process.kill('SIGKILL');
    }
}
