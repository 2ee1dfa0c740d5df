// SPDX-License-Identifier: Apache-2.0
// The JSON Schemas of both protocols as validators, one per protocol, method and kind of message.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv2020 from 'ajv/dist/2020.js';

export const SCHEMAS = fileURLToPath(new URL('../../wsf-link/schemas', import.meta.url));
export const PROTOCOLS = ['eirtcw', 'eirtcw-mc'];
const BASE = 'file:///schemas/';

export function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** Every file below `folder` whose name ends so, sorted. */
export function filesBelow(folder, ending = '.json') {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/** Files of schemas, without the AsyncAPI documents. */
export function schemaFiles() {
  return filesBelow(SCHEMAS).filter((file) => !file.endsWith('.asyncapi.json'));
}

export function loadSchemas() {
  const ajv = new Ajv2020.default({
    allErrors: true, strict: true, strictTypes: false, strictRequired: false,
  });
  for (const file of schemaFiles())
    ajv.addSchema(readJson(file), BASE + relative(SCHEMAS, file));
  return ajv;
}

/** The name of a method's schemas: application methods have a dot and share theirs. */
export function schemaName(method) {
  return method.includes('.') ? 'application' : method;
}

/** The validator of a message, or undefined when its protocol has no such method. */
export function validatorOf(ajv, protocol, message) {
  const { messageType, method, success } = message;
  if (messageType !== 'request' && messageType !== 'response')
    return undefined;
  const known = typeof method === 'string' &&
    ajv.getSchema(`${BASE}${protocol}/${schemaName(method)}.${messageType}.json`);
  // What cannot be named cannot be served either: its refusal is known by the envelope alone.
  if (!known && messageType === 'response' && success === false)
    return ajv.getSchema(`${BASE}common.json#/$defs/response`);
  return known || undefined;
}
