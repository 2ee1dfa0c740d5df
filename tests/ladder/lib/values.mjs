// SPDX-License-Identifier: Apache-2.0
// The values of the ladder language: what stands behind a member's name. A value is read when the file is
// loaded, so that a slip of the pen shows before anything runs, and worked out when its step is reached.
// The same form serves both ways: sent, it makes a value; received, it says which values are right.

import { FUNCTIONS } from './functions.mjs';
import { describeSdp, readMedias, sdpFaults } from './sdp.mjs';

class Reader {
    at = 0;

    constructor(text) {
        this.text = text;
    }

    skip() {
        while (/\s/.test(this.text[this.at] ?? '')) this.at++;
    }

    /** The match of a sticky expression here, or undefined; blanks before it are passed over. */
    take(pattern) {
        this.skip();
        pattern.lastIndex = this.at;
        const match = pattern.exec(this.text);
        if (match) this.at = pattern.lastIndex;
        return match ?? undefined;
    }

    fail(what) {
        throw new Error(`${what} at "${this.text.slice(this.at, this.at + 40)}"`);
    }

    alternatives() {
        const list = [this.sum()];
        while (this.take(/\|/y)) list.push(this.sum());
        return list.length === 1 ? list[0] : { kind: 'any of', list };
    }

    sum() {
        const list = [this.term()];
        while (this.take(/\+/y)) list.push(this.term());
        return list.length === 1 ? list[0] : { kind: 'joined', list };
    }

    term() {
        let match;
        if ((match = this.take(/\$([A-Za-z]\w*(?:\.\w+)*)/y))) return { kind: 'variable', name: match[1] };
        if (this.take(/</y)) return this.pattern();
        if ((match = this.take(/\/((?:[^/\\]|\\.)+)\/([imsu]*)/y)))
            return { kind: 'expression', pattern: new RegExp(match[1], match[2]), text: match[0].trim() };
        if (this.take(/absent\b/y)) return { kind: 'absent' };
        if (this.take(/present\b/y)) return { kind: 'present' };
        if (this.take(/not\b/y)) return { kind: 'not', value: this.term() };
        if ((match = this.take(/([a-z][a-z0-9-]*)\(/y))) return this.call(match[1]);
        return this.json();
    }

    json() {
        let match;
        if ((match = this.take(/"(?:[^"\\]|\\.)*"/y))) return { kind: 'literal', value: JSON.parse(match[0].trim()) };
        if ((match = this.take(/-?\d+(\.\d+)?([eE][+-]?\d+)?/y))) return number(match[0].trim());
        if ((match = this.take(/(true|false|null)\b/y))) return { kind: 'literal', value: JSON.parse(match[1]) };
        if (this.take(/\[/y)) return { kind: 'array', list: this.list(/\]/y, () => this.alternatives()) };
        if (this.take(/\{/y)) return { kind: 'object', list: this.list(/\}/y, () => this.pair()) };
        return this.fail('a value is expected');
    }

    list(end, item) {
        const list = [];
        if (this.take(end)) return list;
        do list.push(item());
        while (this.take(/,/y));
        if (!this.take(end)) this.fail('a list that does not end');
        return list;
    }

    pair() {
        const match = this.take(/("(?:[^"\\]|\\.)*")\s*:/y);
        if (!match) this.fail('"name": is expected');
        return [JSON.parse(match[1]), this.alternatives()];
    }

    pattern() {
        const end = this.text.indexOf('>', this.at);
        if (end < 0) this.fail('a pattern that does not end');
        const text = this.text.slice(this.at, end).trim();
        this.at = end + 1;
        const [name, ...rest] = text.split(/\s+/);
        if (!PATTERNS[name]) throw new Error(`<${text}>: no such pattern`);
        const detail = rest.join(' ');
        if (name === 'sdp' && detail) readMedias(detail);
        return { kind: 'pattern', name, detail, text: `<${text}>` };
    }

    call(name) {
        const from = this.at;
        for (let depth = 1; depth > 0; this.at++) {
            const letter = this.text[this.at];
            if (letter === undefined) this.fail('a parenthesis that does not end');
            if (letter === '"') this.at += /"(?:[^"\\]|\\.)*"/.exec(this.text.slice(this.at))?.[0].length - 1;
            if (letter === '(') depth++;
            if (letter === ')') depth--;
        }
        if (!FUNCTIONS[name]) throw new Error(`${name}(): no such function`);
        return { kind: 'call', name, args: commas(this.text.slice(from, this.at - 1)) };
    }
}

/** Splits at the commas that are not inside of something. */
function commas(text) {
    const parts = [];
    let depth = 0;
    let from = 0;
    for (const { 0: found, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[(){}[\],]/g)) {
        if ('([{'.includes(found)) depth++;
        else if (')]}'.includes(found)) depth--;
        else if (found === ',' && depth === 0) {
            parts.push(text.slice(from, index).trim());
            from = index + 1;
        }
    }
    const last = text.slice(from).trim();
    return last || parts.length ? [...parts, last] : [];
}

/** Beyond 2^53 a number of JavaScript is another number. */
function number(text) {
    const value = JSON.parse(text);
    return { kind: 'literal', value: Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(text) : value };
}

/** Reads `VALUE` or, where `binding` may stand, `VALUE = $name` or `= $name`: { value, name }. */
export function readValue(text, { binding = false } = {}) {
    const reader = new Reader(text);
    const bound = () => (binding ? reader.take(/=\s*\$([A-Za-z]\w*(?:\.\w+)*)/y)?.[1] : undefined);
    let name = bound();
    const value = name ? { kind: 'present' } : reader.alternatives();
    name ??= bound();
    reader.skip();
    if (reader.at < text.length) reader.fail('nothing more is expected');
    return { value, name };
}

/** What a value is in this scene; throws for what only says which values are right. */
export function evaluate(value, scene) {
    switch (value.kind) {
        case 'literal':
            return value.value;
        case 'variable':
            return scene.get(value.name);
        case 'array':
            return value.list.map((item) => evaluate(item, scene));
        case 'object':
            return Object.fromEntries(value.list.map(([name, item]) => [name, evaluate(item, scene)]));
        case 'joined':
            return join(value.list.map((item) => evaluate(item, scene)));
        case 'call':
            return FUNCTIONS[value.name](scene, value.args, evaluateText(scene));
        default:
            throw new Error(`this is no value to be sent: ${explain(value)}`);
    }
}

const evaluateText = (scene) => (text) => evaluate(readValue(text).value, scene);

function join(parts) {
    if (parts.some((part) => Buffer.isBuffer(part))) return Buffer.concat(parts.map((part) => Buffer.from(part)));
    return parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join('');
}

const PATTERNS = {
    uuid: (got) => typeof got === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(got),
    text: (got) => typeof got === 'string' && got.length > 0,
    integer: (got, detail) => Number.isInteger(got) && inRange(got, detail),
    number: (got, detail) => typeof got === 'number' && inRange(got, detail),
    boolean: (got) => typeof got === 'boolean',
    object: (got) => got !== null && typeof got === 'object' && !Array.isArray(got),
    array: (got) => Array.isArray(got),
    containing: (got, detail) => Array.isArray(got) && got.includes(JSON.parse(detail)),
    anything: () => true,
};
PATTERNS.sdp = (got, detail) => typeof got === 'string' && sdpFaults(got, detail).length === 0;

function inRange(got, detail) {
    if (!detail) return true;
    const [low, high] = detail.split('..');
    return (low === '' || got >= Number(low)) && (high === '' || got <= Number(high ?? low));
}

/** Why a received value (undefined = not there) is not as it should be, or undefined. */
export function mismatch(value, got, scene) {
    const expected = () => `expected ${explain(value, scene)}, got ${show(got)}`;
    switch (value.kind) {
        case 'absent':
            return got === undefined ? undefined : expected();
        case 'any of':
            return value.list.some((one) => !mismatch(one, got, scene)) ? undefined : expected();
        case 'not':
            return mismatch(value.value, got, scene) ? undefined : expected();
    }
    if (got === undefined) return expected();
    switch (value.kind) {
        case 'present':
            return undefined;
        case 'pattern':
            if (PATTERNS[value.name](got, value.detail)) return undefined;
            return value.name === 'sdp' && typeof got === 'string'
                ? `${expected()}: ${sdpFaults(got, value.detail).join(', ')}`
                : expected();
        case 'expression':
            return typeof got === 'string' && value.pattern.test(got) ? undefined : expected();
        case 'array':
            return Array.isArray(got) && got.length === value.list.length &&
                value.list.every((item, index) => !mismatch(item, got[index], scene))
                ? undefined
                : expected();
        case 'object':
            return sameObject(value.list, got, scene) ? undefined : expected();
        default:
            return same(evaluate(value, scene), got) ? undefined : expected();
    }
}

function sameObject(list, got, scene) {
    if (!PATTERNS.object(got)) return false;
    const names = new Set(list.map(([name]) => name));
    return Object.keys(got).every((name) => names.has(name)) &&
        list.every(([name, item]) => !mismatch(item, got[name], scene));
}

export function same(one, other) {
    if (typeof one === 'bigint' || typeof other === 'bigint') return String(one) === String(other);
    if (one === null || typeof one !== 'object' || other === null || typeof other !== 'object')
        return one === other;
    if (Array.isArray(one) !== Array.isArray(other)) return false;
    const names = Object.keys(one);
    return names.length === Object.keys(other).length &&
        names.every((name) => name in other && same(one[name], other[name]));
}

/** A value as the ladder has it, with what a variable is. */
export function explain(value, scene) {
    switch (value.kind) {
        case 'literal':
            return show(value.value);
        case 'variable': {
            const known = scene?.find(value.name);
            return known === undefined ? `$${value.name}` : `$${value.name} (${show(known)})`;
        }
        case 'pattern':
        case 'expression':
            return value.text;
        case 'not':
            return `not ${explain(value.value, scene)}`;
        case 'any of':
            return value.list.map((one) => explain(one, scene)).join(' | ');
        case 'joined':
            return value.list.map((one) => explain(one, scene)).join(' + ');
        case 'array':
            return `[${value.list.map((one) => explain(one, scene)).join(', ')}]`;
        case 'object':
            return `{${value.list.map(([name, one]) => `"${name}": ${explain(one, scene)}`).join(', ')}}`;
        case 'call':
            return `${value.name}(${value.args.join(', ')})`;
        default:
            return value.kind;
    }
}

/** A value for people: short. */
export function show(value) {
    if (value === undefined) return 'nothing';
    if (typeof value === 'bigint') return String(value);
    if (typeof value === 'string' && value.startsWith('v=0')) return describeSdp(value);
    const text = JSON.stringify(value);
    return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text;
}
