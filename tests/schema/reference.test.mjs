// SPDX-License-Identifier: Apache-2.0
// The HTML reference is made from the schemas: every method and every member stands in it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PROTOCOLS, SCHEMAS, filesBelow, readJson } from './schemas.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The names of all properties of a schema, at any depth. */
function members(node) {
  if (Array.isArray(node))
    return node.flatMap(members);
  if (node === null || typeof node !== 'object')
    return [];
  const own = node.properties && !node.not ? Object.keys(node.properties) : [];
  return own.concat(Object.entries(node).filter(([key]) => !['if', 'then', 'else', 'not', 'oneOf',
    'anyOf'].includes(key)).flatMap(([, value]) => members(value)));
}

for (const protocol of PROTOCOLS) {
  test(`the reference of ${protocol} tells every member`, () => {
    const page = execFileSync(join(ROOT, 'docs/reference/make-reference'),
      [join(SCHEMAS, `${protocol}.asyncapi.json`), join(ROOT, 'base/problems.def')], { encoding: 'utf8' });
    for (const file of filesBelow(join(SCHEMAS, protocol))) {
      const schema = readJson(file);
      if (schema.properties)
        assert.ok(page.includes(`>${schema.title}</h3>`), `${schema.title} has a section`);
      for (const name of members(schema))
        assert.match(page, new RegExp(`<code>([^<]*\\.)?${name.replace(/[$]/g, '\\$&')}</code>`), `${file}: ${name}`);
    }
    assert.match(page, /<code>OFFER_GLARE<\/code>/);
  });
}
