import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRuntime } from '../../../src/pulls/runtimes.ts';
import { canTimeOut, type Watchdog } from '../../../src/pulls/watchdogs.ts';

const crio = (version: string) => parseRuntime(`cri-o/${version} go/go1.22.12 os/linux arch/amd64`);

const boundaries: Readonly<Record<Watchdog, readonly string[]>> = {
  none: ['0.3.0', '1.0.0', '1.9.16', '1.29.0', '1.29.13'],
  fixed10: ['1.30.0', '1.30.10', '1.31.0', '1.31.2'],
  configurable10: ['1.30.11', '1.30.13', '1.31.3', '1.31.8', '1.32.0', '1.32.3'],
  off: ['1.30.14', '1.30.99', '1.31.9', '1.31.13', '1.32.4', '1.32.11', '1.33.0', '1.36.1', '1.100.0', '2.0.0'],
};

test('each version of CRI-O has the watchdog that it was released with', () => {
  for (const [watchdog, versions] of Object.entries(boundaries)) {
    for (const version of versions) {
      assert.deepEqual(crio(version), { name: 'cri-o', version, watchdog, fallsBack: false, takesParts: false });
    }
  }
});

test('suffixes of distributions and developers do not change the row', () => {
  const builds: readonly (readonly [version: string, watchdog: Watchdog])[] = [
    ['1.29.11-3.rhaos4.16.gitfd6d4ea.el9', 'none'],
    ['1.30.4-rhaos4.17.git3c6a9ba', 'fixed10'],
    ['1.30.11-2.rhaos4.17.git9e3a1b2.el9', 'configurable10'],
    ['1.30.14-3.rhaos4.17.git1d0a8b8.el9', 'off'],
    ['1.31.2-dev', 'fixed10'],
    ['1.31.3-dev', 'configurable10'],
    ['1.32.4-dev', 'off'],
    ['1.31.2+build.7', 'fixed10'],
    ['1.31.10+git20250601', 'off'],
    ['1.32.3~rc1', 'configurable10'],
    ['v1.31.2', 'fixed10'],
  ];
  for (const [version, watchdog] of builds) assert.equal(crio(version).watchdog, watchdog, version);
});

test('a missing patch counts as the first release, and an unreadable version as one that can time out', () => {
  assert.equal(crio('1.29').watchdog, 'none');
  assert.equal(crio('1.31').watchdog, 'fixed10');
  assert.equal(crio('1.32-dev').watchdog, 'configurable10');
  assert.equal(crio('1.33').watchdog, 'off');
  for (const userAgent of ['cri-o', 'cri-o/', 'cri-o/unknown', 'cri-o/1']) {
    const { name, watchdog } = parseRuntime(userAgent);
    assert.deepEqual([name, watchdog], ['cri-o', 'configurable10'], userAgent);
  }
});

test('other runtimes have no watchdog that a mirror has to keep quiet, and say whether they fall back', () => {
  const cases: readonly (readonly [userAgent: string | undefined, name: string, version: string, falls: boolean])[] = [
    ['containers/5.36.1 (github.com/containers/image)', 'containers', '5.36.1', false],
    ['libpod/4.3.1', 'containers', '4.3.1', false],
    ['Buildah/1.28.2', 'containers', '1.28.2', false],
    ['skopeo/1.9.3', 'skopeo', '1.9.3', false],
    ['containerd/v2.1.4', 'containerd', '2.1.4', true],
    ['docker/20.10.24 go/go1.19.8 os/linux arch/amd64 UpstreamClient(x)', 'docker', '20.10.24', true],
    ['curl/8.5.0', 'other', '', true],
    ['cri-outlet/1.31.2', 'other', '', true],
    ['criproxy cri-o/1.31.2', 'other', '', true],
    ['', 'other', '', true],
    [undefined, 'other', '', true],
  ];
  for (const [userAgent, name, version, fallsBack] of cases) {
    const takesParts = name === 'containerd';
    const runtime = { name, version, watchdog: 'none', fallsBack, takesParts };
    assert.deepEqual(parseRuntime(userAgent), runtime, userAgent ?? 'none');
  }
});

test('a version is taken only as far as it is reasonable', () => {
  assert.equal(crio(`1.31.2-${'x'.repeat(5000)}`).version.length, 64);
  assert.equal(crio(`1.31.2-${'x'.repeat(5000)}`).watchdog, 'fixed10');
  assert.equal(crio(`1.${'9'.repeat(60)}`).watchdog, 'off');
});

test('only a watchdog that runs unless somebody turns it off can time out', () => {
  const able = (['none', 'fixed10', 'configurable10', 'off'] as const).filter(canTimeOut);
  assert.deepEqual(able, ['fixed10', 'configurable10']);
});
