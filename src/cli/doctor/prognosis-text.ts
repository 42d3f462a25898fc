import { formatSize } from '../../config/units.ts';
import type { NodePrognosis, Prognosis } from './prognosis.ts';

const watchdogs: Readonly<Record<NodePrognosis['watchdog'], string>> = {
  none: 'no watchdog',
  fixed10: 'cancels after 10 s, always',
  configurable10: 'cancels after 10 s, unless pull_progress_timeout says otherwise',
  off: 'cancels only if pull_progress_timeout says so',
};

const outcomes: Readonly<Record<NodePrognosis['outcome'], string>> = {
  safe: 'safe: it unpacks in time',
  saved: 'saved by the guard',
  lost: 'the first pull fails, the next one is instant',
  unguarded: 'the first pull fails: the guard, which would save it, is off',
  'not at risk': 'not at risk',
};

/** A prognosis in plain words. `title` says what of. */
export function describePrognosis(title: string, prognosis: Prognosis): string {
  const { layers, assumed, nodes } = prognosis;
  const rate = `${formatSize(assumed.commitRate)}/s`;
  return [
    title,
    `  assumed of a node: it unpacks ${rate} (compressed), and cancels after ${seconds(assumed.timeout)} without progress`,
    '',
    ...layers.map(({ size, unpacking, outlasts }, index) => {
      const row = `  layer ${String(index + 1).padEnd(4)}${formatSize(size).padStart(10)}  unpacks in ${seconds(unpacking)}`;
      return outlasts ? `${row}, longer than the watchdog waits` : row;
    }),
    '',
    ...verdictLines(prognosis),
    '',
    ...nodeLines(nodes),
    '',
  ].join('\n');
}

function verdictLines({ layers, verdict, assumed, guard }: Prognosis): string[] {
  const { outcome, last, alone, total, held, rateNeeded } = verdict;
  const all = `All of it unpacks in ${seconds(total)}`;
  const name = `layer ${(last ?? 0) + 1}`;
  if (outcome === 'safe') return [`Safe: ${all.toLowerCase()}, within the watchdog's time.`];
  if (outcome === 'saved') {
    const how = `the last bytes of ${name} are held for up to ${seconds(held)} while the node unpacks what is below it`;
    const off = guard === 'off' ? [' The guard is off (watchdog.guard): turn it on.'] : [];
    return [`Saved by the guard: ${all.toLowerCase()}; ${how}.${off.join('')}`];
  }
  const giant = alone > assumed.timeout;
  const why = giant
    ? `${name} is the last one, and alone unpacks in ${seconds(alone)}: nothing is left to send meanwhile`
    : `what is below ${name} takes longer than its last bytes can be held (watchdog.maxHold, ${formatSize(layers[last ?? 0]?.size ?? 0)} to drip)`;
  return [
    `Lost: the guard cannot save the first pull. ${all}; ${why}.`,
    'The node goes on unpacking all the same, so the next pull finds every layer there and is instant; kubelet tries again by itself.',
    `It would succeed on nodes that unpack ${formatSize(rateNeeded)}/s or more, on CRI-O 1.30.14, 1.31.9, 1.32.4 or newer,`,
    `with pull_progress_timeout = "0" on CRI-O 1.30.11, 1.31.3, 1.32.0 or newer${giant ? ', or with a small layer after it' : ''}.`,
  ];
}

function nodeLines(nodes: Prognosis['nodes']): string[] {
  if (nodes === undefined)
    return ['Which nodes pull here is not known: the admin address of the mirror does not answer.'];
  if (nodes.length === 0) return ['This mirror has seen no node yet.'];
  return [
    'Nodes that this mirror has seen:',
    ...nodes.map(({ runtime, version, watchdog, nodes: { length }, outcome, commitRate }) => {
      const rate = outcome === 'not at risk' ? '' : `, ${formatSize(commitRate)}/s`;
      const count = length === 1 ? '1 node' : `${length} nodes`;
      return `  ${`${runtime} ${version}`.trim()} (${count}${rate}; ${watchdogs[watchdog]}): ${outcomes[outcome]}`;
    }),
  ];
}

function seconds(ms: number): string {
  return ms >= 10_000 ? `${Math.round(ms / 1000)} s` : `${(ms / 1000).toFixed(1)} s`;
}
