// SPDX-License-Identifier: Apache-2.0
// The way a phone comes: page and WebSocket over TLS from another address than localhost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, scene } from '../support/calls.mjs';

const things = scene({ stack: { tls: true }, browser: { args: ['--ignore-certificate-errors'] } });

test('a call between a page over TLS and one on localhost', async (t) => {
    const { stack, browser, log } = things;
    const phone = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };
    const [alice] = await things.pages('alice');
    const bob = await person.openPage(browser, stack.secureUrl, { log, ...phone });
    assert.equal(await bob.evaluate(() => isSecureContext), true);
    const version = () => performance.getEntriesByType('navigation')[0].nextHopProtocol;
    t.diagnostic(`the page came over ${await bob.evaluate(version)}`);
    await person.signedIn(bob, 'bob@example.org', 'builder');
    await calling(alice, bob, 'bob');
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    await person.hangUp(bob);
    await person.sentence(alice, /^bob@example\.org hung up\./);
    await stack.contextsBecome(0);
    assert.deepEqual(
        log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
