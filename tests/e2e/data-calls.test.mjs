// SPDX-License-Identifier: Apache-2.0
// Data channels of calls that the library makes, through both programs: from the beginning, added to
// a running call, with somebody who does not know them, and straight between two.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from '../support/browser.mjs';
import { Stack, USERS } from '../support/stack.mjs';

let stack, browser;
before(async () => {
    [stack, browser] = await Promise.all([Stack.start(), launch()]);
});
after(async () => {
    await browser?.close();
    await stack?.stop();
});

/** A page with the library alone, signed in; it answers what comes. */
async function open(name, options = {}) {
    const page = await browser.newPage();
    await page.goto(`${stack.url}/lib/index.js`);
    const webrtcId = `${name}@example.org`;
    await page.evaluate(
        async ([webrtcId, password, options]) => {
            const { Client } = await import('/lib/index.js');
            const url = `${location.origin.replace('http', 'ws')}/eirtcw/v1`;
            window.client = new Client({ url, ...options });
            window.got = [];
            window.channels = [];
            window.media = await navigator.mediaDevices.getUserMedia({ audio: true });
            window.watch = (channel) => {
                channels.push(channel);
                channel.binaryType = 'arraybuffer';
                channel.onmessage = ({ data }) =>
                    got.push(typeof data === 'string' ? data : new Uint8Array(data).length);
            };
            window.until = async (look) => {
                while (!look()) await new Promise((done) => setTimeout(done, 20));
            };
            window.take = (session) => {
                window.session = session;
                session.addEventListener('datachannel', ({ detail }) => watch(detail.channel));
            };
            client.addEventListener('incoming', ({ detail: { session } }) => {
                take(session);
                session.answer({ stream: media });
            });
            await client.register({ webrtcId, password });
        },
        [webrtcId, USERS[webrtcId], options],
    );
    return page;
}

const talk = (page, called, choice) =>
    page.evaluate(
        async ([called, choice]) => {
            take(client.call(`${called}@example.org`, { stream: media, ...choice }));
            await until(() => session.pathState === 'connected' || session.end);
            if (session.end) throw new Error(session.end.cause);
        },
        [called, choice],
    );

const send = (page, label, options) =>
    page.evaluate(
        async ([label, options]) => {
            const channel = await session.createDataChannel(label, options);
            watch(channel);
            if (channel.readyState !== 'open') await new Promise((done) => (channel.onopen = done));
            channel.send(`hello from ${label}`);
            channel.send(new Uint8Array(60000));
        },
        [label, options],
    );

const hears = (page, n) => page.evaluate((n) => until(() => got.length >= n).then(() => got), n);

const hangUp = async (...pages) => {
    for (const page of pages) {
        await page.evaluate(async () => {
            session?.hangUp();
            client.close();
        });
        await page.close();
    }
};

test('channels from the beginning, both ways', { timeout: 180_000 }, async () => {
    const [alice, bob] = [await open('alice'), await open('bob')];
    await talk(alice, 'bob', { data: true });
    await send(alice, 'a', { ordered: false, protocol: 'p' });
    assert.deepEqual(await hears(bob, 2), ['hello from a', 60000]);
    assert.deepEqual(
        await bob.evaluate(() => channels.map((c) => [c.label, c.protocol, c.ordered])),
        [['a', 'p', false]],
    );
    await send(bob, 'b');
    assert.deepEqual(await hears(alice, 2), ['hello from b', 60000]);
    // A hold is about sound and picture.
    await alice.evaluate(() => session.hold());
    await alice.evaluate(() => channels[0].send('on hold'));
    assert.equal((await hears(bob, 3))[2], 'on hold');
    await hangUp(alice, bob);
});

test('asked for in a running call, by either side', { timeout: 180_000 }, async () => {
    for (const turn of [0, 1]) {
        const pages = [await open('alice'), await open('bob')];
        await talk(pages[0], 'bob', {});
        assert.equal(await pages[0].evaluate(() => session.connection.sctp), null);
        await send(pages[turn], 'later');
        assert.deepEqual(await hears(pages[1 - turn], 2), ['hello from later', 60000]);
        await send(pages[1 - turn], 'back');
        assert.deepEqual(await hears(pages[turn], 2), ['hello from back', 60000]);
        await hangUp(...pages);
    }
});

test('the other side does not know them', { timeout: 180_000 }, async () => {
    const alice = await open('alice');
    const bob = await open('bob', { extensions: ['trickle-ice'] });
    await talk(alice, 'bob', { data: true });
    assert.equal(await bob.evaluate(() => /m=application/.test(session.connection.remoteDescription.sdp)), false);
    const cause = await alice.evaluate(() =>
        session.createDataChannel('x').then(
            () => 'made',
            (error) => error.cause,
        ),
    );
    assert.equal(cause, 'SDP_NOT_ACCEPTABLE');
    assert.equal(await alice.evaluate(() => session.state), 'established');
    await hangUp(alice, bob);
});
