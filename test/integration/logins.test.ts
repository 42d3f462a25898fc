import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { fetchRaw, sendBytes } from '../support/client.ts';
import { setScene } from '../support/scene.ts';
import { tempDir } from '../support/temp.ts';
import { until } from '../support/until.ts';

const password = 'a pass:word ü';
const cost = 4;

/** An htpasswd file with these users, all with the same password. */
function passwordFile(...users: readonly string[]): string {
  const file = join(tempDir(), 'htpasswd');
  writePasswords(file, ...users);
  return file;
}

function writePasswords(file: string, ...users: readonly string[]): void {
  writeFileSync(file, users.map((user) => `${user}:${hashSync(password, cost)}\n`).join(''));
}

const login = (user: string, secret = password) => ({
  authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`,
});

test('with an htpasswd file only its users get in, and are told so in OCI form', async (t) => {
  const scene = await setScene(t, { config: { clients: { htpasswd: passwordFile('node') } } });
  const { mirror, manifestUrl, layerUrl, layer } = scene;
  const outsiders = [
    {},
    login('node', 'wrong'),
    login('nobody'),
    login(''),
    { authorization: 'Bearer x' },
    { authorization: 'Basic' },
  ];
  for (const headers of outsiders) {
    for (const url of [
      `${mirror.url}/v2/`,
      `${mirror.url}/v2`,
      manifestUrl,
      layerUrl,
      `${mirror.url}/docker.io/v2/x`,
    ]) {
      const answer = await fetchRaw(url, { headers });
      assert.equal(answer.status, 401, url);
      assert.equal(answer.headers['www-authenticate'], 'Basic realm="weir"');
      assert.equal(JSON.parse(answer.body.toString()).errors[0].code, 'UNAUTHORIZED');
    }
  }
  assert.equal((await fetchRaw(manifestUrl, { method: 'HEAD' })).status, 401);
  assert.equal((await fetchRaw(manifestUrl, { method: 'PUT' })).status, 401);
  assert.equal(scene.upstream.seen.length, 0);
  assert.equal((await fetchRaw(`${mirror.url}/readyz`)).status, 200);
  assert.equal((await fetchRaw(`${mirror.url}/v2/`, { headers: login('node') })).status, 200);
  assert.equal((await fetchRaw(manifestUrl, { headers: login('node') })).status, 200);
  assert.ok((await fetchRaw(layerUrl, { headers: login('node') })).body.equals(layer));
});

test('what `htpasswd -nbB` wrote is understood', async (t) => {
  const htpasswd = join(tempDir(), 'htpasswd');
  writeFileSync(htpasswd, 'node:$2y$05$ALInwSnOAExur7EBhigORO44MTLHUGdSDSZAppJeN8uztdgB4apXG\n');
  const { mirror } = await setScene(t, { config: { clients: { htpasswd } } });
  const statuses = ['a pass:word', 'a pass:words', ''].map(async (secret) => {
    return (await fetchRaw(`${mirror.url}/v2/`, { headers: login('node', secret) })).status;
  });
  assert.deepEqual(await Promise.all(statuses), [200, 401, 401]);
});

test('what a client logs in with goes nowhere: not upstream, not into the log, whether it is asked for or not', async (t) => {
  for (const clients of [{ htpasswd: passwordFile('node') }, {}]) {
    const { mirror, manifestUrl, layerUrl, upstream } = await setScene(t, { config: { clients } });
    const headers = { ...login('node'), 'proxy-authorization': 'Basic cHJveHk6cHJveHk=', cookie: 'session=secret' };
    for (const url of [`${mirror.url}/v2/`, manifestUrl, layerUrl]) {
      assert.equal((await fetchRaw(url, { headers })).status, 200);
    }
    await fetchRaw(manifestUrl, { headers: login('node', 'wr0ng') });
    assert.ok(upstream.seen.length > 0);
    const told = JSON.stringify([upstream.seen, mirror.log, await mirror.metrics()]);
    for (const secret of [
      password,
      'wr0ng',
      'cHJveHk6',
      'session=',
      '$2b$',
      headers.authorization,
      'uthorization":"',
    ]) {
      assert.ok(!told.includes(secret), secret);
    }
  }
});

test('a changed file counts at once, and a broken one is reported while the old one stays', async (t) => {
  const htpasswd = passwordFile('node', 'leaver');
  const { mirror } = await setScene(t, { config: { clients: { htpasswd } } });
  const status = async (user: string, secret?: string) =>
    (await fetchRaw(`${mirror.url}/v2/`, { headers: login(user, secret) })).status;
  assert.deepEqual([await status('node'), await status('leaver'), await status('newcomer')], [200, 200, 401]);
  writePasswords(htpasswd, 'node', 'newcomer');
  await until(async () => (await status('newcomer')) === 200);
  assert.deepEqual([await status('node'), await status('leaver')], [200, 401]);
  writeFileSync(htpasswd, `node:${hashSync('changed', cost)}\n`);
  await until(async () => (await status('node', 'changed')) === 200);
  assert.equal(await status('node'), 401);
  writeFileSync(htpasswd, 'node:changed\n');
  await until(() => mirror.log.some(({ level }) => level === 'error'));
  assert.deepEqual([await status('node', 'changed'), await status('node')], [200, 401]);
});

test('it does not start with a file that cannot be used, nor with hashes that nobody could check', async (t) => {
  const htpasswd = passwordFile();
  const hash = hashSync(password, cost);
  for (const line of ['secret', hash.replace('$04$', '$03$'), hash.replace('$04$', '$31$')]) {
    writeFileSync(htpasswd, `node:${line}\n`);
    await assert.rejects(setScene(t, { config: { clients: { htpasswd } } }), {
      name: 'ConfigError',
      message: `${htpasswd}:1: expected a line as htpasswd -B writes it, with a cost up to 16`,
    });
  }
});

test('a login is compared once, however often it comes, and an unknown user takes as long as a wrong password', async (t) => {
  const htpasswd = join(tempDir(), 'htpasswd');
  writeFileSync(htpasswd, `node:${hashSync(password, 12)}\n`);
  const { mirror } = await setScene(t, { config: { clients: { htpasswd } } });
  const time = async (headers: Record<string, string>, times = 1) => {
    const start = performance.now();
    for (let done = 0; done < times; done++) await fetchRaw(`${mirror.url}/v2/`, { headers });
    return performance.now() - start;
  };
  const once = await time(login('node'));
  const often = await time(login('node'), 20);
  assert.ok(often < once * 10, `${once} ${often}`);
  // No machine computes this hash in less.
  for (const user of ['node', 'nobody']) assert.ok((await time(login(user, 'wrong'))) > 40, user);
});

test('a flood of wrong passwords holds up neither those who are in nor the process', async (t) => {
  const htpasswd = join(tempDir(), 'htpasswd');
  writeFileSync(htpasswd, `node:${hashSync(password, 8)}\n`);
  const { mirror, manifestUrl, layerUrl, layer } = await setScene(t, { config: { clients: { htpasswd } } });
  await fetchRaw(manifestUrl, { headers: login('node') });
  const flood = Array.from({ length: 300 }, (_, index) => {
    return fetchRaw(`${mirror.url}/v2/`, { headers: login('node', `guess ${index}`) });
  });
  const answer = await fetchRaw(layerUrl, { headers: login('node') });
  assert.ok(answer.body.equals(layer));
  const statuses = Map.groupBy(await Promise.all(flood), ({ status }) => status);
  assert.deepEqual([...statuses.keys()].toSorted(), [401, 503]);
  assert.equal(await sendBytes(mirror.port, 'GET /v2/ HTTP/1.0\r\n\r\n').then(({ text }) => text.slice(9, 12)), '401');
});
