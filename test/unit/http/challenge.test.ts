import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChallenges } from '../../../src/http/challenge.ts';

const plain = (header: string) =>
  parseChallenges(header).map(({ scheme, params }) => [scheme, Object.fromEntries(params)] as const);

const token = fc.string({ unit: fc.constantFrom(..."!#$%&'*+-.^_`|~09azAZ"), minLength: 1, maxLength: 8 });
const text = fc.string({ unit: fc.constantFrom(...' \t,="\\:/azAZ09é') });
const params = fc.uniqueArray(fc.tuple(token, fc.oneof(text, token), fc.boolean()), {
  selector: ([name]) => name.toLowerCase(),
  minLength: 1,
  maxLength: 4,
});

function writeParam([name, value, bare]: [string, string, boolean], gap: string): string {
  const isToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value);
  return `${name}${gap}=${gap}${bare && isToken ? value : `"${value.replaceAll(/["\\]/g, '\\$&')}"`}`;
}

test('challenges are read as what they were made of, quoted commas and all', () => {
  const gap = fc.constantFrom('', ' ', '\t ');
  fc.assert(
    fc.property(fc.array(fc.tuple(token, params), { maxLength: 3 }), gap, (challenges, space) => {
      const header = challenges.map(
        ([scheme, all]) => `${scheme} ${all.map((each) => writeParam(each, space)).join(`${space},${space}`)}`,
      );
      const expected = challenges.map(([scheme, all]) => [
        scheme.toLowerCase(),
        Object.fromEntries(all.map(([name, value]) => [name.toLowerCase(), value])),
      ]);
      assert.deepEqual(plain(header.join(`${space},${space}`)), expected);
    }),
    { numRuns: 500 },
  );
});

test('no text makes it throw, or go on for ever', () => {
  const piece = fc.constantFrom('Bearer ', 'realm="', '"', ',', '=', '\\', ' ', 'a=b', 'abc==', '\0', 'é');
  const any = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(piece, fc.string())).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(any, (header) => {
      for (const { scheme } of parseChallenges(header)) assert.match(scheme, /^[^A-Z\s",=]+$/);
    }),
    { numRuns: 1000 },
  );
});

test('a long header takes no longer than its length', () => {
  for (const part of ['a ', 'a=b,', ',', 'a A==,', '"', 'a="\\', 'AAAA!']) {
    const header = `Bearer ${part.repeat(16_000)}`;
    const began = performance.now();
    parseChallenges(header);
    assert.ok(performance.now() - began < 2000, part);
  }
});

const examples: readonly (readonly [header: string, challenges: readonly unknown[]])[] = [
  [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    [
      [
        'bearer',
        { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' },
      ],
    ],
  ],
  [
    'Basic realm="x", Bearer realm="y", Negotiate',
    [
      ['basic', { realm: 'x' }],
      ['bearer', { realm: 'y' }],
      ['negotiate', {}],
    ],
  ],
  [
    'Negotiate YWJj==, BASIC Realm=x',
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
  ['Bearer realm="a",realm="b"', [['bearer', { realm: 'a' }]]],
  [',, Basic realm="x" ,, charset="UTF-8"', [['basic', { realm: 'x', charset: 'UTF-8' }]]],
  // A name alone is what the next challenge would begin with.
  [
    'Bearer realm="unterminated',
    [
      ['bearer', {}],
      ['realm', {}],
    ],
  ],
  ['Bearer realm="a" "b"', [['bearer', { realm: 'a' }]]],
  ['', []],
  ['=', []],
];

test('challenges as registries send them, and worse', () => {
  for (const [header, challenges] of examples) assert.deepEqual(plain(header), challenges, header);
});
