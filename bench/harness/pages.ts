import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';

const piece = Buffer.alloc(1024 * 1024);

/**
 * Uses so many bytes of file cache and frees them, to be called just before something is written that is to be measured.
 * Virtual machines give freed memory back to their host after a second, and get it back slowly: whoever writes first
 * would pay for that.
 */
export async function warmPages(directory: string, bytes: number): Promise<void> {
  const path = join(directory, 'pages');
  const file = await open(path, 'w');
  try {
    for (let written = 0; written < bytes; written += piece.length) await file.write(piece);
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}
