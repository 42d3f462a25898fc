import type { Clock } from '../async/clock.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Fraction } from '../config/units.ts';
import type { Capacity, StorageDriver } from '../storage/driver.ts';
import type { Evictor } from './evictor.ts';

/** How much may be kept. */
export interface SpaceLimits {
  /** Bytes. */
  readonly maxSize: number;
  /** What is left free on the file system: bytes, or a part of it. */
  readonly minFree: number | Fraction;
}

/** What the space is managed with. */
export interface SpaceParts {
  readonly catalog: Catalog;
  readonly storage: Pick<StorageDriver, 'capacity'>;
  readonly evictor: Pick<Evictor, 'busy' | 'free' | 'leaving' | 'settled'>;
  readonly clock: Clock;
  /** What is in force. */
  readonly limits: () => SpaceLimits;
}

/** Room that is kept for arriving content. */
export interface Room {
  /** Bytes that it has room for: no more of it may lie on the disk. */
  readonly bytes: number;
  /** How many of its bytes have been written: these the file system knows of itself. */
  written: number;
  /**
   * Makes it so large. Others go for it if they must. @returns `false` when there is no room: then nothing has gone.
   * @throws StorageError
   */
  grow(bytes: number): Promise<boolean>;
  /** No more of it will be written: what lies on the disk takes it, until it is released. */
  settle(): void;
  /** It is not needed any more: the content is recorded, or gone. */
  release(): void;
}

/** Room as it is counted. */
interface KeptRoom extends Room {
  /** What the content is called in storage. */
  readonly name: string;
  bytes: number;
  /** Whether no more is granted. */
  over: boolean;
}

/** Below this part of all there is, room is made before anybody needs it. */
const highMark = 1 / 40;
/** And then so much of it. */
const lowMark = 1 / 20;

/** Some file systems (btrfs, ZFS) say only so many milliseconds later that what was removed is free. */
const lateBy = 30_000;

/** How much is kept, and what there is room for. What arrives has its room before its first byte is written. */
export class Space {
  readonly #parts: SpaceParts;
  readonly #rooms = new Set<KeptRoom>();
  /** What was removed last, how much was free before, and until when (monotonic) it counts though it is not seen to be free. */
  #removed = { bytes: 0, before: 0, until: 0 };

  constructor(parts: SpaceParts) {
    this.#parts = parts;
  }

  /**
   * Keeps room for content of this name in storage: for what is recorded of it, and so many bytes more.
   * @returns `undefined` when there is no room: then nothing has gone. @throws StorageError
   */
  async reserve(name: string, more: number): Promise<Room | undefined> {
    const written = this.#parts.catalog.partials.bytes(name);
    const room: KeptRoom = {
      name,
      bytes: written,
      written,
      over: false,
      grow: (bytes) => this.#grow(room, bytes),
      settle: () => {
        room.over = true;
        room.bytes = Math.min(room.bytes, room.written);
      },
      release: () => {
        room.over = true;
        this.#rooms.delete(room);
      },
    };
    return (await room.grow(written + more)) ? room : undefined;
  }

  /** Makes room before it is needed, when little is left. @throws StorageError */
  async makeRoom(): Promise<void> {
    const capacity = await this.#parts.storage.capacity();
    if (this.#parts.evictor.busy) {
      await this.#parts.evictor.settled();
      return this.makeRoom();
    }
    const most = this.#most(capacity);
    const left = this.#left(capacity);
    if (left < most * highMark) {
      const wanted = Math.ceil(most * lowMark - left);
      // Where not so much may go, what must is still too much.
      if (!(await this.#evict(wanted, capacity)) && left < 0) await this.#evict(-left, capacity);
    }
  }

  async #grow(room: KeptRoom, bytes: number): Promise<boolean> {
    for (;;) {
      const capacity = await this.#parts.storage.capacity();
      const missing = bytes - room.bytes - this.#left(capacity);
      if (room.over) return false;
      if (bytes <= room.bytes || missing <= 0) {
        room.bytes = Math.max(bytes, room.bytes);
        this.#rooms.add(room);
        return true;
      }
      if (bytes > this.#most(capacity)) return false;
      // What goes for others may be enough.
      if (this.#parts.evictor.busy) await this.#parts.evictor.settled();
      else if (!(await this.#evict(missing, capacity))) return false;
    }
  }

  async #evict(bytes: number, { free }: Capacity): Promise<boolean> {
    const { clock, evictor, storage } = this.#parts;
    if (!(await evictor.free(bytes))) return false;
    const unseen = this.#unseen(free);
    const until = unseen > 0 ? this.#removed.until : clock.now() + lateBy;
    const now = (await storage.capacity()).free;
    // Most file systems say so at once: what is written from now on is not to be taken for what is still to come.
    this.#removed = { bytes: now > free ? 0 : unseen + bytes, before: now, until };
    return true;
  }

  /** Bytes that were removed and will be free, though nothing of that is seen yet. */
  #unseen(free: number): number {
    const { bytes, before, until } = this.#removed;
    return free <= before && this.#parts.clock.now() < until ? bytes : 0;
  }

  /** All that could ever be kept. */
  #most({ total }: Capacity): number {
    return Math.min(this.#parts.limits().maxSize, total - this.#minFree(total));
  }

  /** What is left now; less than nothing where too much is kept. */
  #left({ total, free }: Capacity): number {
    const { catalog, evictor, limits } = this.#parts;
    let kept = catalog.usage.bytes() + evictor.leaving;
    let unwritten = 0;
    for (const { name, bytes, written } of this.#rooms) {
      kept += Math.max(0, bytes - catalog.partials.bytes(name));
      unwritten += Math.max(0, bytes - written);
    }
    return Math.min(limits().maxSize - kept, free + this.#unseen(free) - unwritten - this.#minFree(total));
  }

  #minFree(total: number): number {
    const { minFree } = this.#parts.limits();
    return typeof minFree === 'number' ? minFree : Math.ceil(total * minFree.fraction);
  }
}
