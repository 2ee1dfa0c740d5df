// SPDX-License-Identifier: Apache-2.0
// The way a phone comes: page and WebSocket over TLS from another address than localhost.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pages, pictureMoves } from '../support/calls.mjs';
import { Stack } from '../support/stack.mjs';

let stack;
let browser;
const log = [];

before(async () => {
    [stack, browser] = await Promise.all([
        Stack.start({ tls: true }),
        person.launch({ args: ['--ignore-certificate-errors'] }),
    ]);
});
after(async () => {
    await browser?.close();
    await stack?.stop();
});
afterEach((t) => {
    if (t.passed === false) console.error(stack.logs(), log.join('\n'));
});

test('a call between a page over TLS and one on localhost', async (t) => {
    const phone = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };
    const [alice] = await pages(browser, stack, ['alice'], log);
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
