// SPDX-License-Identifier: Apache-2.0
// Two operators, each with wsf and wmcf of its own on a host of its own; a's WSF dials b's with mutual
// TLS (Rs-n). Needs tests/support/in-netns around the test.

import { Authority } from './certificates.mjs';
import { Namespace } from './namespace.mjs';
import { Stack } from './stack.mjs';

const PORT = 7443;

export class Operators {
    /**
     * @param {object} [options]
     * @param {string[]} [options.wsf] settings of both signalling functions
     * @param {string[]} [options.wmcf]
     * @param {Record<string, string>} [options.peer] more keys of both [peer] sections
     * @param {boolean} [options.tls] clients may connect at the media addresses: `secureUrl`
     * @param {object} [options.a] more of operator a alone: `conf`, `users`, and `realms` that b
     *     reaches through it
     * @param {object} [options.b] the same of b
     */
    static async start({ wsf = [], wmcf = [], peer = {}, tls = false, a = {}, b = {} } = {}) {
        const own = new Operators();
        try {
            await own.#start({ wsf, wmcf, tls }, peer, { a, b });
        } catch (error) {
            await own.stop();
            throw error;
        }
        return own;
    }

    async #start(common, peer, own) {
        const authority = new Authority();
        this.hosts = await Promise.all([Namespace.start('a', 2), Namespace.start('b', 3)]);
        const [a, b] = this.hosts;
        const more = Object.entries(peer).map(([key, value]) => `${key} = ${value}\n`).join('');
        const certified = (realm, host) => {
            const { certificate, key } = authority.issue(`URI:wsf@${realm},IP:${host.core}`);
            return { 'peer.pem': certificate, 'peer.key': key, 'ca.pem': authority.ca };
        };
        const realms = (name) => [`${name}.example`, ...(own[name].realms ?? [])].join(', ');
        this.b = await Stack.start({
            ...common,
            namespace: b,
            realm: 'b.example',
            users: { 'bob@b.example': 'builder', 'carol@b.example': 'christmas', ...own.b.users },
            files: certified('b.example', b),
            conf:
                `[listen "peers"]\naddress = ${b.core}\nport = ${PORT}\ntls_certificate = peer.pem\n` +
                `tls_key = peer.key\ntls_client_ca = ca.pem\n` +
                `[peer "a"]\nkind = operator\nrealms = ${realms('a')}\n${more}${own.b.conf ?? ''}`,
        });
        this.a = await Stack.start({
            ...common,
            namespace: a,
            realm: 'a.example',
            users: { 'alice@a.example': 'wonderland', ...own.a.users },
            files: certified('a.example', a),
            conf:
                `[peer "b"]\nkind = operator\nrealms = ${realms('b')}\nbackoff_max = 1\n` +
                `url = wss://${b.core}:${PORT}/eirtcw/v1\ntls_ca = ca.pem\n` +
                `tls_certificate = peer.pem\ntls_key = peer.key\n${more}${own.a.conf ?? ''}`,
        });
        authority.remove();
        await this.linked();
    }

    /** Waits until both have the other as registered. */
    async linked() {
        await Promise.all([this.a.says(/^operator b registered$/m), this.b.says(/^operator a registered$/m)]);
    }

    /** What the signalling functions say to each other gets lost, or passes again; media pass. */
    cutSignalling() {
        this.hosts[0].setLink('core', false);
    }

    joinSignalling() {
        this.hosts[0].setLink('core', true);
    }

    logs() {
        return `=== a\n${this.a?.logs()}\n=== b\n${this.b?.logs()}`;
    }

    async stop() {
        await Promise.all([this.a?.stop(), this.b?.stop()]);
        for (const host of this.hosts ?? []) host.stop();
    }
}
