#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// The control link as wsf sees it: media centres that fail, fall silent, go and come back, and what
// the callers hear; the drain of wsf itself.

import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { FakeWmcf } from '../support/fake-wmcf.mjs';
import { Wsf, answerTo, call, invite } from '../support/wsf.mjs';

const [ALICE, BOB] = ['alice@example.org', 'bob@example.org'];

describe('media centre', () => {
    let wsf;
    const start = async (...args) => {
        wsf = await Wsf.start(...args);
        return [await wsf.register(ALICE), await wsf.register(BOB)];
    };
    afterEach(() => wsf.stop());

    test('none linked: 503 with retryAfter, no context', async () => {
        const [alice] = await start([], { wmcf: false });
        const refused = await alice.request('msetup', { resourceId: BOB });
        assert.equal(refused.problemDetails.status, 503);
        assert.equal(refused.problemDetails.cause, 'RESOURCES_UNAVAILABLE');
        assert.ok(refused.retryAfter > 0);
    });

    test('it refuses or does not answer an add', async () => {
        const [alice, bob] = await start(['media.response_time=1']);
        wsf.wmcf.overrides.add = () => {
            throw FakeWmcf.problem(503, 'RESOURCES_UNAVAILABLE');
        };
        await alice.request('msetup', { resourceId: BOB });
        let end = await alice.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'MEDIA_FAILURE');
        assert.equal(end.problemDetails.cause, 'RESOURCES_UNAVAILABLE');
        wsf.wmcf.overrides.add = () => null;
        await alice.request('msetup', { resourceId: BOB });
        end = await alice.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'MEDIA_FAILURE');
        assert.equal(end.problemDetails.cause, 'PEER_TIMEOUT');
        wsf.wmcf.overrides = {};
        await bob.expectNothing();
    });

    test('an add that is answered after the caller has gone leaves nothing behind', async () => {
        const [alice] = await start();
        let go;
        wsf.wmcf.overrides.add = (message, own) => {
            go = () => {
                wsf.wmcf.overrides = {};
                message.reply(own());
            };
            return null;
        };
        const { mediaSessionId } = await alice.request('msetup', { resourceId: BOB });
        await wsf.until(() => go);
        await alice.request('mdisc', { mediaSessionId });
        go();
        await wsf.until(() => wsf.wmcf.requests('subtract').length === 1);
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('events that end a call', async () => {
        const [alice, bob] = await start();
        for (const event of ['dtlsFailed', 'resourceFailure', 'hangingTermination']) {
            await call(wsf, alice, bob);
            await wsf.wmcf.notify(wsf.wmcf.terminations[0], event);
            for (const side of [alice, bob]) {
                const end = await side.expect('mdisc');
                end.reply();
                assert.equal(end.cause, 'MEDIA_FAILURE', event);
                assert.equal(end.problemDetails, undefined);
            }
            await wsf.until(() => wsf.wmcf.contexts.size === 0);
        }
    });

    test('a page that is closed: its media fail before it can say why', async () => {
        const [alice, bob] = await start();
        const { a } = await call(wsf, alice, bob);
        await wsf.wmcf.notify(wsf.wmcf.terminations[1], 'dtlsFailed');
        await alice.request('mdisc', { mediaSessionId: a });
        let end = await bob.expect('mdisc');
        end.reply();
        assert.equal(end.cause, 'NORMAL');
        await call(wsf, alice, bob);
        await wsf.wmcf.notify(wsf.wmcf.terminations[1], 'dtlsFailed');
        await alice.cut();
        end = await bob.expect('mdisc');
        assert.equal(end.cause, 'PEER_LOST');
    });

    test('the link breaks for a moment: calls go on', async () => {
        const [alice, bob] = await start();
        const { a } = await call(wsf, alice, bob);
        await wsf.wmcf.stop();
        await wsf.ready(503);
        await wsf.wmcf.restart();
        await wsf.ready();
        await alice.expectNothing(300);
        assert.equal(wsf.wmcf.terminations.length, 2);
        await alice.request('mdisc', { mediaSessionId: a });
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('the link is away for longer than the grace: both are told, then all is well again', async () => {
        const [alice, bob] = await start(['media.lost_grace=1']);
        await call(wsf, alice, bob);
        await wsf.wmcf.stop({ forget: true });
        for (const side of [alice, bob]) {
            const end = await side.expect('mdisc');
            end.reply();
            assert.equal(end.cause, 'MEDIA_FAILURE');
            assert.equal(end.problemDetails.cause, 'WMCF_ERROR');
        }
        assert.equal((await alice.request('msetup', { resourceId: BOB })).problemDetails.status, 503);
        await wsf.wmcf.restart();
        await wsf.ready();
        const { a } = await call(wsf, alice, bob);
        await alice.request('mdisc', { mediaSessionId: a });
    });

    test('a call that ended while the link was away is released when it is back', async () => {
        const [alice, bob] = await start(['media.lost_grace=60']);
        const { a } = await call(wsf, alice, bob);
        await wsf.wmcf.stop();
        await wsf.ready(503);
        assert.equal((await alice.request('mdisc', { mediaSessionId: a })).success, true);
        assert.equal((await bob.expect('mdisc')).cause, 'NORMAL');
        await wsf.wmcf.restart();
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('a new restartCounter ends the calls at once', async () => {
        const [alice, bob] = await start(['media.lost_grace=60']);
        await call(wsf, alice, bob);
        await wsf.wmcf.stop({ forget: true });
        await wsf.wmcf.restart();
        for (const side of [alice, bob]) assert.equal((await side.expect('mdisc')).cause, 'MEDIA_FAILURE');
    });

    test('the audit finds a context gone', async () => {
        const [alice, bob] = await start(['media.lost_grace=60']);
        await call(wsf, alice, bob);
        await wsf.wmcf.stop();
        wsf.wmcf.contexts.clear();
        await wsf.wmcf.restart();
        for (const side of [alice, bob]) {
            assert.equal((await side.expect('mdisc')).problemDetails.cause, 'WMCF_ERROR');
        }
    });

    test('wsf killed: its contexts live on as orphans and are released after their time', async () => {
        const [alice, bob] = await start(['media.orphan_ttl=2']);
        await call(wsf, alice, bob);
        wsf.process.kill('SIGKILL');
        await wsf.exited;
        await wsf.run();
        const since = Date.now();
        const [again, other] = [await wsf.register(ALICE), await wsf.register(BOB)];
        const { a } = await call(wsf, again, other);
        await wsf.until(() => wsf.wmcf.contexts.size === 1);
        assert.ok(Date.now() - since > 1500);
        await other.expectNothing();
        await again.request('mdisc', { mediaSessionId: a });
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('a wrong token is said once and does not stop the rest', async () => {
        const [alice] = await start([], { wmcf: false });
        const strict = await new FakeWmcf().start();
        strict.overrides.auth = () => {
            throw FakeWmcf.problem(403, 'AUTHENTICATION_FAILED');
        };
        await wsf.stop();
        wsf = await Wsf.start([`wmcf "strict".url=${strict.url}`], {});
        await wsf.until(() => wsf.log.includes('refused our authentication'));
        await wsf.until(() => strict.requests('auth').length > 1);
        assert.equal(wsf.log.match(/refused our authentication/g).length, 1);
        await strict.stop();
        void alice;
    });

    test('two media centres: the one with less load, not the one that drains', async () => {
        const other = await new FakeWmcf().start();
        const [alice, bob] = await start([], {
            files: { token2: 'a-token-for-tests-0123456789' },
            conf: `[wmcf "other"]\nurl = ${other.url}\ntoken_file = token2\n`,
        });
        await wsf.until(() => wsf.log.match(/is linked/g)?.length === 2);
        wsf.wmcf.load = 80;
        await wsf.wmcf.serviceChange();
        await other.serviceChange();
        let [a] = await invite(alice, BOB, [bob]);
        assert.equal(other.contexts.size, 1);
        await alice.request('mdisc', { mediaSessionId: a });
        (await bob.expect('mdisc')).reply();
        other.serviceState = 'draining';
        await other.serviceChange();
        [a] = await invite(alice, BOB, [bob]);
        assert.equal(wsf.wmcf.contexts.size, 1);
        await alice.request('mdisc', { mediaSessionId: a });
        await other.stop();
    });

    test('SIGTERM: calls end with OPERATOR, connections with 1001, nothing is left', async () => {
        const [alice, bob] = await start();
        await call(wsf, alice, bob);
        wsf.process.kill('SIGTERM');
        assert.equal((await alice.expect('mdisc')).cause, 'OPERATOR');
        assert.equal((await bob.expect('mdisc')).cause, 'OPERATOR');
        assert.equal((await alice.closed).code, 1001);
        assert.equal((await bob.closed).code, 1001);
        assert.equal(await wsf.exited, 0);
        await wsf.until(() => wsf.wmcf.contexts.size === 0);
    });

    test('SIGTERM while the media centre has not answered a release', async () => {
        const [alice, bob] = await start();
        const { a } = await call(wsf, alice, bob);
        let asked = false;
        wsf.wmcf.overrides.subtract = () => {
            asked = true;
            return null;
        };
        await alice.request('mdisc', { mediaSessionId: a });
        (await bob.expect('mdisc')).reply();
        await wsf.until(() => asked);
    });

    test('SIGTERM with drain_time: the call may end by itself, new ones are refused', async () => {
        const [alice, bob] = await start(['wsf.drain_time=60']);
        const { a } = await call(wsf, alice, bob);
        wsf.process.kill('SIGTERM');
        await wsf.until(() => wsf.log.includes('draining'));
        assert.equal((await bob.request('msetup', { resourceId: ALICE })).problemDetails.cause, 'DRAINING');
        await alice.expectNothing();
        assert.equal((await fetch(`${wsf.base}/readyz`)).status, 503);
        await bob.cut();
        const again = await wsf.register(BOB, { instanceId: bob.auth.instanceId });
        assert.equal(again.auth.mediaSessions.length, 1);
        await alice.request('mdisc', { mediaSessionId: a });
        assert.equal((await again.closed).code, 1001);
        assert.equal(await wsf.exited, 0);
    });

    test('a callee that never responds', async () => {
        const [alice, bob] = await start(['limits.response_time=1']);
        await alice.request('msetup', { resourceId: BOB });
        await bob.expect('msetup');
        const end = await alice.expect('mdisc');
        assert.equal(end.problemDetails.cause, 'PEER_TIMEOUT');
        assert.equal((await bob.expect('mdisc')).cause, 'MEDIA_FAILURE');
    });

    test('the answer is taken although a branch is still being made', async () => {
        const [alice, bob] = await start();
        const second = await wsf.register(BOB);
        let held;
        wsf.wmcf.overrides.add = (message, own) => {
            if (wsf.wmcf.requests('add').length !== 2) return own();
            held = () => message.reply(own());
            return null;
        };
        const { mediaSessionId: a } = await alice.request('msetup', { resourceId: BOB });
        const quick = await Promise.race([bob.expect('msetup'), second.expect('msetup')]);
        const winner = quick.mediaSessionId;
        quick.reply();
        const taker = await Promise.any(
            [bob, second].map(async (client) => {
                const taken = await client.request('mupdate', { mediaSessionId: winner, sdpAnswer: answerTo(quick.sdpOffer) });
                if (!taken.success) throw new Error();
                return client;
            }),
        );
        await wsf.until(() => held);
        held();
        await alice.expect('mupdate');
        await taker.expectNothing();
        await wsf.until(() => wsf.wmcf.terminations.length === 2);
        await alice.request('mdisc', { mediaSessionId: a });
    });
});
