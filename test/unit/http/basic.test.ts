import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseBasic } from '../../../src/http/basic.ts';

const encode = (text: string) => Buffer.from(text).toString('base64');

test('any login is read as it was written: the first colon ends the name', () => {
  const name = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes(':'));
  fc.assert(
    fc.property(name, fc.string({ unit: 'grapheme' }), (username, password) => {
      assert.deepEqual(parseBasic(`Basic ${encode(`${username}:${password}`)}`), { username, password });
    }),
  );
});

test('what is no login is none, and breaks nothing', () => {
  const none = [
    undefined,
    '',
    'Basic',
    'Basic ',
    `Basic ${encode('name')}`,
    `Bearer ${encode('a:b')}`,
    'Basic a:b',
    'Basic YTpi x',
  ];
  for (const header of none) assert.equal(parseBasic(header), undefined, header);
  assert.deepEqual(parseBasic(`bASIC  ${encode('a:b')}`), { username: 'a', password: 'b' });
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseBasic(text)));
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseBasic(`Basic ${text}`)));
});
