// SPDX-License-Identifier: Apache-2.0
// Fifty calls one after the other between two pages that stay open: afterwards the media centre has
// the threads, descriptors and contexts that it had before, and has hardly grown.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { calling, scene } from '../support/calls.mjs';
import { pause, until } from '../support/stack.mjs';

const CALLS = 50;
/** Until then caches and pools fill. */
const WARM = 10;
const CALL_MS = 300; // after the picture was seen on both sides
const MOST_KB_PER_CALL = 100;

// What the picture shows is the other tests' business; five of them a second are made in less time.
const things = scene({ browser: { args: ['--use-fake-device-for-media-stream=fps=5'] } });

test('fifty calls leave nothing behind', async (t) => {
    const [alice, bob] = await things.pages('alice', 'bob');
    let warm;
    let before;
    for (let call = 1; call <= CALLS; call++) {
        const [caller, called, name] = call % 2 ? [alice, bob, 'bob'] : [bob, alice, 'alice'];
        await calling(caller, called, name);
        await pause(CALL_MS); // the length of the call
        await person.hangUp(call % 3 ? caller : called);
        await Promise.all([person.atHome(alice), person.atHome(bob)]);
        await things.stack.contextsBecome(0);
        if (call === 1) before = await quiet();
        if (call === WARM) warm = await quiet();
    }
    const end = await quiet(before);
    t.diagnostic(`after the first call ${JSON.stringify(before)}`);
    t.diagnostic(
        `after call ${WARM} ${JSON.stringify(warm)}, after call ${CALLS} ${JSON.stringify(end)}`,
    );
    assert.ok(end.threads <= before.threads, `threads ${before.threads} → ${end.threads}`);
    assert.ok(end.fds <= before.fds, `descriptors ${before.fds} → ${end.fds}`);
    const growth = (end.rss - warm.rss) / (CALLS - WARM);
    t.diagnostic(`${growth.toFixed(1)} KB a call`);
    if (!process.env.SANITIZED) assert.ok(growth < MOST_KB_PER_CALL, `${growth.toFixed(1)} KB a call`);
});

/** The resources once threads that are on their way out are gone. */
async function quiet(most = { threads: Infinity, fds: Infinity }) {
    let last = things.stack.wmcf.resources();
    await until(
        async () => {
            const before = last;
            await pause(300);
            last = things.stack.wmcf.resources();
            return (
                last.threads === before.threads &&
                last.fds === before.fds &&
                last.threads <= most.threads &&
                last.fds <= most.fds
            );
        },
        20_000,
        () =>
            `the media centre does not come to rest: ${JSON.stringify(last)}, before ${JSON.stringify(most)}`,
    );
    return last;
}
