#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Checks message traces (JSON lines of trace_file) against the schemas: check-trace.mjs FILE…
// What our side sent must match, always. What it received must match too, except for requests that
// our side did not accept, because tests send wrong ones on purpose: a wrong request is a fault when
// a successful response on the same link followed. Exit status 1 when something does not match.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { PROTOCOLS, loadSchemas, validatorOf } from './schemas.mjs';

const SHOWN = 20;

function protocolOf(path) {
  return PROTOCOLS.find((protocol) => path?.startsWith(`/${protocol}/`));
}

/** Why a line is wrong, or undefined. */
function lineFault(ajv, { path, message }) {
  const protocol = protocolOf(path);
  if (!protocol)
    return `the path ${path} belongs to no protocol`;
  const validate = validatorOf(ajv, protocol, message);
  if (!validate)
    return `no schema for the ${message.messageType} of ${message.method}`;
  return validate(message) ? undefined : ajv.errorsText(validate.errors);
}

function readLines(file) {
  return readFileSync(file, 'utf8').split('\n').flatMap((text, index) => {
    if (!text)
      return [];
    try {
      return [{ number: index + 1, ...JSON.parse(text) }];
    } catch {
      return [{ number: index + 1, broken: true }];
    }
  });
}

/** { messages, faults: [text] } of one trace. */
export function checkTrace(file, ajv = loadSchemas()) {
  const lines = readLines(file);
  const faults = [];
  const key = ({ link, path, message }) => `${path} ${link} ${message.transactionId}`;
  const accepted = new Set(lines
    .filter(({ direction, message }) => direction === 'sent' &&
      message?.messageType === 'response' && message.success === true)
    .map(key));

  for (const line of lines) {
    const { number, broken, direction, message, unusable } = line;
    if (broken || (!message && unusable === undefined)) {
      faults.push(`${file}:${number}: not a line of a trace`);
      continue;
    }
    // What could not be read as a message closed its link.
    const fault = message ? lineFault(ajv, line) :
      direction === 'sent' ? 'our side sent what cannot be read' : undefined;
    const excused = direction === 'received' && message?.messageType === 'request' &&
      !accepted.has(key(line));
    if (fault && !excused)
      faults.push(`${file}:${number}: ${direction} ${message?.method ?? ''} ` +
        `${message?.messageType ?? ''} ${message?.transactionId ?? ''}: ${fault}`);
  }
  return { messages: lines.length, faults };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const ajv = loadSchemas();
  let wrong = process.argv.length < 3;
  for (const file of process.argv.slice(2)) {
    const { messages, faults } = checkTrace(file, ajv);
    console.log(`${file}: ${messages} messages, ${faults.length} that do not match`);
    for (const fault of faults.slice(0, SHOWN))
      console.error(fault);
    wrong ||= faults.length > 0 || messages === 0;
  }
  if (process.argv.length < 3)
    console.error('usage: check-trace.mjs FILE…');
  process.exitCode = wrong ? 1 : 0;
}
