// SPDX-License-Identifier: Apache-2.0
// Two operators, each with its own signalling function and media centre on a host of its own: a client
// of one calls a client of the other (6.3.2.5.x.2, the last connection pattern). Real programs, real
// Chromium, network namespaces.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, pictureMoves, receivedBy, remoteCandidate } from '../support/calls.mjs';
import { Operators } from '../support/operators.mjs';

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
        peer: { keepalive: '1', disconnection_ttl: '6' },
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
    for (const [index, { audio, video }] of (await receivedBy([alice, bob], 3)).entries()) {
        const name = ['alice', 'bob'][index];
        t.diagnostic(`${name}: ${video.frames} frames, loss of picture ${video.loss}, of sound ${audio.loss}`);
        assert.ok(video.frames > 30, `${name} sees ${video.frames} frames`);
        assert.ok(video.loss < 0.005 && audio.loss < 0.005, `${name} loses media`);
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

test('the link between the signalling functions is lost for less than its time to live: the call lives', async () => {
    await calling(alice, bob, 'bob@b.example');
    operators.cutSignalling();
    await operators.b.says(/^operator a lost$/m);
    await pictureMoves(bob);
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
