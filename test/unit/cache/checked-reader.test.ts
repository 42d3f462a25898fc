import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CheckedReader } from '../../../src/cache/checked-reader.ts';
import { chunkSize, StorageError, type StoredBlob } from '../../../src/storage/driver.ts';

const size = 3 * chunkSize;

/** A blob whose chunks cannot be checked, for this reason. */
function blobThatFails(code: string): StoredBlob {
  const fail = () => Promise.reject(new StorageError(code, 'not now'));
  return { size, read: async () => 0, hash: fail, digest: fail, checksum: fail, close: async () => {} };
}

/** Whether what cannot be checked for this reason is taken for damaged. */
async function isRepaired(code: string): Promise<boolean> {
  let repaired = false;
  const reader = new CheckedReader(blobThatFails(code), size, {
    checksums: new Uint32Array(3),
    every: 1,
    first: 0,
    repair: async () => {
      repaired = true;
      return new CheckedReader(blobThatFails('EMFILE'), size, {
        ...{ checksums: new Uint32Array(3), every: 1, first: 0 },
        repair: assert.fail,
      });
    },
  });
  await reader.arrival(0, new AbortController().signal);
  assert.ok(reader.ready(0) > 0);
  await reader.close();
  return repaired;
}

test('what cannot be read is damaged; what cannot be read just now, for want of files, is not', async () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOMEM', 'EHASHER']) assert.equal(await isRepaired(code), false, code);
  assert.equal(await isRepaired('EIO'), true);
});
