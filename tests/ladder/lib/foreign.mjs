// SPDX-License-Identifier: Apache-2.0
// Another maker's WSF as what is tested: where it is, whom it knows and what it can do are told by a
// profile (docs/conformance.md). Its configuration and its life are not ours to touch.

import { readFileSync } from 'node:fs';
import { Connection } from './connection.mjs';

export class Foreign {
    tidies = true;
    #free;
    #waiting = [];

    constructor(procedures, profile) {
        this.procedures = procedures;
        this.profile = profile;
        this.features = new Set(profile.features ?? ['basic']);
        const realm = profile.realm ?? profile.users[0].webrtcId.split('@')[1];
        this.variables = {
            realm,
            'nobody.id': profile.unknownUser ?? `nobody-of-this-name@${realm}`,
            'foreign.realm': profile.unknownRealm ?? 'unknown.invalid',
        };
        this.#free = profile.users.map(({ webrtcId, ...rest }) => ({
            id: webrtcId,
            name: webrtcId.split('@')[0],
            realm,
            authType: rest.password === undefined ? 'bearer' : 'basic',
            ...rest,
        }));
        this.tls = {};
        if (profile.ca) this.tls.ca = readFileSync(profile.ca);
        if (profile.insecure) this.tls.rejectUnauthorized = false;
    }

    lacks({ parties, needs, configured, controlled }) {
        if (controlled.size) return `it ends or starts ${[...controlled].join(' and ')}`;
        if (configured.length) return `it needs a WSF configured with ${configured.join(', ')}`;
        const missing = needs.filter((feature) => !this.features.has(feature));
        if (missing.length) return `the profile does not name the feature ${missing.join(', ')}`;
        const other = parties.find(({ kind }) => kind !== 'user');
        if (other) return `it needs a ${other.kind}`;
        const roles = new Set(parties.map(({ role }) => role)).size;
        if (roles > this.profile.users.length) return `it needs ${roles} users, the profile names ${this.profile.users.length}`;
        return undefined;
    }

    target() {
        return this;
    }

    /** Waits until so many users are free. */
    async take(roles) {
        while (this.#free.length < roles.length) await new Promise((done) => this.#waiting.push(done));
        return new Map(roles.map((role) => [role, this.#free.shift()]));
    }

    release(users) {
        this.#free.push(...users.values());
        for (const done of this.#waiting.splice(0)) done();
    }

    token({ id, token }) {
        if (!token) throw new Error(`the profile has no token for ${id}`);
        return token;
    }

    credentials({ user: { id, password, token, authType } }) {
        const authorization = authType === 'bearer' ? `Bearer ${token}`
            : `Basic ${Buffer.from(`${id}:${password}`).toString('base64')}`;
        return { authType, webrtcId: id, authorization };
    }

    certificate({ id, certificate, key }) {
        if (!certificate || !key) throw new Error(`the profile has no certificate of ${id}`);
        return { cert: readFileSync(certificate), key: readFileSync(key) };
    }

    open(party, path, options) {
        const url = path ? new URL(path, this.profile.url).href : this.profile.url;
        return Connection.open(url, { ...options, tls: { ...this.tls, ...options.certificate } });
    }

    async fetch(path) {
        const response = await fetch(new URL(path, this.profile.url.replace(/^ws/, 'http')));
        return { status: response.status, body: await response.text() };
    }

    control() {
        throw new Error('only our own programs can be started and ended by a ladder');
    }

    /** A registration that outlives its connection would disturb the next scenario. */
    async signOut(party, scene) {
        const instanceId = scene.find(`${party.name}.instanceId`);
        if (!instanceId) return;
        const connection = await this.open(party, undefined, { protocol: party.protocol });
        if (connection.refused) return;
        connection.request('auth', { ...this.credentials(party), instanceId, expirationTime: 0 });
        await new Promise((done) => {
            const stop = connection.watch(() => connection.closed && (stop(), done()));
            setTimeout(done, 2000).unref();
        });
        connection.close();
    }

    async stop() {
        return [];
    }
}
