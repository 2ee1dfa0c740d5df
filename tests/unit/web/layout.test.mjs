// SPDX-License-Identifier: Apache-2.0
// Where the tiles of a room go, and who gets one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choose } from '../../../web/page/cast.js';
import { capacity, grid, spotlight } from '../../../web/page/layout.js';

const AREAS = [
    { width: 1256, height: 542 },
    { width: 374, height: 680 },
    { width: 904, height: 502 },
    { width: 374, height: 353 },
    { width: 2400, height: 1200 },
    { width: 300, height: 90 },
];

function checkBoxes(boxes, { width, height }) {
    for (const [index, one] of boxes.entries()) {
        assert.ok(one.width > 0 && one.height > 0, JSON.stringify(one));
        assert.ok(one.x >= -1 && one.y >= -1, JSON.stringify(one));
        assert.ok(one.x + one.width <= width + 1 && one.y + one.height <= height + 1, JSON.stringify(one));
        for (const other of boxes.slice(index + 1))
            assert.ok(
                one.x + one.width <= other.x || other.x + other.width <= one.x ||
                    one.y + one.height <= other.y || other.y + other.height <= one.y,
                'no two overlap',
            );
    }
}

test('a grid lies in its area, tiles are of one size and apart', () => {
    for (const area of AREAS)
        for (let count = 1; count <= 30; count++) {
            const boxes = grid(count, area);
            assert.equal(boxes.length, count);
            checkBoxes(boxes, area);
            for (const { width, height } of boxes) {
                assert.deepEqual([width, height], [boxes[0].width, boxes[0].height]);
                assert.ok(width / height < 1.85, 'not wider than a picture');
            }
        }
});

test('a wide window shows nine as three by three, an upright one four as two by two', () => {
    const rows = (boxes) => new Set(boxes.map((one) => one.y)).size;
    assert.equal(rows(grid(9, AREAS[0])), 3);
    assert.equal(rows(grid(2, AREAS[0])), 1);
    assert.equal(rows(grid(2, AREAS[1])), 2);
    assert.equal(rows(grid(4, AREAS[1])), 2);
});

test('one in front, and as many of the others as there is room for, whichever are asked for', () => {
    for (const area of AREAS.slice(0, 5))
        for (let count = 1; count <= 30; count++) {
            const boxes = spotlight(count, area);
            assert.ok(boxes.length >= Math.min(count, 2) && boxes.length <= count);
            checkBoxes(boxes, area);
            const [front, ...others] = boxes;
            for (const one of others) assert.ok(front.width * front.height >= one.width * one.height, JSON.stringify([area, boxes]));
            assert.equal(spotlight(boxes.length, area).length, boxes.length, 'they still fit alone');
        }
});

test('nothing where there is no place', () => {
    assert.deepEqual(grid(3, { width: 0, height: 0 }), []);
    assert.deepEqual(spotlight(3, { width: 500, height: -4 }), []);
    assert.deepEqual(grid(0, AREAS[0]), []);
    assert.equal(capacity({ width: 0, height: 0 }, { least: 90, most: 9 }), 1);
});

test('no more tiles than can be recognised', () => {
    assert.equal(capacity(AREAS[1], { least: 92, most: 4 }), 4);
    const most = capacity(AREAS[1], { least: 92, most: 25 });
    assert.ok(most >= 8 && most < 25, String(most));
});

const person = (id, seen, spoke = 0) => ({ id, seen, spoke });

test('who is seen comes before who is only heard, who spoke before who did not', () => {
    const people = [person('a', false, 9), person('b', true, 1), person('c', true, 5), person('d', true)];
    assert.deepEqual(choose(people, { before: [], places: 2 }), ['b', 'c']);
    assert.deepEqual(choose(people, { before: [], places: 3, always: ['a'] }), ['a', 'b', 'c']);
});

test('who has a tile keeps the place; a newcomer takes that of who goes', () => {
    const people = ['a', 'b', 'c', 'd'].map((id) => person(id, true));
    assert.deepEqual(choose(people, { before: ['a', 'b', 'c'], places: 3 }), ['a', 'b', 'c']);
    assert.deepEqual(choose(people, { before: ['a', 'b', 'c'], places: 3, always: ['d'] }), ['a', 'b', 'd']);
    const without = people.filter((one) => one.id !== 'b');
    assert.deepEqual(choose(without, { before: ['a', 'b', 'c'], places: 3 }), ['a', 'd', 'c']);
    assert.deepEqual(choose(without.slice(0, 1), { before: ['a', 'b', 'c'], places: 3 }), ['a']);
    assert.deepEqual(choose(people, { before: ['c'], places: 9 }), ['c', 'a', 'b', 'd']);
});
