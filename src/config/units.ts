const durations = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const sizes = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const;

/** Reads `250ms`, `3s`, `5m`, `2h`, `7d` as milliseconds; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, durations);
}

/** Reads `512KiB`, `1.5GiB`, `100GB` as bytes, rounded down; `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  const bytes = parseQuantity(text, sizes);
  return bytes === undefined ? undefined : Math.floor(bytes);
}

/** A part of something, > 0 and < 1. */
export interface Fraction {
  readonly fraction: number;
}

/** Reads `5%` as a part of the whole, and a size as bytes; `undefined` for anything else. */
export function parseShare(text: string): number | Fraction | undefined {
  const percent = /^(\d{1,2}(?:\.\d{1,3})?)%$/.exec(text)?.[1];
  return percent === undefined ? parseSize(text) : { fraction: Number(percent) / 100 };
}

/** Reads `1/16` as 16: one of so many; `1` as 1 (all) and `0` as 0 (none); `undefined` for anything else. */
export function parseSample(text: string): number | undefined {
  const [, part, of = '1'] = /^(0|1)(?:\/([1-9]\d{0,3}))?$/.exec(text) ?? [];
  return part === undefined ? undefined : Number(part) * Number(of);
}

/** Writes bytes as people read them: `1.5 GiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const amount = bytes / 2 ** (10 * power);
  return `${amount >= 100 || Number.isInteger(amount) ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`;
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)([A-Za-z]+)$/.exec(text);
  const unit = match?.[2] === undefined || !Object.hasOwn(units, match[2]) ? undefined : units[match[2]];
  if (unit === undefined) return undefined;
  const amount = Number(match?.[1]) * unit;
  return Number.isSafeInteger(Math.floor(amount)) ? amount : undefined;
}
