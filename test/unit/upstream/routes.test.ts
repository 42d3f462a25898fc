import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Metrics } from '../../../src/metrics/metrics.ts';
import { RegistryError } from '../../../src/oci/errors.ts';
import type { PullPath } from '../../../src/oci/pull-path.ts';
import { Routes } from '../../../src/upstream/routes.ts';
import { FakeClock } from '../../support/clock.ts';
import { collectLog, settingsOf } from '../../support/mirror.ts';

const upstreams = { 'docker.io': { aliases: ['hub'] }, 'quay.io': {}, 'host.test:5000': { aliases: ['host'] } };

function open(t: TestContext, config: object = { upstreams }): Routes {
  const routes = new Routes(settingsOf(config), new FakeClock(), collectLog([]), new Metrics());
  t.after(() => routes.close());
  return routes;
}

interface Asked {
  readonly prefix?: string;
  readonly ns?: string;
  readonly name: string;
  readonly host?: string;
}

function pathOf({ prefix, ns, name }: Asked): PullPath {
  return { prefix, ns, name, resource: { kind: 'tags' } };
}

function routeOf(routes: Routes, asked: Asked): string {
  try {
    const { registry, repository } = routes.resolve(pathOf(asked), asked.host);
    return `${registry.name} ${repository}`;
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    return error.code;
  }
}

const routings: readonly (readonly [asked: Asked, route: string])[] = [
  [{ name: 'team/app' }, 'docker.io team/app'],
  [{ name: 'busybox' }, 'docker.io library/busybox'],
  [{ name: 'docker.io/busybox' }, 'docker.io library/busybox'],
  [{ name: 'hub/busybox' }, 'docker.io library/busybox'],
  [{ name: 'quay.io/busybox' }, 'quay.io busybox'],
  [{ name: 'quay.io' }, 'docker.io library/quay.io'],
  [{ name: 'host/a/b' }, 'host.test:5000 a/b'],
  [{ name: 'ghost.io/a/b' }, 'NAME_UNKNOWN'],
  // The segment before /v2/ counts before all.
  [{ prefix: 'quay.io', name: 'docker.io/a', ns: 'docker.io', host: 'docker.io' }, 'quay.io docker.io/a'],
  [{ prefix: 'Hub', name: 'a' }, 'docker.io library/a'],
  [{ prefix: 'ghost.io', name: 'a', ns: 'quay.io' }, 'NAME_UNKNOWN'],
  // Then the namespace, which agrees with the name, or makes it whole.
  [{ ns: 'quay.io', name: 'quay.io/a/b' }, 'quay.io a/b'],
  [{ ns: 'quay.io', name: 'docker.io/a/b', host: 'docker.io' }, 'quay.io docker.io/a/b'],
  [{ ns: 'host.test:5000', name: 'a' }, 'host.test:5000 a'],
  [{ ns: 'QUAY.IO', name: 'a' }, 'quay.io a'],
  [{ ns: 'registry-1.docker.io', name: 'a' }, 'docker.io library/a'],
  [{ ns: 'evil.test', name: 'a' }, 'NAME_UNKNOWN'],
  [{ ns: 'evil.test', name: 'quay.io/a' }, 'NAME_UNKNOWN'],
  [{ ns: '', name: 'quay.io/a' }, 'NAME_UNKNOWN'],
  // Then the Host, which is a name and never an alias.
  [{ host: 'quay.io', name: 'a' }, 'quay.io a'],
  [{ host: 'quay.io:443', name: 'a' }, 'quay.io a'],
  [{ host: 'host.test:5000', name: 'a' }, 'host.test:5000 a'],
  [{ host: 'index.docker.io', name: 'a' }, 'docker.io library/a'],
  [{ host: 'hub', name: 'a' }, 'docker.io library/a'],
  [{ host: 'mirror.test', name: 'quay.io/a' }, 'quay.io a'],
];

test('a request is routed by prefix, name, namespace and Host, in that order, or by default', (t) => {
  const routes = open(t);
  for (const [asked, route] of routings) assert.equal(routeOf(routes, asked), route, JSON.stringify(asked));
});

test('whatever a client writes, the upstream is one that is configured, and the namespace is one of its names', (t) => {
  const routes = open(t);
  const known = ['docker.io', 'hub', 'quay.io', 'host.test:5000', 'host', 'registry-1.docker.io', 'index.docker.io'];
  const label = fc.oneof(fc.constantFrom(...known), fc.domain(), fc.string());
  const maybe = fc.option(label, { nil: undefined });
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
  fc.assert(
    fc.property(maybe, maybe, name, maybe, (prefix, ns, whole, host) => {
      const asked = { name: whole, ...(prefix && { prefix }), ...(ns && { ns }), ...(host && { host }) };
      const route = routeOf(routes, asked);
      if (route === 'NAME_UNKNOWN') return;
      assert.match(
        route,
        /^(?:docker\.io|quay\.io|ghcr\.io|gcr\.io|registry\.k8s\.io|mcr\.microsoft\.com|public\.ecr\.aws|host\.test:5000) /,
      );
      if (asked.ns && !asked.prefix) assert.ok(known.includes(asked.ns.toLowerCase()) || route.startsWith(asked.ns));
    }),
    { numRuns: 500 },
  );
});

/** `*` is any number of any characters: tried out one by one. */
function matches(pattern: string, name: string): boolean {
  const [first] = pattern;
  if (first === undefined) return name === '';
  const rest = pattern.slice(1);
  if (first !== '*') return name.startsWith(first) && matches(rest, name.slice(1));
  return Array.from({ length: name.length + 1 }, (_, at) => at).some((at) => matches(rest, name.slice(at)));
}

/** Other upstreams would only take time to set up. */
const alone = Object.fromEntries(settingsOf({}).upstreams.map(({ name }) => [name, null]));

test('a repository may be pulled when a pattern allows it, and none denies it', (t) => {
  const text = (characters: string, maxLength: number) =>
    fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength });
  const patterns = fc.array(text('a*./', 4), { minLength: 1, maxLength: 2 });
  fc.assert(
    fc.property(fc.option(patterns), patterns, text('ab./', 6), (allow, deny, name) => {
      const entry = { deny, ...(allow && { allow }) };
      const routes = open(t, { defaultUpstream: 'quay.io', upstreams: { ...alone, 'quay.io': entry } });
      const may = (allow ?? ['*']).some((each) => matches(each, name)) && !deny.some((each) => matches(each, name));
      assert.equal(routeOf(routes, { prefix: 'quay.io', name }), may ? `quay.io ${name}` : 'DENIED');
    }),
    { numRuns: 50 },
  );
});

test('what was removed is not the default either', (t) => {
  const routes = open(t, { upstreams: { 'docker.io': null } });
  assert.equal(routeOf(routes, { name: 'a' }), 'NAME_UNKNOWN');
  assert.ok(routes.registries.every(({ name }) => name !== 'docker.io'));
});
