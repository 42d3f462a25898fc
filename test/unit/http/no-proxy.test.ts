import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseNoProxy } from '../../../src/http/no-proxy.ts';

const rows: readonly (readonly [noProxy: string, direct: readonly string[], proxied: readonly string[]])[] = [
  ['', [], ['https://a.test', 'http://127.0.0.1:5000']],
  ['*', ['https://a.test', 'http://[::1]:1'], []],
  ['a.test', ['https://a.test', 'https://A.test.', 'https://x.a.test:8443'], ['https://ba.test', 'https://a.test.b']],
  ['.a.test', ['https://x.a.test', 'https://y.x.a.test'], ['https://a.test', 'https://xa.test']],
  ['*.a.test', ['https://x.a.test'], ['https://a.test']],
  ['a.test:8443', ['https://a.test:8443', 'https://x.a.test:8443'], ['https://a.test', 'https://a.test:443']],
  ['a.test:443, b.test:80', ['https://a.test', 'http://b.test'], ['http://a.test', 'https://b.test']],
  ['10.0.0.0/8', ['http://10.1.2.3', 'https://10.255.0.1:5000'], ['http://11.0.0.1', 'https://a10.0.0.1.test']],
  ['fd00::/8', ['http://[fd12::1]'], ['http://[fe80::1]', 'http://10.0.0.1']],
  ['10.1.2.3', ['http://10.1.2.3', 'http://10.1.2.3:5000', 'http://[::ffff:a01:203]'], ['http://10.1.2.4']],
  ['10.1.2.3:5000', ['http://10.1.2.3:5000'], ['http://10.1.2.3']],
  ['FD00:0::1', ['http://[fd00::1]:5000'], ['http://[fd00::2]']],
  ['[fd00::1]:5000', ['http://[fd00::1]:5000'], ['http://[fd00::1]']],
  ['.1, 0.1, 1', [], ['http://10.0.0.1']],
  ['10.0.0.0/33 10.0.0.0/x a.test/8 :80 [ ]', [], ['http://10.0.0.0', 'https://a.test']],
  ['localhost 127.0.0.0/8\t.svc,.cluster.local', ['http://localhost:5000', 'http://127.1.2.3', 'http://r.svc'], []],
];

for (const [noProxy, direct, proxied] of rows) {
  test(`NO_PROXY="${noProxy}" covers what it names, and no more`, () => {
    const bypasses = parseNoProxy(noProxy);
    for (const url of direct) assert.equal(bypasses(new URL(url)), true, url);
    for (const url of proxied) assert.equal(bypasses(new URL(url)), false, url);
  });
}

test('a network covers exactly the addresses whose first bits are its own', () => {
  const address = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const written = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
  fc.assert(
    fc.property(address, fc.integer({ min: 0, max: 32 }), address, fc.boolean(), (net, bits, other, near) => {
      // Half of the addresses differ from the network in one bit only.
      const asked = near ? (net ^ (2 ** (other % 32))) >>> 0 : other;
      const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
      const bypasses = parseNoProxy(`x.test,${written(net)}/${bits}`);
      assert.equal(bypasses(new URL(`http://${written(asked)}/`)), ((net ^ asked) & mask) === 0);
    }),
  );
});

test('a name covers exactly itself and what ends in it behind a dot', () => {
  const name = fc
    .array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 4 })
    .map((labels) => labels.join('.'));
  fc.assert(
    fc.property(name, name, fc.constantFrom('', '.', '*.'), (entry, host, dot) => {
      const below = host.endsWith(`.${entry}`);
      assert.equal(parseNoProxy(dot + entry)(new URL(`https://${host}/`)), below || (dot === '' && host === entry));
    }),
  );
});

test('whatever it says, it is read', () => {
  const junk = fc.string({ unit: fc.constantFrom(...'ab.*:/[],- 019') });
  fc.assert(fc.property(junk, (text) => typeof parseNoProxy(text)(new URL('http://[fd00::1]:80/')) === 'boolean'));
});
