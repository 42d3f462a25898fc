import type { Settings } from '../../config/settings.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import type { ClientView } from '../../pulls/clients.ts';
import type { CommitSettings } from '../../pulls/commit-model.ts';
import { configuredRules } from '../../pulls/rules.ts';
import { judgeImage, type Verdict } from '../../pulls/verdict.ts';
import { canTimeOut } from '../../pulls/watchdogs.ts';

/** What becomes of the first pull by nodes that are alike. Durations are milliseconds. */
export interface NodePrognosis {
  readonly runtime: string;
  readonly version: string;
  readonly watchdog: ClientView['watchdog'];
  readonly nodes: readonly string[];
  /** Compressed bytes per second that these are assumed to unpack. */
  readonly commitRate: number;
  /** `not at risk`: it has no watchdog that can fire; `unguarded`: it would be saved, but the guard is off. */
  readonly outcome: Verdict['outcome'] | 'not at risk' | 'unguarded';
  readonly held: number;
}

/** What becomes of the first pull of an image. */
export interface Prognosis {
  readonly layers: readonly {
    readonly digest: string;
    readonly size: number;
    /** Milliseconds that a node is assumed to unpack it. */
    readonly unpacking: number;
    /** Whether that alone is more than the watchdog's time. */
    readonly outlasts: boolean;
  }[];
  readonly assumed: CommitSettings;
  readonly guard: Settings['watchdog']['guard'];
  /** By what is assumed of all nodes. */
  readonly verdict: Verdict;
  /** By the nodes that this mirror has seen; `undefined` where it cannot be asked. */
  readonly nodes: readonly NodePrognosis[] | undefined;
}

/** Judges an image for the nodes that a mirror has seen. */
export function prognose(
  layers: readonly Descriptor[],
  { watchdog }: Pick<Settings, 'watchdog'>,
  clients: readonly ClientView[] | undefined,
): Prognosis {
  const { timeout, commitRate, maxHold, guard } = watchdog;
  const assumed = { timeout, commitRate, maxHold };
  const sizes = layers.map(({ size }) => size);
  return {
    layers: layers.map(({ digest, size }) => {
      const unpacking = (size / commitRate) * 1000;
      return { digest, size, unpacking, outlasts: unpacking > timeout };
    }),
    assumed,
    guard,
    verdict: judgeImage(sizes, assumed),
    nodes: clients && prognoseNodes(sizes, watchdog, clients),
  };
}

/** Whether the first pull fails on any node that was seen; where none was seen that can time out, on one as is assumed. */
export function isLost({ nodes = [], verdict }: Prognosis): boolean {
  const atRisk = nodes.filter(({ outcome }) => outcome !== 'not at risk');
  if (atRisk.length === 0) return verdict.outcome === 'lost';
  return atRisk.some(({ outcome }) => outcome === 'lost' || outcome === 'unguarded');
}

function prognoseNodes(
  sizes: readonly number[],
  watchdog: Settings['watchdog'],
  clients: readonly ClientView[],
): NodePrognosis[] {
  const rulesOf = configuredRules(watchdog);
  const each = clients.map((client): NodePrognosis => {
    const { address, runtime, version } = client;
    const { guarded, model } = rulesOf(address, {
      name: runtime,
      version,
      watchdog: client.watchdog,
      fallsBack: false,
      takesParts: false,
    });
    const { outcome, held } = judgeImage(sizes, model);
    const named = !canTimeOut(client.watchdog)
      ? 'not at risk'
      : outcome === 'saved' && !guarded
        ? 'unguarded'
        : outcome;
    const { commitRate } = model;
    return { runtime, version, watchdog: client.watchdog, nodes: [address], commitRate, outcome: named, held };
  });
  const groups = Map.groupBy(each, ({ runtime, version, commitRate }) => `${runtime} ${version} ${commitRate}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : { ...first, nodes: group.flatMap(({ nodes }) => nodes) };
  });
}
