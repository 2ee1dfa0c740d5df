// SPDX-License-Identifier: Apache-2.0
// Two operators, each with its own signalling function and media centre on a host of its own: a client
// of one calls a client of the other (6.3.2.5.x.2, the last connection pattern). Real programs, real
// Chromium, network namespaces.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, mediaFlow, mediaStop, pictureMoves, receivedBy, remoteCandidate } from '../support/calls.mjs';
import { Operators } from '../support/operators.mjs';
import { until } from '../support/stack.mjs';

const log = [];
const browsers = [];
let operators;
let alice;
let bob;

async function pageAt(stack, user, password) {
    const browser = await person.launch({
        executablePath: stack.namespace.wrapper(stack.folder, process.env.CHROMIUM ?? '/usr/bin/chromium'),
    });
    browsers.push(browser);
    const page = await person.openPage(browser, stack.url, { log });
    await person.signedIn(page, user, password);
    return page;
}

before(async () => {
    operators = await Operators.start({
        peer: { keepalive: '1', disconnection_ttl: '8' },
    });
    [alice, bob] = await Promise.all([
        pageAt(operators.a, 'alice@a.example', 'wonderland'),
        pageAt(operators.b, 'bob@b.example', 'builder'),
    ]);
});
afterEach((t) => {
    if (t.passed === false) console.error(operators?.logs(), log.join('\n'));
});
after(async () => {
    await Promise.all(browsers.map((one) => one.close()));
    await operators?.stop();
});

const empty = () => Promise.all([operators.a.contextsBecome(0), operators.b.contextsBecome(0)]);

test('sound and picture pass both media centres', async (t) => {
    await calling(alice, bob, 'bob@b.example');
    await Promise.all([alice, bob].map((page) => mediaFlow(page, { packets: 50, frames: 30 })));
    for (const [index, { audio, video }] of (await receivedBy([alice, bob], 3)).entries()) {
        const name = ['alice', 'bob'][index];
        t.diagnostic(`${name}: ${video.frames} frames, loss of picture ${video.loss}, of sound ${audio.loss}`);
        // Of so few packets a browser that is late for one or two of them has lost a hundredth.
        assert.ok(video.loss < 0.02 && audio.loss < 0.02, `${name} loses media`);
        assert.ok(audio.energy > 0, `${name} hears something`);
    }
    for (const [page, stack] of [
        [alice, operators.a],
        [bob, operators.b],
    ])
        assert.equal((await remoteCandidate(page)).address, stack.address, 'the own operator is the other end');
    assert.equal(operators.a.contexts().length, 1);
    assert.equal(operators.b.contexts().length, 1);
});

test('the caller hangs up', async () => {
    await person.hangUp(alice);
    await person.sentence(bob, /^alice@a\.example hung up\./);
    await empty();
});

test('the other way round; the called side hangs up', async () => {
    await calling(bob, alice, 'alice@a.example');
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    await person.hangUp(alice);
    await person.sentence(bob, /^alice@a\.example hung up\./);
    await empty();
});

const ufrag = (page) =>
    page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(window.testConnection().currentRemoteDescription.sdp)[1]);

/** Waits until the own operator has answered with other credentials and media run on the new path. */
async function restarted(page, before) {
    await page.waitForFunction(
        (old) => !window.testConnection().currentRemoteDescription.sdp.includes(`a=ice-ufrag:${old}`),
        before,
    );
    await page.waitForFunction(() => window.testConnection().iceConnectionState === 'connected');
}

test('hold and resume', async () => {
    await calling(alice, bob, 'bob@b.example');
    await alice.click('#hold');
    await bob.waitForSelector('#on-hold:not([hidden])');
    await Promise.all([alice, bob].map((page) => mediaStop(page, 'video')));
    await alice.click('#hold');
    await bob.waitForSelector('#on-hold', { state: 'hidden' });
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
});

test('ICE restart from either side', async () => {
    for (const page of [alice, bob]) {
        const before = await ufrag(page);
        await page.click('#stats');
        await page.click('#restart');
        await restarted(page, before);
        await page.click('#stats-close');
        await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    }
    await person.hangUp(alice);
    await person.atHome(bob);
    await empty();
});

test('sound alone, then each side adds its picture', async () => {
    await alice.fill('#callee', 'bob@b.example');
    await alice.click('#call-sound');
    await person.ringing(bob);
    await bob.click('#answer-sound');
    await Promise.all([alice, bob].map((page) => person.connected(page)));
    await alice.click('#camera');
    await pictureMoves(bob);
    await bob.click('#camera');
    await pictureMoves(alice);
    await person.hangUp(bob);
    await person.atHome(alice);
    await empty();
});

test('the link between the signalling functions is lost for less than its time to live: the call lives', async () => {
    await calling(alice, bob, 'bob@b.example');
    const from = operators.b.wsf.log.length;
    operators.cutSignalling();
    // From here on the time to live counts: what looks must look quickly.
    await until(
        () => /registered -> lost/.test(operators.b.wsf.log.slice(from)),
        10_000,
        () => 'the loss is not noticed',
    );
    await mediaFlow(bob, { packets: 1, frames: 1 });
    operators.joinSignalling();
    await operators.linked();
    await Promise.all([pictureMoves(alice), pictureMoves(bob)]);
    await person.hangUp(bob);
    await person.sentence(alice, /^bob@b\.example hung up\./);
    await empty();
});

test('it is lost for longer: both sides are told', async () => {
    await calling(alice, bob, 'bob@b.example');
    operators.cutSignalling();
    await Promise.all([alice, bob].map((page) => person.atHome(page)));
    await empty();
    operators.joinSignalling();
    await operators.linked();
});
