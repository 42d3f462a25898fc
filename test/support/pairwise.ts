import type { Random } from './random.ts';

/** One value for each parameter. */
export type Choice = Readonly<Record<string, string | number | boolean>>;

/** Every combination of these values. */
export function combine<C extends Choice>(parameters: { readonly [K in keyof C]: readonly C[K][] }): C[] {
  let rows: object[] = [{}];
  for (const [name, values] of Object.entries(parameters) as [string, readonly unknown[]][]) {
    rows = rows.flatMap((row) => values.map((value) => ({ ...row, [name]: value })));
  }
  return rows as C[];
}

/** Of these rows, few in which every pair of values occurs that occurs in any; then others, up to `count`. */
export function choosePairwise<C extends Choice>(rows: readonly C[], count: number, random: Random): C[] {
  const left = shuffle(rows, random);
  const uncovered = new Set(left.flatMap(pairsOf));
  const chosen: C[] = [];
  while (uncovered.size > 0) {
    const covers = (row: C) => pairsOf(row).filter((pair) => uncovered.has(pair)).length;
    const best = left.reduce((a, b) => (covers(b) > covers(a) ? b : a));
    for (const pair of pairsOf(best)) uncovered.delete(pair);
    chosen.push(best);
    left.splice(left.indexOf(best), 1);
  }
  return [...chosen, ...left.slice(0, Math.max(0, count - chosen.length))];
}

/** The pairs of values in a row. */
export function pairsOf(row: Choice): string[] {
  const values = Object.entries(row).map(([name, value]) => `${name}=${value}`);
  return values.flatMap((a, index) => values.slice(index + 1).map((b) => `${a} ${b}`));
}

function shuffle<T>(some: readonly T[], random: Random): T[] {
  return some
    .map((value) => ({ value, key: random.next() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value);
}
