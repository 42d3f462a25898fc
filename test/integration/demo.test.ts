import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { attempt } from '../support/program.ts';

const demo = join(import.meta.dirname, '../demo.ts');

test('in the demo, the node that pulls directly is cancelled, and the one that pulls through Weir is not', async () => {
  const { code, stdout, stderr } = await attempt([process.execPath, demo, '--once', '--scale', '0.5']);
  assert.equal(code, 0, `${stdout}${stderr}`);
  assert.match(stdout, /^ {2}direct +█+░+ +\d+ % {2}CANCELLED$/m);
  assert.match(stdout, /^ {2}direct: FAILED, .*\n.*happened during read: context canceled$/m);
  assert.match(stdout, /^ {2}through Weir: pulled, after [\d.]+ s, longest silence [\d.]+ s$/m);
  assert.match(stdout, /^ {2}Dashboard of the mirror: http:\/\/127\.0\.0\.1:\d+\/$/m);
});
