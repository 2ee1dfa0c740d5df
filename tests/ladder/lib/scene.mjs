// SPDX-License-Identifier: Apache-2.0
// Plays one scenario: its parties, its variables, its steps one after the other. A step that waits ends
// with the event it waits for; only that something does not come needs a time.

import { Connection, stringify } from './connection.mjs';
import { LadderError, instantiate } from './parse.mjs';
import { SdpIdentity, withoutSdp } from './sdp.mjs';
import { evaluate, explain, mismatch, show } from './values.mjs';

const WAIT_S = 6 * Number(process.env.LADDER_PATIENCE ?? 1);
const BARRIER_S = 10;

const seconds = (time) => new Promise((resolve) => setTimeout(resolve, time * 1000));

export class Party {
    sdp = new SdpIdentity();

    constructor(declaration, user) {
        Object.assign(this, declaration);
        this.user = user;
    }

    get protocol() {
        return this.kind === 'controller' ? 'eirtcw-mc' : 'eirtcw';
    }

    /** The party's generated peer; `of` is a description of the other side, which tells where it is. */
    async #leg(of) {
        if (this.leg) return [this.leg, {}];
        const { GeneratedLeg } = await import('../../support/generated-leg.mjs');
        this.leg = new GeneratedLeg();
        return [this.leg, { bind: /a=candidate:\S+ 1 udp \d+ ([\d.]+) /i.exec(of)?.[1] }];
    }

    async liveAnswer(offer) {
        const [leg, options] = await this.#leg(offer);
        return leg.answer(offer, options);
    }

    /** `medias`: directions in the order of the m-lines. */
    async liveOffer(medias, newIce) {
        const [leg, options] = await this.#leg('');
        const bits = { inactive: 0, sendonly: 1, recvonly: 2, sendrecv: 3 };
        for (const [index, { direction = 'sendrecv' }] of medias.entries())
            await leg.command('direction', { index, direction: bits[direction] });
        if (newIce) await leg.command('restartIce');
        return leg.offer(options);
    }
}

export class Scene {
    #variables = new Map();
    #parties = new Map();
    transcript = [];
    #began = Date.now();
    /** When a party has last begun to do something: what the other side does in turn comes later. */
    #acted = Date.now();

    /** `target`: what is tested (own.mjs, foreign.mjs); `users`: per party's role; `doors`: per party's name. */
    constructor(scenario, target, users, doors = new Map()) {
        this.scenario = scenario;
        this.target = target;
        for (const [name, value] of Object.entries(target.variables)) this.#variables.set(name, value);
        for (const party of scenario.parties)
            this.#parties.set(party.name, new Party(party, users.get(`${party.kind} ${party.role}`)));
        for (const [name, door] of doors) {
            this.party(name).door = door;
            door.tell = (text) => this.#tell(`${name} ${text}`);
        }
    }

    // --- names ----------------------------------------------------------------------------------

    party(name) {
        const party = this.#parties.get(name);
        if (!party) throw new Error(`${name} does not take part`);
        return party;
    }

    find(name) {
        if (this.#variables.has(name)) return this.#variables.get(name);
        const [first, second] = name.split('.');
        return this.#parties.get(first)?.user?.[second];
    }

    get(name) {
        const value = this.find(name);
        if (value === undefined) throw new Error(`$${name} is not known here`);
        return value;
    }

    #connection({ name, connection }) {
        if (!connection) throw new Error(`${name} is not connected`);
        return connection;
    }

    /** The party of an arrow, and whether it sends. */
    #arrow({ from, to }) {
        const sends = this.#parties.has(from);
        const party = this.party(sends ? from : to);
        const server = sends ? to : from;
        if (server !== party.server) throw new Error(`${party.name} is a party of ${party.server}, not of ${server}`);
        return { party, sends };
    }

    // --- the play -------------------------------------------------------------------------------

    async play() {
        try {
            await this.#steps(this.scenario.steps);
            await this.#nothingLeft();
        } finally {
            await this.#leave();
        }
    }

    async #steps(steps, trail = '') {
        for (const step of steps) {
            if (this.#acts(step)) this.#acted = Date.now();
            try {
                await this.#step(step, trail);
            } catch (error) {
                if (error instanceof LadderError) throw error;
                throw new LadderError(step.at + trail, `${step.text}: ${error.message}`);
            }
        }
    }

    #acts({ kind, from, who }) {
        if (['message', 'send again', 'send raw', 'ping'].includes(kind)) return this.#parties.has(from);
        return ['connect', 'register', 'close', 'cut', 'control'].includes(kind) && (kind === 'control' || this.#parties.has(who));
    }

    async #step(step, trail) {
        switch (step.kind) {
            case 'label':
                return this.#tell(`-- ${step.label}`);
            case 'message':
                return this.#arrow(step).sends ? this.#send(step) : void (await this.#await(step));
            case 'send again':
                return this.#arrow(step).sends ? this.#sendAgain(step) : void (await this.#await(step));
            case 'send raw':
                return this.#sendRaw(step);
            case 'ping':
                return this.#connection(this.#arrow(step).party).socket.ping();
            case 'connect':
                return this.#connect(step);
            case 'connected':
                return this.#connected(step);
            case 'register':
                return this.#register(step);
            case 'close':
                if (this.#parties.has(step.who)) return this.#connection(this.party(step.who)).close(step.code);
                return void (await this.#await(step));
            case 'pinged':
                return void (await this.#await(step));
            case 'refuse':
                return this.#refused(step);
            case 'cut':
                return this.#connection(this.party(step.who)).cut();
            case 'reading':
                return this.#reading(step);
            case 'silence':
                return this.#silence(this.party(step.who));
            case 'takes':
                return void (await this.#leg(this.party(step.who)).setAnswer(evaluate(step.value, this)));
            case 'consent': {
                const faults = step.what === 'consents again' ? [] : ['noConsent'];
                return void (await this.#leg(this.party(step.who)).command('faults', { faults }));
            }
            case 'media':
                return this.#media(step.parties.map((name) => this.#leg(this.party(name))));
            case 'control':
                return this.target.control(step.who, step.what);
            case 'serve':
                return this.#serve(step);
            case 'do':
                return this.#do(step, trail);
            case 'let':
                return void this.#variables.set(step.name, evaluate(step.value, this));
            case 'check': {
                const fault = mismatch(step.wanted, evaluate(step.got, this), this);
                if (fault) throw new Error(fault);
                return undefined;
            }
            case 'wait':
                return seconds(evaluate(step.time, this));
            case 'repeat':
                for (let i = 0; i < step.times; i++) await this.#steps(step.steps, trail);
                return undefined;
            case 'either':
                return this.#either(step.branches, trail);
            case 'in any order':
                return this.#inAnyOrder(step.branches, trail);
            default:
                throw new Error(`a step of no kind: ${step.kind}`);
        }
    }

    #tell(text) {
        const time = ((Date.now() - this.#began) / 1000).toFixed(3);
        const short = withoutSdp(text).replace(/"(Bearer|Basic) [^"]{40,}"/, '"$1 …"');
        this.transcript.push(`${time} ${short.length > 600 ? `${short.slice(0, 600)}…` : short}`);
    }

    // --- sending --------------------------------------------------------------------------------

    async #values(members) {
        const object = {};
        for (const { at, path, value } of members) {
            try {
                let place = object;
                for (const name of path.slice(0, -1)) place = place[name] ??= {};
                place[path.at(-1)] = await evaluate(value, this);
            } catch (error) {
                throw new LadderError(at, error.message);
            }
        }
        return object;
    }

    async #send(step) {
        const connection = this.#connection(this.#arrow(step).party);
        const members = await this.#values(step.members);
        for (const { name, path } of step.members) if (name) this.#variables.set(name, members[path[0]]);
        if (step.type === 'request') return connection.request(step.method, members, step);
        const { status, cause } = step;
        if (!step.success) members.problemDetails = { status, cause, title: cause, ...members.problemDetails };
        return connection.respond(step.method, step.success, members, step);
    }

    #sendAgain(step) {
        const connection = this.#connection(this.#arrow(step).party);
        connection.sendRaw(connection.lastSent);
    }

    #sendRaw(step) {
        const { party } = this.#arrow(step);
        const data = evaluate(step.value, this);
        const octets = Buffer.isBuffer(data) ? data : Buffer.from(data);
        const connection = this.#connection(party);
        connection.note(String(data));
        connection.sendRaw(octets, { binary: step.type === 'binary', fragments: step.fragments });
    }

    async #connect({ who, path, subprotocols, mute, certified }) {
        const party = this.party(who);
        const certificate = certified && this.target.certificate(this.party(certified).user);
        const tell = (text) => this.#tell(`${who} ${text}`);
        const options = { protocol: party.protocol, subprotocols, mute, certificate, tell };
        const opened = await this.target.open(party, path, options);
        party.refused = opened.refused;
        party.connection = opened.refused ? undefined : opened;
    }

    /** The WSF opens the connection. */
    async #connected({ whom, within = WAIT_S }) {
        const { door } = this.party(whom);
        if (!door) throw new Error(`${whom} is not "called by W"`);
        const opened = await this.#until([door], within, () => door.connections.shift(),
            () => `no connection came within ${within} s`);
        this.party(whom).connection = opened;
    }

    async #register(step) {
        const party = this.party(step.who);
        if (!party.connection || party.connection.closed) await this.#connect({ who: step.who });
        const members = { ...this.target.credentials(party, this), ...(await this.#values(step.members)) };
        const { connection } = party;
        connection.request('auth', members);
        const { message } = await this.#await({
            kind: 'message', from: party.server, to: party.name, method: 'auth', type: 'response', success: true,
            members: [],
        });
        for (const name of ['instanceId', 'reAuthCredential', 'mediaSessions'])
            this.#variables.set(`${party.name}.${name}`, message[name]);
    }

    // --- receiving ------------------------------------------------------------------------------

    /** { entry } when the step has what it waits for, { wrong } when that cannot come any more, or {}. */
    #look(step) {
        if (step.kind === 'close') {
            const { closed } = this.#connection(this.party(step.whom));
            if (!closed) return {};
            return step.code === undefined || closed.code === step.code ? { entry: closed }
                : { wrong: `expected close ${step.code}, got ${closed.code} ${closed.reason}` };
        }
        if (step.kind === 'pinged') return this.#connection(this.party(step.whom)).pings > 0 ? { entry: {} } : {};
        const connection = this.#connection(this.#arrow(step).party);
        if (connection.faults.length) return { wrong: connection.faults.shift() };
        const entry = this.#candidate(step, connection);
        if (entry) {
            const wrong = this.#wrong(step, entry.message);
            return wrong ? { wrong: `${wrong}\n  in ${withoutSdp(entry.text)}` } : { entry };
        }
        const { closed } = connection;
        return closed ? { wrong: `expected ${step.text}, got close ${closed.code} ${closed.reason}` } : {};
    }

    #candidate(step, connection) {
        const { inbox, taken } = connection;
        if (step.kind === 'send again')
            return inbox.find(({ text, again }) => again && taken.at(-1)?.text === text) ??
                inbox.find(({ again }) => again);
        if (step.type === 'request')
            return inbox.find(({ message, again }) => !again && message.messageType === 'request');
        const pending = connection.pending(step.method, step.label);
        if (!pending) throw new Error(`no ${step.method} of ours is waiting for a response`);
        return inbox.find(({ message, again }) => !again && message.messageType === 'response' &&
            String(message.transactionId) === pending.id);
    }

    #wrong(step, message) {
        if (step.kind === 'send again') return undefined;
        if (message.method !== step.method) return `expected ${step.method}, got ${message.method}`;
        if (step.type === 'response') {
            const outcome = message.success ? 'ok'
                : `refused ${message.problemDetails?.status} ${message.problemDetails?.cause}`;
            const wanted = step.success ? 'ok' : `refused ${step.status} ${step.cause}`;
            if (outcome !== wanted) return `expected ${wanted}, got ${outcome}`;
        }
        for (const { at, path, value } of step.members) {
            const got = path.reduce((place, name) => place?.[name], message);
            const fault = mismatch(value, got, this);
            if (fault) return `${at.replace(/.*:/, 'line ')}: ${path.join('/')}: ${fault}`;
        }
        return undefined;
    }

    #taken(step, entry) {
        if (step.kind === 'close' || step.kind === 'pinged') return entry;
        const connection = this.#connection(this.#arrow(step).party);
        if (step.type === 'response') connection.pending(step.method, step.label).answered = true;
        connection.take(entry, step.label);
        for (const { path, name } of step.members ?? [])
            if (name) this.#variables.set(name, path.reduce((place, part) => place?.[part], entry.message));
        return entry;
    }

    #watched(step) {
        const name = step.whom ?? (this.#parties.has(step.to) ? step.to : step.from);
        return this.#connection(this.party(name));
    }

    /** Waits until `look` gives something, looking again whenever one of the connections changes. */
    #until(connections, wait, look, complaint) {
        return new Promise((resolve, reject) => {
            const stops = [];
            const done = (settle, value) => {
                clearTimeout(timer);
                for (const stop of stops) stop();
                settle(value);
            };
            const again = () => {
                try {
                    const found = look();
                    if (found !== undefined) done(resolve, found);
                } catch (error) {
                    done(reject, error);
                }
            };
            const timer = setTimeout(() => done(reject, new Error(complaint())), wait * 1000);
            for (const connection of new Set(connections)) stops.push(connection.watch(again));
            again();
        });
    }

    async #await(step) {
        const limit = step.within ?? WAIT_S;
        const began = this.#acted;
        const entry = await this.#until([this.#watched(step)], limit, () => {
            const { entry: found, wrong } = this.#look(step);
            if (wrong) throw new Error(wrong);
            return found;
        }, () => `nothing of that came within ${limit} s`);
        const passed = (Date.now() - began) / 1000;
        if (step.notBefore !== undefined && passed < step.notBefore)
            throw new Error(`it came after ${passed.toFixed(3)} s, not before ${step.notBefore} s was expected`);
        return this.#taken(step, entry);
    }

    /** The first branch whose first step has come; a `do` at its head counts by its own first step. */
    #first(branch) {
        const [step] = branch.steps;
        if (!['message', 'send again', 'close', 'pinged'].includes(step?.kind) || this.#parties.has(step.from))
            throw new Error('each part begins with something that is received');
        return step;
    }

    async #choose(branches) {
        const firsts = branches.map((branch) => this.#first(branch));
        const why = () => firsts.map((step) => `${step.text}: ${this.#look(step).wrong ?? 'did not come'}`).join('; ');
        return this.#until(firsts.map((step) => this.#watched(step)), WAIT_S, () => {
            const index = firsts.findIndex((step) => this.#look(step).entry);
            return index < 0 ? undefined : branches[index];
        }, why);
    }

    async #either(branches, trail) {
        await this.#steps((await this.#choose(branches)).steps, trail);
    }

    async #inAnyOrder(branches, trail) {
        const left = [...branches];
        while (left.length) {
            const chosen = await this.#choose(left);
            await this.#steps(chosen.steps, trail);
            left.splice(left.indexOf(chosen), 1);
        }
    }

    async #do({ name, names, at }, trail) {
        const procedure = this.scenario.ladder.procedures.get(name) ?? this.target.procedures.get(name);
        if (!procedure) throw new Error(`no procedure ${name}()`);
        await this.#steps(instantiate(procedure, names), `${trail} (from ${at})`);
    }

    // --- what is not a message -------------------------------------------------------------------

    #refused({ whom, status }) {
        const { refused } = this.party(whom);
        if (refused !== status) throw new Error(`expected HTTP ${status}, got ${refused ?? 'a connection'}`);
    }

    /** What the server has sent before its response to keepalive has come by then. */
    async #barrier(connection) {
        connection.request('keepalive', {});
        const { id } = connection.requests.at(-1);
        const response = await this.#until([connection], BARRIER_S, () => {
            if (connection.closed) return { closed: true };
            return connection.inbox.find(({ message }) =>
                message.messageType === 'response' && String(message.transactionId) === id);
        }, () => 'no response to keepalive');
        if (response.closed) return;
        connection.requests.at(-1).answered = true;
        connection.take(response);
        if (connection.faults.length) throw new Error(connection.faults.shift());
    }

    #reading({ who, what }) {
        const connection = this.#connection(this.party(who));
        if (what === 'stops reading') connection.socket.pause();
        else if (what === 'reads again') connection.socket.resume();
        else connection.unexamined = true;
    }

    async #silence(party) {
        const connection = this.#connection(party);
        await this.#barrier(connection);
        const [left] = connection.inbox.filter(({ again }) => !again);
        if (left) throw new Error(`expected nothing, got ${left.text}`);
        if (connection.closed) throw new Error(`expected nothing, got close ${connection.closed.code}`);
    }

    /** At the end of a scenario nothing may have come that no step has asked for. */
    async #nothingLeft() {
        for (const { name, connection } of this.#parties.values()) {
            if (!connection || connection.unexamined) continue;
            try {
                if (!connection.closed && connection.socket.readyState === 1) await this.#barrier(connection);
                if (connection.faults.length) throw new Error(connection.faults[0]);
            } catch (error) {
                throw new LadderError(this.scenario.at, `at the end, ${name}: ${error.message}`);
            }
            const [left] = connection.inbox.filter(({ again }) => !again);
            if (left) throw new LadderError(this.scenario.at, `at the end ${name} has got what no step expects: ${left.text}`);
        }
    }

    #leg({ leg, name }) {
        if (!leg) throw new Error(`${name} has no media: give it a live-answer()`);
        return leg;
    }

    async #media(legs) {
        const packets = ({ receive }) => receive.map(({ packets: count }) => count);
        await Promise.all(legs.map(async (leg) => {
            const before = packets(await leg.stats());
            await leg.until(({ receive }) => receive.length > 0 &&
                packets({ receive }).every((count, index) => count >= (before[index] ?? 0) + 5));
        }));
    }

    async #serve({ path, status, members }) {
        const response = await this.target.fetch(path);
        if (response.status !== status) throw new Error(`expected HTTP ${status}, got ${response.status}`);
        const body = members.length ? JSON.parse(response.body) : {};
        for (const { at, path: place, value, name } of members) {
            const got = place.reduce((inside, part) => inside?.[part], body);
            const fault = mismatch(value, got, this);
            if (fault) throw new LadderError(at, `${place.join('/')}: ${fault}`);
            if (name) this.#variables.set(name, got);
        }
    }

    /** Nobody of this scenario is registered afterwards. */
    async #leave() {
        for (const party of this.#parties.values()) {
            await party.leg?.close().catch(() => {});
            const { connection } = party;
            party.door?.close();
            if (!connection || party.door) continue;
            if (connection.closed && this.target.tidies) await this.target.signOut(party, this);
            else connection.close(1000);
        }
    }
}

export { evaluate, explain, show, stringify };
