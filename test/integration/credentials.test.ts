import assert from 'node:assert/strict';
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../src/oci/digest.ts';
import { fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { always, redirectTo, status } from '../support/faults.ts';
import { makeImage, makeIndex } from '../support/images.ts';
import { FakeRegistry } from '../support/registry.ts';
import { type Scene, setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const basicOf = (username: string, password: string) => `Basic ${base64(`${username}:${password}`)}`;

interface Shop extends Scene {
  /** The upstream as a key of a credentials file. */
  readonly host: string;
  /** Replaces the credentials file. */
  write(json: unknown): Promise<void>;
}

/** A mirror whose logins stand in a credentials file, before a registry that wants tokens. */
async function openShop(t: TestContext, options: { upstream?: object; clock?: FakeClock } = {}): Promise<Shop> {
  const dockerConfig = join(tempDir(), 'config.json');
  const scene = await setScene(t, {
    upstream: { tagTtl: '0ms', ...options.upstream },
    config: { credentials: { dockerConfig } },
    ...(options.clock && { mirror: { clock: options.clock } }),
  });
  scene.upstream.requireTokens();
  const write = async (json: unknown) => {
    // As sidecars and kubelets do it: never half a file.
    await writeFile(`${dockerConfig}.new`, typeof json === 'string' ? json : JSON.stringify(json));
    await rename(`${dockerConfig}.new`, dockerConfig);
  };
  return { ...scene, host: new URL(scene.upstream.url).host, write };
}

function assertNothingLeaked({ mirror }: Pick<Scene, 'mirror'>, secret: RegExp): void {
  const logged = JSON.stringify(mirror.log);
  assert.doesNotMatch(logged, secret);
  assert.doesNotMatch(logged, /Basic |Bearer /);
}

const shapes: Readonly<Record<string, (host: string) => unknown>> = {
  'a config.json with `auth`': (host) => ({ auths: { [host]: { auth: base64('bob:p:w\0\0') } } }),
  'a config.json with username and password': (host) => ({ auths: { [host]: { username: 'bob', password: 'p:w' } } }),
  'a key with scheme and path': (host) => ({ auths: { [`https://${host}/v1/`]: { auth: base64('bob:p:w') } } }),
  'a .dockercfg': (host) => ({ [host]: { auth: base64('bob:p:w'), email: 'bob@example.com' } }),
};

for (const [shape, file] of Object.entries(shapes)) {
  test(`the login of ${shape} buys tokens`, async (t) => {
    const { upstream, host, write, manifestUrl, mirror } = await openShop(t);
    upstream.requireTokens({ admits: (authorization) => authorization === basicOf('bob', 'p:w') });
    await write(file(host));
    assert.equal((await fetchRaw(manifestUrl)).status, 200);
    assert.deepEqual(
      upstream.tokenAsks.map(({ method, params }) => `${method} ${params}`),
      ['GET service=fake&scope=repository%3Ateam%2Fapp%3Apull&account=bob'],
    );
    assertNothingLeaked({ mirror }, /p:w/);
  });
}

test('an upstream’s own login counts before the file for all', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  await writeFile(passwordFile, 'own');
  const { upstream, host, write, manifestUrl } = await openShop(t, {
    upstream: { credentials: { username: 'amy', passwordFile } },
  });
  await write({ auths: { [host]: { auth: base64('bob:file') } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.deepEqual(
    upstream.tokenAsks.map(({ authorization }) => authorization),
    [basicOf('amy', 'own')],
  );
});

test('a password that is rotated buys the next token', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  const { upstream, manifestUrl } = await openShop(t, {
    upstream: { credentials: { username: 'amy', passwordFile } },
  });
  for (const password of ['one', 'two\n', 'three\r\n']) {
    await writeFile(passwordFile, password);
    upstream.requireTokens({ admits: (authorization) => authorization === basicOf('amy', password.trimEnd()) });
    upstream.revokeTokens();
    assert.equal((await fetchRaw(manifestUrl)).status, 200);
  }
  assert.equal(upstream.tokenAsks.length, 3);
});

test('each repository logs in with the longest key that leads to it, and its token is never used for another’s', async (t) => {
  const { upstream, host, write, mirror } = await openShop(t);
  // One scope for all, as public ECR has it: nothing but the login tells these tokens apart.
  upstream.requireTokens({ challenge: (realm) => [`Bearer realm="${realm}",service="fake",scope="aws"`] });
  for (const name of ['team/app', 'team/app/sub', 'team/application', 'other/app']) {
    upstream.push(name, 'v1', makeImage(10));
  }
  await write({
    auths: {
      [`${host}/team`]: { auth: base64('team:1') },
      [host]: { auth: base64('all:0') },
      [`${host}/team/app`]: { auth: base64('app:2') },
    },
  });
  for (const name of ['team/app', 'team/app/sub', 'team/application', 'other/app']) {
    assert.equal((await fetchRaw(`${mirror.url}/v2/${name}/manifests/v1`)).status, 200);
  }
  assert.deepEqual(
    upstream.tokenAsks.map(({ authorization }) => authorization),
    [basicOf('app', '2'), basicOf('app', '2'), basicOf('team', '1'), basicOf('all', '0')],
  );
});

test('an identity token buys tokens by POST', async (t) => {
  const { upstream, host, write, manifestUrl, mirror } = await openShop(t);
  upstream.requireTokens({ admits: (_, { params }) => params.get('refresh_token') === 'identity-s3cret' });
  await write({
    auths: { [host]: { auth: base64('00000000-0000-0000-0000-000000000000:'), identitytoken: 'identity-s3cret' } },
  });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  const [ask] = upstream.tokenAsks;
  assert.deepEqual([ask?.method, ask?.authorization], ['POST', undefined]);
  assert.deepEqual(Object.fromEntries(ask?.params ?? []), {
    grant_type: 'refresh_token',
    refresh_token: 'identity-s3cret',
    service: 'fake',
    scope: 'repository:team/app:pull',
    client_id: 'weir',
    access_type: 'offline',
  });
  assert.ok(upstream.seen.every(({ path }) => !path.includes('s3cret')));
  assertNothingLeaked({ mirror }, /s3cret/);
});

for (const refusal of [400, 401, 404, 405]) {
  test(`where a service answers ${refusal} to POST, the password buys the token by GET`, async (t) => {
    const { upstream, host, write, manifestUrl } = await openShop(t);
    upstream.requireTokens({ admits: (_, { method }) => (method === 'POST' ? refusal : true) });
    await write({ auths: { [host]: { auth: base64('bob:pw'), identitytoken: 'identity' } } });
    assert.equal((await fetchRaw(manifestUrl)).status, 200);
    assert.deepEqual(
      upstream.tokenAsks.map(({ method, authorization }) => [method, authorization]),
      [
        ['POST', undefined],
        ['GET', basicOf('bob', 'pw')],
      ],
    );
  });
}

test('a registry token is shown as it is', async (t) => {
  const { upstream, host, write, manifestUrl, layerUrl, layer } = await openShop(t);
  upstream.requireTokens({ admits: () => false });
  upstream.acceptToken('registry-token');
  await write({ auths: { [host]: { registrytoken: 'registry-token' } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.equal(upstream.tokenAsks.length, 0);
});

test('a registry token that is refused is a failure of ours, until the file has a new one', async (t) => {
  const { upstream, host, write, manifestUrl } = await openShop(t);
  upstream.requireTokens({ admits: () => false });
  await write({ auths: { [host]: { registrytoken: 'old' } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 502);
  upstream.acceptToken('new');
  await write({ auths: { [host]: { registrytoken: 'new' } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
});

test('a file without a login for this registry means anonymous access', async (t) => {
  const { upstream, write, manifestUrl } = await openShop(t);
  await write({ auths: { 'elsewhere.test': { auth: base64('bob:pw') }, '127.0.0.1': { auth: base64('bob:pw') } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.deepEqual(
    upstream.tokenAsks.map(({ authorization }) => authorization),
    [undefined],
  );
});

const brokenFiles: Readonly<Record<string, (host: string) => unknown>> = {
  'is no JSON': () => '{"auths": s3cret',
  'is no object': () => '["s3cret"]',
  'has an `auth` without a colon': (host) => ({ auths: { [host]: { auth: base64('s3cret') } } }),
  'has an `auth` that is no text': (host) => ({ auths: { [host]: { auth: ['s3cret'] } } }),
  'names a helper with a path': (host) => ({ credHelpers: { [host]: '../../s3cret' } }),
  'has a map that is none': () => ({ auths: 's3cret' }),
};

for (const [what, file] of Object.entries(brokenFiles)) {
  test(`a file that ${what} is a failure of ours, with a place and without its content`, async (t) => {
    const { upstream, host, write, manifestUrl, mirror } = await openShop(t);
    upstream.requireTokens({ admits: (authorization) => authorization !== undefined });
    await write(file(host));
    const answer = await fetchRaw(manifestUrl);
    assert.equal(answer.status, 502);
    assertNothingLeaked({ mirror }, /s3cret/);
    assert.ok(!answer.body.includes('s3cret'));
    assert.match(JSON.stringify(mirror.log), /config\.json/);
    assert.ok(!answer.body.includes('config.json'));
  });
}

test('a file that is not there, or has gone, is a failure of ours; one that comes back is read', async (t) => {
  const { upstream, host, write, manifestUrl } = await openShop(t);
  upstream.requireTokens({ admits: (authorization) => authorization === basicOf('bob', 'pw') });
  assert.equal((await fetchRaw(manifestUrl)).status, 502);
  await write({ auths: { [host]: { auth: base64('bob:pw') } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
});

test('bad logins do not break public pulls, and the log says so', async (t) => {
  const { upstream, host, write, manifestUrl, layerUrl, layer, mirror } = await openShop(t);
  upstream.requireTokens({ admits: (authorization) => authorization === undefined });
  await write({ auths: { [host]: { auth: base64('bob:wrong') } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  const warnings = mirror.log.filter(({ level }) => level === 'warn');
  assert.deepEqual(
    warnings.map(({ message, fields }) => [message, fields['upstream']]),
    [['our login failed: going on without it', 'up.test']],
  );
  assertNothingLeaked({ mirror }, /wrong/);
});

/** Pulls an index, one of its manifests, and two blobs: one that the manifest names, and one that nothing names. */
async function assertPublicPull({ upstream, mirror, image, blobUrl }: Scene): Promise<void> {
  const extra = Buffer.from('named by nothing');
  upstream.requireTokens({ admits: (authorization) => authorization === undefined });
  upstream.putManifest('team/app', makeIndex(image), 'index');
  upstream.putBlob('team/app', extra);
  const urls = ['index', image.manifest.digest].map((last) => `${mirror.url}/v2/team/app/manifests/${last}`);
  urls.push(blobUrl(digestOf(image.config)), blobUrl(digestOf(extra)));
  for (const url of urls) assert.equal((await fetchRaw(url)).status, 200, url);
}

test('a login that is refused does not break a public pull after its first answer', async (t) => {
  const shop = await openShop(t);
  await shop.write({ auths: { [shop.host]: { auth: base64('bob:wrong') } } });
  await assertPublicPull(shop);
});

test('nor does a file that cannot be read break one', async (t) => {
  await assertPublicPull(await openShop(t));
  const passwordFile = join(tempDir(), 'missing');
  await assertPublicPull(await openShop(t, { upstream: { credentials: { username: 'amy', passwordFile } } }));
});

test('a login that is good again is used again some seconds later', async (t) => {
  const clock = new FakeClock();
  const { upstream, host, write, manifestUrl } = await openShop(t, { clock });
  upstream.requireTokens({ admits: (authorization) => authorization !== basicOf('bob', 'wrong') });
  await write({ auths: { [host]: { auth: base64('bob:wrong') } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  await write({ auths: { [host]: { auth: base64('bob:right') } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  clock.advance(6000);
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.deepEqual(
    upstream.tokenAsks.map(({ authorization }) => authorization),
    [basicOf('bob', 'wrong'), undefined, basicOf('bob', 'right')],
  );
});

for (const refusal of [401, 403, 404]) {
  test(`what is private answers ${refusal} to the anonymous: a bad login makes that a failure of ours, not an absence`, async (t) => {
    const { upstream, host, write, manifestUrl } = await openShop(t);
    upstream.requireTokens({ admits: (authorization) => authorization !== basicOf('bob', 'wrong') });
    await write({ auths: { [host]: { auth: base64('bob:wrong') } } });
    upstream.faults.push(
      status(refusal, { times: always, only: (path) => path.includes('/manifests/') && upstream.tokenAsks.length > 0 }),
    );
    assert.equal((await fetchRaw(manifestUrl)).status, 502);
    upstream.faults.length = 0;
    await write({ auths: { [host]: { auth: base64('bob:right') } } });
    assert.equal((await fetchRaw(manifestUrl)).status, 200);
  });
}

test('a login that was refused is not shown again for some seconds, unless it changes', async (t) => {
  const clock = new FakeClock();
  const { upstream, host, write, manifestUrl } = await openShop(t, { clock });
  upstream.requireTokens({ admits: (authorization) => authorization === basicOf('bob', 'right') });
  const shown = () => upstream.tokenAsks.filter(({ authorization }) => authorization !== undefined).length;
  await write({ auths: { [host]: { auth: base64('bob:wrong') } } });
  for (let i = 0; i < 5; i++) assert.equal((await fetchRaw(manifestUrl)).status, 502);
  assert.equal(shown(), 1);
  clock.advance(6000);
  assert.equal((await fetchRaw(manifestUrl)).status, 502);
  assert.equal(shown(), 2);
  await write({ auths: { [host]: { auth: base64('bob:right') } } });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
});

test('a token is used for most of its life, and one without a life for a minute', async (t) => {
  for (const life of [{ expires_in: 5 }, {}]) {
    const clock = new FakeClock();
    const { upstream, write, manifestUrl } = await openShop(t, { clock });
    await write({});
    upstream.requireTokens({ reply: (token) => ({ token, ...life }) });
    const asksAfter = async (ms: number) => {
      clock.advance(ms);
      assert.equal((await fetchRaw(manifestUrl)).status, 200);
      return upstream.tokenAsks.length;
    };
    assert.equal(await asksAfter(0), 1);
    assert.equal(await asksAfter(45_000), 1);
    upstream.requireTokens({ reply: (token) => ({ access_token: token, expires_in: 3600 }) });
    assert.equal(await asksAfter(5_000), 2);
    assert.equal(await asksAfter(2_800_000), 2);
    assert.equal(await asksAfter(100_000), 3);
  }
});

interface Helper {
  /** Its name, without `docker-credential-`. */
  readonly name: string;
  /** What it was asked for, run by run. */
  runs(): Promise<readonly string[]>;
  /** Replaces the script behind the bookkeeping. */
  write(script: string): Promise<void>;
}

/** A credential helper on the PATH: a shell script. */
async function putHelper(t: TestContext, script: string): Promise<Helper> {
  const dir = tempDir();
  const path = process.env['PATH'] ?? '';
  process.env['PATH'] = `${dir}:${path}`;
  t.after(() => {
    process.env['PATH'] = path;
  });
  const file = join(dir, 'docker-credential-test');
  const write = async (body: string) => {
    await writeFile(`${file}.new`, `#!/bin/sh\nread -r key\necho "$1 $key" >> ${dir}/log\n${body}\n`);
    await chmod(`${file}.new`, 0o755);
    await rename(`${file}.new`, file);
  };
  await write(script);
  const runs = async () => (await readFile(join(dir, 'log'), 'utf8').catch(() => '')).split('\n').slice(0, -1);
  return { name: 'test', runs, write };
}

const printing = (json: unknown) => `echo '${JSON.stringify(json)}'`;

test('a helper of the registry counts before the store for all, and that before what the file holds', async (t) => {
  const { name, runs } = await putHelper(t, printing({ ServerURL: 'x', Username: 'bob', Secret: 'helped' }));
  const { upstream, host, write, manifestUrl } = await openShop(t);
  upstream.requireTokens({ admits: (authorization) => authorization === basicOf('bob', 'helped') });
  await write({
    auths: { [host]: { auth: base64('bob:file') } },
    credsStore: 'nowhere',
    credHelpers: { [host]: name },
  });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  await write({ auths: { [host]: { auth: base64('bob:file') } }, credsStore: name });
  upstream.revokeTokens();
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.deepEqual(await runs(), [`get ${host}`]);
});

test('a helper’s secret under the name <token> is an identity token', async (t) => {
  const { name } = await putHelper(t, printing({ Username: '<token>', Secret: 'identity' }));
  const { upstream, write, manifestUrl } = await openShop(t);
  await write({ credsStore: name });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.deepEqual(
    upstream.tokenAsks.map(({ method, params }) => [method, params.get('refresh_token')]),
    [['POST', 'identity']],
  );
});

test('a helper that has no credentials means anonymous access', async (t) => {
  const { name } = await putHelper(t, `echo 'credentials not found in native keychain'; exit 1`);
  const { upstream, write, manifestUrl } = await openShop(t);
  await write({ credsStore: name });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.equal(upstream.tokenAsks[0]?.authorization, undefined);
});

const badHelpers: Readonly<Record<string, string>> = {
  fails: `echo 's3cret, AccessDenied' >&2; exit 1`,
  'prints no JSON': 'echo s3cret',
  'prints without end': 'while :; do echo s3cret-s3cret-s3cret-s3cret; done',
  'leaves its input unread': 'exit 3',
};

for (const [what, script] of Object.entries(badHelpers)) {
  test(`a helper that ${what} is a failure of ours, and not run again at once`, async (t) => {
    const { name, runs } = await putHelper(t, script);
    const { upstream, write, manifestUrl, mirror } = await openShop(t);
    upstream.requireTokens({ admits: (authorization) => authorization !== undefined });
    await write({ credsStore: name });
    for (let i = 0; i < 3; i++) assert.equal((await fetchRaw(manifestUrl)).status, 502);
    assert.equal((await runs()).length, 1);
    assertNothingLeaked({ mirror }, /s3cret/);
    assert.match(JSON.stringify(mirror.log), /docker-credential-test/);
  });
}

test('a helper that says nothing is given up, though a program that it started lives on', async (t) => {
  const clock = new FakeClock();
  const { name, runs } = await putHelper(t, 'sleep 30');
  const { upstream, write, manifestUrl, mirror } = await openShop(t, { clock });
  upstream.requireTokens({ admits: (authorization) => authorization !== undefined });
  await write({ credsStore: name });
  const answer = fetchRaw(manifestUrl);
  await until(async () => (await runs()).length === 1);
  clock.advance(5000);
  assert.equal((await answer).status, 502);
  assert.match(JSON.stringify(mirror.log), /docker-credential-test is silent/);
});

test('a helper that is not there is a failure of ours', async (t) => {
  const { upstream, write, manifestUrl, mirror } = await openShop(t);
  upstream.requireTokens({ admits: (authorization) => authorization !== undefined });
  await write({ credsStore: 'not-there' });
  assert.equal((await fetchRaw(manifestUrl)).status, 502);
  assert.match(JSON.stringify(mirror.log), /docker-credential-not-there failed \(ENOENT\)/);
});

test('a helper’s login is rotated: the new one is asked for when the old one is refused', async (t) => {
  const clock = new FakeClock();
  const { name, runs, write: rewrite } = await putHelper(t, printing({ Username: 'AWS', Secret: 'one' }));
  const { upstream, write, layerUrl, layer, manifestUrl } = await openShop(t, { clock });
  upstream.requireBasic('AWS', 'one');
  await write({ credsStore: name });
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  clock.advance(6000);
  await rewrite(printing({ Username: 'AWS', Secret: 'two' }));
  upstream.requireBasic('AWS', 'two');
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.equal((await runs()).length, 2);
});

test('a login goes to no token service of another domain, unless it is configured', async (t) => {
  const service = await FakeRegistry.start();
  t.after(() => service.close());
  service.requireTokens({ admits: (authorization) => authorization === basicOf('bob', 'pw') });
  const realm = service.url.replace('127.0.0.1', 'localhost');
  for (const realms of [[], [new URL(realm).host]]) {
    const { upstream, host, write, manifestUrl } = await openShop(t, { upstream: { privateNetwork: true, realms } });
    upstream.requireTokens({ challenge: () => [`Bearer realm="${realm}/token",service="fake"`] });
    await write({ auths: { [host]: { auth: base64('bob:pw') } } });
    await fetchRaw(manifestUrl);
  }
  assert.deepEqual(
    service.tokenAsks.map(({ authorization }) => authorization),
    [undefined, basicOf('bob', 'pw')],
  );
});

test('a registry that ours redirects to is asked anonymously, as it challenges itself', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  await writeFile(passwordFile, 'pw');
  const { upstream, manifestUrl, layerUrl, layer } = await openShop(t, {
    upstream: { privateNetwork: true, credentials: { username: 'bob', passwordFile } },
  });
  const other = await FakeRegistry.start();
  t.after(() => other.close());
  other.putBlob('team/app', layer);
  other.requireTokens();
  upstream.faults.push(redirectTo(other.url));
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.ok((await fetchRaw(layerUrl)).body.equals(layer));
  assert.deepEqual([...new Set(other.tokenAsks.map(({ authorization }) => authorization))], [undefined]);
  const [token] = upstream.seen.flatMap(({ authorization }) =>
    authorization?.startsWith('Bearer') ? [authorization] : [],
  );
  assert.ok(token !== undefined && other.seen.every(({ authorization }) => authorization !== token));
});

test('a registry that ours redirects to gets no login, even if it asks for one', async (t) => {
  const passwordFile = join(tempDir(), 'password');
  await writeFile(passwordFile, 'pw');
  const { upstream, manifestUrl, layerUrl } = await openShop(t, {
    upstream: { privateNetwork: true, credentials: { username: 'bob', passwordFile }, giveUp: '1s' },
  });
  const other = await FakeRegistry.start();
  t.after(() => other.close());
  other.requireBasic('bob', 'pw');
  upstream.faults.push(redirectTo(other.url));
  assert.equal((await fetchRaw(manifestUrl)).status, 200);
  assert.equal((await fetchRaw(layerUrl)).status, 404);
  assert.ok(other.seen.length > 0 && other.seen.every(({ authorization }) => authorization === undefined));
});
