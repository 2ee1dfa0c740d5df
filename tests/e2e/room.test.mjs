// SPDX-License-Identifier: Apache-2.0
// A room of ten: two pages and eight generated participants. Others come and go, and nobody's picture
// stands still for that.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as person from '../support/browser.mjs';
import { scene } from '../support/calls.mjs';
import { RoomShow, SCENE, worst } from '../support/room-show.mjs';
import { until } from '../support/stack.mjs';

const MOST_MS = 500;
const ATTEMPTS = 3;
const things = scene(SCENE);

test('who comes and goes is not noticed in the pictures of those who stay', { timeout: 300_000 }, async (t) => {
    const show = await RoomShow.begin(things, t);
    // A machine with other things to do stalls now and then, and then in as long a time without anybody
    // who comes and goes, too; what the room does wrong it does each time.
    let good = false;
    for (let attempt = 0; attempt < ATTEMPTS && !good; attempt++) {
        const began = performance.now();
        const churn = worst(await show.churn({ times: 3, every: 3 }));
        t.diagnostic(`while others come and go: ${churn.text}`);
        assert.equal(churn.pairs, 7 * 6, 'seven stay, each sees six who stay');
        good = churn.ms <= MOST_MS;
        if (good) break;
        const quiet = worst(await show.quiet((performance.now() - began) / 1000));
        t.diagnostic(`when nobody does: ${quiet.text}`);
        good = churn.ms <= 2 * quiet.ms;
    }
    assert.ok(good, 'a picture stands still when others come and go');

    // A camera that was off is seen again at once, all its sizes with it.
    const [alice, bob] = show.pages;
    const tile = bob.locator('.tile', { hasText: 'alice' });
    await alice.keyboard.press('v');
    await until(async () => !/seen/.test(await tile.getAttribute('class')), 30_000, () => 'alice is still seen');
    await person.settled(alice);
    await alice.keyboard.press('v');
    await until(async () => /seen/.test(await tile.getAttribute('class')), 30_000, () => 'alice is not seen again');

    await show.end();
    await things.stack.contextsBecome(0);
});

test('nothing went wrong on the pages', () => {
    assert.deepEqual(
        things.log.filter((line) => /^(error|warning):/.test(line)),
        [],
    );
});
