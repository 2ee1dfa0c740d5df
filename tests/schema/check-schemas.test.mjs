// SPDX-License-Identifier: Apache-2.0
// The machine-readable form of both protocols: the schemas compile, the AsyncAPI documents are valid
// and complete, every good example passes and every bad one fails.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Parser, fromFile } from '@asyncapi/parser';
import { PROTOCOLS, SCHEMAS, filesBelow, loadSchemas, readJson, schemaFiles, schemaName,
  validatorOf } from './schemas.mjs';

const EXAMPLES = fileURLToPath(new URL('../data/messages', import.meta.url));
const ajv = loadSchemas();

/** `<method>.<kind>[.<what>].json` */
function nameParts(file) {
  const [method, kind] = basename(file).split('.');
  return { method, kind };
}

test('every schema compiles', () => {
  for (const file of schemaFiles()) {
    const schema = readJson(file);
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema', file);
    assert.ok(ajv.getSchema(`file:///schemas/${file.slice(SCHEMAS.length + 1)}`), file);
  }
});

test('each method has a request and a response', () => {
  for (const protocol of PROTOCOLS) {
    const kinds = new Map();
    for (const file of filesBelow(join(SCHEMAS, protocol))) {
      const { method, kind } = nameParts(file);
      if (kind !== 'json')
        kinds.set(method, [...(kinds.get(method) ?? []), kind]);
    }
    for (const [method, both] of kinds)
      assert.deepEqual(both.sort(), ['request', 'response'], `${protocol} ${method}`);
  }
});

for (const protocol of PROTOCOLS) {
  test(`good examples of ${protocol}`, () => {
    const seen = new Set();
    for (const file of filesBelow(join(EXAMPLES, 'good', protocol))) {
      const { method, kind } = nameParts(file);
      const message = readJson(file);
      const validate = validatorOf(ajv, protocol, message);
      assert.equal(schemaName(message.method), method, file);
      assert.equal(message.messageType, kind, file);
      assert.ok(validate(message), `${file}: ${ajv.errorsText(validate.errors)}`);
      assert.ok(validate({ ...message, 'a key of a later version': null }), `${file}: tolerant`);
      seen.add(`${method}.${kind}.json`);
    }
    const schemas = filesBelow(join(SCHEMAS, protocol)).map((file) => basename(file))
      .filter((name) => !name.startsWith('common'));
    assert.deepEqual([...seen].sort(), schemas, 'each schema has an example');
  });

  test(`bad examples of ${protocol}`, () => {
    for (const file of filesBelow(join(EXAMPLES, 'bad', protocol))) {
      const { method, kind } = nameParts(file);
      const validate = ajv.getSchema(`file:///schemas/${protocol}/${method}.${kind}.json`);
      assert.ok(validate, file);
      assert.equal(validate(readJson(file)), false, `${file} passes`);
    }
  });

  test(`AsyncAPI document of ${protocol}`, async () => {
    const file = join(SCHEMAS, `${protocol}.asyncapi.json`);
    const { document, diagnostics } = await fromFile(new Parser(), file).parse();
    assert.deepEqual(diagnostics.filter(({ severity }) => severity === 0)
      .map(({ message, path }) => `${path.join('/')}: ${message}`), []);
    assert.equal(document.version(), '3.0.0');
    const { channels, components, operations } = readJson(file);
    assert.equal(Object.keys(channels).length, 1);
    const schemas = filesBelow(join(SCHEMAS, protocol)).map((name) => basename(name, '.json'))
      .filter((name) => !name.startsWith('common'));
    assert.deepEqual(Object.values(components.messages).map(({ name }) => name).sort(), schemas);
    for (const { name, examples, payload } of Object.values(components.messages)) {
      assert.equal(payload.$ref, `./${protocol}/${name}.json`);
      assert.ok(examples.length > 0, `${name} has an example`);
      for (const example of examples) {
        const validate = validatorOf(ajv, protocol, example.payload);
        assert.ok(validate(example.payload),
          `${name} ${example.name}: ${ajv.errorsText(validate.errors)}`);
        const what = example.name === 'plain' ? name : `${name}.${example.name}`;
        assert.deepEqual(example.payload, readJson(join(EXAMPLES, 'good', protocol,
          `${what}.json`)), 'the document and tests/data tell the same');
      }
    }
    for (const [name, { channel, reply }] of Object.entries(operations))
      assert.deepEqual(reply.channel, channel, `${name} is answered on the same channel`);
  });
}

test('check-trace tells good traces from bad ones', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trace-'));
  const file = join(folder, 'trace.jsonl');
  const good = (name) => readJson(join(EXAMPLES, 'good', 'eirtcw', `${name}.json`));
  const line = (direction, message, link = '1') => JSON.stringify(
    { time: '2026-11-22T00:00:00Z', link, direction, peer: '127.0.0.1', path: '/eirtcw/v1', message });
  const check = (lines, ...options) => {
    writeFileSync(file, lines.join('\n') + '\n');
    try {
      execFileSync(process.execPath,
        [fileURLToPath(new URL('check-trace.mjs', import.meta.url)), ...options, file],
        { stdio: 'pipe' });
      return true;
    } catch (error) {
      assert.equal(error.status, 1, String(error.stderr));
      return false;
    }
  };
  try {
    const asked = good('mupdate.request.alerting');
    const bad = { ...asked, mediaSessionState: 'ringing' };
    const refused = { ...good('mupdate.response.glare'), transactionId: asked.transactionId };
    const accepted = good('mupdate.response.later');
    assert.ok(check([line('received', asked), line('sent', accepted)]));
    assert.ok(check([line('received', bad), line('sent', refused)]), 'bad and refused');
    assert.ok(check(['{"time":"t","link":"1","direction":"received","unusable":7}']));
    assert.ok(!check([line('received', bad), line('sent', accepted)]), 'bad but accepted');
    assert.ok(!check([line('received', bad), line('sent', accepted, '1/alice@example.org')]),
      'the link has got a name meanwhile');
    assert.ok(check([line('received', { ...accepted, success: 1 }), line('sent', asked)], '--sent'));
    assert.ok(check([line('received', bad), line('sent', accepted, '2')]), 'another link');
    assert.ok(!check([line('received', { ...accepted, success: 1 })]), 'a wrong response');
    assert.ok(!check([line('sent', bad)]), 'we sent it');
    assert.ok(!check([line('sent', { ...accepted, mediaSessionState: 'x' })]));
    assert.ok(!check([line('sent', { ...asked, method: 'nonsense' })]), 'unknown method');
    assert.ok(!check(['not json']));
    assert.ok(!check(['']), 'nothing in it');
    assert.equal(readFileSync(file, 'utf8'), '\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
