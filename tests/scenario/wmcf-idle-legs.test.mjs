// SPDX-License-Identifier: Apache-2.0
import { test } from 'node:test';
import { idleLegs } from '../support/idle-legs.mjs';

test('100 idle legs go at once while a call runs', { timeout: 150_000 }, (t) =>
  idleLegs({ legs: 100, seconds: 1, cycles: 2, say: (line) => t.diagnostic(line) }));
