import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { StorageError } from '../../../src/storage/driver.ts';
import { Hasher } from '../../../src/storage/hasher.ts';
import { tempDir } from '../../support/temp.ts';

const ended = (error: unknown) => error instanceof StorageError && error.code === 'EHASHER';

test('when the hashing thread ends, nobody waits for it any more: what was asked fails, and what is asked then', async () => {
  const path = join(tempDir(), 'file');
  writeFileSync(path, Buffer.alloc(1000));
  const hasher = new Hasher();
  const stream = hasher.open(path, 'sha256');
  const opening = hasher.open(path, 'sha256').hash(10);
  await stream.hash(10);
  const asked = [opening, stream.hash(1000), stream.digest(), stream.checksum([{ start: 0, end: 10 }])];
  const outcomes = Promise.allSettled(asked);
  await hasher.close();
  for (const outcome of await outcomes) {
    // The thread may have answered before it ended.
    if (outcome.status === 'rejected') assert.ok(ended(outcome.reason), String(outcome.reason));
  }
  await assert.rejects(stream.hash(1000), ended);
  await assert.rejects(stream.close(), ended);
  assert.throws(() => hasher.open(path, 'sha256'), ended);
});
