// SPDX-License-Identifier: Apache-2.0
// The way a phone comes: page and WebSocket over TLS from another address than localhost. The browser
// loads the page over HTTP/2 and then uses RFC 8441 by itself; tabs share one connection.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, scene } from '../support/calls.mjs';
import { until } from '../support/stack.mjs';

const things = scene({ stack: { tls: true }, browser: { args: ['--ignore-certificate-errors'] } });

test('a call between a page over TLS and one on localhost', async (t) => {
    const { stack, browser, log } = things;
    const phone = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };
    const [alice] = await things.pages('alice');
    const bob = await person.openPage(browser, stack.secureUrl, { log, ...phone });
    assert.equal(await bob.evaluate(() => isSecureContext), true);
    const version = () => performance.getEntriesByType('navigation')[0].nextHopProtocol;
    assert.equal(await bob.evaluate(version), 'h2');
    await person.signedIn(bob, 'bob@example.org', 'builder');
    const opened = await stack.page('metrics');
    assert.match(opened, /link_opened_total\{role="server",transport="h2",tls="TLSv1.3"\} [1-9]/);
    assert.match(opened, /link_opened_total\{role="server",transport="http\/1.1",tls="none"\} [1-9]/);
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

test('a tab that closes is noticed at once, the others of the connection go on', async () => {
    const { stack, browser } = things;
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const tabs = [];
    for (let i = 0; i < 2; i++) {
        const tab = await context.newPage();
        await tab.goto(`${stack.secureUrl}healthz`);
        await tab.evaluate(() => new Promise((resolve, reject) => {
            window.socket = new WebSocket(`wss://${location.host}/eirtcw/v1`, 'eirtcw.v1');
            window.socket.onopen = resolve;
            window.socket.onerror = () => reject(new Error('no WebSocket'));
        }));
        tabs.push(tab);
    }
    const open = async () => Number(/link_open\{role="server"\} (\d+)/.exec(await stack.page('metrics'))[1]);
    const was = await open();
    await tabs[0].close();
    await until(async () => (await open()) === was - 1, 20_000, () => 'the closed tab still has its link');
    const answer = await tabs[1].evaluate(() => new Promise((resolve) => {
        window.socket.onmessage = ({ data }) => resolve(data);
        window.socket.send('{"messageType":"request","method":"keepalive","transactionId":0}');
    }));
    assert.match(answer, /"success":true/);
    await context.close();
});
