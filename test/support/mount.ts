import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp.ts';

/** A directory as Kubernetes mounts it: the names lead through `..data`, which is replaced by renaming. */
export class Mount {
  readonly dir = tempDir();
  #version = 0;

  /** Mounts these files, by name. */
  constructor(files: Readonly<Record<string, string>>) {
    this.put(files);
    for (const name of Object.keys(files)) symlinkSync(join('..data', name), this.path(name));
  }

  /** Where a file is found. */
  path(name: string): string {
    return join(this.dir, name);
  }

  /** Replaces all files at one moment. */
  put(files: Readonly<Record<string, string>>): void {
    const name = `..${++this.#version}`;
    mkdirSync(this.path(name));
    for (const [file, content] of Object.entries(files)) writeFileSync(join(this.dir, name, file), content);
    symlinkSync(name, this.path('..data_tmp'));
    renameSync(this.path('..data_tmp'), this.path('..data'));
    rmSync(this.path(`..${this.#version - 1}`), { recursive: true, force: true });
  }
}
