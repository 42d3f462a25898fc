import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fetchRaw } from '../support/client.ts';
import { makeContent, pushContent } from '../support/content.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { FakeRegistry } from '../support/registry.ts';
import { type Place, registryConformance } from './registry.ts';

const upstreamName = 'conformance/repo1';

/** A mirror of a registry that has all of the content. Closing it closes both. */
async function openMirror(repository: string, referrersApi: boolean): Promise<Place & { upstream: FakeRegistry }> {
  const upstream = await FakeRegistry.start();
  const content = makeContent();
  pushContent(upstream, upstreamName, content, referrersApi);
  const { url, close } = await startMirror({ after: () => {} }, { config: upstreamConfig(upstream.url) });
  return {
    url,
    repository,
    content,
    upstream,
    close: async () => {
      await close();
      await upstream.close();
    },
  };
}

registryConformance('by the default upstream', () => openMirror(upstreamName, true));
registryConformance('by its name, without the referrers API', () => openMirror(`up.test/${upstreamName}`, false));

test('all of it is served again without the upstream', async (t) => {
  const { url, content, upstream, close } = await openMirror(upstreamName, true);
  t.after(close);
  const base = `${url}/v2/${upstreamName}`;
  const readAll = async () => {
    for (const [tag, { bytes }] of content.manifests) {
      assert.ok((await fetchRaw(`${base}/manifests/${tag}`)).body.equals(bytes), tag);
    }
    for (const [digest, bytes] of content.blobs) {
      assert.ok((await fetchRaw(`${base}/blobs/${digest}`)).body.equals(bytes), digest);
    }
  };
  await readAll();
  const asked = upstream.seen.length;
  await upstream.close();
  await readAll();
  assert.equal(upstream.seen.length, asked);
});
