import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientAnswer, fetchRaw } from '../support/client.ts';
import { FakeClock } from '../support/clock.ts';
import { status } from '../support/faults.ts';
import { type Scene, setScene } from '../support/scene.ts';

const codeOf = ({ body }: ClientAnswer): unknown => JSON.parse(body.toString()).errors[0].code;
const tagsOf = ({ body }: ClientAnswer): string[] => JSON.parse(body.toString()).tags;
const tagsUrl = ({ mirror }: Scene) => `${mirror.url}/v2/team/app/tags/list`;

/** Where a `Link` leads to, as clients follow it: its path and query, at the mirror. */
function nextOf({ headers }: ClientAnswer, { mirror }: Scene): string | undefined {
  const target = /^<(\/[^>]*)>; rel="next"$/.exec(String(headers['link']))?.[1];
  return target && `${mirror.url}${target}`;
}

async function setTaggedScene(t: Parameters<typeof setScene>[0]): Promise<Scene> {
  const scene = await setScene(t);
  for (const tag of ['v2', 'v3', 'latest', 'a_b']) scene.upstream.push('team/app', tag, scene.image);
  return scene;
}

test('tags are listed, under the name that the client knows', async (t) => {
  const { mirror } = await setTaggedScene(t);
  for (const name of ['team/app', 'up.test/team/app']) {
    const answer = await fetchRaw(`${mirror.url}/v2/${name}/tags/list`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.deepEqual(JSON.parse(answer.body.toString()), { name, tags: ['a_b', 'latest', 'v1', 'v2', 'v3'] });
    assert.equal(answer.headers['link'], undefined);
  }
});

test('a HEAD of a list tells its length', async (t) => {
  const scene = await setTaggedScene(t);
  const answer = await fetchRaw(tagsUrl(scene), { method: 'HEAD' });
  const { length } = (await fetchRaw(tagsUrl(scene))).body;
  assert.deepEqual([answer.status, answer.headers['content-length'], answer.body.length], [200, String(length), 0]);
});

const layouts = [
  '/v2/team/app/tags/list?n=2',
  '/v2/up.test/team/app/tags/list?n=2',
  '/v2/team/app/tags/list?n=2&ns=up.test',
  '/up.test/v2/team/app/tags/list?n=2&ns=up.test',
  '/v2/team/app/tags/list?last=a&n=2',
];

for (const linkBase of ['', 'https://registry.up.test']) {
  for (const layout of layouts) {
    test(`pages of ${layout} are followed at the mirror, where links lead to ${linkBase || 'a path'}`, async (t) => {
      const scene = await setTaggedScene(t);
      scene.upstream.lists.linkBase = linkBase;
      const tags: string[] = [];
      let url: string | undefined = `${scene.mirror.url}${layout}`;
      while (url !== undefined) {
        const answer: ClientAnswer = await fetchRaw(url);
        assert.ok(tagsOf(answer).length <= 2);
        tags.push(...tagsOf(answer));
        url = nextOf(answer, scene);
        if (url === undefined) continue;
        assert.equal(new URL(url).pathname, layout.split('?')[0]);
        assert.equal(new URL(url).searchParams.get('ns'), layout.includes('ns=') ? 'up.test' : null);
      }
      assert.deepEqual(tags, ['a_b', 'latest', 'v1', 'v2', 'v3']);
      assert.equal(scene.upstream.seen.length, 3);
      assert.ok(scene.upstream.seen.every(({ path }) => path.startsWith('/v2/team/app/') && !path.includes('ns=')));
    });
  }
}

test('what an upstream calls its pages is passed back to it', async (t) => {
  const scene = await setTaggedScene(t);
  scene.upstream.lists.quirk = (path, search) => {
    const last = search.get('next_page') === 'gAAA=+/ ';
    const link = `<${path}?next_page=gAAA%3D%2B%2F%20>; rel="next"`;
    const body = JSON.stringify({ name: 'x', tags: [last ? 'b' : 'a'] });
    return { type: 'application/json', body, ...(last ? {} : { link }) };
  };
  const first = await fetchRaw(tagsUrl(scene));
  const second = await fetchRaw(String(nextOf(first, scene)));
  assert.deepEqual([...tagsOf(first), ...tagsOf(second), nextOf(second, scene)], ['a', 'b', undefined]);
});

for (const target of [`?next=${'x'.repeat(3000)}`, 'https://['])
  test(`a list whose next page cannot be asked for is a failure, not a short list: ${target.slice(0, 20)}`, async (t) => {
    const scene = await setTaggedScene(t);
    const link = `<${target}>; rel="next"`;
    scene.upstream.lists.quirk = () => ({ type: 'application/json', body: '{"tags":["a"]}', link });
    assert.equal((await fetchRaw(tagsUrl(scene))).status, 502);
  });

const quirks: Readonly<Record<string, readonly [body: string, tags: readonly string[]]>> = {
  'null for no tags': ['{"name":"team/app","tags":null}', []],
  'no tags at all': ['{"name":"team/app"}', []],
  'null among them (Nexus)': ['{"name":"team/app","tags":["a",null,"b"]}', ['a', 'b']],
  'digests among them (Artifactory)': [`{"tags":["a","sha256:${'a'.repeat(64)}"]}`, ['a']],
  'further keys (Google)': ['{"child":[],"manifest":{"sha256:x":{}},"name":"x","tags":["a"]}', ['a']],
};

for (const [name, [body, tags]] of Object.entries(quirks)) {
  test(`an upstream that sends ${name} is put right`, async (t) => {
    const scene = await setTaggedScene(t);
    scene.upstream.lists.quirk = () => ({ type: 'application/json; charset=utf-8', body });
    assert.deepEqual(JSON.parse((await fetchRaw(tagsUrl(scene))).body.toString()), { name: 'team/app', tags });
  });
}

test('an n that is no number is refused, and 0 of them are none; nobody is asked', async (t) => {
  const scene = await setTaggedScene(t);
  for (const query of ['n=-1', 'n=x', 'n=', 'n=1.5', 'n=1&n=x', `page=${'x'.repeat(3000)}`]) {
    const answer = await fetchRaw(`${tagsUrl(scene)}?${query}`);
    assert.deepEqual([answer.status, codeOf(answer)], [400, 'PAGINATION_NUMBER_INVALID'], query);
  }
  const none = await fetchRaw(`${tagsUrl(scene)}?n=0`);
  assert.deepEqual([none.status, tagsOf(none), none.headers['link']], [200, [], undefined]);
  assert.equal(scene.upstream.seen.length, 0);
});

test('an n that is too large for the upstream is the client’s mistake', async (t) => {
  const scene = await setTaggedScene(t);
  scene.upstream.faults.push(status(400, { only: (path) => path.includes('/tags/') }));
  const answer = await fetchRaw(`${tagsUrl(scene)}?n=100000`);
  assert.deepEqual([answer.status, codeOf(answer)], [400, 'PAGINATION_NUMBER_INVALID']);
  assert.equal((await fetchRaw(`${tagsUrl(scene)}?n=100`)).status, 200);
});

test('a repository that is not there, or is not ours to see, is unknown', async (t) => {
  const scene = await setTaggedScene(t);
  const missing = await fetchRaw(`${scene.mirror.url}/v2/team/missing/tags/list`);
  assert.deepEqual([missing.status, codeOf(missing)], [404, 'NAME_UNKNOWN']);
  scene.upstream.faults.push(status(403, { only: (path) => path.includes('/tags/') }));
  const denied = await fetchRaw(tagsUrl(scene));
  assert.deepEqual([denied.status, codeOf(denied)], [404, 'NAME_UNKNOWN']);
});

test('a failure of the upstream is one, whatever it is', async (t) => {
  const scene = await setTaggedScene(t);
  const fail = (code: number) => scene.upstream.faults.push(status(code, { only: (path) => path.includes('/tags/') }));
  fail(500);
  assert.equal((await fetchRaw(tagsUrl(scene))).status, 502);
  for (const body of ['<html>', '[]', '{"tags":"all"}', `{"tags":["${'x'.repeat(9_000_000)}"]}`]) {
    scene.upstream.lists.quirk = () => ({ type: 'application/json', body });
    assert.equal((await fetchRaw(tagsUrl(scene))).status, 502);
  }
  fail(429);
  assert.equal((await fetchRaw(tagsUrl(scene))).status, 503);
});

test('many who ask for the same page ask the upstream once; later it is asked again', async (t) => {
  const clock = new FakeClock();
  const scene = await setScene(t, { mirror: { clock } });
  await Promise.all(Array.from({ length: 20 }, () => fetchRaw(tagsUrl(scene))));
  const asked = scene.upstream.seen.length;
  assert.ok(asked < 20, `${asked} requests`);
  scene.upstream.push('team/app', 'v2', scene.image);
  assert.deepEqual(tagsOf(await fetchRaw(tagsUrl(scene))), ['v1', 'v2']);
});
