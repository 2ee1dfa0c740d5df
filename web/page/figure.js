// SPDX-License-Identifier: Apache-2.0
// A section of the drawer, and how figures are written there.

/** Readings that a curve shows. */
export const KEPT = 60;

/**
 * @param {string} title
 * @param {string} beside
 * @param {[string, string | undefined | null][]} rows
 */
export function figure(title, beside, rows) {
    const part = document.createElement('section');
    part.className = 'figure';
    const head = document.createElement('h3');
    const aside = document.createElement('span');
    aside.textContent = beside;
    head.append(title, aside);
    const list = document.createElement('dl');
    for (const [name, value] of rows) {
        if (!value) continue;
        const term = document.createElement('dt');
        const told = document.createElement('dd');
        term.textContent = name;
        told.textContent = value;
        list.append(term, told);
    }
    part.append(head, list);
    return part;
}

/** The bitrate of the last minute. @param {number[]} points */
export function curve(points) {
    const canvas = document.createElement('canvas');
    const [width, height] = [600, 70];
    canvas.width = width;
    canvas.height = height;
    canvas.ariaHidden = 'true';
    const pen = canvas.getContext('2d');
    if (!pen) return canvas;
    const top = Math.max(...points, 1);
    const step = width / (KEPT - 1);
    const start = width - step * (points.length - 1);
    pen.beginPath();
    points.forEach((value, index) =>
        pen.lineTo(start + index * step, height - 3 - (value / top) * (height - 8)),
    );
    pen.strokeStyle = '#7d9bff';
    pen.lineWidth = 3;
    pen.lineJoin = 'round';
    pen.stroke();
    pen.lineTo(width, height);
    pen.lineTo(start, height);
    pen.fillStyle = 'rgb(125 155 255 / 18%)';
    pen.fill();
    return canvas;
}

/** @param {number} value */
export function packets(value) {
    return value === 1 ? '1 packet' : `${count(value)} packets`;
}

/** @param {number | undefined} bits per second */
export function rate(bits) {
    if (bits === undefined) return undefined;
    return bits >= 1e6 ? `${(bits / 1e6).toFixed(2)} Mb/s` : `${Math.round(bits / 1e3)} kb/s`;
}

/** @param {number | undefined} seconds */
export function milliseconds(seconds) {
    if (seconds === undefined) return undefined;
    const value = seconds * 1000;
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

/** @param {number | undefined} value */
export function count(value) {
    return value === undefined ? undefined : Math.round(value).toLocaleString('en');
}

/** @param {number | undefined} share 0 to 1 */
export function percent(share) {
    return share === undefined ? undefined : `${(share * 100).toFixed(1)} %`;
}

/** @param {{ width?: number, height?: number }} one */
export function size({ width, height }) {
    return width && height ? `${width} × ${height}` : undefined;
}
