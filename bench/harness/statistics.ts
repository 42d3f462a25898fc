/** The middle of the numbers; of an even count, the mean of the two in the middle. @throws RangeError for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)];
  const high = sorted[Math.ceil((sorted.length - 1) / 2)];
  if (low === undefined || high === undefined) throw new RangeError('there is no median of nothing');
  return (low + high) / 2;
}

/** Each number of the first list over its neighbour in the second: rounds are compared with themselves. */
export function ratios(values: readonly number[], references: readonly number[]): number[] {
  return values.flatMap((value, index) => {
    const reference = references[index];
    return reference === undefined ? [] : [value / reference];
  });
}
