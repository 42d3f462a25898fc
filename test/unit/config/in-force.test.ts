import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InForce } from '../../../src/config/in-force.ts';
import { settingsOf } from '../../support/mirror.ts';

test('new settings are in force at once, but for those that the mirror is built on', () => {
  const inForce = new InForce(settingsOf({ log: { level: 'warn' } }));
  const replacement = inForce.replace(
    settingsOf({
      listen: '0.0.0.0:5000',
      tls: { cert: 'a', key: 'b' },
      cache: { maxSize: '1GiB' },
      clients: { htpasswd: 'users', maxStreams: 7 },
      upstreams: { 'quay.io': null },
    }),
  );
  assert.deepEqual(replacement, {
    changed: ['cache.maxSize', 'upstreams', 'clients.maxStreams', 'log.level'],
    postponed: ['listen', 'tls', 'clients.htpasswd'],
  });
  const { listen, clients, cache } = inForce.settings;
  assert.deepEqual(listen, settingsOf({}).listen);
  assert.deepEqual([clients.htpasswd, clients.maxStreams, cache.maxSize], [undefined, 7, 2 ** 30]);
  assert.deepEqual(inForce.replace(inForce.settings), { changed: [], postponed: [] });
});

test('what follows from the settings is made once, until they are replaced', () => {
  const inForce = new InForce(settingsOf({}));
  const derived = inForce.derived(({ prefetch }) => ({ prefetch }));
  const first = derived();
  assert.equal(derived(), first);
  inForce.replace(settingsOf({ prefetch: false }));
  assert.deepEqual([first, derived()], [{ prefetch: true }, { prefetch: false }]);
});
