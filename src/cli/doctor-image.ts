import type { Settings } from '../config/settings.ts';
import type { ClientView } from '../pulls/clients.ts';
import { AdminClient } from './admin-client.ts';
import { registryUrl } from './ask.ts';
import { readImage } from './doctor/image-source.ts';
import { isLost, prognose } from './doctor/prognosis.ts';
import { describePrognosis } from './doctor/prognosis-text.ts';
import { UsageError } from './usage.ts';

/** What `doctor image` may be told. */
export interface DoctorImageOptions {
  readonly platform?: string | undefined;
  /** Default: the mirror that runs here with these settings. */
  readonly mirror?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * `weir doctor image`: which layers can outlast a node's watchdog, on which nodes, and what the guard can do about it.
 * @returns 1 when the first pull fails on some of them
 * @throws UsageError; Error when the image cannot be read
 */
export async function doctorImage(name: string, settings: Settings, options: DoctorImageOptions): Promise<number> {
  const mirror =
    options.mirror === undefined
      ? { url: registryUrl(settings), verified: false }
      : { url: parseUrl(options.mirror), verified: true };
  const image = await readImage(mirror, name, options.platform);
  const prognosis = prognose(image.layers, settings, await clientsOf(settings));
  const { digest, platform } = image;
  const title = `${name}${platform === undefined ? '' : ` for ${platform}`}: ${digest}`;
  const text = options.json
    ? `${JSON.stringify({ image: name, digest, platform, lost: isLost(prognosis), ...prognosis }, undefined, 2)}\n`
    : describePrognosis(title, prognosis);
  process.stdout.write(text);
  return isLost(prognosis) ? 1 : 0;
}

function parseUrl(text: string): URL {
  const url = URL.parse(/^https?:/.test(text) ? text : `http://${text}`);
  if (url === null) throw new UsageError(`--mirror expects a URL, and ${text} is none`);
  return url;
}

/** The nodes that the mirror has seen; `undefined` where it cannot be asked. */
async function clientsOf(settings: Settings): Promise<readonly ClientView[] | undefined> {
  try {
    return (await new AdminClient(settings, undefined).call('GET', 'clients')) as readonly ClientView[];
  } catch {
    return undefined;
  }
}
