#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Checks message traces (JSON lines of trace_file) against the schemas:
// check-trace.mjs [--sent] FILE…
// What our side sent must match, always. What it received must match too, except for requests that
// our side did not accept, because tests send wrong ones on purpose: a wrong request is a fault when
// a successful response on the same link followed. --sent looks at what our side sent alone, for
// tests whose other side is a fake. Exit status 1 when something does not match or there is nothing.
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
export function checkTrace(file, { ajv = loadSchemas(), sentOnly = false } = {}) {
  const lines = readLines(file)
    .filter(({ broken, direction }) => broken || !sentOnly || direction === 'sent');
  const faults = [];
  // The name of a link is "7" and, once its peer is known, "7/alice@example.org".
  const key = ({ link, path, message }) =>
    `${path} ${String(link).split('/')[0]} ${message.transactionId}`;
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
  const files = process.argv.slice(2).filter((argument) => argument !== '--sent');
  const options = { ajv: loadSchemas(), sentOnly: process.argv.includes('--sent') };
  let seen = 0;
  let wrong = 0;
  for (const file of files) {
    const { messages, faults } = checkTrace(file, options);
    console.log(`${file}: ${messages} messages, ${faults.length} that do not match`);
    for (const fault of faults.slice(0, SHOWN))
      console.error(fault);
    seen += messages;
    wrong += faults.length;
  }
  if (files.length === 0)
    console.error('usage: check-trace.mjs [--sent] FILE…');
  process.exitCode = wrong > 0 || seen === 0 ? 1 : 0;
}
