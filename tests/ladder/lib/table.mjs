// SPDX-License-Identifier: Apache-2.0
// The table clause → ladder → where implemented, made from the ladders themselves, and what must be in it:
// each numbered step of the draft, each cause of the problem table, each close code.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { instantiate } from './parse.mjs';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Procedures of clause 6.3.2.6 and how many numbered steps the draft gives them; 0: empty there. */
export const CLAUSES = {
    '6.3.2.6.x.1.1': 4,
    '6.3.2.6.x.1.2': 2,
    '6.3.2.6.x.1.3': 0,
    '6.3.2.6.x.1.4': 0,
    '6.3.2.6.x.2.1': 5,
    '6.3.2.6.x.2.2': 2,
    '6.3.2.6.x.2.3': 5,
    '6.3.2.6.x.3.1': 5,
    '6.3.2.6.x.3.2': 0,
    '6.3.2.6.x.3.3': 0,
    '6.3.2.6.x.3.4': 4,
    '6.3.2.6.x.4.1': 2,
    '6.3.2.6.x.4.2': 0,
    '6.3.2.6.x.5.1': 2,
};
export const RULES = ['A1', 'A2', 'A3', 'A4', 'A5', 'A6', 'A7'];
export const CLOSE_CODES = [1000, 1001, 1003, 1007, 1009, 1011, 1012, 1013, 4400, 4401, 4408, 4409, 4410, 4429];

/** What no ladder can make a WSF say, and why. */
export const NOT_SHOWN = {
    INTERNAL_ERROR: 'a fault of the receiver: there is no message that makes one',
    QOS_NOT_AUTHORIZED: 'of the 5G core, which this release does not talk to',
    QOS_RESOURCES_UNAVAILABLE: 'a policy that no media centre can hold: there is no message that makes one',
    1011: 'a fault of the receiver: there is no message that makes one',
};

export const causes = () =>
    [...readFileSync(join(ROOT, 'base/problems.def'), 'utf8').matchAll(/^PROBLEM\((\w+), (\d+)/gm)]
        .map(([, cause, status]) => ({ cause, status: Number(status) }));

/** Every step, those of procedures too. */
function* stepsOf(steps, ladder, shared) {
    for (const step of steps) {
        yield step;
        if (step.branches) for (const branch of step.branches) yield* stepsOf(branch.steps, ladder, shared);
        else if (step.steps) yield* stepsOf(step.steps, ladder, shared);
        if (step.kind !== 'do') continue;
        const procedure = ladder.procedures.get(step.name) ?? shared.get(step.name);
        if (procedure) yield* stepsOf(instantiate(procedure, step.names), ladder, shared);
    }
}

const SERVER = /^[WC]\d?$/;

/** { steps: numbers of the draft, causes: Set, closes: Set } that a scenario shows. */
function shows(scenario, shared) {
    const found = { steps: new Set(), causes: new Set(), closes: new Set() };
    for (const step of stepsOf(scenario.steps, scenario.ladder, shared)) {
        if (step.kind === 'label') found.steps.add(Number(/^\d+/.exec(step.label)?.[0]));
        if (step.kind === 'close' && SERVER.test(step.who)) found.closes.add(step.code);
        if (step.kind !== 'message' || !SERVER.test(step.from)) continue;
        if (step.cause) found.causes.add(step.cause);
        for (const { path, value } of step.members)
            if (path.join('/') === 'problemDetails/cause' && value.kind === 'literal') found.causes.add(value.value);
    }
    return found;
}

/** What is wrong with the ladders as a whole: [text]. */
export function faults({ ladders, procedures }) {
    const texts = [];
    for (const ladder of ladders) {
        for (const word of ['clause', 'title']) if (!ladder[word]) texts.push(`${ladder.file}: no ${word}`);
        for (const source of ladder.sources)
            if (!existsSync(join(ROOT, source))) texts.push(`${ladder.file}: there is no ${source}`);
        if (!ladder.sources.length) texts.push(`${ladder.file}: where is that implemented?`);
        if (ladder.clause.includes('.') !== /^\d/.test(ladder.file) || !ladder.file.startsWith(ladder.clause))
            texts.push(`${ladder.file}: its name does not begin with ${ladder.clause}`);
    }
    const { byClause, byCause, byClose } = collect({ ladders, procedures });
    for (const [clause, count] of Object.entries(CLAUSES)) {
        const steps = byClause.get(clause)?.steps;
        if (!steps) texts.push(`no ladder for ${clause}`);
        for (let step = 1; steps && step <= count; step++)
            if (!steps.has(step)) texts.push(`no scenario shows step ${step} of ${clause}`);
    }
    for (const rule of RULES) if (!byClause.has(rule)) texts.push(`no ladder for ${rule}`);
    const check = (name, shown) => {
        if (shown && NOT_SHOWN[name]) texts.push(`${name} is shown, it needs no excuse`);
        if (!shown && !NOT_SHOWN[name]) texts.push(`no scenario shows ${name}`);
    };
    for (const { cause } of causes()) check(cause, byCause.has(cause));
    for (const code of CLOSE_CODES) check(code, byClose.has(code));
    return texts;
}

function collect({ ladders, procedures }) {
    const byClause = new Map();
    const byCause = new Map();
    const byClose = new Map();
    const add = (map, key, ladder) => map.set(key, (map.get(key) ?? new Set()).add(ladder.file));
    for (const ladder of ladders) {
        const clause = byClause.get(ladder.clause) ?? { steps: new Set(), ladders: [] };
        byClause.set(ladder.clause, clause);
        clause.ladders.push(ladder);
        for (const scenario of ladder.scenarios) {
            const found = shows(scenario, procedures);
            for (const step of found.steps) clause.steps.add(step);
            for (const cause of found.causes) add(byCause, cause, ladder);
            for (const code of found.closes) add(byClose, code, ladder);
        }
    }
    return { byClause, byCause, byClose };
}

const link = (file) => `[${file.replace(/\.ladder$/, '')}](../tests/ladder/${file})`;

/** The generated part of docs/conformance.md. */
export function table(all) {
    const { byClause, byCause, byClose } = collect(all);
    const known = [...Object.keys(CLAUSES), ...RULES];
    const clauses = [...known.filter((clause) => byClause.has(clause)),
        ...[...byClause.keys()].filter((clause) => !known.includes(clause)).sort()];
    const rows = clauses.flatMap((clause) => byClause.get(clause).ladders.map((ladder) => {
        const steps = new Set(ladder.scenarios.flatMap((one) => [...shows(one, all.procedures).steps]));
        const told = [...steps].filter(Boolean).sort((a, b) => a - b).join(', ');
        const sources = ladder.sources.map((file) => `\`${file}\``).join(' ');
        return `| ${clause} | ${ladder.title} | ${told || '–'} | ${link(ladder.file)} (${ladder.scenarios.length}) | ${sources} |`;
    }));
    const shown = (name, files) => (files ? [...files].sort().map(link).join(', ') : `– ${NOT_SHOWN[name] ?? ''}`);
    return [
        '## Clauses',
        '',
        '| clause | procedure | steps of the draft | ladder (scenarios) | implemented in |',
        '|---|---|---|---|---|',
        ...rows,
        '',
        '## Causes',
        '',
        '| status | cause | shown in |',
        '|---|---|---|',
        ...causes().map(({ cause, status }) => `| ${status} | ${cause} | ${shown(cause, byCause.get(cause))} |`),
        '',
        '## Close codes',
        '',
        '| code | shown in |',
        '|---|---|',
        ...CLOSE_CODES.map((code) => `| ${code} | ${shown(code, byClose.get(code))} |`),
        '',
    ].join('\n');
}

const BEGIN = '<!-- The rest is written by tests/ladder/run --table -->\n';

/** The document with this table. */
export function withTable(text, rows) {
    return `${text.split(BEGIN)[0]}${BEGIN}\n${rows}`;
}

export const featuresOf = ({ ladders }) =>
    [...new Set(ladders.flatMap(({ scenarios }) => scenarios.flatMap(({ needs }) => needs)))].sort();
