// SPDX-License-Identifier: Apache-2.0
// What two people do in a running call, through both programs: hold, camera, another path, another
// codec, both at once, and what happens when one side cannot follow. Sound and picture are measured on
// both sides.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, mediaFlow, mediaStop, pictureMoves, scene } from '../support/calls.mjs';
import { USERS } from '../support/stack.mjs';

let alice;
let bob;
const things = scene({
    stack: { conf: '[transcode]\nvideo = yes\n' },
    begin: async ({ pages }) => {
        [alice, bob] = await pages('alice', 'bob');
    },
});

const both = (work) => Promise.all([alice, bob].map(work));
const settled = () => both(person.settled);
const silence = () => both((page) => mediaStop(page, 'audio'));
const description = (page) => page.evaluate(() => window.testConnection().localDescription.sdp);
const ufrag = async (page) => /a=ice-ufrag:(\S+)/.exec(await description(page))[1];

async function flowing() {
    await both((page) => page.waitForSelector('#stage.seen:not(.held)'));
    await both((page) => pictureMoves(page));
    await both((page) => mediaFlow(page));
}

test('hold: nothing is heard on either side; resume: all is back', async () => {
    await calling(alice, bob, 'bob');
    await flowing();
    await person.hold(alice);
    await bob.waitForSelector('#stage.held');
    await settled();
    await silence();
    await mediaStop(bob, 'video', { seconds: 0.3, of: 'frames' });
    await person.hold(alice);
    await flowing();
});

test('the other side holds; both hold; one resumes, then the other', async () => {
    await person.hold(bob);
    await alice.waitForSelector('#stage.held');
    await settled();
    await person.hold(alice);
    await settled();
    await person.hold(bob);
    await settled();
    assert.equal(await bob.textContent('#on-hold'), 'alice has put the call on hold');
    await silence();
    await person.hold(alice);
    await flowing();
});

test('both click at the same moment: both get it', async () => {
    await both(person.hold);
    await both((page) =>
        page.waitForFunction(() => document.querySelector('#hold span').textContent === 'Resume'),
    );
    await settled();
    await silence();
    await both(person.hold);
    await flowing();
});

for (const [who, index] of [
    ['the caller', 0],
    ['the called side', 1],
]) {
    test(`another path for ${who}`, async () => {
        const page = [alice, bob][index];
        await settled();
        const before = await ufrag(page);
        await page.keyboard.press('s');
        await page.click('#restart');
        await page.waitForSelector('#restart[aria-busy="false"]:enabled');
        await page.keyboard.press('Escape');
        assert.notEqual(await ufrag(page), before);
        assert.equal(await page.isVisible('#notice'), false);
        await flowing();
    });
}

test('the other side cannot follow: the call stays as it was', async () => {
    await settled();
    await bob.evaluate(() => {
        const { prototype } = RTCPeerConnection;
        window.real = Object.getOwnPropertyDescriptor(prototype, 'setRemoteDescription');
        const own = Object.getPrototypeOf(prototype).setRemoteDescription;
        prototype.setRemoteDescription = async function refuseOnce(description) {
            if (description.type !== 'offer') return own.call(this, description);
            delete prototype.setRemoteDescription;
            throw new Error('not today');
        };
    });
    await person.hold(alice);
    await person.sentence(alice, /^The call stays as it was\./);
    await alice.click('#notice-close');
    assert.equal(await alice.getAttribute('#hold', 'aria-pressed'), 'false');
    await flowing();
});

test('the camera is switched off and on again', async () => {
    await person.camera(alice);
    await bob.waitForFunction(
        () => document.getElementById('call-state').textContent === 'No picture',
    );
    await settled();
    await mediaStop(bob, 'video', { seconds: 0.5, of: 'frames' });
    await person.camera(alice);
    await flowing();
    await person.hangUp(bob);
    await both(person.atHome);
});

test('sound only; a picture is added by the caller, then by the other', async () => {
    await alice.fill('#callee', 'bob');
    await alice.click('#call-sound');
    await person.ringing(bob);
    await bob.click('#answer-sound');
    await both((page) => person.connected(page));
    assert.doesNotMatch(await description(alice), /^m=video/m);
    await person.camera(alice);
    await bob.waitForSelector('#stage.seen');
    await pictureMoves(bob);
    await settled();
    await person.camera(bob);
    await flowing();
    assert.equal([...(await description(alice)).matchAll(/^m=video/gm)].length, 1);
    await person.hangUp(alice);
    await both(person.atHome);
    await things.stack.contextsBecome(0);
});

/** Two pages with nothing but the library, in a call. */
async function byLibrary() {
    const pages = await Promise.all(
        ['alice@example.org', 'carol@example.org'].map(async (webrtcId) => {
            const page = await person.openPage(things.browser, things.stack.url, { log: things.log });
            await page.evaluate(
                async ([id, password]) => {
                    const { Client } = await import('/lib/index.js');
                    const url = `${location.origin.replace('http', 'ws')}/eirtcw/v1`;
                    window.client = new Client({ url });
                    window.media = await navigator.mediaDevices.getUserMedia({
                        audio: true,
                        video: true,
                    });
                    client.addEventListener('incoming', ({ detail: { session } }) => {
                        window.session = session;
                        session.answer({ stream: media });
                    });
                    client.handle('chat.example.org', (text) => `${text}?`);
                    await client.register({ webrtcId: id, password });
                    window.connected = () =>
                        new Promise((done) => {
                            const look = () => session.pathState === 'connected' && done();
                            session.addEventListener('pathchange', look);
                            look();
                        });
                },
                [webrtcId, USERS[webrtcId]],
            );
            return page;
        }),
    );
    return pages;
}

test('another codec, a message of the application, a change asked of the network', async () => {
    const [caller, called] = await byLibrary();
    await caller.evaluate(async () => {
        window.session = client.call('carol@example.org', { stream: media });
        await connected();
    });
    await called.evaluate(() => connected());
    assert.equal(await caller.evaluate(() => session.request('chat.example.org', 'tea')), 'tea?');
    const codec = () =>
        caller.evaluate(async () => {
            const rows = [...(await session.getStats()).values()];
            const sent = rows.find((row) => row.type === 'outbound-rtp' && row.kind === 'video');
            return rows.find((row) => row.id === sent.codecId).mimeType;
        });
    const before = await codec();
    const wanted = before === 'video/VP8' ? 'H264' : 'VP8';
    await caller.evaluate((name) => session.setCodecs('video', [name]), wanted);
    await caller.waitForFunction(async (name) => {
        const rows = [...(await session.getStats()).values()];
        const sent = rows.find((row) => row.type === 'outbound-rtp' && row.kind === 'video');
        return rows.find((row) => row.id === sent.codecId)?.mimeType === `video/${name}`;
    }, wanted);
    await pictureMoves(called);

    // The network makes the offer where it is asked to.
    await caller.evaluate(() =>
        session.change({ tracks: media.getAudioTracks() }, { byNetwork: true }),
    );
    const directions = await called.evaluate(() =>
        session.connection.getTransceivers().map((one) => one.currentDirection),
    );
    assert.deepEqual(directions, ['sendrecv', 'sendonly']);
    await caller.evaluate(() => session.change({ tracks: media.getTracks() }, { byNetwork: true }));
    await pictureMoves(called);
    await caller.evaluate(() => session.hangUp());
    await called.waitForFunction(() => session.state === 'terminated');
    for (const page of [caller, called]) await page.evaluate(() => client.close());
});

test('two browsers without a codec in common see each other', async () => {
    const [caller, called] = await byLibrary();
    const only = (name) => {
        const codecs = RTCRtpReceiver.getCapabilities('video').codecs.filter(
            ({ mimeType }) => mimeType === `video/${name}`,
        );
        for (const method of ['createOffer', 'createAnswer']) {
            const plain = RTCPeerConnection.prototype[method];
            RTCPeerConnection.prototype[method] = function (...args) {
                for (const one of this.getTransceivers())
                    if (one.receiver.track.kind === 'video') one.setCodecPreferences(codecs);
                return plain.apply(this, args);
            };
        }
    };
    await caller.evaluate(only, 'VP8');
    await called.evaluate(only, 'H264');
    await caller.evaluate(async () => {
        window.session = client.call('carol@example.org', { stream: media });
        await connected();
    });
    await called.evaluate(() => connected());
    const decodes = (page, mimeType) =>
        page.waitForFunction(async (wanted) => {
            const rows = [...(await session.getStats()).values()];
            const got = rows.find((row) => row.type === 'inbound-rtp' && row.kind === 'video');
            return got?.framesDecoded > 20 && rows.find(({ id }) => id === got.codecId)?.mimeType === wanted;
        }, mimeType);
    await decodes(called, 'video/H264');
    await decodes(caller, 'video/VP8');
    await caller.evaluate(() => session.hangUp());
    await called.waitForFunction(() => session.state === 'terminated');
    for (const page of [caller, called]) await page.evaluate(() => client.close());
});

test('nothing went wrong on the pages', () => {
    assert.deepEqual(
        things.log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
