// SPDX-License-Identifier: Apache-2.0
// A room of ten for a minute: every five seconds one leaves and comes again. Nobody's picture stands
// still for more than half a second at anybody who stays.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scene } from '../support/calls.mjs';
import { RoomShow, SCENE, worst } from '../support/room-show.mjs';

const MOST_MS = 500;
const things = scene(SCENE);

test('a minute of coming and going', { timeout: 240_000 }, async (t) => {
    const show = await RoomShow.begin(things, t);
    const quiet = worst(await show.quiet(5));
    const churn = worst(await show.churn({ times: 12, every: 5 }));
    t.diagnostic(`figures: quiet: ${quiet.text}; while others come and go: ${churn.text}`);
    assert.equal(churn.pairs, 6 * 5, 'six stay, each sees five who stay');
    assert.ok(churn.ms <= MOST_MS, churn.text);
    await show.end();
    await things.stack.contextsBecome(0);
});
