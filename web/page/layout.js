// SPDX-License-Identifier: Apache-2.0
// Where the tiles of a room go: numbers in, rectangles out. Tiles are as large as they can all be at
// once; their shape gives way between a portrait and 16:9, so that neither a phone nor a wide screen is
// left half empty. With one in front, the others are a row beside or below it.

/** @typedef {{ x: number, y: number, width: number, height: number }} Box */

const WIDEST = 16 / 9;
/** The shape of the narrowest tile, in a wide window and in an upright one. */
const NARROWEST = [4 / 5, 2 / 3];
/** A large tile is not cut to an upright one, unless few others leave the place for it. */
const LEAST_FRONT = 4 / 3;
const LEAST_OF_FEW = 0.95;
const FEW = 2;
/** How wide the column beside a large tile is: part of the window, and pixels. */
const COLUMN_SHARE = 0.24;
const COLUMN_LEAST = 120;
const COLUMN_MOST = 220;
/** How much of an upright window the large tile takes at most. */
const UPRIGHT_SHARE = 0.6;
const BELOW_LEAST = 84;

/**
 * The same size for all, rows centred. An upright tile shows only part of a picture, so in a wide window
 * it counts less than a wide one of the same size; on a phone faces are larger in it.
 * @param {number} count
 * @param {{ width: number, height: number, gap?: number }} area
 * @returns {Box[]}
 */
export function grid(count, { width, height, gap = 8 }) {
    if (count < 1 || width <= 0 || height <= 0) return [];
    let best = { columns: 1, width: 0, height: 0 };
    let most = 0;
    const upright = height > width;
    for (let columns = 1; columns <= count; columns++) {
        const rows = Math.ceil(count / columns);
        const size = fitting(
            (width - gap * (columns - 1)) / columns,
            (height - gap * (rows - 1)) / rows,
            NARROWEST[Number(upright)],
        );
        const cut = upright ? 1 : Math.sqrt(size.width / size.height / WIDEST);
        const worth = size.width * size.height * cut;
        if (worth > most + 1) [best, most] = [{ columns, ...size }, worth];
    }
    const { columns, width: wide, height: high } = best;
    const rows = Math.ceil(count / columns);
    const top = (height - rows * high - (rows - 1) * gap) / 2;
    return Array.from({ length: count }, (_, index) => {
        const row = Math.floor(index / columns);
        const inRow = row === rows - 1 ? count - row * columns : columns;
        const left = (width - inRow * wide - (inRow - 1) * gap) / 2;
        return box(left + (index % columns) * (wide + gap), top + row * (high + gap), wide, high);
    });
}

/**
 * The first one large; the others in a column beside it, or below it where the window is upright.
 * @param {number} count
 * @param {{ width: number, height: number, gap?: number }} area
 * @returns {Box[]} fewer than asked for when there is no room for more
 */
export function spotlight(count, { width, height, gap = 8 }) {
    if (count < 1 || width <= 0 || height <= 0) return [];
    const others = count - 1;
    const beside = width > height * 1.2;
    if (others === 0) return [inside({ x: 0, y: 0, width, height })];
    if (beside) {
        const share = Math.min(COLUMN_MOST, width * COLUMN_SHARE);
        const fitted = ((height - gap * (others - 1)) / others) * WIDEST;
        const thick = Math.floor(Math.min(share, Math.max(COLUMN_LEAST, fitted)));
        const high = thick / WIDEST;
        const places = Math.min(others, Math.max(1, Math.floor((height + gap) / (high + gap))));
        const top = (height - places * high - (places - 1) * gap) / 2;
        return [
            inside({ x: 0, y: 0, width: width - thick - gap, height }),
            ...Array.from({ length: places }, (_, index) =>
                box(width - thick, top + index * (high + gap), thick, high),
            ),
        ];
    }
    const shape = others > FEW ? LEAST_FRONT : LEAST_OF_FEW;
    const high = Math.min(width / shape, height * UPRIGHT_SHARE);
    const below = { width, height: height - high - gap, gap };
    const places = Math.min(others, capacity(below, { least: BELOW_LEAST, most: others }));
    return [
        inside({ x: 0, y: 0, width, height: high }, shape),
        ...grid(places, below).map((one) => ({ ...one, y: one.y + Math.round(high + gap) })),
    ];
}

/**
 * How many tiles a grid takes before they get too small to see anybody.
 * @param {{ width: number, height: number, gap?: number }} area
 * @param {{ least: number, most: number }} limits least: pixels of the shorter side
 */
export function capacity(area, { least, most }) {
    for (let count = most; count > 1; count--) {
        const [one] = grid(count, area);
        if (one && Math.min(one.width, one.height) >= least) return count;
    }
    return 1;
}

/**
 * @param {number} width
 * @param {number} height
 * @param {number} narrowest
 */
function fitting(width, height, narrowest) {
    if (width <= 0 || height <= 0) return { width: 0, height: 0 };
    const ratio = width / height;
    if (ratio > WIDEST) return { width: height * WIDEST, height };
    if (ratio < narrowest) return { width, height: width / narrowest };
    return { width, height };
}

/**
 * The large tile in the middle of its place.
 * @param {Box} place
 * @param {number} [shape] the narrowest
 */
function inside({ x, y, width, height }, shape = LEAST_FRONT) {
    const wide = Math.min(width, height * WIDEST);
    const high = Math.min(height, wide / shape);
    return box(x + (width - wide) / 2, y + (height - high) / 2, wide, high);
}

/** Whole pixels, or edges are blurred. */
function box(/** @type {number[]} */ ...[x, y, width, height]) {
    return {
        x: Math.round(x),
        y: Math.round(y),
        width: Math.floor(width),
        height: Math.floor(height),
    };
}
