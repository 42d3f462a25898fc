import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { SqliteCatalog } from '../../../src/catalog/sqlite.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { tempDir } from '../../support/temp.ts';

const repository = { upstream: 'up.test', name: 'team/app' };
const digest = digestOf(Buffer.from('subject'));

test('each page of referrers is remembered for itself, also that there were none', (t) => {
  const catalog = new SqliteCatalog(join(tempDir(), 'catalog.db'));
  t.after(() => catalog.close());
  const first = { content: '{"manifests":[]}', next: 'page=2', checkedAt: 1 };
  const second = { content: undefined, next: undefined, checkedAt: 2 };
  catalog.referrers.put(repository, digest, '', first);
  catalog.referrers.put(repository, digest, 'page=2', second);
  assert.deepEqual(catalog.referrers.find(repository, digest, ''), first);
  assert.deepEqual(catalog.referrers.find(repository, digest, 'page=2'), second);
  assert.equal(catalog.referrers.find({ ...repository, name: 'team/other' }, digest, ''), undefined);
});

test('what clients make the catalog remember has an end: the oldest pages go, and long ones never come', (t) => {
  const catalog = new SqliteCatalog(join(tempDir(), 'catalog.db'));
  t.after(() => catalog.close());
  const page = (index: number) => catalog.referrers.find(repository, digest, `page=${index}`);
  const put = (index: number, content: string | undefined) =>
    catalog.referrers.put(repository, digest, `page=${index}`, { content, next: undefined, checkedAt: index });
  for (let index = 0; index < 20_010; index++) put(index, undefined);
  put(20_010, 'x'.repeat(300_000));
  catalog.flush();
  assert.equal(page(9), undefined);
  assert.notEqual(page(10), undefined);
  assert.notEqual(page(20_009), undefined);
  assert.equal(page(20_010), undefined);
});
