// SPDX-License-Identifier: Apache-2.0
// Reads ladder files: lines nested by indentation become scenarios and procedures of steps. What a
// line may be is said in docs/conformance.md; what it is not is said here, with file and line.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { readValue } from './values.mjs';

export class LadderError extends Error {
    constructor(at, message) {
        super(`${at}: ${message}`);
        this.at = at;
    }
}

/** Lines → [{ at, text, children }] by indentation; # begins a line that is for people alone. */
function readTree(file, name) {
    const root = { indent: -1, children: [] };
    const open = [root];
    readFileSync(file, 'utf8').split('\n').forEach((line, index) => {
        if (/^\s*(#|$)/.test(line)) return;
        if (line.includes('\t')) throw new LadderError(`${name}:${index + 1}`, 'a tab: indent with spaces');
        const indent = /^ */.exec(line)[0].length;
        const node = { at: `${name}:${index + 1}`, indent, text: line.trim(), children: [] };
        while (open.at(-1).indent >= indent) open.pop();
        open.at(-1).children.push(node);
        open.push(node);
    });
    return root.children;
}

/** The file's ladder: { clause, title, sources, needs, configured, scenarios, procedures }. */
export function readLadder(file) {
    const name = basename(file);
    const ladder = { file: name, clause: '', title: '', sources: [], needs: [], configured: [], scenarios: [],
        procedures: new Map() };
    for (const node of readTree(file, name)) {
        const [word, rest] = split(node.text);
        if (word === 'ladder') ladder.clause = rest;
        else if (word === 'title') ladder.title = rest;
        else if (word === 'source') ladder.sources.push(...rest.split(/\s+/));
        else if (word === 'scenario') ladder.scenarios.push(readScenario(ladder, rest, node));
        else if (word === 'procedure') readProcedure(ladder, rest, node);
        else if (!readNeed(ladder, node)) throw new LadderError(node.at, `"${word}" is no part of a ladder`);
    }
    for (const scenario of ladder.scenarios) {
        scenario.needs = [...ladder.needs, ...scenario.needs];
        scenario.configured = [...ladder.configured, ...scenario.configured];
    }
    return ladder;
}

const split = (text) => {
    const at = text.search(/\s/);
    return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at).trim()];
};

/** What must be there before it can run: `needs FEATURE…`, `configured KEY=VALUE…` or a block of lines. */
function readNeed(owner, { at, text, children }) {
    const [word, rest] = split(text);
    if (word === 'needs') owner.needs.push(...rest.split(/\s+/));
    else if (word === 'configured') {
        if (rest) owner.configured.push(...rest.split(/\s+/));
        for (const child of children) owner.configured.push(child.text);
        if (!rest && !children.length) throw new LadderError(at, 'nothing is configured');
    } else return false;
    return true;
}

function readScenario(ladder, title, node) {
    if (!title) throw new LadderError(node.at, 'a scenario has a title');
    const scenario = { ladder, title, at: node.at, needs: [], configured: [], parties: [], steps: [] };
    const rest = node.children.filter((child) => !readNeed(scenario, child) && !readParty(scenario, child));
    scenario.steps = readSteps(rest);
    return scenario;
}

function readProcedure(ladder, head, node) {
    const match = /^([a-z][a-z-]*)\(([A-Z]\w*(?:,\s*[A-Z]\w*)*)?\)$/.exec(head);
    if (!match) throw new LadderError(node.at, 'expected: procedure name(A, B)');
    readSteps(node.children); // slips show at once
    ladder.procedures.set(match[1], { parameters: match[2]?.split(/,\s*/) ?? [], body: node.children });
}

/** A procedure's steps with the names of the parties that it is done with. */
export function instantiate({ parameters, body }, names) {
    const replaced = (text) => text.replace(/"(?:[^"\\]|\\.)*"|\b[A-Z]\w*\b/g, (word) => {
        const index = parameters.indexOf(word);
        return index < 0 ? word : names[index];
    });
    const copy = (node) => ({ ...node, text: replaced(node.text), children: node.children.map(copy) });
    return readSteps(body.map(copy));
}


/** `A is user alice`: who takes part. */
function readParty(scenario, { at, text }) {
    const match = /^([A-Z]\w*) is (user|provider|operator|wsf|controller) (\S+)( called by W)?$/.exec(text);
    if (!match) return false;
    const [, name, kind, role, called] = match;
    const server = kind === 'controller' ? 'C' : 'W';
    if (/^[WC]\d?$/.test(name)) throw new LadderError(at, `${name} is the name of a server`);
    scenario.parties.push({ name, kind, role, server, listens: Boolean(called) });
    return true;
}

// --- steps --------------------------------------------------------------------------------------

const PARTY = '([A-Z]\\w*)';
const METHOD = '((?!text |binary )[A-Za-z][\\w-]*(?:\\.[\\w-]+)*)';
const pattern = (text) => new RegExp(`^${text}$`);

/** Each: [what its line looks like, (match, node) → step]. The first that fits is it. */
const FORMS = [
    [pattern(`step (.+)`), ([, label]) => ({ kind: 'label', label })],
    [pattern(`${PARTY} -> ${PARTY} again((?: .+)?)`), ([, from, to, options], { at }) =>
        ({ kind: 'send again', from, to, ...readOptions(options, at) })],
    [pattern(`${PARTY} -> ${PARTY} ping`), ([, from, to]) => ({ kind: 'ping', from, to })],
    [pattern(`${PARTY} -> ${PARTY} (text|binary)(?: in (\\d+) fragments)? = (.+)`),
        ([, from, to, type, fragments, value]) =>
            ({ kind: 'send raw', from, to, type, fragments: Number(fragments ?? 1), value: readValue(value).value })],
    [pattern(`${PARTY} -> ${PARTY} text (.+)`), ([, from, to, text]) =>
        ({ kind: 'send raw', from, to, type: 'text', fragments: 1, value: { kind: 'literal', value: text } })],
    [pattern(`${PARTY} -> ${PARTY} ${METHOD}(?: (ok|refused (\\d{3}) (\\w+)))?((?: .+)?)`), readMessage],
    [pattern(`${PARTY} connects to ${PARTY}(?: (.+))?`), ([, who, whom, options], { at }) =>
        ({ kind: 'connected', who, whom, ...readOptions(options ?? '', at) })],
    [pattern(`${PARTY} connects(?: to (/\\S*))?(?: with subprotocols? (.+?))?(?: (without pongs))?` +
        `(?: with the certificate of ${PARTY})?`),
        ([, who, path, offered, mute, certified]) =>
            ({ kind: 'connect', who, path, subprotocols: offered?.split(/,?\s+/), mute: Boolean(mute), certified })],
    [pattern(`${PARTY} registers`), ([, who], node) => ({ kind: 'register', who, members: readMembers(node) })],
    [pattern(`${PARTY} closes ${PARTY}(?: (\\d{4}))?(?: (.+))?`), ([, who, whom, code, options], { at }) =>
        ({ kind: 'close', who, whom, code: code && Number(code), ...readOptions(options ?? '', at) })],
    [pattern(`${PARTY} refuses ${PARTY} (\\d{3})`), ([, who, whom, status]) =>
        ({ kind: 'refuse', who, whom, status: Number(status) })],
    [pattern(`${PARTY} is cut off`), ([, who]) => ({ kind: 'cut', who })],
    [pattern(`${PARTY} (stops reading|reads again|passes over the rest)`), ([, who, what]) => ({ kind: 'reading', who, what })],
    [pattern(`${PARTY} hears nothing`), ([, who]) => ({ kind: 'silence', who })],
    [pattern(`${PARTY} pings ${PARTY}(?: (.+))?`), ([, who, whom, options], { at }) =>
        ({ kind: 'pinged', who, whom, ...readOptions(options ?? '', at) })],
    [pattern(`${PARTY} takes (.+)`), ([, who, value]) => ({ kind: 'takes', who, value: readValue(value).value })],
    [pattern(`${PARTY} (withdraws its consent|consents again)`), ([, who, what]) => ({ kind: 'consent', who, what })],
    [pattern(`${PARTY} and ${PARTY} exchange media`), ([, ...parties]) => ({ kind: 'media', parties })],
    [pattern(`${PARTY} receives media`), ([, who]) => ({ kind: 'media', parties: [who] })],
    [pattern(`${PARTY} (is killed|drains|ends for a restart|starts|reads its configuration again)`), ([, who, what]) =>
        ({ kind: 'control', who, what })],
    [pattern(`${PARTY} serves (/\\S*) (\\d{3})`), ([, who, path, status], node) =>
        ({ kind: 'serve', who, path, status: Number(status), members: readMembers(node) })],
    [pattern(`do ([a-z][a-z-]*)\\(([^)]*)\\)`), ([, name, names]) =>
        ({ kind: 'do', name, names: names.split(/,\s*/).filter(Boolean) })],
    [pattern(`let \\$([A-Za-z][\\w.]*) = (.+)`), ([, name, value]) =>
        ({ kind: 'let', name, value: readValue(value).value })],
    [pattern(`check (.+?) is (.+)`), ([, got, wanted]) =>
        ({ kind: 'check', got: readValue(got).value, wanted: readValue(wanted).value })],
    [pattern(`wait (.+) s`), ([, time]) => ({ kind: 'wait', time: readValue(time).value })],
    [pattern(`(\\d+) times`), ([, times], node) =>
        ({ kind: 'repeat', times: Number(times), steps: readSteps(node.children) })],
    [pattern(`(either|or|in any order|and)`), ([, word], node) =>
        ({ kind: word, steps: readSteps(node.children) })],
];
const WITH_MEMBERS = new Set(['message', 'register', 'serve', 'repeat', 'either', 'or', 'in any order', 'and']);

function readSteps(nodes) {
    const steps = [];
    // What stands below a label is not inside of it: the label is written further out to be seen.
    for (const node of nodes.flatMap((one) => /^step /.test(one.text) ? [{ ...one, children: [] }, ...one.children] : [one])) {
        const step = readStep(node);
        step.at = node.at;
        step.text = node.text;
        if (!WITH_MEMBERS.has(step.kind) && node.children.length)
            throw new LadderError(node.children[0].at, 'nothing can stand below this step');
        const partner = { or: 'either', and: 'in any order' }[step.kind];
        if (!partner) {
            steps.push(step.kind === 'either' || step.kind === 'in any order' ? { ...step, branches: [step] } : step);
            continue;
        }
        if (steps.at(-1)?.kind !== partner) throw new LadderError(node.at, `"${step.kind}" follows "${partner}"`);
        steps.at(-1).branches.push(step);
    }
    return steps;
}

function readStep(node) {
    for (const [form, make] of FORMS) {
        const match = form.exec(node.text);
        if (!match) continue;
        try {
            return make(match, node);
        } catch (error) {
            throw error instanceof LadderError ? error : new LadderError(node.at, error.message);
        }
    }
    throw new LadderError(node.at, `this is no step: ${node.text}`);
}

function readMessage([, from, to, method, outcome, status, cause, options], node) {
    return {
        kind: 'message', from, to, method,
        type: outcome ? 'response' : 'request',
        success: outcome === 'ok',
        status: status && Number(status),
        cause,
        members: readMembers(node),
        ...readOptions(options, node.at),
    };
}

/** `within 3 s`, `not before 1 s`, `malformed`, `(label)`. */
function readOptions(text, at) {
    const options = {};
    let rest = text.trim();
    while (rest) {
        let match;
        if ((match = /^within ([\d.]+) s\b/.exec(rest))) options.within = Number(match[1]);
        else if ((match = /^not before ([\d.]+) s\b/.exec(rest))) options.notBefore = Number(match[1]);
        else if ((match = /^malformed\b/.exec(rest))) options.malformed = true;
        else if ((match = /^\((\w+)\)/.exec(rest))) options.label = match[1];
        else throw new LadderError(at, `"${rest}" cannot stand here`);
        rest = rest.slice(match[0].length).trim();
    }
    return options;
}

/** `name[, name…]  VALUE [= $variable]`, or `name/inner` for a part of a member. */
function readMembers(node) {
    return node.children.flatMap(({ at, text, children }) => {
        const match = /^([\w-]+(?:\/[\w.-]+)*(?:,\s*[\w-]+(?:\/[\w.-]+)*)*)\s+(.*)$/.exec(text);
        if (!match) throw new LadderError(at, `this is no member: ${text}`);
        const whole = [match[2], ...children.map((child) => child.text)].join(' ');
        try {
            return match[1].split(/,\s*/).map((name) =>
                ({ at, path: name.split('/'), ...readValue(whole, { binding: true }) }));
        } catch (error) {
            throw new LadderError(at, error.message);
        }
    });
}
