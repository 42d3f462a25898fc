import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { InflightBlob } from '../../../src/cache/inflight.ts';
import { Keeping } from '../../../src/cache/keeping.ts';
import { Recent } from '../../../src/cache/recent.ts';
import { WindowBudget } from '../../../src/cache/window.ts';
import { SqliteCatalog } from '../../../src/catalog/sqlite.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { DiskStorage } from '../../../src/storage/disk.ts';
import { type Piece, StorageError } from '../../../src/storage/driver.ts';
import { FakeClock } from '../../support/clock.ts';
import { HeldRoom } from '../../support/held-room.ts';
import { tempDir } from '../../support/temp.ts';

const kib = 1024;
const firstRoom = 256 * kib;
const digest = digestOf(Buffer.from('any'));

/** A blob that is being kept, and the room for it. */
async function setScene(t: TestContext, size: number | undefined, recorded: readonly Piece[] = []) {
  const storage = await DiskStorage.open(tempDir());
  const catalog = new SqliteCatalog(':memory:');
  const ingest = await storage.ingest('arriving', digest);
  t.after(async () => {
    await ingest.close();
    await storage.close();
    catalog.close();
  });
  const room = new HeldRoom(firstRoom);
  const blob: InflightBlob = new InflightBlob(ingest, size, new Recent(), {
    held: (interval) => keeping.mark(interval),
    wanted() {},
    unwritable(error) {
      assert.fail(String(error));
    },
    closed() {},
  });
  const plan = { registry: { name: 'up.test' }, digest, name: 'arriving', ingest, room, recorded };
  if (size !== undefined && recorded.length > 0) {
    catalog.partials.put({ name: 'arriving', upstream: 'up.test', digest, size, usedAt: 0 });
    catalog.partials.record('arriving', [0], recorded);
  }
  const context = { clock: new FakeClock(), catalog, windows: new WindowBudget(), passes() {} };
  const keeping = new Keeping(plan, blob, context, { dropped() {} });
  return { room, blob, keeping, catalog };
}

test('no more is written than there is room for, until it is granted', async (t) => {
  const { room, blob, keeping } = await setScene(t, 8 * firstRoom);
  assert.ok(keeping.hasRoomFor(firstRoom));
  await blob.write(0, [Buffer.alloc(firstRoom)]);
  assert.equal(keeping.hasRoomFor(1), false);
  const waits = Promise.all([keeping.waitForRoom(1), keeping.waitForRoom(kib)]);
  room.answer(true);
  await waits;
  assert.deepEqual(room.asked, [8 * firstRoom]);
  assert.ok(keeping.hasRoomFor(7 * firstRoom));
  // What comes twice needs no more room than all of it.
  assert.ok(keeping.hasRoomFor(100 * firstRoom));
});

test('what gets no room is passed on, and waits for none', async (t) => {
  const { room, keeping } = await setScene(t, 8 * firstRoom);
  const refused = keeping.waitForRoom(2 * firstRoom);
  room.answer(false);
  await refused;
  assert.ok(keeping.passing);
  assert.ok(keeping.hasRoomFor(2 * firstRoom));
});

test('a disk that fails when it is asked for room passes on too; any other failure is told', async (t) => {
  const { room, keeping } = await setScene(t, 8 * firstRoom);
  const mistaken = keeping.waitForRoom(2 * firstRoom);
  room.fail(new TypeError('a mistake'));
  await assert.rejects(mistaken, /a mistake/);
  assert.equal(keeping.hasRoomFor(2 * firstRoom), false);
  const broken = keeping.waitForRoom(2 * firstRoom);
  room.fail(new StorageError('EIO', 'broken'));
  await broken;
  assert.ok(keeping.passing);
});

test('where nobody says how large it is, room is made a little ahead of what comes', async (t) => {
  const { room, blob, keeping } = await setScene(t, undefined);
  await blob.write(0, [Buffer.alloc(firstRoom)]);
  const more = keeping.waitForRoom(kib);
  room.answer(true);
  await more;
  const [asked = 0] = room.asked;
  assert.ok(asked > firstRoom + kib && asked < 64 * firstRoom, `${asked} bytes`);
  assert.ok(keeping.hasRoomFor(kib));
  assert.equal(keeping.hasRoomFor(asked), false);
});

test('what an earlier flight left stays recorded, though this one has ended before it was looked at', async (t) => {
  const recorded = [{ start: 0, end: firstRoom, crc: 1 }];
  const { keeping, catalog } = await setScene(t, 8 * firstRoom, recorded);
  await keeping.suspend();
  assert.equal(catalog.partials.bytes('arriving'), firstRoom);
});

test('what is of no use takes its room until nobody has it open', async (t) => {
  const { keeping, room } = await setScene(t, 8 * firstRoom);
  await keeping.forget();
  assert.deepEqual(room.ends, ['settled']);
  keeping.closed();
  assert.deepEqual(room.ends, ['settled', 'released']);
});
