/**
 * Fills `buffer` by as many reads as that takes: each gets what is left of it, and how much lies before. The first one
 * begins at once.
 * @returns the bytes that are filled: fewer only where a read brings none.
 */
export async function fill(
  buffer: Buffer,
  read: (rest: Buffer, filled: number) => Promise<number> | number,
): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const count = await read(buffer.subarray(filled), filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}
