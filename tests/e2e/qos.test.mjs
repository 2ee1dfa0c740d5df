// SPDX-License-Identifier: Apache-2.0
// Quality of service between two pages: a gate that the operator closes in a running call by the policy
// table, a picture above its rate, and what the network marks. Sound goes on through all of it, the path
// stays, and the page says what the network does.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, mediaFlow, mediaStop, pictureMoves, remoteCandidate, scene } from '../support/calls.mjs';
import { until } from '../support/stack.mjs';

const [EF, AF42, CS3] = [46, 36, 24];

// On one host media goes by the loopback interface, whatever interface has the address.
const things = scene({
    stack: { wmcf: ['qos.interfaces=lo', `qos.level=${process.env.QOS_LEVEL ?? 'auto'}`] },
});
let base;

/** The operator writes these rows into the policy table and lets the WSF read it. */
async function table(rows) {
    const { wsf, folder } = things.stack;
    const file = join(folder, 'wsf.conf');
    base ??= readFileSync(file, 'utf8');
    writeFileSync(file, base + rows);
    const from = wsf.log.length;
    wsf.child.kill('SIGHUP');
    await until(
        () => /policy table is read again/.test(wsf.log.slice(from)),
        20_000,
        () => `not read:\n${wsf.log.slice(from)}`,
    );
}

const row = async (page, type, kind) =>
    (await person.stats(page)).find((one) => one.type === type && one.kind === kind) ?? {};
const decoded = async (page) => (await row(page, 'inbound-rtp', 'video')).framesDecoded ?? 0;

/** What the drawer says of what the network does: "gate" or "policing" of a kind that is sent. */
const said = (page, limit, kind) =>
    page.evaluate(
        ([what, of]) =>
            document.querySelector(
                `#figures [data-limit="${what}"][data-kind="${of}"][data-direction="uplink"]`,
            )?.textContent ?? '',
        [limit, kind],
    );
const says = (page, limit, kind, pattern, timeout = 30_000) =>
    until(
        async () => pattern.test(await said(page, limit, kind)),
        timeout,
        () => `the drawer does not say ${pattern}`,
    );

/** ICE and DTLS of a page as it sees them. */
const path = (page) =>
    page.evaluate(() => {
        const { iceConnectionState, connectionState } = window.testConnection();
        return [iceConnectionState, connectionState];
    });

test('the picture of one side is closed in a running call, sound goes on', async (t) => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    await Promise.all([alice, bob].map((page) => pictureMoves(page)));
    await alice.click('#stats');
    await alice.waitForSelector('#figures .figure canvas');
    assert.equal(await said(alice, 'gate', 'video'), '', 'nothing of the gates of the set-up');

    await table('\n[policy "dark"]\nside = caller\nmedia = video\nflow_status = ENABLED-DOWNLINK\n');
    await says(alice, 'gate', 'video', /^The network does not let your picture pass\.$/);
    assert.equal(await said(alice, 'gate', 'audio'), '');
    await mediaStop(bob, 'video', { seconds: 2 });
    await Promise.all([mediaFlow(bob, { packets: 50, frames: 0 }), mediaFlow(alice)]);
    assert.deepEqual(await path(alice), ['connected', 'connected']);
    if (process.env.SCREENSHOTS) await alice.screenshot({ path: `${process.env.SCREENSHOTS}/gate.png` });

    const dropped = () => {
        const { kernel, relay } = things.stack.wmcfctl('status').policies;
        return kernel.gateDiscarded + relay.gateDiscarded;
    };
    await until(() => dropped() > 20, 20_000, () => `${dropped()} packets dropped at gates`);

    const before = await row(bob, 'inbound-rtp', 'video');
    const opened = Date.now();
    await table('');
    const frames = before.framesDecoded ?? 0;
    await until(async () => (await decoded(bob)) > frames, 20_000, () => 'the picture does not come back');
    t.diagnostic(`the picture is back after ${Date.now() - opened} ms`);
    const { keyFramesDecoded } = await row(bob, 'inbound-rtp', 'video');
    assert.ok(keyFramesDecoded > before.keyFramesDecoded, 'by a key frame');
    await says(alice, 'gate', 'video', /^$/);
    await person.hangUp(alice);
    await Promise.all([alice, bob].map((page) => page.context().close()));
});

test('a picture above its rate loses packets, and the page says so', async () => {
    await table('\n[policy "narrow"]\nmedia = video\npolice_rate = 8000\npolice_burst = 4000\n');
    const [alice, bob] = await things.pages('alice', 'bob');
    await person.call(alice, 'bob');
    await person.ringing(bob);
    await person.answer(bob);
    await Promise.all([alice, bob].map((page) => person.connected(page)));
    await alice.click('#stats');
    await says(alice, 'policing', 'video',
        /^The network drops part of your picture: above the agreed rate \([\d,]+ packets so far\)\.$/, 25_000);
    assert.equal(await said(alice, 'policing', 'audio'), '');
    const before = await row(bob, 'inbound-rtp', 'audio');
    await mediaFlow(bob, { packets: 100, frames: 0 });
    const after = await row(bob, 'inbound-rtp', 'audio');
    const lost = after.packetsLost - before.packetsLost;
    assert.ok(lost <= 2, `${lost} packets of sound are lost`); // a browser may be late for them
    if (process.env.SCREENSHOTS) await alice.screenshot({ path: `${process.env.SCREENSHOTS}/policing.png` });
    await person.hangUp(alice);
    await Promise.all([alice, bob].map((page) => page.context().close()));
    await table('');
});

/** The DSCPs of RTP that leaves a UDP port, as the wire has it: SSRC → DSCP → packets. */
class Wire {
    marks = new Map();
    #rest = Buffer.alloc(0);

    static async tap(port) {
        const wire = new Wire();
        wire.dump = spawn(
            'tcpdump',
            ['-i', 'any', '-n', '-U', '-s', '96', '-w', '-', `ip and udp src port ${port} and inbound`],
            { stdio: ['ignore', 'pipe', 'pipe'] },
        );
        let said = '';
        wire.dump.stderr.on('data', (data) => {
            said += data;
        });
        wire.dump.stdout.on('data', (data) => wire.#take(data));
        await until(() => said.includes('listening on'), 20_000, () => `tcpdump: ${said}`);
        return wire;
    }

    /** Records of pcap behind its header; a packet of "any" has 20 octets in front (LINUX_SLL2). */
    #take(data) {
        this.#rest = Buffer.concat([this.#rest, data]);
        if (!this.begun && this.#rest.length < 24) return;
        if (!this.begun) this.#rest = this.#rest.subarray(24);
        this.begun = true;
        while (this.#rest.length >= 16) {
            const length = this.#rest.readUInt32LE(8);
            if (this.#rest.length < 16 + length) return;
            this.#count(this.#rest.subarray(16 + 20, 16 + length));
            this.#rest = this.#rest.subarray(16 + length);
        }
    }

    #count(ip) {
        const rtp = ip.subarray((ip[0] & 15) * 4 + 8);
        const isRtp = rtp.length >= 12 && rtp[0] >> 6 === 2 && !(rtp[1] >= 192 && rtp[1] <= 223);
        if (!isRtp) return;
        const ssrc = rtp.readUInt32BE(8);
        const of = this.marks.get(ssrc) ?? new Map();
        of.set(ip[1] >> 2, (of.get(ip[1] >> 2) ?? 0) + 1);
        this.marks.set(ssrc, of);
    }

    /** Waits for packets of this stream, and tells what marks they have. */
    async of(ssrc, least = 20) {
        const sum = () => [...(this.marks.get(ssrc)?.values() ?? [])].reduce((a, b) => a + b, 0);
        await until(() => sum() >= least, 20_000, () => `${sum()} packets of ${ssrc} on the wire`);
        return [...this.marks.get(ssrc).keys()];
    }

    async stop() {
        const closed = new Promise((resolve) => this.dump.on('close', resolve));
        this.dump.kill('SIGINT');
        await closed;
    }
}

test('sound and picture of one path leave with their own marks, or the policy’s', async (t) => {
    const [alice, bob] = await things.pages('alice', 'bob');
    await calling(alice, bob, 'bob');
    const { port } = await remoteCandidate(bob);
    const ssrcs = await Promise.all(
        ['audio', 'video'].map(async (kind) => (await row(bob, 'inbound-rtp', kind)).ssrc),
    );
    const wire = await Wire.tap(port);
    t.after(() => wire.stop());
    const marks = () => Promise.all(ssrcs.map((ssrc) => wire.of(ssrc)));
    assert.deepEqual(await marks(), [[EF], [AF42]]); // RFC 8837
    await table('\n[policy "own"]\nfrom = *@example.org\nmedia = video\ndscp = CS3\n');
    await until(
        () => wire.marks.get(ssrcs[1]).has(CS3),
        20_000,
        () => `${[...wire.marks.get(ssrcs[1]).keys()]}`,
    );
    wire.marks.clear();
    assert.deepEqual(await marks(), [[EF], [CS3]]);
    await person.hangUp(alice);
    await Promise.all([alice, bob].map((page) => page.context().close()));
    await table('');
});
