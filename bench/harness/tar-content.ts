import { createHash } from 'node:crypto';
import { Content } from './content.ts';

const block = 512;

/** A layer with one file that nothing can shorten: a tar archive, POSIX.1-1988. */
export class TarContent {
  readonly size: number;
  /** `sha256:…` */
  readonly digest: string;
  readonly #header: Buffer;
  readonly #file: Content;

  /** @param size of the file: a multiple of 512 */
  constructor(name: string, size: number) {
    this.#header = headerOf(name, size);
    this.#file = new Content(size);
    this.size = size + 3 * block;
    const hash = createHash('sha256');
    for (const piece of this.pieces()) hash.update(piece);
    this.digest = `sha256:${hash.digest('hex')}`;
  }

  /** All of it, in pieces of up to 1 MiB. */
  *pieces(): Generator<Buffer> {
    yield this.#header;
    yield* this.#file.pieces();
    yield Buffer.alloc(2 * block);
  }
}

function headerOf(name: string, size: number): Buffer {
  const header = Buffer.alloc(block);
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(size, 12), 124);
  header.write(octal(0, 12), 136);
  header.write(' '.repeat(8), 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
