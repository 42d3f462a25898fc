import { randomBytes } from 'node:crypto';

const block = randomBytes(256 * 1024);
/** So many bytes from one mark to the next. */
const stride = 4096;

/**
 * Bytes like random ones: none of their pages is like another, here or in other noise. Real random bytes would take
 * longer to make than to pull.
 */
export function noise(size: number): Buffer {
  if (size < stride) return randomBytes(size);
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; at += block.length) block.copy(bytes, at);
  const own = randomBytes(6);
  for (let at = 0; at + 10 <= size; at += stride) {
    own.copy(bytes, at);
    bytes.writeUInt32LE(at, at + own.length);
  }
  return bytes;
}
