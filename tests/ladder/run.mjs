// SPDX-License-Identifier: Apache-2.0
// Runs ladders: all scenarios side by side, those with the same configuration at one WSF.

import { readFileSync, readdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Door } from './lib/connection.mjs';
import { Foreign } from './lib/foreign.mjs';
import { OwnPrograms } from './lib/own.mjs';
import { readLadder } from './lib/parse.mjs';
import { Scene } from './lib/scene.mjs';
import { table, withTable } from './lib/table.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const DOCUMENT = fileURLToPath(new URL('../../docs/conformance.md', import.meta.url));
const AT_ONCE = 12;
const USAGE = `usage: tests/ladder/run [OPTION…] [FILE|FOLDER…]

Plays ladders (all of tests/ladder without FILE) against our own programs, which it starts, or
against another WSF.
  --url wss://…        the WSF to test
  --profile FILE       JSON: url, users, features … (docs/conformance.md)
  --user ID --password P   instead of a profile's users; may be repeated
  --only TEXT          scenarios whose title or place has this text
  --tap                results as TAP
  --list               what there is, nothing is run
  --table              write the table of docs/conformance.md anew, nothing is run
  --verbose            what was said, also where all went well
Environment: BUILD, the build directory of our own programs; EIRTCW_TRANSPORT=h2, WebSocket over HTTP/2;
LADDER_PATIENCE, a factor for the times that are waited.`;

function ladderFiles(places) {
    return (places.length ? places : [HERE]).flatMap((place) =>
        statSync(place).isDirectory()
            ? readdirSync(place).filter((name) => name.endsWith('.ladder')).sort().map((name) => join(place, name))
            : [resolve(place)]);
}

function readProfile({ url, profile, user = [], password = [] }) {
    if (!url && !profile) return undefined;
    const read = profile ? JSON.parse(readFileSync(profile, 'utf8')) : {};
    if (url) read.url = url;
    if (user.length) read.users = user.map((webrtcId, index) => ({ webrtcId, password: password[index] ?? password[0] }));
    if (!read.url || !read.users?.length) throw new Error('another WSF needs an URL and users');
    return read;
}

/** What the ladders share: the procedures of every file that has no scenario. */
export function readAll(files = ladderFiles([])) {
    const shared = readLadder(join(HERE, 'procedures.ladder'));
    const ladders = files.filter((file) => !file.endsWith('/procedures.ladder')).map(readLadder);
    return { ladders, procedures: shared.procedures };
}

/** Which servers the steps do something to. */
function touched(steps, found = new Set()) {
    for (const step of steps) {
        if (step.kind === 'control') found.add(step.who);
        if (step.steps) touched(step.steps, found);
        for (const branch of step.branches ?? []) touched(branch.steps, found);
    }
    return found;
}

async function playOne(scenario, programs) {
    const controlled = touched(scenario.steps);
    const reason = programs.lacks({ ...scenario, controlled });
    if (reason) return { skipped: reason };
    let scene;
    let target;
    let users;
    const doors = new Map();
    try {
        for (const { name, listens } of scenario.parties) if (listens) doors.set(name, await Door.open());
        const configured = scenario.configured.map((line) =>
            line.replace(/\$(\w+)\.url/g, (whole, name) => doors.get(name)?.url ?? whole));
        const alone = controlled.has('C') ? 'wmcf' : doors.size || controlled.size ? 'wsf' : false;
        target = await programs.target(configured, alone);
        users = await target.take([...new Set(scenario.parties.map(({ kind, role }) => `${kind} ${role}`))]);
        scene = new Scene(scenario, target, users, doors);
        await scene.play();
        return { scene };
    } catch (error) {
        return { error, scene };
    } finally {
        if (!scene) for (const door of doors.values()) door.close();
        if (users) target.release(users);
    }
}

/** Does what the arguments say and tells it to `say`; gives the exit status. */
export async function run(args, say) {
    try {
        return await main(args, say);
    } catch (error) {
        say(error.message);
        return 2;
    }
}

async function main(args, say) {
    const { values, positionals } = parseArgs({
        args,
        allowPositionals: true,
        options: {
            url: { type: 'string' }, profile: { type: 'string' }, only: { type: 'string' },
            user: { type: 'string', multiple: true }, password: { type: 'string', multiple: true },
            tap: { type: 'boolean' }, table: { type: 'boolean' }, list: { type: 'boolean' }, verbose: { type: 'boolean' },
            help: { type: 'boolean', short: 'h' },
        },
    });
    if (values.help) {
        say(USAGE);
        return 0;
    }
    if (values.table) {
        writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8'), table(readAll())));
        return 0;
    }
    const { ladders, procedures } = readAll(ladderFiles(positionals));
    const name = ({ ladder, title }) => `${ladder.clause}: ${title}`;
    const scenarios = ladders.flatMap((ladder) => ladder.scenarios)
        .filter((one) => !values.only || `${name(one)} ${one.at}`.includes(values.only));
    if (values.list) {
        for (const one of scenarios) say(`${one.at}  ${name(one)}`);
        return 0;
    }
    const profile = readProfile(values);
    const programs = profile ? new Foreign(procedures, profile) : new OwnPrograms(procedures);
    const began = Date.now();
    const results = new Map();
    const left = [...scenarios];
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        for (let one; (one = left.shift());) results.set(one, await playOne(one, programs));
    }));
    const faults = await programs.stop();
    return report(scenarios, results, faults, { ...values, seconds: (Date.now() - began) / 1000, name, say });
}

function report(scenarios, results, faults, { tap, verbose, seconds, name, say }) {
    const indent = (text) => text.split('\n').map((line) => `${tap ? '#' : ''}    ${line}`).join('\n');
    let failed = 0;
    let skipped = 0;
    if (tap) say(`1..${scenarios.length + 1}`);
    scenarios.forEach((one, index) => {
        const { error, skipped: reason, scene } = results.get(one);
        const line = `${index + 1} - ${name(one)}`;
        if (error) failed++;
        if (reason) skipped++;
        if (tap) say(`${error ? 'not ok' : 'ok'} ${line}${reason ? ` # SKIP ${reason}` : ''}`);
        else say(`${error ? 'FAILED ' : reason ? 'skipped' : 'passed '} ${name(one)}${reason ? `: ${reason}` : ''}`);
        if (error) say(indent(error.at ? error.message : (error.stack ?? error.message)));
        if ((error || verbose) && scene) say(indent(scene.transcript.join('\n')));
    });
    const silent = faults.length ? 'not ok' : 'ok';
    if (tap) say(`${silent} ${scenarios.length + 1} - every message of our programs is as the schemas say`);
    if (faults.length) say(indent(faults.slice(0, 20).join('\n')));
    if (!tap)
        say(`\n${scenarios.length - failed - skipped} passed, ${failed} failed, ${skipped} skipped in ${seconds.toFixed(1)} s`);
    return failed || faults.length ? 1 : 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href)
    process.exitCode = await run(process.argv.slice(2), console.log);
