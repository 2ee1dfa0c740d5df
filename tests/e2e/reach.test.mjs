// SPDX-License-Identifier: Apache-2.0
// Clients that reach the media centre by a detour: through a TURN server (coturn, with the time-limited
// credentials that the signalling function gives out) over UDP and over TCP, and over IPv6 alone. Each
// browser has a host of its own.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, chosenPair, mediaFlow } from '../support/calls.mjs';
import { Namespace } from '../support/namespace.mjs';
import { Stack, USERS, freeTcp } from '../support/stack.mjs';
import { SECRET, startTurn } from '../support/turn.mjs';

const NET6 = 'fd00:203::';

const log = [];
const hosts = {};
const browsers = [];
let turn;
let stack;
let alice;
let bob;
let carol;

/** Runs in the page, before its scripts: candidates of TURN alone, by one transport to the server. */
function relayAlone(transport) {
    const Native = window.RTCPeerConnection;
    const usable = ({ urls, ...rest }) => ({
        ...rest,
        urls: [urls].flat().filter((url) => url.endsWith(`transport=${transport}`)),
    });
    window.RTCPeerConnection = class extends Native {
        constructor({ iceServers = [], ...rest } = {}) {
            super({
                ...rest,
                iceServers: iceServers.map(usable).filter(({ urls }) => urls.length > 0),
                iceTransportPolicy: 'relay',
            });
        }
    };
}

async function launch(host) {
    const browser = await person.launch({
        executablePath: host.wrapper(stack.folder, process.env.CHROMIUM ?? '/usr/bin/chromium'),
        args: ['--ignore-certificate-errors'],
    });
    browsers.push(browser);
    return browser;
}

async function open(browser, url, name, transport) {
    const context = await browser.newContext({ viewport: { width: 960, height: 640 } });
    if (transport) await context.addInitScript(relayAlone, transport);
    const page = await person.openPage(browser, url, { context, log });
    await person.signedIn(page, `${name}@example.org`, USERS[`${name}@example.org`]);
    return page;
}

before(async () => {
    const names = ['service', 'turn', 'home', 'six'];
    for (const [i, name] of names.entries()) hosts[name] = await Namespace.start(name, 2 + i);
    const six = (name, number) => {
        hosts[name].inside('ip', '-6', 'addr', 'add', `${NET6}${number}/64`, 'dev', 'media', 'nodad');
        hosts[name].inside('ip', '-6', 'route', 'add', 'default', 'dev', 'media');
    };
    six('service', 2);
    six('six', 5);
    hosts.six.inside('ip', '-4', 'addr', 'flush', 'dev', 'media');
    for (const name of ['home', 'six']) hosts[name].inside('ip', 'link', 'set', 'core', 'down');
    const port = await freeTcp();
    const server = `turn:${hosts.turn.address}:3478?transport=`;
    turn = await startTurn(hosts.turn);
    stack = await Stack.start({
        tls: true,
        namespace: hosts.service,
        wmcf: [`media.bind=${hosts.service.address}, ${NET6}2`],
        files: { secret: `${SECRET}\n` },
        conf:
            `[ice]\nservers = ${server}udp, ${server}tcp\nturn_secret_file = secret\n` +
            `[listen "six"]\naddress = ${NET6}2\nport = ${port}\n` +
            `tls_certificate = cert.pem\ntls_key = key.pem\n`,
    });
    const [home, away] = await Promise.all([launch(hosts.home), launch(hosts.six)]);
    [alice, bob, carol] = await Promise.all([
        open(home, stack.secureUrl, 'alice', 'udp'),
        open(home, stack.secureUrl, 'bob', 'tcp'),
        open(away, `https://[${NET6}2]:${port}/`, 'carol'),
    ]);
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

test('through a TURN server, by UDP and by TCP', async () => {
    await calling(alice, bob, 'bob');
    for (const [page, protocol] of [
        [alice, 'udp'],
        [bob, 'tcp'],
    ]) {
        const { local, remote } = await chosenPair(page);
        assert.equal(local.candidateType, 'relay');
        assert.equal(local.relayProtocol, protocol);
        assert.equal(local.address, hosts.turn.address);
        assert.equal(remote.address, hosts.service.address);
    }
    await hearAndSee(alice, bob);
    await person.hangUp(alice);
    await person.atHome(bob);
});

test('over IPv6 alone, to one who has IPv4 alone', async () => {
    await calling(carol, alice, 'alice');
    const { local, remote } = await chosenPair(carol);
    assert.equal(local.address, `${NET6}5`);
    assert.equal(remote.address, `${NET6}2`);
    await hearAndSee(carol, alice);
    await person.hangUp(carol);
    await person.atHome(alice);
    await stack.contextsBecome(0);
});
