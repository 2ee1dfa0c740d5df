// SPDX-License-Identifier: Apache-2.0
// The language and its runner: what a ladder accepts, and what it says where a WSF does something else.
// The WSF is a script in this process.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { makeAnswer, makeOffer, mediasOf, readMedias, SdpIdentity } from './lib/sdp.mjs';
import { run } from './run.mjs';

let server;
let folder;

/** Answers every request; `getinfo` with `resources: ["…"]` can be told to misbehave. */
function serve(socket) {
    let next = 1;
    const send = (message) => socket.send(JSON.stringify(message));
    const ask = (method, members) => {
        send({ messageType: 'request', method, transactionId: next, ...members });
        next += 2;
    };
    const grant = {
        expirationTime: 60, reAuthCredential: 'x'.repeat(24), disconnectionTtl: 30, keepAliveInterval: 20,
        instanceId: '00000000-0000-4000-8000-000000000000', mediaSessions: [],
    };
    socket.on('message', (data) => {
        const { messageType, method, transactionId, resources = [], resourceId, expirationTime } =
            JSON.parse(String(data));
        if (messageType === 'response') return;
        const answer = { messageType: 'response', method, transactionId, success: true };
        const refuse = (status, cause) =>
            send({ ...answer, success: false, problemDetails: { status, cause, title: cause } });
        if (resources[0] === 'close' || expirationTime === 0) socket.close(4408, 'told to');
        else if (resources[0] === 'silence') return;
        else if (resources[0] === 'refuse') refuse(501, 'METHOD_NOT_SUPPORTED');
        else if (resources[0] === 'wrong') send({ ...answer, resources: 7 });
        else if (resources[0] === 'events') {
            ask('tick.example.org', { mediaSessionId: grant.instanceId, userData: 1 });
            ask('tock.example.org', { mediaSessionId: grant.instanceId, userData: 2 });
            send({ ...answer, resources: {} });
        } else if (resources[0] === 'parity') {
            send({ ...answer, resources: {} });
            send({ messageType: 'request', method: 'keepalive', transactionId: 2 });
        } else if (method === 'msetup') {
            send({ ...answer, mediaSessionId: grant.instanceId, userData: { asked: resourceId } });
        } else send({ ...answer, ...(method === 'auth' ? grant : {}), ...(method === 'getinfo' ? { resources: {} } : {}) });
    });
}

before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ladder-language-'));
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    server.on('connection', serve);
    await new Promise((resolve) => server.once('listening', resolve));
});
after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
    rmSync(folder, { recursive: true });
});

/** What the runner says of these lines: { status, output }. */
async function play(lines) {
    const file = join(folder, 'x.ladder');
    writeFileSync(file, `ladder X\ntitle X\n${lines}\n`);
    const said = [];
    const args = ['--url', `ws://127.0.0.1:${server.address().port}/`, '--user', 'alice@example.org',
        '--user', 'bob@example.org', '--password', 'secret', file];
    const status = await run(args, (text) => said.push(text));
    return { status, output: said.join('\n') };
}

async function passes(lines) {
    const { status, output } = await play(lines);
    assert.equal(status, 0, output);
    return output;
}

async function fails(lines, pattern) {
    const { status, output } = await play(lines);
    assert.notEqual(status, 0, output);
    assert.match(output, pattern);
}

const scene = (steps) => `scenario s\n    A is user alice\n    A registers\n${steps}`;

test('values are sent, expected and bound', () => passes(scene(`
    let $name = "bob" + "@" + $realm
    A -> W msetup
        resourceId      $name = $asked
        userData        {"list": [1, $name, uuid()],
                         "more": true}
    W -> A msetup ok
        mediaSessionId  <uuid> = $session
        userData        {"asked": $asked}
        userData/asked  /^bob@/
        userData/asked  not "alice" | "carol"
        sdpOffer, sdpAnswer  absent
        success         present
    check $session is "00000000-0000-4000-8000-000000000000"`)));

test('parts in any order, alternatives, repetitions, procedures', () => passes(`${scene(`
    A -> W getinfo
        resources   ["events"]
    in any order
        W -> A tick.example.org
            userData    1
        A -> W tick.example.org ok
    and
        W -> A tock.example.org
        A -> W tock.example.org ok
    and
        W -> A getinfo ok
    2 times
        do ask(A)`)}
procedure ask(X)
    X -> W getinfo
    either
        W -> X getinfo refused 501 METHOD_NOT_SUPPORTED
    or
        W -> X getinfo ok
            resources   {}`));

test('a wrong value says file and line, what was expected and what came', () => fails(scene(`
    A -> W msetup
        resourceId      "bob@example.org"
    W -> A msetup ok
        userData/asked  "carol@example.org"`),
    /x\.ladder:9: W -> A msetup ok: line 10: userData\/asked: expected "carol@example.org", got "bob@example.org"/));

test('another outcome, another method, a close, silence', async () => {
    const ask = (what, expected) => scene(`
    A -> W getinfo
        resources   ["${what}"]
    ${expected}`);
    await fails(ask('refuse', 'W -> A getinfo ok'), /x\.ladder:9: .*expected ok, got refused 501 METHOD_NOT_SUPPORTED/);
    await fails(ask('events', 'W -> A tock.example.org'), /expected tock\.example\.org, got tick\.example\.org/);
    await fails(ask('close', 'W -> A getinfo ok'), /got close 4408 told to/);
    await fails(ask('close', 'W closes A 4409'), /expected close 4409, got 4408/);
    await fails(ask('silence', 'W -> A getinfo ok within 0.1 s'), /nothing of that came within 0\.1 s/);
    await fails(ask('x', 'W -> A getinfo ok not before 3 s'), /not before 3 s was expected/);
});

test('what comes unasked, what no schema allows, wrong identifiers', async () => {
    const ask = (what, rest = '') => scene(`
    A -> W getinfo
        resources   ["${what}"]
    W -> A getinfo ok${rest}`);
    await fails(ask('events'), /at the end A has got what no step expects: .*tick/);
    await fails(ask('wrong'), /received what its schema does not allow/);
    await fails(ask('parity', '\n    A hears nothing'), /expected transactionId 1, received/);
    await fails(scene('    A -> W getinfo\n        resources 7'), /the schema does not allow this message/);
    await fails(scene('    A -> W getinfo malformed'), /the schema allows this message, so it is not malformed/);
});

test('what cannot run is skipped with a sentence', async () => {
    const output = await passes(`scenario one
    needs levitation
    A is user alice
    A registers
scenario two
    configured call.no_answer_time=1
    A is user alice
scenario three
    A is user alice
    B is user bob
    E is user eve`);
    assert.match(output, /one: the profile does not name the feature levitation/);
    assert.match(output, /two: it needs a WSF configured with call\.no_answer_time=1/);
    assert.match(output, /three: it needs 3 users, the profile names 2/);
    assert.match(output, /0 passed, 0 failed, 3 skipped/);
});

test('slips of the pen show before anything runs', async () => {
    await fails(scene('    A => W auth'), /x\.ladder:6: this is no step: A => W auth/);
    await fails(scene('    A -> W auth\n        x  <colour>'), /x\.ladder:7: <colour>: no such pattern/);
    await fails(scene('    A -> W auth\n        x  {"a": 1'), /x\.ladder:7: a list that does not end/);
    await fails(scene('    A -> W auth soon'), /x\.ladder:6: "soon" cannot stand here/);
    await fails(scene('    or\n        W -> A auth ok'), /"or" follows "either"/);
    await fails('scenario\n', /a scenario has a title/);
    await fails(scene('    do nothing-known(A)'), /no procedure nothing-known\(\)/);
    await fails(scene('    A -> W msetup\n        resourceId  $nowhere'), /x\.ladder:7: \$nowhere is not known here/);
});

test('descriptions: offers and their answers', () => {
    const offer = makeOffer(new SdpIdentity(), readMedias('audio opus/PCMU, video VP8/H264 sendonly, video inactive'));
    assert.match(offer, /^v=0\r\n/);
    assert.deepEqual(mediasOf(offer).map(({ kind, direction, codecs }) => [kind, direction, codecs.join()]), [
        ['audio', 'sendrecv', 'opus,PCMU'], ['video', 'sendonly', 'VP8,H264'], ['video', 'inactive', 'VP8'],
    ]);
    const answer = makeAnswer(new SdpIdentity(), offer, readMedias('audio PCMU recvonly, video H264, video rejected'));
    assert.deepEqual(mediasOf(answer).map(({ direction, codecs, rejected }) => [direction, codecs.join(), rejected]), [
        ['recvonly', 'PCMU', false], ['recvonly', 'H264', false], ['inactive', 'VP8', true],
    ]);
    assert.match(answer, /a=group:BUNDLE 0 1\r\n/);
    assert.match(answer, /a=setup:active\r\n/);
});
