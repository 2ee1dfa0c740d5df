// SPDX-License-Identifier: Apache-2.0
// The page and the library against a signalling function and a media centre made for tests: what a
// person sees and can do, and the troubles that the real programs do not make on request.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { fakeMedia } from '../support/fake-media.mjs';
import { FakeRoom } from '../support/fake-room.mjs';
import { FakeWsf, Problem } from '../support/fake-wsf.mjs';
import { mediaAddress, until } from '../support/stack.mjs';

const ALICE = ['alice@example.org', 'wonderland'];
const BOB = ['bob@example.org', 'builder'];

let browser;
let media;
let wsf;
let log;

before(async () => {
    browser = await person.launch();
});
after(() => browser.close());

beforeEach(async () => {
    log = [];
    wsf = await new FakeWsf().start(0, '0.0.0.0');
    media ??= await fakeMedia(browser, wsf.url);
    wsf.media = media;
});
afterEach(async (t) => {
    await Promise.all(
        browser
            .contexts()
            .filter((one) => one !== media.context)
            .map((one) => one.close()),
    );
    await wsf.stop();
    // What the browser says of a service that is away is not the page's fault.
    const complaints = log.filter(
        (line) =>
            /^(error|warning):/.test(line) &&
            !/WebSocket connection|ERR_CONNECTION_(REFUSED|RESET)/.test(line),
    );
    assert.deepEqual(complaints, [], t.name);
});

const open = (options) => person.openPage(browser, wsf.url, { log, ...options });

async function two() {
    const [alice, bob] = await Promise.all([open(), open()]);
    await Promise.all([person.signedIn(alice, ...ALICE), person.signedIn(bob, ...BOB)]);
    return [alice, bob];
}

async function calling(caller, called, name = 'bob') {
    await person.call(caller, name);
    await person.ringing(called);
    await person.answer(called);
    await Promise.all([person.connected(caller), person.connected(called)]);
}

describe('signing in', () => {
    test('a wrong password and an unknown user are told alike', async () => {
        const page = await open();
        for (const [user, password] of [
            ['alice@example.org', 'no'],
            ['nobody@example.org', 'no'],
        ]) {
            await person.signIn(page, user, password);
            assert.equal(await person.sentence(page, /wrong/), 'User name or password is wrong.');
            await page.click('#notice-close');
        }
    });

    test('an address without operator', async () => {
        const page = await open();
        await person.signIn(page, 'alice', 'x');
        await person.sentence(page, /name@operator/);
        assert.equal(wsf.log.length, 0);
    });

    test('too many attempts', async () => {
        wsf.overrides.auth = () => {
            throw new Problem(429, 'TOO_MANY_REQUESTS', { retryAfter: 12 });
        };
        const page = await open();
        await person.signIn(page, ...ALICE);
        await person.sentence(page, /wait 12 seconds/);
    });

    test('no service', async () => {
        const page = await open();
        await wsf.stop();
        await person.signIn(page, ...ALICE);
        await person.sentence(page, /cannot be reached/);
        await page.waitForSelector('#sign-in:enabled');
    });

    test('only the address is remembered, nothing is in the URL', async () => {
        const page = await open();
        await person.signedIn(page, ...ALICE);
        const kept = await page.evaluate(() =>
            JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
        );
        assert.ok(kept.includes('alice@example.org'));
        assert.ok(!kept.includes('wonderland'));
        assert.equal(page.url(), wsf.url);
        await page.reload();
        assert.equal(await page.inputValue('#user'), 'alice@example.org');
        assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
    });

    test('signing out, and in again as somebody else', async () => {
        const page = await open();
        await person.signedIn(page, ...ALICE);
        await page.click('#sign-out');
        await page.waitForSelector('body[data-view="sign-in"]');
        await person.signedIn(page, ...BOB);
        assert.equal(await page.textContent('#me-id'), 'bob@example.org');
    });
});

describe('a call', () => {
    test('both see each other; details, keys, mute, hang up', async () => {
        const [alice, bob] = await two();
        await person.call(alice, 'bob@example.org');
        await person.ringing(bob);
        assert.equal(await bob.textContent('#incoming-name'), 'alice@example.org');
        assert.match(await bob.title(), /alice is calling/);
        await alice.waitForSelector('#stage[data-state="alerting"]');
        assert.equal(await alice.textContent('#call-state'), 'Ringing…');
        await bob.keyboard.press('Enter'); // the focus is on Answer
        await Promise.all([person.connected(alice), person.connected(bob)]);
        await Promise.all([
            alice.waitForSelector('#stage.seen'),
            bob.waitForSelector('#stage.seen'),
        ]);

        await alice.keyboard.press('s');
        await alice.waitForSelector('#drawer:not([hidden]) .figure canvas');
        const figures = await alice.textContent('#figures');
        for (const word of [
            'Other side', // this media centre is a browser
            'established',
            'HTTP/1.1',
            'udp',
            'SRTP cipher',
            'Sound received',
            'Picture sent',
            'opus',
            'b/s',
        ]) {
            assert.ok(figures.includes(word), `${word} in ${figures}`);
        }
        await alice.keyboard.press('Escape');
        assert.equal(await alice.isVisible('#drawer'), false);

        await bob.keyboard.press('m');
        assert.equal(await bob.getAttribute('#mic', 'aria-pressed'), 'true');
        assert.equal(await bob.textContent('#mic span'), 'Unmute');
        await bob.click('#mic');
        assert.equal(await bob.getAttribute('#mic', 'aria-pressed'), 'false');
        await bob.keyboard.press('v');
        assert.equal(await bob.isVisible('#local'), false);
        await person.settled(bob);

        await person.hangUp(alice);
        assert.match(await person.sentence(alice, /ended/), /^Call ended after 00:\d\d\.$/);
        assert.match(
            await person.sentence(bob, /hung up/),
            /^alice@example.org hung up\. The call lasted 00:\d\d\.$/,
        );
        await person.atHome(bob);
        assert.equal(wsf.sessions.size, 0);
        // The camera is given back.
        assert.equal(await alice.evaluate(() => document.getElementById('local').srcObject), null);
    });

    test('hold and resume, seen on both sides', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        await bob.waitForSelector('#stage.seen');
        await alice.keyboard.press('h');
        await bob.waitForSelector('#stage.held');
        assert.equal(await bob.textContent('#on-hold'), 'alice has put the call on hold');
        await person.settled(alice);
        assert.equal(await alice.textContent('#on-hold'), 'On hold');
        assert.equal(await alice.textContent('#hold span'), 'Resume');
        assert.equal(await alice.isVisible('#local'), false);
        await person.hold(alice);
        await Promise.all([person.moving(alice), person.moving(bob)]);
    });

    test('sound only; the camera is switched on and off', async () => {
        const [alice, bob] = await two();
        await alice.fill('#callee', 'bob');
        await alice.click('#call-sound');
        await person.ringing(bob);
        await bob.click('#answer-sound');
        await Promise.all([person.connected(alice), person.connected(bob)]);
        assert.equal(await alice.getAttribute('#camera', 'aria-pressed'), 'true');
        await person.camera(alice);
        await bob.waitForSelector('#stage.seen');
        assert.equal(await alice.isVisible('#local'), true);
        await person.settled(alice);
        await person.camera(alice);
        await bob.waitForSelector('#stage:not(.seen)');
        await bob.waitForFunction(
            () => document.getElementById('call-state').textContent === 'No picture',
        );
    });

    test('a change that is refused leaves the call, and is said', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        wsf.overrides.mupdate = () => {
            throw new Problem(422, 'SDP_NOT_ACCEPTABLE');
        };
        await person.hold(alice);
        await person.sentence(alice, /^The call stays as it was\. This browser and bob@/);
        assert.equal(await alice.getAttribute('#hold', 'aria-pressed'), 'false');
        await Promise.all([person.moving(alice), person.moving(bob)]);
        delete wsf.overrides.mupdate;
    });

    test('the network asks for something while this side does: both come to pass', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        await alice.waitForSelector('#stage.seen');
        // Both click at once: one of them meets the offer that the other's click has caused.
        await Promise.all([person.hold(alice), person.hold(bob)]);
        for (const page of [alice, bob]) {
            await page.waitForFunction(
                () => document.getElementById('hold').textContent.trim() === 'Resume',
            );
            await person.settled(page);
        }
        await Promise.all([person.hold(alice), person.hold(bob)]);
        await Promise.all([person.moving(alice), person.moving(bob)]);
    });

    test('the messages behind it, without secrets', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        await alice.keyboard.press('s');
        await alice.click('#tab-messages');
        await alice.waitForSelector('#messages li');
        assert.match(await alice.textContent('#messages'), /→msetup/);
        await alice.click('#messages li:first-child summary');
        const opened = await alice.textContent('#messages li:first-child pre');
        assert.match(opened, /"method": "auth"/);
        assert.match(opened, /"authorization": "…"/);
        await alice.keyboard.press('Escape');
    });

    test('declined', async () => {
        const [alice, bob] = await two();
        await person.call(alice, 'bob');
        await person.ringing(bob);
        for (let i = 0; i < 3; i++) await bob.keyboard.press('Escape'); // must not decline
        assert.equal(await bob.isVisible('#incoming'), true);
        await person.decline(bob);
        await person.sentence(alice, /^bob@example.org declined the call\.$/);
        assert.equal(await bob.isVisible('#notice'), false);
    });

    test('the caller gives up', async () => {
        const [alice, bob] = await two();
        await person.call(alice, 'bob');
        await person.ringing(bob);
        await person.hangUp(alice);
        await person.sentence(bob, /missed a call from alice@example.org/);
        assert.equal(await bob.isVisible('#incoming'), false);
        assert.equal(await alice.isVisible('#notice'), false);
    });

    test('nobody answers', async () => {
        wsf.noAnswerTime = 300;
        const [alice, bob] = await two();
        await person.call(alice, 'bob');
        await person.sentence(alice, /did not answer/);
        await person.sentence(bob, /missed a call/);
    });

    test('unknown, and not signed in', async () => {
        const alice = await open();
        await person.signedIn(alice, ...ALICE);
        await person.call(alice, 'nobody');
        await person.sentence(alice, /There is nobody called nobody@example.org/);
        await person.call(alice, 'bob');
        await person.sentence(alice, /bob@example.org cannot be reached/);
    });

    test('busy', async () => {
        wsf.users['carol@example.org'] = 'christmas';
        const [alice, bob] = await two();
        await calling(alice, bob);
        const carol = await open();
        await person.signedIn(carol, 'carol@example.org', 'christmas');
        await person.call(carol, 'bob');
        await person.sentence(carol, /bob@example.org is in another call/);
        assert.equal(await bob.isVisible('#stage.connected'), true);
    });

    test('answered on the other tab', async () => {
        const [alice, bob] = await two();
        const other = await open();
        await person.signedIn(other, ...BOB);
        await person.call(alice, 'bob');
        await Promise.all([person.ringing(bob), person.ringing(other)]);
        await person.answer(other);
        await person.sentence(bob, /answered on another device or tab/);
        await person.connected(alice);
        assert.equal(await bob.isVisible('#incoming'), false);
    });

    test('the media centre fails', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        for (const leg of [...wsf.sessions.values()]) {
            wsf.disconnect(leg, 'MEDIA_FAILURE', { status: 502, cause: 'WMCF_ERROR', title: 'x' });
        }
        await person.sentence(alice, /The media centre failed/);
        await person.sentence(bob, /The media centre failed/);
        await calling(alice, bob);
    });

    test('sound and picture do not get through', async () => {
        wsf.media = undefined; // offers that lead nowhere
        const [alice, bob] = await two();
        await person.call(alice, 'bob');
        await person.ringing(bob);
        await person.answer(bob);
        await person.sentence(bob, /could not get through/, 40_000);
        await person.atHome(alice);
    });
});

describe('the connection to the service', () => {
    test('a call goes on without it and is there after it', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        wsf.admits = false; // until the page has been seen without
        wsf.drop();
        await alice.waitForFunction(() =>
            /Your call goes on/.test(document.getElementById('banner').textContent),
        );
        assert.equal(await alice.isVisible('#stage.connected'), true);
        wsf.admits = true;
        await Promise.all(
            [alice, bob].map((page) => page.waitForSelector('body[data-link="registered"]')),
        );
        assert.equal(await alice.isVisible('#banner'), false);
        await person.hangUp(bob);
        await person.sentence(alice, /bob@example.org hung up/);
    });

    test('the service says that it restarts', async () => {
        const alice = await open();
        await person.signedIn(alice, ...ALICE);
        const told = alice.waitForFunction(() =>
            /The service is restarting/.test(document.getElementById('banner').textContent),
        );
        wsf.drop(1012);
        await told;
        await alice.waitForSelector('body[data-link="registered"]');
    });

    test('signed in again elsewhere with the same identity', async () => {
        const alice = await open();
        await person.signedIn(alice, ...ALICE);
        wsf.drop(4409);
        await person.sentence(alice, /signed out/);
        await alice.waitForSelector('body[data-view="sign-in"]');
    });

    test('a call that ended meanwhile', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        wsf.sessions.clear();
        wsf.drop();
        await person.sentence(alice, /ended while the connection to the service was lost/);
        await person.sentence(bob, /ended while the connection to the service was lost/);
    });

    test('a duplicated tab is another endpoint', async () => {
        const alice = await open();
        await person.signedIn(alice, ...ALICE);
        const [copy] = await Promise.all([
            alice.context().waitForEvent('page'),
            alice.evaluate(() => void window.open(location.href)), // copies sessionStorage, as duplicating does
        ]);
        await person.signedIn(copy, ...ALICE);
        const instances = new Set([...wsf.connections].map((one) => one.instanceId));
        assert.equal(instances.size, 2);
        assert.equal(await alice.getAttribute('body', 'data-link'), 'registered');
    });

    test('a reload keeps the endpoint, and ends the call for the other side', async () => {
        const [alice, bob] = await two();
        await calling(alice, bob);
        const [{ instanceId }] = [...wsf.connections].filter((one) => one.webrtcId === ALICE[0]);
        await alice.reload();
        await person.sentence(bob, /alice@example.org hung up/);
        await person.signedIn(alice, ...ALICE);
        assert.ok([...wsf.connections].some((one) => one.instanceId === instanceId));
        await calling(bob, alice, 'alice');
    });
});

describe('less than camera and microphone', () => {
    /** Makes getUserMedia fail with a name for what the test wants. */
    const failing = (page, kinds, name) =>
        page.addInitScript(
            ([what, reason]) => {
                const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
                navigator.mediaDevices.getUserMedia = (wanted) =>
                    what.some((kind) => wanted[kind])
                        ? Promise.reject(new DOMException('', reason))
                        : real(wanted);
            },
            [kinds, name],
        );

    for (const [title, kinds, name, pattern, sends] of [
        [
            'no camera',
            ['video'],
            'NotFoundError',
            /No camera was found, so you are heard but not seen/,
            ['audio'],
        ],
        ['camera in use', ['video'], 'NotReadableError', /used by another program/, ['audio']],
        ['no microphone', ['audio'], 'NotFoundError', /No microphone was found/, ['video']],
        [
            'access refused',
            ['audio', 'video'],
            'NotAllowedError',
            /does not allow microphone and camera/,
            [],
        ],
        [
            'neither',
            ['audio', 'video'],
            'NotFoundError',
            /No microphone and no camera were found/,
            [],
        ],
    ]) {
        test(title, async () => {
            const [alice, bob] = await Promise.all([open(), open()]);
            await failing(alice, kinds, name);
            await alice.reload();
            await Promise.all([person.signedIn(alice, ...ALICE), person.signedIn(bob, ...BOB)]);
            await person.call(alice, 'bob');
            await person.sentence(alice, pattern);
            await person.ringing(bob);
            await person.answer(bob);
            await person.connected(alice);
            await alice.waitForSelector('#stage.seen');
            const sent = await alice.evaluate(() =>
                window
                    .testConnection()
                    .getSenders()
                    .map((one) => one.track?.kind)
                    .filter(Boolean),
            );
            assert.deepEqual(sent, sends);
            assert.equal(await alice.isEnabled('#mic'), sends.includes('audio'));
            assert.equal(
                await alice.getAttribute('#camera', 'aria-pressed'),
                String(!sends.includes('video')),
            );
        });
    }

    test('a page that is not secure', async () => {
        const bob = await open();
        await person.signedIn(bob, ...BOB);
        const alice = await person.openPage(browser, `http://${mediaAddress()}:${wsf.port}/`, {
            log,
        });
        assert.equal(await alice.evaluate(() => isSecureContext), false);
        await person.signedIn(alice, ...ALICE);
        await person.call(alice, 'bob');
        await person.sentence(alice, /not opened over a secure connection/);
        await person.ringing(bob);
        await person.answer(bob);
        await person.connected(alice);
    });
});

describe('a room', () => {
    const seen = (page, count) =>
        page.waitForFunction((n) => document.querySelectorAll('.tile.seen').length === n, count);
    const names = (page) => page.$$eval('.tile:not([hidden]) .label', (all) => all.map((one) => one.textContent));

    async function joined(people = [], options = {}) {
        const room = await FakeRoom.in(wsf, browser);
        room.people = people;
        room.pictures = people.length;
        const alice = await open(options);
        await person.signedIn(alice, ...ALICE);
        await person.join(alice, 'green');
        await person.connected(alice);
        return [alice, room];
    }

    test('joined alone; others come, are seen by name, and go', async () => {
        const [alice, room] = await joined();
        assert.equal(await alice.isVisible('#invite'), true);
        assert.match(await alice.textContent('#invitation'), /\/#room\/green$/);
        assert.equal(await alice.textContent('#people'), '1 person');
        const clipboard = (writeText) => alice.evaluate((body) => Object.defineProperty(navigator, 'clipboard',
            { configurable: true, value: { writeText: new Function('text', body) } }), writeText);
        await clipboard('return Promise.reject(new DOMException("not allowed", "NotAllowedError"))');
        await alice.click('#invite');
        await person.sentence(alice, /^The browser keeps the clipboard shut: copy the link above by hand\.$/);
        assert.equal(await alice.textContent('#invite'), 'Copy the link');
        await clipboard('window.copied = text; return Promise.resolve()');
        await alice.click('#invite');
        await alice.waitForFunction(() => document.querySelector('#invite').textContent === 'Copied');
        assert.equal(await alice.evaluate('window.copied'), await alice.textContent('#invitation'));
        await room.become(['bob', 'carol', 'dave']);
        await seen(alice, 4);
        assert.deepEqual(await names(alice), ['You', 'bob', 'carol', 'dave']);
        assert.equal(await alice.isVisible('#invite'), false);
        await room.become(['bob', 'dave']);
        await seen(alice, 3);
        assert.deepEqual(await names(alice), ['You', 'bob', 'dave']);
        assert.equal(await alice.textContent('#room-said'), 'carol left.');
        await person.hangUp(alice);
        await person.sentence(alice, /^You left green after 00:\d\d\.$/);
        assert.equal(await alice.inputValue('#room-name'), 'green');
    });

    test('pinned by keyboard, who speaks in front, sizes told to the network', async () => {
        const [alice, room] = await joined(['bob', 'carol']);
        await seen(alice, 3);
        await alice.focus('.tile[data-id="p-carol"] .pin');
        await alice.keyboard.press('Enter');
        await alice.waitForSelector('.tile.front.pinned[data-id="p-carol"]');
        const width = (mid) => room.views.find((one) => one.mid === mid).width;
        await until(() => width('2') > 2 * width('1'), 20_000, () => JSON.stringify(room.views));
        await alice.keyboard.press('Enter');
        await alice.waitForSelector('.tile:not(.front)[data-id="p-carol"]');
        await room.tell({ activeSpeaker: 'p-bob' });
        await alice.waitForSelector('.tile.speaking[data-id="p-bob"]');
        await alice.keyboard.press('g');
        await alice.waitForSelector('.tile.front[data-id="p-bob"]');
        await room.tell({ activeSpeaker: 'p-me' });
        await alice.waitForSelector('.tile.own.speaking:not(.front)');
        await room.tell({ activeSpeaker: 'p-carol' });
        await alice.waitForSelector('.tile.front[data-id="p-carol"]');
        assert.match(await alice.getAttribute('.tile[data-id="p-carol"]', 'aria-label'), /speaking/);
        await alice.keyboard.press('s');
        const figures = alice.locator('#figures .figure', { hasText: 'carolspeaks' });
        await figures.waitFor();
        const text = await figures.textContent();
        for (const words of [/Size\d+ × \d+/, /Frames per second\d/, /Picture lost\d/])
            assert.match(text, words);
    });

    test('a crowd on a phone: who is not sent is a chip, and has a picture without a new offer', async () => {
        const [alice, room] = await joined([], { viewport: { width: 390, height: 700 } });
        const crowd = Array.from({ length: 14 }, (_, index) => `guest${index}`);
        await room.become(crowd, 2);
        await seen(alice, 3);
        assert.deepEqual(await names(alice), ['You', 'guest0', 'guest1']);
        assert.equal(await alice.locator('#chips li').count(), 12);
        const offers = () => wsf.log.filter(({ message }) => message.sdpOffer).length;
        const before = offers();
        await room.plays('2', 'guest9');
        await alice.waitForSelector('.tile.seen[data-id="p-guest9"]:not([hidden])');
        assert.deepEqual(await names(alice), ['You', 'guest0', 'guest9']);
        assert.equal(offers(), before);
        const wide = await alice.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= 390, `nothing is wider than the phone: ${wide}`);
    });

    test('the room is refused, or full', async () => {
        const room = await FakeRoom.in(wsf, browser);
        const alice = await open();
        await person.signedIn(alice, ...ALICE);
        for (const [status, cause, pattern] of [
            [404, 'RESOURCE_NOT_FOUND', /no room called green/],
            [403, 'NOT_AUTHORIZED', /not allowed into green/],
            [503, 'RESOURCES_UNAVAILABLE', /green is full/],
        ]) {
            room.refusal = new Problem(status, cause);
            await person.join(alice, 'green');
            await person.sentence(alice, pattern);
            await person.atHome(alice);
        }
    });
});

test('everything that can be used has a name', async () => {
    const [alice, bob] = await two();
    await person.call(alice, 'bob');
    await person.ringing(bob);
    for (const page of [await open(), alice, bob]) {
        const session = await page.context().newCDPSession(page);
        const { nodes } = await session.send('Accessibility.getFullAXTree');
        const usable = nodes.filter(
            (node) =>
                !node.ignored &&
                ['button', 'textbox', 'link', 'dialog', 'toolbar'].includes(node.role?.value),
        );
        assert.ok(usable.length >= 2);
        for (const node of usable) assert.ok(node.name?.value, `${node.role.value} without a name`);
    }
});

test('the application of docs/client.md works as it stands there', async () => {
    const text = readFileSync(new URL('../../docs/client.md', import.meta.url), 'utf8');
    wsf.files['/small.html'] = /```html\n(.*?)```/s.exec(text)[1];
    wsf.files['/small.js'] = /```js\n(import .*?)```/s.exec(text)[1];
    const start = async (me, password, callee) => {
        const page = await (await browser.newContext()).newPage();
        page.on('pageerror', (error) => log.push(`error: ${error}`));
        page.on('dialog', (dialog) => dialog.accept());
        await page.goto(`${wsf.url}small.html`);
        for (const [name, value] of Object.entries({ me, password, callee })) {
            await page.fill(`[name=${name}]`, value);
        }
        await page.click('button');
        return page;
    };
    const bob = await start(...BOB, '');
    await bob.waitForFunction(
        () => document.getElementById('state').textContent === 'waiting for a call',
    );
    const alice = await start(...ALICE, 'bob@example.org');
    const seen = (page) =>
        page.waitForFunction(() => document.getElementById('far').videoWidth > 2);
    await Promise.all([seen(alice), seen(bob)]);
});
