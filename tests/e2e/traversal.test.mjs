// SPDX-License-Identifier: Apache-2.0
// A media centre that goes the other half of the way (iceMode "traversal"): to a client without UDP by
// TCP, to one that can reach nothing but a TURN server by that. Each browser has a host of its own.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, chosenPair, mediaFlow, pictureMoves } from '../support/calls.mjs';
import { Namespace } from '../support/namespace.mjs';
import { Stack, USERS } from '../support/stack.mjs';
import { SECRET, startTurn } from '../support/turn.mjs';

const [PORT, PORTS] = [42000, 1000];

const log = [];
const hosts = {};
const browsers = [];
let turn;
let stack;
let alice;
let bob;

async function open(host, name) {
    const browser = await person.launch({
        executablePath: host.wrapper(stack.folder, process.env.CHROMIUM ?? '/usr/bin/chromium'),
        args: ['--ignore-certificate-errors'],
    });
    browsers.push(browser);
    const page = await person.openPage(browser, stack.secureUrl, { log });
    await person.signedIn(page, `${name}@example.org`, USERS[`${name}@example.org`]);
    return page;
}

before(async () => {
    const names = ['service', 'turn', 'tcp', 'far'];
    for (const [i, name] of names.entries()) hosts[name] = await Namespace.start(name, 2 + i);
    const forbid = (host, ...what) => hosts[host].inside('ip', 'rule', 'add', ...what, 'prohibit');
    forbid('tcp', 'ipproto', 'udp');
    forbid('far', 'to', hosts.service.address, 'ipproto', 'udp');
    forbid('far', 'to', hosts.service.address, 'ipproto', 'tcp', 'dport', `${PORT}-${PORT + PORTS - 1}`);
    for (const name of ['tcp', 'far']) hosts[name].inside('ip', 'link', 'set', 'core', 'down');
    const server = `turn:${hosts.turn.address}:3478?transport=`;
    turn = await startTurn(hosts.turn);
    stack = await Stack.start({
        tls: true,
        namespace: hosts.service,
        files: { secret: `${SECRET}\n` },
        wmcf: [`media.full_port=${PORT}`, `limits.full_ports=${PORTS}`],
        wmcfConf:
            `[ice]\nservers = stun:${hosts.turn.address}:3478, ${server}udp, ${server}tcp\n` +
            `turn_secret_file = secret\ntcp = true\n`,
        wsf: ['ice.mode=traversal'],
    });
    [alice, bob] = await Promise.all([open(hosts.tcp, 'alice'), open(hosts.far, 'bob')]);
});
afterEach((t) => {
    if (t.passed === false) console.error(stack?.logs(), log.join('\n'));
});
after(async () => {
    await Promise.all(browsers.map((one) => one.close()));
    await stack?.stop();
    turn?.kill('SIGKILL');
    for (const host of Object.values(hosts)) host.stop();
});

const hearAndSee = (...pages) => Promise.all(pages.map((page) => mediaFlow(page)));

test('one who has TCP alone calls one who reaches a TURN server alone', async () => {
    await calling(alice, bob, 'bob');
    const [near, far] = await Promise.all([chosenPair(alice), chosenPair(bob)]);
    assert.equal(near.local.protocol, 'tcp');
    assert.equal(near.remote.address, hosts.service.address);
    assert.ok(near.remote.port >= PORT && near.remote.port < PORT + PORTS, `port ${near.remote.port}`);
    assert.equal(far.remote.address, hosts.turn.address);
    assert.equal(far.remote.candidateType, 'relay');
    await hearAndSee(alice, bob);
});

test('a new path, asked for on each side', async () => {
    for (const page of [alice, bob]) {
        await person.settled(page);
        await page.keyboard.press('s');
        await page.click('#restart');
        await page.waitForSelector('#restart[aria-busy="false"]:enabled');
        await page.keyboard.press('s');
        await Promise.all([alice, bob].map((one) => pictureMoves(one)));
    }
    await hearAndSee(alice, bob);
});

test('hanging up leaves nothing', async () => {
    await person.hangUp(alice);
    await person.atHome(bob);
    await stack.contextsBecome(0);
});
