import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatReference, parseImageName } from '../../../src/oci/image-name.ts';
import { platformsOf } from '../../../src/oci/platforms.ts';

const digest = `sha256:${'a'.repeat(64)}`;

test('an image is named by repository, tag and digest', () => {
  const cases: [string, string, string][] = [
    ['busybox', 'busybox', ':latest'],
    ['docker.io/library/busybox:1.36', 'docker.io/library/busybox', ':1.36'],
    ['localhost:5000/app', 'localhost:5000/app', ':latest'],
    ['[::1]:5000/team/app:v1', '[::1]:5000/team/app', ':v1'],
    [`team/app@${digest}`, 'team/app', `@${digest}`],
    [`team/app:v1@${digest}`, 'team/app', `@${digest}`],
  ];
  for (const [text, name, reference] of cases) {
    const parsed = parseImageName(text) ?? assert.fail(text);
    assert.deepEqual([parsed.name, formatReference(parsed.reference)], [name, reference]);
  }
  for (const text of ['', 'UPPER', 'a:b:c', 'a@sha256:1', 'a/:v1', 'a b', 'a:.x', '-a/b/', `a@${digest}@${digest}`])
    assert.equal(parseImageName(text), undefined, text);
});

test('of an index, what is for a platform is found, whatever its variant where none is said', () => {
  const at = (letter: string, platform?: object) => ({ digest: `sha256:${letter.repeat(64)}`, platform });
  const manifests = [
    at('a', { os: 'linux', architecture: 'amd64' }),
    at('b', { os: 'linux', architecture: 'arm', variant: 'v6' }),
    at('c', { os: 'linux', architecture: 'arm', variant: 'v7' }),
    at('d'),
    { digest: 'x', platform: { os: 'linux', architecture: 'amd64' } },
  ];
  const index = Buffer.from(JSON.stringify({ manifests }));
  const lettersOf = (...platforms: string[]) => platformsOf(index, platforms).map((each) => each.digest[7]);
  assert.deepEqual(lettersOf('linux/arm'), ['b', 'c']);
  assert.deepEqual(lettersOf('linux/arm/v7', 'linux/amd64'), ['a', 'c']);
  assert.deepEqual(lettersOf('windows/amd64'), []);
});
