/**
 * Measures several programs in alternation, after one round that does not count. Every round begins with another
 * program, so that none always follows the same one.
 */
export async function alternate<P extends { readonly name: string }, T>(
  programs: readonly P[],
  rounds: number,
  measure: (program: P, round: number) => Promise<T>,
): Promise<Map<string, T[]>> {
  const results = new Map<string, T[]>(programs.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    const first = round % programs.length;
    for (const program of [...programs.slice(first), ...programs.slice(0, first)]) {
      const result = await measure(program, round);
      if (round > 0) results.get(program.name)?.push(result);
    }
  }
  return results;
}
