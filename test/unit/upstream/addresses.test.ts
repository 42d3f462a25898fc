import assert from 'node:assert/strict';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { test } from 'node:test';
import fc from 'fast-check';
import { AddressGuard, ForbiddenAddressError } from '../../../src/upstream/addresses.ts';

const guard = new AddressGuard();

/** Addresses that are not on the public Internet: first and last of each block of RFC 6890, and multicast. */
const blocks: readonly (readonly [first: string, last: string])[] = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '255.255.255.255'],
];

const numberOf = (address: string) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const dotted = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
const isInBlock = (value: number) =>
  blocks.some(([first, last]) => numberOf(first) <= value && value <= numberOf(last));

const edges = blocks.flatMap(([first, last]) => [
  numberOf(first) - 1,
  numberOf(first),
  numberOf(last),
  numberOf(last) + 1,
]);
const address = fc.oneof(
  fc.nat(2 ** 32 - 1),
  fc.constantFrom(...edges.filter((value) => value >= 0 && value < 2 ** 32)),
);

test('an IPv4 address is private when it is in a block, as such, mapped or translated into IPv6', () => {
  fc.assert(
    fc.property(address, (value) => {
      const text = dotted(value);
      const hex = `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
      const forms = [
        text,
        `::ffff:${text}`,
        `::FFFF:${hex}`,
        `0:0:0:0:0:ffff:${hex}`,
        `64:ff9b::${text}`,
        `64:ff9b::${hex}`,
      ];
      for (const form of forms) assert.equal(guard.isPrivate(form), isInBlock(value), form);
    }),
    { numRuns: 500 },
  );
});

test('IPv6 addresses of this host, this link and this site are private, those of others are not', () => {
  const far = ['2606:4700::6810:84e5', '2a00:1450:4001:80b::200e', '2600::', 'fbff:ffff::1'];
  const near = [
    '::',
    '::1',
    '0:0:0:0:0:0:0:1',
    'fe80::1',
    'fe80::1%eth0',
    'febf::1',
    'fec0::1',
    'fc00::1',
    'fdff::1',
    'ff02::1',
  ];
  const special = ['100::1', '2001::1', '2001:db8::1', '2002:a00:1::', '64:ff9b:1::1'];
  for (const each of [...near, ...special]) assert.ok(guard.isPrivate(each), each);
  for (const each of far) assert.ok(!guard.isPrivate(each), each);
});

test('what is no address is not private, and makes nothing throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.domain()), (text) => {
      assert.ok(!guard.isPrivate(text) || /[.:]/.test(text));
    }),
  );
  for (const text of ['', 'localhost', '127.1', '0x7f.0.0.1', '2130706433', '10.0.0.0.1', '[::1]']) {
    assert.ok(!guard.isPrivate(text), text);
  }
});

function lookUp(host: string, options: LookupOptions): Promise<string | LookupAddress[]> {
  return new Promise((resolve, reject) => {
    guard.lookup(host, options, (error, found) => (error ? reject(error) : resolve(found)));
  });
}

test('a name that leads to a private address is refused at the moment of use', async () => {
  for (const all of [true, false]) {
    await assert.rejects(lookUp('localhost', { all }), ForbiddenAddressError);
    await assert.rejects(lookUp('127.0.0.1', { all }), ForbiddenAddressError);
  }
});

test('an address that is not private is its own answer, in the form that was asked for', async () => {
  assert.equal(await lookUp('9.9.9.9', {}), '9.9.9.9');
  assert.deepEqual(await lookUp('9.9.9.9', { all: true }), [{ address: '9.9.9.9', family: 4 }]);
});
