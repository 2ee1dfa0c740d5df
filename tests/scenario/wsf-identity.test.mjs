#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Who somebody is (protocol A5 to A7): client certificates, rotated keys, one connection per endpoint by
// whatever method, attributes, and identities in logs. Real wsf.

import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Authority } from '../support/certificates.mjs';
import { Endpoint } from '../support/eirtcw-client.mjs';
import { describe as describeSdp } from '../support/fake-wmcf.mjs';
import { PASSWORD, USERS, Wsf, basic } from '../support/wsf.mjs';

const [ALICE, BOB] = USERS;

/** An issuer of tokens with one key. */
function issuer(kid) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    return {
        jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' },
        token(sub, claims = {}) {
            const exp = Math.floor(Date.now() / 1000) + 600;
            const body = `${part({ alg: 'ES256', kid })}.${part({ sub, exp, ...claims })}`;
            const sign = createSign('sha256').update(body);
            return `Bearer ${body}.${sign.sign({ key: privateKey, dsaEncoding: 'ieee-p1363' }, 'base64url')}`;
        },
    };
}
const keySet = (...issuers) => JSON.stringify({ keys: issuers.map(({ jwk }) => jwk) });

describe('ways to register', () => {
    const [old, young] = [issuer('2025'), issuer('2026')];
    let authority, wsf, secure;
    /** Connects with a client certificate that has these names. */
    const connect = (names) => {
        const { certificate: cert, key } = names ? authority.issue(names) : {};
        return Endpoint.connect(secure, 'eirtcw.v1', { ca: authority.ca, cert, key, servername: 'localhost' });
    };
    const byTls = async (names, webrtcId = ALICE, members = {}) => {
        const client = await connect(names);
        client.auth = await client.request('auth', { authType: 'tls', webrtcId, ...members });
        return client;
    };
    before(async () => {
        authority = new Authority();
        const server = authority.issue('DNS:localhost,IP:127.0.0.1');
        wsf = await Wsf.start([], {
            files: {
                'jwks.json': keySet(old),
                'ca.pem': authority.ca,
                'server.pem': server.certificate,
                'server.key': server.key,
            },
            conf: '[listen "tls"]\nport = 0\ntls_certificate = server.pem\ntls_key = server.key\ntls_client_ca = ca.pem\n[auth]\njwk_set_file = jwks.json\n',
        });
        const [, port] = /https:\/\/127\.0\.0\.1:(\d+)/.exec(wsf.log);
        secure = `wss://127.0.0.1:${port}/eirtcw/v1`;
    });
    after(async () => {
        await wsf.stop();
        authority.remove();
    });

    test('a client certificate: mail, URI and other names', async () => {
        const names = [
            `email:${ALICE}`,
            `URI:acct:alice@EXAMPLE.org`,
            `URI:mailto:${ALICE}`,
            `DNS:example.org,email:${ALICE}`,
            `otherName:1.3.6.1.5.5.7.8.5;UTF8:${ALICE}`,
            `otherName:1.3.6.1.4.1.311.20.2.3;UTF8:${ALICE}`,
        ];
        for (const name of names) {
            const client = await byTls(name);
            assert.equal(client.auth.success, true, name);
            assert.equal(client.auth.webrtcId, ALICE);
            await client.close();
        }
    });

    test('no certificate, or one of somebody else, is a failed authentication', async () => {
        for (const name of [undefined, `email:${BOB}`, 'DNS:example.org', `URI:https://example.org/${ALICE}`]) {
            const client = await byTls(name);
            assert.equal(client.auth.problemDetails.cause, 'AUTHENTICATION_FAILED', name);
            await client.close();
        }
    });

    test('bearer: keys are rotated by replacing the file', async () => {
        const ask = async (authorization) => {
            const client = await wsf.connect();
            const answer = await client.request('auth', { authType: 'bearer', webrtcId: ALICE, authorization });
            await client.close();
            return answer.success;
        };
        assert.equal(await ask(old.token(ALICE)), true);
        assert.equal(await ask(young.token(ALICE)), false);
        wsf.file('jwks.json', keySet(old, young));
        await wsf.until(() => ask(young.token(ALICE)));
        assert.equal(await ask(old.token(ALICE)), true, 'both while both are published');
        wsf.file('jwks.json', keySet(young));
        await wsf.until(async () => !(await ask(old.token(ALICE))));
        wsf.file('jwks.json', 'no key set');
        await wsf.until(async () => (await ask(young.token(ALICE))) && wsf.log.includes('changed keys not taken'));
    });

    test('one connection per endpoint, whatever it authenticates with', async () => {
        const instanceId = randomUUID();
        wsf.file('jwks.json', keySet(young));
        let former = await wsf.register(ALICE, { instanceId });
        const ways = [
            async () => [await wsf.connect(), { authType: 'bearer', authorization: young.token(ALICE) }],
            async () => [await wsf.connect(), { authType: 'reauth', reAuthCredential: former.auth.reAuthCredential }],
            async () => [await connect(`email:${ALICE}`), { authType: 'tls' }],
            async () => [await wsf.connect(), { authType: 'basic', authorization: basic(ALICE, PASSWORD) }],
        ];
        for (const way of ways) {
            const [client, members] = await way();
            client.auth = await client.request('auth', { webrtcId: ALICE, instanceId, ...members });
            assert.equal(client.auth.success, true, members.authType);
            assert.equal(client.auth.instanceId, instanceId);
            assert.equal((await former.closed).code, 4409, members.authType);
            former = client;
        }
        await former.close();
    });

    test('attributes are flat and few; shown, kept over a refresh, replaced and cleared', async () => {
        const client = await wsf.register(ALICE, { attributes: { language: 'fr', seats: 3, open: true } });
        const shown = async () =>
            (await client.request('getinfo', { resources: ['registration'] })).resources.registration;
        const again = (members) =>
            client.request('auth', { authType: 'basic', webrtcId: ALICE, authorization: basic(ALICE, PASSWORD), ...members });
        const registration = await shown();
        assert.deepEqual(registration.attributes, { language: 'fr', seats: 3, open: true });
        assert.equal(registration.address, '127.0.0.1');
        assert.equal(registration.kind, 'client');
        assert.equal((await again({})).success, true);
        assert.equal((await shown()).attributes.language, 'fr');
        for (const attributes of [{ deep: {} }, { list: [] }, { nothing: null }, { '': 1 }, 'flat']) {
            const { problemDetails } = await again({ attributes });
            assert.equal(problemDetails.cause, 'INVALID_MESSAGE', JSON.stringify(attributes));
            assert.equal(problemDetails.invalidParams[0].param, '/attributes');
        }
        const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, i]));
        assert.equal((await again({ attributes: many })).problemDetails.cause, 'MESSAGE_TOO_LARGE');
        const long = { text: 'x'.repeat(257) };
        assert.equal((await again({ attributes: long })).problemDetails.cause, 'MESSAGE_TOO_LARGE');
        assert.equal((await again({ attributes: {} })).success, true);
        assert.deepEqual((await shown()).attributes, {});
        await client.close();
    });
});

test('identities in logs are keyed hashes when asked for', async () => {
    const wsf = await Wsf.start(['log.identities=hashed', 'log.level=info'], {
        files: { key: 'a key of the operator\n' },
        conf: '[log]\nidentity_key_file = key\n',
    });
    const alice = await wsf.register(ALICE);
    const again = await wsf.register(ALICE);
    const wrong = await wsf.connect();
    await wrong.request('auth', { authType: 'basic', webrtcId: BOB, authorization: basic(BOB, 'no') });
    await alice.close();
    await again.cut();
    await wsf.until(() => / lost \(1006/.test(wsf.log));
    assert.doesNotMatch(wsf.log, /alice|bob/);
    const hashes = [...wsf.log.matchAll(/(id-[0-9a-f]{12}) registered/g)].map(([, hash]) => hash);
    assert.equal(hashes.length, 2);
    assert.equal(hashes[0], hashes[1]);
    await wrong.close();
    await wsf.stop();
});

describe('asserted identities', () => {
    const B = 'wsf@example.net';
    const STRICT = 'wsf@strict.example';
    const ANONYMOUS = 'anonymous@anonymous.invalid';
    const offer = { bundle: true, medias: [{ mid: '0', mediaType: 'audio', direction: 'sendrecv', codecs: ['opus'] }] };
    let wsf, alice, bob, b, strict;
    before(async () => {
        wsf = await Wsf.start([], {
            users: [...USERS, B, STRICT],
            conf: [
                `[peer "b"]\nrealms = example.net, partner.example\ntrusted_realms = example.net`,
                `[peer "strict"]\nrealms = strict.example\nuntrusted_identity = refuse`,
                `[subscriber "alice"]\nwebrtc_id = ${ALICE}\nidentities = sales@example.org, Alice@VIP.example`,
                '',
            ].join('\n'),
        });
        alice = await wsf.register(ALICE);
        bob = await wsf.register(BOB);
        b = await wsf.register(B);
        strict = await wsf.register(STRICT);
    });
    after(() => wsf.stop());
    const hangUp = async (caller, mediaSessionId, callee) => {
        assert.equal((await caller.request('mdisc', { mediaSessionId })).success, true);
        (await callee.expect('mdisc')).reply();
    };
    /** Asks; the invitation that comes of it, the call already over. */
    const ask = async (caller, callee, members) => {
        const asked = await caller.request('msetup', members);
        if (!asked.success) return asked;
        const invitation = await callee.expect('msetup');
        invitation.reply({ mediaSessionId: invitation.mediaSessionId });
        await hangUp(caller, asked.mediaSessionId, callee);
        return invitation;
    };
    const fromWsf = (from, members) =>
        ask(from, bob, { resourceId: BOB, mediaSessionId: randomUUID(), sdpOffer: describeSdp(offer), ...members });

    test('a client is who it has registered as, whatever it says', async () => {
        const { assertedOriginatingId, identityVerified, preferredOriginatingId } = await ask(alice, bob, {
            resourceId: BOB,
            assertedOriginatingId: 'queen@example.org',
            identityVerified: { authority: 'example.com' },
        });
        assert.equal(assertedOriginatingId, ALICE);
        assert.deepEqual(identityVerified, { authority: 'example.org' });
        assert.equal(preferredOriginatingId, undefined);
    });

    test('or one of its further identities, or nobody; no one else', async () => {
        for (const [preferred, asserted] of [
            ['sales@example.org', 'sales@example.org'],
            ['Alice@vip.EXAMPLE', 'Alice@vip.example'],
            [ANONYMOUS, ANONYMOUS],
        ]) {
            const invitation = await ask(alice, bob, { resourceId: BOB, preferredOriginatingId: preferred });
            assert.equal(invitation.assertedOriginatingId, asserted);
            assert.equal('identityVerified' in invitation, asserted !== ANONYMOUS);
        }
        const refused = await ask(alice, bob, { resourceId: BOB, preferredOriginatingId: 'carol@example.org' });
        assert.equal(refused.problemDetails.cause, 'NOT_AUTHORIZED');
        assert.equal(refused.problemDetails.invalidParams[0].param, '/preferredOriginatingId');
    });

    test('in a call: mupdate with an identity that is not its own is refused', async () => {
        const { mediaSessionId } = await alice.request('msetup', { resourceId: BOB });
        (await bob.expect('msetup')).reply();
        const update = (preferredOriginatingId) => alice.request('mupdate', { mediaSessionId, preferredOriginatingId });
        assert.equal((await update('carol@example.org')).problemDetails.cause, 'NOT_AUTHORIZED');
        assert.equal((await update('sales@example.org')).success, true);
        await hangUp(alice, mediaSessionId, bob);
    });

    test('another operator is believed in its trusted realms', async () => {
        const trusted = await fromWsf(b, { assertedOriginatingId: 'zoe@example.net' });
        assert.equal(trusted.assertedOriginatingId, 'zoe@example.net');
        assert.deepEqual(trusted.identityVerified, { authority: 'example.net' });
        const preferred = await fromWsf(b, { preferredOriginatingId: 'zoe@example.net' });
        assert.equal(preferred.assertedOriginatingId, 'zoe@example.net', '6.3.2.6.x.2.3 has no other');
        const hidden = await fromWsf(b, {
            assertedOriginatingId: 'zoe@example.net',
            preferredOriginatingId: ANONYMOUS,
        });
        assert.equal(hidden.assertedOriginatingId, ANONYMOUS);
        assert.equal(hidden.identityVerified, undefined);
    });

    test('elsewhere its word is replaced, or the request refused', async () => {
        for (const claimed of [ALICE, 'x@partner.example']) {
            const replaced = await fromWsf(b, {
                assertedOriginatingId: claimed,
                identityVerified: { authority: 'example.org' },
            });
            assert.equal(replaced.assertedOriginatingId, B);
            assert.deepEqual(replaced.identityVerified, { authority: 'example.org' }, 'we have verified the peer');
        }
        const refused = await fromWsf(strict, { assertedOriginatingId: ALICE });
        assert.equal(refused.problemDetails.cause, 'NOT_AUTHORIZED');
        const nobody = await fromWsf(strict, { assertedOriginatingId: ANONYMOUS });
        assert.equal(nobody.assertedOriginatingId, ANONYMOUS);
    });

    test('6.3.2.6.x.2.3: what goes to another operator, and hopLimit', async () => {
        const out = await ask(alice, b, { resourceId: 'zoe@Example.Net', preferredOriginatingId: 'sales@example.org' });
        assert.equal(out.resourceId, 'zoe@example.net');
        assert.equal(out.assertedOriginatingId, 'sales@example.org');
        assert.equal(out.preferredOriginatingId, 'sales@example.org');
        assert.equal(out.hopLimit, 15);
        const hop = (hopLimit) => fromWsf(b, { assertedOriginatingId: 'zoe@example.net', hopLimit });
        assert.equal((await hop(1)).assertedOriginatingId, 'zoe@example.net', 'the last one may deliver');
        assert.equal((await hop(0)).problemDetails.cause, 'PEER_WSF_ERROR');
        const back = await fromWsf(b, { resourceId: 'yan@example.net' });
        assert.equal(back.problemDetails.cause, 'RESOURCE_NOT_FOUND', 'never back to where it came from');
        const transit = await fromWsf(b, { resourceId: 'yan@strict.example' });
        assert.equal(transit.problemDetails.cause, 'RESOURCE_NOT_FOUND', 'no transit unless configured');
    });

    test('who has been reached is the callee, or whom its network asserts', async () => {
        const ring = async (callee, resourceId, members) => {
            const { mediaSessionId } = await alice.request('msetup', { resourceId });
            const invitation = await callee.expect('msetup');
            invitation.reply({ mediaSessionId: invitation.mediaSessionId });
            const said = callee.request('mupdate', {
                mediaSessionId: invitation.mediaSessionId,
                mediaSessionState: 'alerting',
                ...members,
            });
            const answer = await said;
            const told = answer.success ? await alice.expect('mupdate') : answer;
            if (answer.success) told.reply();
            await hangUp(alice, mediaSessionId, callee);
            return told;
        };
        const client = await ring(bob, BOB, { assertedTerminatingId: 'queen@example.org' });
        assert.equal(client.assertedTerminatingId, BOB);
        assert.deepEqual(client.identityVerified, { authority: 'example.org' });
        assert.equal((await ring(b, 'zoe@example.net')).assertedTerminatingId, undefined);
        const told = await ring(b, 'zoe@example.net', { assertedTerminatingId: 'yan@example.net' });
        assert.equal(told.assertedTerminatingId, 'yan@example.net');
        assert.deepEqual(told.identityVerified, { authority: 'example.net' });
        const other = await ring(b, 'zoe@example.net', { assertedTerminatingId: ALICE });
        assert.equal(other.assertedTerminatingId, B);
        const refused = await ring(strict, 'zoe@strict.example', { assertedTerminatingId: ALICE });
        assert.equal(refused.problemDetails.cause, 'NOT_AUTHORIZED');
    });
});
