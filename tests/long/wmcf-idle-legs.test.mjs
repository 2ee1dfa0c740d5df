// SPDX-License-Identifier: Apache-2.0
import { test } from 'node:test';
import { idleLegs } from '../support/idle-legs.mjs';

test('500 legs idle for a minute go at once while a call runs', { timeout: 400_000 }, (t) =>
  idleLegs({ legs: 500, seconds: 60, cycles: 3, say: (line) => t.diagnostic(line) }));
