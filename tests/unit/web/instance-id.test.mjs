// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomUuid, tabInstanceId } from '../../../web/lib/instance-id.js';

/** Locks of one browser; `tab()` gives what one tab sees and `close` what it holds. */
class Locks {
    held = new Map();
    waiting = [];

    tab() {
        const tab = {};
        return {
            locks: {
                request: async (name, { signal }, grant) => {
                    while (this.held.has(name)) {
                        await new Promise((resolve, reject) => {
                            this.waiting.push(resolve);
                            signal.addEventListener('abort', () => reject(signal.reason));
                        });
                    }
                    this.held.set(name, tab);
                    return grant();
                },
            },
            close: () => {
                for (const [name, owner] of this.held) if (owner === tab) this.held.delete(name);
                for (const wake of this.waiting.splice(0)) wake();
            },
        };
    }
}

function storage(entries = []) {
    const map = new Map(entries);
    return {
        getItem: (key) => map.get(key) ?? null,
        setItem: (key, value) => map.set(key, value),
        entries: () => [...map],
    };
}

test('a reload keeps the id', async () => {
    const locks = new Locks();
    const kept = storage();
    const before = locks.tab();
    const id = await tabInstanceId({ storage: kept, locks: before.locks, patience: 20 });
    before.close();
    assert.equal(
        await tabInstanceId({ storage: kept, locks: locks.tab().locks, patience: 20 }),
        id,
    );
});

test('a reload that runs before the old document let go keeps the id', async () => {
    const locks = new Locks();
    const kept = storage();
    const before = locks.tab();
    const id = await tabInstanceId({ storage: kept, locks: before.locks, patience: 1000 });
    const again = tabInstanceId({ storage: kept, locks: locks.tab().locks, patience: 1000 });
    setImmediate(before.close);
    assert.equal(await again, id);
});

test('a duplicated tab takes a new id and keeps that', async () => {
    const locks = new Locks();
    const original = storage();
    const id = await tabInstanceId({ storage: original, locks: locks.tab().locks, patience: 20 });
    const copy = storage(original.entries());
    const duplicate = locks.tab();
    const other = await tabInstanceId({ storage: copy, locks: duplicate.locks, patience: 20 });
    assert.notEqual(other, id);
    duplicate.close();
    assert.equal(
        await tabInstanceId({ storage: copy, locks: locks.tab().locks, patience: 20 }),
        other,
    );
});

test('without locks the stored id is used, rubbish is not', async () => {
    const kept = storage();
    const id = await tabInstanceId({ storage: kept, locks: null });
    assert.equal(await tabInstanceId({ storage: kept, locks: null }), id);
    const spoilt = storage([['eirtcw.instanceId', 'x'.repeat(5000)]]);
    assert.match(await tabInstanceId({ storage: spoilt, locks: null }), /^[0-9a-f-]{36}$/);
});

test('version 4 UUIDs', () => {
    const seen = new Set();
    for (let i = 0; i < 1000; i++) {
        const id = randomUuid();
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        seen.add(id);
    }
    assert.equal(seen.size, 1000);
});
