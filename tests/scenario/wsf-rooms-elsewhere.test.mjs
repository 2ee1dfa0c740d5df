#!/usr/bin/env -S node --test
// SPDX-License-Identifier: Apache-2.0
// Rooms of another operator (protocol A6 "Rooms", last paragraphs), between two real WSFs: what is told
// while somebody is away, what counts for whom, and that one of the networks records.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { preOffer } from '../support/room-participant.mjs';
import { PASSWORD, Wsf, answerTo } from '../support/wsf.mjs';

const [ALICE, AMY] = ['alice@example.org', 'amy@example.org'];
const [BOB, BEN, BEA] = ['bob@example.net', 'ben@example.net', 'bea@example.net'];
const ROOM = 'room/green@example.net';

let a, b;
const open = [];
const up = (wsf, name) =>
    wsf.until(async () => (await (await fetch(`${wsf.base}/readyz`)).text()).includes(` ${name} registered\n`));
before(async () => {
    b = await Wsf.start(['wsf.realm=example.net'], {
        users: ['wsf@example.org', BOB, BEN, BEA],
        conf: '[peer "a"]\nkind = operator\nrealms = example.org\n[room "any"]\nnames = *\nmessages_rate = 100\n',
    });
    a = await Wsf.start([], {
        users: [ALICE, AMY],
        files: { secret: `${PASSWORD}\n` },
        conf: `[peer "b"]\nkind = operator\nrealms = example.net\nbackoff_max = 1\npassword_file = secret\nurl = ${b.url}\n` +
            `[recording "archive"]\nfile = {participant}.mkv\n[policy "recorded"]\nfrom = ${AMY}\nrecord = archive\n`,
    });
    await Promise.all([up(a, 'b'), up(b, 'a')]);
});
after(async () => {
    await a?.stop();
    await b?.stop();
});
afterEach(async () => {
    for (const one of open.splice(0)) {
        if (one.mediaSessionId) await one.client.request('mdisc', { mediaSessionId: one.mediaSessionId });
        await one.client.close();
    }
    for (const wsf of [a, b]) await wsf.until(() => wsf.wmcf.contexts.size === 0);
});

/** A participant who answers everything, and keeps what is told. */
class Participant {
    heard = [];

    static async register(wsf, webrtcId) {
        const one = new Participant();
        Object.assign(one, { wsf, webrtcId });
        open.push(one);
        one.listen(await wsf.register(webrtcId));
        return one;
    }

    listen(client) {
        this.client = client;
        this.auth = client.auth;
        void (async () => {
            for (;;) {
                const request = await Promise.race([client.expectAny(), client.closed]);
                if (request.code !== undefined) return;
                this.heard.push(request);
                if (!this.silent) request.reply({ mediaSessionId: request.mediaSessionId });
                if (request.sdpOffer) await this.take(request);
            }
        })().catch(() => {});
    }

    async join(media = { video: null }) {
        const asked = await this.client.request('msetup', { resourceId: ROOM,
            preOfferDescription: preOffer(media) });
        assert.equal(asked.success, true, JSON.stringify(asked));
        this.mediaSessionId = asked.mediaSessionId;
        if (asked.sdpOffer) await this.take(asked);
        await this.until(() => this.taken);
        for (const wsf of [a, b]) await wsf.wmcf.connectAll();
        await this.until(() => this.last('participants'));
        return this;
    }

    async take({ mediaSessionId, sdpOffer, offerId }) {
        this.taken = await this.client.request('mupdate', { mediaSessionId, offerId, sdpAnswer: answerTo(sdpOffer) });
    }

    until(condition) {
        return this.wsf.until(condition);
    }

    /** What was told last of something. */
    last(name) {
        return this.heard.findLast((one) => one[name] !== undefined)?.[name];
    }

    /** The connection breaks, and is made again. */
    async resume() {
        const client = await this.wsf.connect();
        client.auth = await client.request('auth', { authType: 'reauth', webrtcId: this.webrtcId,
            instanceId: this.auth.instanceId, reAuthCredential: this.auth.reAuthCredential });
        assert.equal(client.auth.success, true, JSON.stringify(client.auth));
        this.heard = [];
        this.listen(client);
    }
}

test('who was away hears again who is in the room of another network', async () => {
    const alice = await (await Participant.register(a, ALICE)).join();
    const own = alice.last('participantId');
    await alice.client.cut();
    const bob = await (await Participant.register(b, BOB)).join();
    await bob.until(() => bob.last('participants')?.length === 1);
    await alice.resume();
    await alice.until(() => alice.last('participants')?.length === 1);
    assert.equal(alice.last('participants')[0].displayName, BOB);
    assert.equal(alice.last('participantId'), own);
});

test('a picture that nobody converts is told to who cannot be shown it, in either network', async () => {
    const bob = await (await Participant.register(b, BOB)).join({});
    const alice = await (await Participant.register(a, ALICE)).join({ codec: 'H264' });
    const lacks = (one, codec) => one.until(() => one.last('participants')[0]?.noPicture === codec);
    await Promise.all([lacks(bob, 'H264'), lacks(alice, 'VP8')]);
});

test('who answers nothing misses what is said to all, and not who is there', async () => {
    const bob = await (await Participant.register(b, BOB)).join();
    const ben = await (await Participant.register(b, BEN)).join();
    await bob.until(() => bob.last('participants')?.length === 1);
    bob.silent = true;
    const { mediaSessionId } = ben;
    const said = await Promise.all(Array.from({ length: 80 }, (_, i) =>
        ben.client.request('say.example.com', { mediaSessionId, userData: { i } })));
    assert.ok(said.every(({ success }) => success), JSON.stringify(said.find(({ success }) => !success)));
    const bea = await (await Participant.register(b, BEA)).join();
    await bob.until(() => bob.last('participants').length === 2);
    const heard = bob.heard.filter(({ method }) => method === 'say.example.com').length;
    assert.ok(heard > 0 && heard <= 32, `${heard}`);
    bob.silent = false;
    await bea.client.request('mdisc', { mediaSessionId: bea.mediaSessionId });
    bea.mediaSessionId = undefined;
    await bob.until(() => bob.last('participants').length === 1);
});

test('who comes while the media centre is away is no stranger when it is back', async () => {
    const bob = await (await Participant.register(b, BOB)).join();
    await bob.until(() => bob.last('participants'));
    const ben = await Participant.register(b, BEN);
    const looks = () => b.wmcf.requests('audit').filter(({ contextId }) => contextId).length;
    const subtracted = b.wmcf.requests('subtract').length;
    await b.wmcf.stop();
    await b.ready(503);
    const asked = ben.client.request('msetup', { resourceId: ROOM, preOfferDescription: preOffer({ video: null }) });
    // It is listed while its candidates are still gathered.
    const before = looks();
    b.wmcf.overrides.add = (request, make) => {
        const members = make();
        void b.until(() => looks() > before).then(() => setTimeout(() => request.reply(members), 200));
        delete b.wmcf.overrides.add;
        return null;
    };
    await b.wmcf.restart();
    const taken = await asked;
    assert.equal(taken.success, true, JSON.stringify(taken));
    ben.mediaSessionId = taken.mediaSessionId;
    if (taken.sdpOffer) await ben.take(taken);
    await ben.until(() => ben.taken);
    assert.equal(b.wmcf.requests('subtract').length, subtracted);
    await b.wmcf.connectAll();
    await bob.until(() => bob.last('participants').length === 1);
});

test('participants of another network have a rate each', async () => {
    const all = [await (await Participant.register(a, ALICE)).join(), await (await Participant.register(a, AMY)).join()];
    const views = ({ client, mediaSessionId }, n) => Promise.all(Array.from({ length: n }, () =>
        client.request('view.example.net', { mediaSessionId, userData: { views: [] } })));
    const said = await Promise.all(all.map((one) => views(one, 4)));
    assert.deepEqual(said.flat().map(({ success }) => success), Array(8).fill(true));
    const [{ problemDetails }] = (await views(all[0], 8)).filter(({ success }) => !success);
    assert.equal(problemDetails.cause, 'TOO_MANY_REQUESTS');
});

test('a room is told that the network of one of them records, and hears when it does not any more', async () => {
    const bob = await (await Participant.register(b, BOB)).join();
    const alice = await (await Participant.register(a, ALICE)).join();
    const amy = await (await Participant.register(a, AMY)).join();
    for (const one of [amy, bob, alice]) await one.until(() => one.last('recording') === true);
    await alice.client.cut();
    await alice.resume();
    await alice.until(() => alice.last('recording') === true);
    await amy.client.request('mdisc', { mediaSessionId: amy.mediaSessionId });
    amy.mediaSessionId = undefined;
    for (const one of [bob, alice]) await one.until(() => one.last('recording') === false);
});
