import { loadConfig } from '../config/load.ts';
import { parseImageName } from '../oci/image-name.ts';
import { AdminClient, adminOptions } from './admin-client.ts';
import { readWords, UsageError } from './usage.ts';

/** A command that does one thing to one image. */
export interface ImageCommand {
  readonly help: string;
  /** What is said once it is done. */
  readonly done: string;
  act(client: AdminClient, image: string): Promise<unknown>;
}

/** Runs a command that is called with the name of an image. @throws UsageError, ConfigError, NotRunningError; Error */
export async function runImageCommand({ help, done, act }: ImageCommand, words: readonly string[]): Promise<number> {
  const { values, positionals } = readWords({ allowPositionals: true, options: adminOptions }, words);
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const [image, ...more] = positionals;
  if (image === undefined || more.length > 0) throw new UsageError('expected the name of one image; --help says more');
  checkImage(image);
  const answer = await act(new AdminClient(loadConfig({ file: values.config }), values.admin), image);
  if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else process.stderr.write(`${image} ${done}\n`);
  return 0;
}

/** @throws UsageError where this names no image */
export function checkImage(image: string): void {
  if (parseImageName(image) === undefined)
    throw new UsageError(`${image} is no image like docker.io/library/busybox:1`);
}
