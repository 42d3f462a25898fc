import { join } from 'node:path';
import { CrioNode, type NodePull } from '../support/crio-node.ts';
import { newEnds } from '../support/ends.ts';
import { stallAfter } from '../support/faults.ts';
import { makeImage, makeIndex } from '../support/images.ts';
import { lacking } from '../support/lacking.ts';
import { startMirror, upstreamConfig } from '../support/mirror.ts';
import { startPassThrough } from '../support/pass-through.ts';
import { attempt } from '../support/program.ts';
import { FakeRegistry } from '../support/registry.ts';
import { tempDir } from '../support/temp.ts';

// At true times: an upstream that freezes for 60 s in the middle of a layer, nodes that cancel after 10 s, with Weir and
// without, and skopeo pulling the same image at the same time.

const frozenFor = 60_000;
const mib = 2 ** 20;
const frozenAt = 4 * mib + 5;

const ends = newEnds();

/** A registry that freezes altogether: whoever asks for the rest of the layer waits until the same moment. */
async function startFreezing(): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start();
  ends.after(() => registry.close());
  registry.push('team/app', image.manifest.digest, image);
  registry.putManifest('team/app', makeIndex(image), 'v1');
  let thawsAt: number | undefined;
  const left = () => {
    thawsAt ??= performance.now() + frozenFor;
    return Math.max(0, thawsAt - performance.now());
  };
  for (let place = frozenAt; place < 12 * mib; place += 64 * 1024) {
    const fault = { ...stallAfter(place, 0, { times: Number.POSITIVE_INFINITY }) };
    Object.defineProperty(fault, 'ms', { get: left });
    registry.faults.push(fault);
  }
  return registry;
}

const image = makeImage(mib, 12 * mib, 2000);
const report = (who: string, { error, ms, longestGap }: NodePull) =>
  process.stdout.write(
    `${who}: ${error ?? 'pulled'} after ${(ms / 1000).toFixed(1)} s, longest silence ${(longestGap / 1000).toFixed(1)} s\n`,
  );

async function copyBySkopeo(base: string): Promise<string> {
  const missing = lacking(['skopeo']);
  if (missing !== false) return missing;
  const source = `docker://${base.replace('http://', '')}/team/app@${image.manifest.digest}`;
  const words = ['skopeo', 'copy', '--quiet', '--src-tls-verify=false', source, `dir:${join(tempDir(), 'image')}`];
  const { code, stderr } = await attempt(words);
  return code === 0 ? 'copied' : `failed: ${stderr}`;
}

const weir = await startMirror(ends, { config: upstreamConfig((await startFreezing()).url, { stallTimeout: '3s' }) });
const passed = await startPassThrough(ends, (await startFreezing()).url);
const pull = (base: string) =>
  new CrioNode({ commitRate: Number.POSITIVE_INFINITY }).pull(`${base}/v2/team/app/manifests/v1`);
const [guarded, unprotected, skopeo] = await Promise.all([pull(weir.url), pull(passed), copyBySkopeo(weir.url)]);
report('with Weir', guarded);
report('unprotected', unprotected);
process.stdout.write(`skopeo, with Weir: ${skopeo}\n`);
await ends.end();
if (guarded.error !== undefined || skopeo.startsWith('failed')) process.exitCode = 1;
