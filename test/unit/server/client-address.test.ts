import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseNetwork } from '../../../src/config/networks.ts';
import { clientAddresses } from '../../../src/server/client-address.ts';

const networks = ['10.0.0.0/8', 'fd00::/8', '192.0.2.7'].map((text) => parseNetwork(text) ?? assert.fail(text));

/** A request from this peer. */
function from(peer: string | undefined, forwarded?: string): IncomingMessage {
  const request = new IncomingMessage(Object.defineProperty(new Socket(), 'remoteAddress', { value: peer }));
  if (forwarded !== undefined) request.headers['x-forwarded-for'] = forwarded;
  return request;
}

const clientOf = clientAddresses(networks);
const proxy = fc.constantFrom('10.0.0.1', '10.255.3.4', 'fd00::1', '192.0.2.7');
const stranger = fc.constantFrom('192.0.2.8', '203.0.113.9', '2001:db8::5', '11.0.0.1');

test('the header of a peer that is not trusted says nothing', () => {
  const header = fc.oneof(fc.string(), fc.array(fc.oneof(proxy, stranger)).map(String));
  fc.assert(fc.property(stranger, header, (peer, text) => assert.equal(clientOf(from(peer, text)), peer)));
  fc.assert(
    fc.property(fc.oneof(proxy, stranger), header, (peer, text) => {
      assert.equal(clientAddresses([])(from(peer, text)), peer);
    }),
  );
});

test('behind trusted proxies, the rightmost address that is not trusted is the client', () => {
  const chain = fc.array(fc.oneof(proxy, stranger), { minLength: 1 });
  fc.assert(
    fc.property(proxy, chain, (peer, hops) => {
      const expected = hops.findLast((hop) => !['10.', 'fd00:', '192.0.2.7'].some((own) => hop.startsWith(own)));
      assert.equal(clientOf(from(peer, hops.join(', '))), expected ?? hops[0]);
    }),
  );
});

test('nothing left of what is no address is believed, and nothing in a header breaks anything', () => {
  assert.equal(clientOf(from('10.0.0.1', '203.0.113.9, unknown, 10.0.0.2')), '10.0.0.2');
  assert.equal(clientOf(from('10.0.0.1', '203.0.113.9,')), '10.0.0.1');
  const junk = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'0123456789.:[]%,f ') }));
  fc.assert(fc.property(proxy, junk, (peer, text) => assert.match(clientOf(from(peer, text)), /^[0-9a-fA-F:.]+$/)));
});

test('an address is read with a port, with a zone, and IPv4 within IPv6', () => {
  for (const [written, read] of [
    ['203.0.113.9:4711', '203.0.113.9'],
    ['[2001:db8::5]:4711', '2001:db8::5'],
    ['[2001:db8::5]', '2001:db8::5'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['fe80::1%eth0', 'fe80::1'],
  ] as const) {
    assert.equal(clientOf(from('10.0.0.1', written)), read);
  }
  assert.equal(clientOf(from('::ffff:10.0.0.1', '203.0.113.9')), '203.0.113.9');
  assert.equal(clientOf(from('::ffff:203.0.113.9')), '203.0.113.9');
  assert.equal(clientOf(from(undefined, '203.0.113.9')), '');
});

test('networks are read, and nothing else', () => {
  assert.deepEqual(parseNetwork('10.0.0.0/8'), { address: '10.0.0.0', prefix: 8, family: 'ipv4' });
  assert.deepEqual(parseNetwork('::1'), { address: '::1', prefix: 128, family: 'ipv6' });
  for (const text of [
    '',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    'example.com',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8 ',
  ]) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});
