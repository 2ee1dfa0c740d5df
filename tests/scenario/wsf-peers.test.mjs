#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Servers as endpoints (protocol A1, A5, A6; clauses 6.3.2.5 C-Plane connection, 6.3.2.6.x.1.3): other
// operators' WSFs (Rs-n), WSFs of the own network (Rs-i), content providers' servers (Rs-a). Real wsf
// on both sides; the content provider is a bare endpoint.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { Authority } from '../support/certificates.mjs';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { Proxy } from '../support/proxy.mjs';
import { PASSWORD, Wsf, answerTo, basic } from '../support/wsf.mjs';

const [A, B] = ['wsf@example.org', 'wsf@example.net'];
const PROVIDER = 'games@provider.example';

const metrics = async (wsf) => (await fetch(`${wsf.base}/metrics`)).text();
const readyz = async (wsf) => (await fetch(`${wsf.base}/readyz`)).text();
const states = (wsf, name) =>
    [...wsf.log.matchAll(new RegExp(`wsf/peer: \\w+ \\w+ -> (\\w+) .* link=${name}\n`, 'g'))].map(([, to]) => to);
const auths = (wsf) =>
    wsf.readTrace().filter(({ path, message: { method } }) => path === '/eirtcw/v1' && method === 'auth');
const up = (wsf, name) => wsf.until(async () => (await readyz(wsf)).includes(` ${name} registered\n`));

/** What a server answers to `auth`. */
const granted = (members = {}) => ({
    expirationTime: 3600,
    reAuthCredential: 'again-0123456789abcdef',
    disconnectionTtl: 30,
    keepAliveInterval: 20,
    webrtcId: A,
    instanceId: randomUUID(),
    mediaSessions: [],
    ...members,
});

describe('another operator, dialled by us with Basic', () => {
    let a, b, proxy;
    before(async () => {
        b = await Wsf.start(['wsf.realm=example.net'], {
            users: [A],
            conf: `[peer "a"]\nkind = operator\nrealms = example.org\n`,
        });
        proxy = await Proxy.start(b.url);
        a = await Wsf.start([], {
            files: { secret: `${PASSWORD}\n` },
            conf: `[peer "b"]\nkind = operator\nrealms = Example.NET\nbackoff_max = 1\npassword_file = secret\nurl = ${b.url.replace(/:\d+/, `:${new URL(proxy.url).port}`)}\n`,
        });
    });
    after(async () => {
        await a.stop();
        await b.stop();
        await proxy.stop();
    });

    test('6.3.2.6.x.1.3: challenge, then both are registered with each other', async () => {
        await up(a, 'b');
        await up(b, 'a');
        assert.match(await readyz(a), /^ready\noperator b registered\n$/);
        assert.match(await metrics(a), /wsf_peer_up\{peer="b",kind="operator"\} 1/);
        assert.deepEqual(
            auths(a).map(({ direction, message: { authType, success, authorization } }) => [
                direction,
                authType ?? success,
                authorization !== undefined,
            ]),
            [
                ['sent', 'basic', false],
                ['received', false, false],
                ['sent', 'basic', true],
                ['received', true, false],
            ],
        );
        assert.equal(auths(a)[0].message.transactionId, 0);
    });

    test('a lost connection is resumed with the credential of the former one', async () => {
        await up(a, 'b');
        const from = auths(a).length;
        proxy.cut();
        await a.until(() => states(a, 'b').filter((to) => to === 'registered').length === 2);
        assert.deepEqual(states(a, 'b').slice(-3), ['lost', 'connected', 'registered']);
        const [again, answer] = auths(a).slice(from);
        assert.equal(again.message.authType, 'reauth');
        assert.equal(answer.message.success, true);
        await up(b, 'a');
    });

    test('an unknown realm has no way', async () => {
        const alice = await a.register('alice@example.org');
        const none = await alice.request('msetup', { resourceId: 'x@nowhere.example' });
        assert.equal(none.problemDetails.cause, 'RESOURCE_NOT_FOUND');
        await alice.close();
    });

    test('the peer forgets the registration: full authentication', async () => {
        await up(a, 'b');
        const before_ = states(a, 'b').filter((to) => to === 'registered').length;
        b.process.kill('SIGKILL');
        await b.exited;
        await a.until(() => states(a, 'b').at(-1) === 'lost');
        const port = new URL(b.url).port;
        b.settings = [...b.settings, `listen "test".port=${port}`];
        await b.run();
        await a.until(() => states(a, 'b').filter((to) => to === 'registered').length === before_ + 1);
        await up(b, 'a');
    });
});

describe('how a WSF that dials behaves', () => {
    /** A server that answers as the test says. */
    let server, a;
    const connections = [];
    const next = async () => {
        await a.until(() => connections.length > 0);
        return connections.shift();
    };
    const run = async (conf = '', files = {}, backoff = 1) => {
        a = await Wsf.start([], {
            wmcf: false,
            files: { token: 'a.b.c\n', ...files },
            conf: `[peer "b"]\nkind = wsf\nwebrtc_id = wsf2@example.org\nbackoff_max = ${backoff}\n${conf}\nurl = ws://127.0.0.1:${server.address().port}/eirtcw/v1\n`,
        });
    };
    before(async () => {
        const { WebSocketServer } = await import('ws');
        server = new WebSocketServer({ port: 0, host: '127.0.0.1', allowSynchronousEvents: false });
        server.on('connection', (socket) => connections.push(new Endpoint(socket, 1)));
        await new Promise((resolve) => server.once('listening', resolve));
    });
    after(() => server.close());
    afterEach(async () => {
        await a.stop();
        connections.length = 0;
    });

    test('bearer, refresh before the expiry with the token of that moment, close 4410', async () => {
        await run('token_file = mine', { mine: 'one.two.three\n' });
        let link = await next();
        const first = await link.expect('auth');
        assert.equal(first.authType, 'bearer');
        assert.equal(first.authorization, 'Bearer one.two.three');
        assert.equal(first.webrtcId, A);
        assert.equal(first.disconnectionTtl, 30);
        assert.match(first.instanceId, /^[0-9a-f-]{36}$/);
        a.file('mine', 'four.five.six\n');
        const { instanceId } = first;
        first.reply(granted({ expirationTime: 1, instanceId }));
        const refresh = await link.expect('auth');
        assert.equal(refresh.authorization, 'Bearer four.five.six');
        refresh.reply(granted({ instanceId }));
        await link.close(4410);
        link = await next();
        const anew = await link.expect('auth');
        assert.equal(anew.authType, 'bearer', '4410: full authentication');
        anew.reply(granted({ instanceId }));
        await up(a, 'b');
    });

    test('4409 is obeyed until a reload', async () => {
        await run('token_file = mine', { mine: 'one.two.three\n' });
        const link = await next();
        (await link.expect('auth')).reply(granted());
        await up(a, 'b');
        await link.close(4409);
        await a.until(() => states(a, 'b').at(-1) === 'stopped');
        await a.says(/closed with 4409 .* not dialled again before a reload/);
        a.process.kill('SIGHUP');
        const again = await next();
        assert.equal((await again.expect('auth')).authType, 'reauth');
    });

    test('a reload tries at once what was refused', async () => {
        await run('token_file = mine\nexpiration = 77', { mine: 'one.two.three\n' }, 60);
        const link = await next();
        const first = await link.expect('auth');
        assert.equal(first.expirationTime, 77);
        first.fail(403, 'AUTHENTICATION_FAILED');
        await a.until(() => a.log.includes('the peer refuses our registration'));
        await link.closed;
        a.file('mine', 'four.five.six\n');
        a.process.kill('SIGHUP');
        const again = await (await next()).expect('auth');
        assert.equal(again.authorization, 'Bearer four.five.six');
        again.reply(granted());
        await up(a, 'b');
    });

    test('an invalid credential leads to full authentication; a refusal is told once and tried again', async () => {
        await run('token_file = mine', { mine: 'one.two.three\n' });
        let link = await next();
        (await link.expect('auth')).reply(granted());
        await up(a, 'b');
        await link.cut();
        link = await next();
        const again = await link.expect('auth');
        assert.equal(again.authType, 'reauth');
        assert.equal(again.reAuthCredential, 'again-0123456789abcdef');
        again.fail(403, 'REAUTH_INVALID');
        const full = await link.expect('auth');
        assert.equal(full.authType, 'bearer');
        full.fail(403, 'AUTHENTICATION_FAILED');
        for (let i = 0; i < 2; i++) {
            link = await next();
            (await link.expect('auth')).fail(403, 'AUTHENTICATION_FAILED');
        }
        link = await next();
        (await link.expect('auth')).reply(granted());
        await up(a, 'b');
        assert.equal(a.log.split('the peer refuses our registration').length, 2);
    });

    test('after a resumption sessions that nobody else has are ended', async () => {
        await run('token_file = mine', { mine: 'one.two.three\n' });
        const link = await next();
        const stranger = randomUUID();
        (await link.expect('auth')).reply(
            granted({
                mediaSessions: [
                    { mediaSessionId: stranger, mediaSessionState: 'established', offerPending: 'none' },
                    { mediaSessionId: randomUUID(), mediaSessionState: 'terminated', offerPending: 'none' },
                ],
            }),
        );
        const ended = await link.expect('mdisc');
        assert.equal(ended.mediaSessionId, stranger);
        assert.equal(ended.cause, 'PEER_LOST');
        ended.reply();
        const refused = await link.request('auth', { authType: 'tls', webrtcId: 'wsf2@example.org' });
        assert.equal(refused.problemDetails.cause, 'METHOD_NOT_SUPPORTED');
        await link.expectNothing(50);
    });
});

describe('a content provider that dials us', () => {
    let a;
    before(async () => {
        a = await Wsf.start(['limits.request_rate=5', 'limits.request_burst=5'], {
            users: ['alice@example.org', PROVIDER, 'other@provider.example'],
            conf: `[peer "games"]\nkind = provider\nrealms = provider.example\nwebrtc_id = ${PROVIDER}\nauth = basic\nrequest_rate = 50\ndisconnection_ttl = 7\nkeepalive = 11\nexpiration = 100\n`,
        });
    });
    after(() => a.stop());

    test('it is registered with its own times; too many requests are read later, not refused', async () => {
        const games = await a.register(PROVIDER, { disconnectionTtl: 300, expirationTime: 5000 });
        assert.equal(games.auth.disconnectionTtl, 7);
        assert.equal(games.auth.keepAliveInterval, 11);
        assert.equal(games.auth.expirationTime, 100);
        const answers = await Promise.all(
            Array.from({ length: 150 }, () => games.request('getinfo', { resources: ['serverInfo'] })),
        );
        assert.ok(answers.every(({ success }) => success));
        await games.close();
        await a.until(() => states(a, 'games').at(-1) === 'down');
    });

    test('exactly one connection: a new one supersedes, whatever its instanceId', async () => {
        const one = await a.register(PROVIDER, { instanceId: randomUUID() });
        const instanceId = randomUUID();
        const two = await a.register(PROVIDER, { instanceId });
        assert.equal((await one.closed).code, 4409);
        assert.equal(two.auth.instanceId, instanceId);
        assert.match(await metrics(a), /wsf_peer_up\{peer="games",kind="provider"\} 1/);
        await two.cut();
        await a.until(() => states(a, 'games').at(-1) === 'lost');
        const three = await a.connect();
        const { success } = await three.request('auth', {
            authType: 'reauth',
            webrtcId: PROVIDER,
            instanceId,
            reAuthCredential: two.auth.reAuthCredential,
        });
        assert.equal(success, true);
        await three.close();
    });

    test('another kind of authentication than agreed is a failed one', async () => {
        const games = await a.connect();
        const answer = await games.request('auth', { authType: 'tls', webrtcId: PROVIDER });
        assert.equal(answer.problemDetails.cause, 'AUTHENTICATION_FAILED');
        await games.close();
    });

    test('a call to its realm reaches it; while it is away there is no way', async () => {
        const alice = await a.register('alice@example.org');
        const away = await alice.request('msetup', { resourceId: 'chess/1@provider.example' });
        assert.equal(away.problemDetails.cause, 'RESOURCE_NOT_FOUND');
        const games = await a.register(PROVIDER);
        const { success, mediaSessionId } = await alice.request('msetup', {
            resourceId: 'chess/1@Provider.example',
            userData: { table: 1 },
        });
        assert.equal(success, true);
        const invitation = await games.expect('msetup');
        assert.equal(invitation.resourceId, 'chess/1@provider.example');
        assert.equal(invitation.assertedOriginatingId, 'alice@example.org');
        assert.deepEqual(invitation.userData, { table: 1 });
        invitation.reply({ mediaSessionId: invitation.mediaSessionId });
        const { success: ended } = await alice.request('mdisc', { mediaSessionId });
        assert.equal(ended, true);
        (await games.expect('mdisc')).reply();
        await games.close();
        await alice.close();
    });
});

describe('Rs-n with mutual TLS', () => {
    const address = '192.0.2.10'; // not loopback: in-netns
    let authority, stranger, a, b, port;
    const client = (identity) => ({ ca: authority.ca, cert: identity?.certificate, key: identity?.key });
    const dial = async (webrtcId, identity, members) => {
        const link = await Endpoint.connect(`wss://${address}:${port}/eirtcw/v1`, 'eirtcw.v1', client(identity));
        const answer = await link.request('auth', { webrtcId, ...members });
        await link.close();
        return answer;
    };
    before(async () => {
        authority = new Authority();
        stranger = new Authority();
        const server = authority.issue(`IP:${address}`);
        b = await Wsf.start(['wsf.realm=example.net', 'limits.auth_failures_max=10'], {
            users: [A],
            files: { 'ca.pem': authority.ca, 'server.pem': server.certificate, 'server.key': server.key },
            conf: `[listen "nni"]\naddress = ${address}\nport = 0\ntls_certificate = server.pem\ntls_key = server.key\ntls_client_ca = ca.pem\n[peer "a"]\nkind = operator\nrealms = example.org\n`,
        });
        [, port] = /https:\/\/192\.0\.2\.10:(\d+)/.exec(b.log);
    });
    after(async () => {
        await a?.stop();
        await b.stop();
        authority.remove();
        stranger.remove();
    });

    test('an operator without its certificate is refused, also with the right password', async () => {
        const password = { authType: 'basic', authorization: basic(A, PASSWORD) };
        const someone = authority.issue('email:wsf@example.com');
        for (const identity of [undefined, someone]) {
            const answer = await dial(A, identity, password);
            assert.equal(answer.problemDetails.cause, 'AUTHENTICATION_FAILED');
            assert.equal((await dial(A, identity, { authType: 'tls' })).success, false);
        }
        assert.equal((await dial(A, authority.issue(`email:${A}`), password)).success, true);
    });

    test('a certificate of another authority opens no connection', async () => {
        await assert.rejects(dial(A, stranger.issue(`email:${A}`), { authType: 'tls' }));
    });

    test('two WSFs connect and authenticate by their certificates', async () => {
        const mine = authority.issue(`email:${A}`);
        a = await Wsf.start([], {
            files: { 'ca.pem': authority.ca, 'mine.pem': mine.certificate, 'mine.key': mine.key },
            conf: `[peer "b"]\nkind = operator\nrealms = example.net\nurl = wss://${address}:${port}/eirtcw/v1\ntls_ca = ca.pem\ntls_certificate = mine.pem\ntls_key = mine.key\n`,
        });
        await up(a, 'b');
        await up(b, 'a');
        assert.equal(auths(a)[0].message.authType, 'tls');
    });
});

describe('calls over several WSFs', () => {
    // west and east are one network (Rs-i), north another operator (Rs-n) with a content provider.
    let west, east, north, toEast, toNorth;
    const open = [];
    const register = async (wsf, who, members) => {
        const client = await wsf.register(who, members);
        open.push(client);
        return client;
    };
    const dial = async (name, kind, url, more = '') => {
        const proxy = await Proxy.start(url);
        const through = url.replace(/:\d+/, `:${new URL(proxy.url).port}`);
        const conf = `[peer "${name}"]\nkind = ${kind}\nbackoff_max = 1\npassword_file = secret\ndisconnection_ttl = 6\nurl = ${through}\n${more}`;
        return [proxy, conf];
    };
    /** A call from one WSF's client to another's, up to open gates. */
    const connect = async (caller, from, callee, to, resourceId = callee.webrtcId) => {
        const asked = await caller.request('msetup', { resourceId });
        assert.equal(asked.success, true, JSON.stringify(asked.problemDetails));
        const invitation = await callee.expect('msetup');
        invitation.reply({ mediaSessionId: invitation.mediaSessionId, mediaSessionState: 'alerting' });
        const ringing = await caller.expect('mupdate');
        assert.equal(ringing.mediaSessionState, 'alerting');
        ringing.reply();
        await callee.request('mupdate', {
            mediaSessionId: invitation.mediaSessionId,
            sdpAnswer: answerTo(invitation.sdpOffer),
            offerId: invitation.offerId,
        });
        const offer = await caller.expect('mupdate');
        offer.reply();
        const answered = await caller.request('mupdate', {
            mediaSessionId: asked.mediaSessionId,
            sdpAnswer: answerTo(offer.sdpOffer),
            offerId: offer.offerId,
        });
        assert.equal(answered.success, true, JSON.stringify(answered.problemDetails));
        for (const wsf of [from, to]) await wsf.wmcf.connectAll();
        for (const wsf of [from, to]) {
            await wsf.until(() => wsf.wmcf.terminations.every(({ flowStatus }) => flowStatus === 'ENABLED'));
        }
        return { a: asked.mediaSessionId, b: invitation.mediaSessionId, invitation, ringing, offer };
    };
    const end = async (by, mediaSessionId, other) => {
        assert.equal((await by.request('mdisc', { mediaSessionId })).success, true);
        const ended = await other.expect('mdisc');
        ended.reply();
        return ended;
    };
    before(async () => {
        north = await Wsf.start(['wsf.realm=example.net'], {
            users: [A, 'zoe@example.net', PROVIDER],
            conf: `[peer "org"]\nrealms = example.org\ndisconnection_ttl = 6\n[peer "games"]\nkind = provider\nrealms = provider.example\nwebrtc_id = ${PROVIDER}\n`,
        });
        east = await Wsf.start(['wsf.identity=wsf2@example.org'], {
            users: [A, 'erin@example.org'],
            conf: `[peer "west"]\nkind = wsf\nwebrtc_id = ${A}\ndisconnection_ttl = 6\n`,
        });
        const files = { secret: `${PASSWORD}\n` };
        let more, others;
        [toEast, more] = await dial('east', 'wsf', east.url, 'webrtc_id = wsf2@example.org\n');
        [toNorth, others] = await dial('north', 'operator', north.url, 'realms = example.net, provider.example\n');
        west = await Wsf.start([], { files, conf: `${more}${others}[store]\nfile = wsf.db\n` });
        await up(west, 'east');
        await up(west, 'north');
    });
    after(async () => {
        for (const wsf of [west, east, north]) await wsf.stop();
        for (const proxy of [toEast, toNorth]) await proxy.stop();
    });
    afterEach(async () => {
        for (const client of open.splice(0)) await client.close();
        for (const wsf of [west, east, north]) await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('Rs-i: a user who is not here is found at the other WSF of the network, in both directions', async () => {
        const [alice, erin] = [await register(west, 'alice@example.org'), await register(east, 'erin@example.org')];
        const there = await connect(alice, west, erin, east);
        assert.equal(there.invitation.assertedOriginatingId, 'alice@example.org');
        assert.equal(there.ringing.assertedTerminatingId, 'erin@example.org');
        assert.notEqual(there.a, there.b);
        assert.equal((await end(erin, there.b, alice)).cause, 'NORMAL');
        const back = await connect(erin, east, alice, west);
        await end(erin, back.a, alice);
    });

    test('Rs-i: who is nowhere is asked for once', async () => {
        const alice = await register(west, 'alice@example.org');
        const { success, mediaSessionId } = await alice.request('msetup', { resourceId: 'nobody@example.org' });
        assert.equal(success, true);
        const ended = await alice.expect('mdisc');
        assert.equal(ended.mediaSessionId, mediaSessionId);
        assert.equal(ended.problemDetails.cause, 'USER_NOT_REGISTERED');
        ended.reply();
        const asked = west.readTrace().filter(
            ({ direction, message }) => direction === 'received' && message.resourceId === 'nobody@example.org',
        );
        assert.equal(asked.length, 1, "the client's own request alone");
    });

    test('Rs-n: client to client, and to a content provider of the other operator', async () => {
        const [alice, zoe] = [await register(west, 'alice@example.org'), await register(north, 'zoe@example.net')];
        const call = await connect(alice, west, zoe, north);
        assert.deepEqual(call.invitation.identityVerified, { authority: 'example.org' });
        assert.equal(call.offer.assertedTerminatingId, 'zoe@example.net');
        await end(alice, call.a, zoe);
        const games = await register(north, PROVIDER);
        const play = await connect(alice, west, games, north, 'chess/7@provider.example');
        assert.equal(play.invitation.resourceId, 'chess/7@provider.example');
        assert.equal(play.invitation.assertedOriginatingId, 'alice@example.org');
        await end(games, play.b, alice);
    });

    test('the link is away for less than the time to live: the call lives and can be ended', async () => {
        const [alice, zoe] = [await register(west, 'alice@example.org'), await register(north, 'zoe@example.net')];
        const { a, b } = await connect(alice, west, zoe, north);
        const times = states(west, 'north').filter((to) => to === 'registered').length;
        toNorth.cut();
        await west.until(() => states(west, 'north').filter((to) => to === 'registered').length > times);
        for (const wsf of [west, north]) assert.equal(wsf.wmcf.terminations.length, 2);
        await alice.request('mupdate', { mediaSessionId: a, userData: 'still here' });
        const said = await zoe.expect('mupdate');
        assert.equal(said.userData, 'still here');
        said.reply();
        assert.equal((await end(zoe, b, alice)).cause, 'NORMAL');
    });

    test('an end while the link is away is said when it is back', async () => {
        const [alice, zoe] = [await register(west, 'alice@example.org'), await register(north, 'zoe@example.net')];
        const { a } = await connect(alice, west, zoe, north);
        toNorth.admits = false;
        toNorth.cut();
        await west.until(() => states(west, 'north').at(-1) === 'lost');
        assert.equal((await alice.request('mdisc', { mediaSessionId: a })).success, true);
        toNorth.admits = true;
        const ended = await zoe.expect('mdisc');
        assert.equal(ended.cause, 'NORMAL');
        ended.reply();
        await up(west, 'north');
    });

    test('the link is away for longer: both sides are told', async () => {
        const [alice, zoe] = [await register(west, 'alice@example.org'), await register(north, 'zoe@example.net')];
        await connect(alice, west, zoe, north);
        toNorth.admits = false;
        toNorth.cut();
        for (const side of [alice, zoe]) {
            const ended = await side.expect('mdisc');
            assert.equal(ended.cause, 'PEER_LOST');
            ended.reply();
        }
        const { problemDetails, retryAfter } = await alice.request('msetup', { resourceId: 'zoe@example.net' });
        assert.equal(problemDetails.cause, 'PEER_WSF_ERROR');
        assert.equal(retryAfter, 5);
        toNorth.admits = true;
        await up(west, 'north');
    });

    test('the WSF that dials is killed and back: the call lives on both sides', async () => {
        const [alice, zoe] = [await register(west, 'alice@example.org'), await register(north, 'zoe@example.net')];
        const { a, b } = await connect(alice, west, zoe, north);
        west.process.kill('SIGKILL');
        await west.exited;
        const from = west.log.length;
        await west.run();
        await west.until(() => / -> registered .*link=north/.test(west.log.slice(from)));
        const again = await west.connect();
        open.push(again);
        const { instanceId, reAuthCredential } = alice.auth;
        const resumed = await again.request('auth', {
            authType: 'reauth',
            webrtcId: 'alice@example.org',
            instanceId,
            reAuthCredential,
        });
        assert.deepEqual(
            resumed.mediaSessions.map(({ mediaSessionId, mediaSessionState }) => [mediaSessionId, mediaSessionState]),
            [[a, 'established']],
        );
        await again.request('mupdate', { mediaSessionId: a, userData: 'back' });
        const said = await zoe.expect('mupdate');
        assert.equal(said.userData, 'back');
        said.reply();
        assert.equal((await end(zoe, b, again)).cause, 'NORMAL');
    });

    test('one side forgets while the link is away: the other ends what is not listed', async () => {
        const [alice, zoe] = [await register(west, 'alice@example.org'), await register(north, 'zoe@example.net')];
        await connect(alice, west, zoe, north);
        toNorth.admits = false;
        toNorth.cut();
        await west.until(() => states(west, 'north').at(-1) === 'lost');
        north.process.kill('SIGKILL');
        await north.exited;
        const port = new URL(north.url).port;
        north.settings = [...north.settings, `listen "test".port=${port}`, 'store.kind=memory'];
        await north.run();
        toNorth.admits = true;
        const ended = await alice.expect('mdisc');
        assert.equal(ended.cause, 'PEER_LOST');
        ended.reply();
        north.wmcf.contexts.clear();
    });
});
