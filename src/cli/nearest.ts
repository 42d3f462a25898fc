/** What somebody who typed this may have meant; `undefined` where nothing is like it. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  const like = known
    .map((word) => ({ word, steps: distance(typed, word) }))
    .filter(({ word, steps }) => steps <= Math.ceil(word.length / 3));
  return like.toSorted((a, b) => a.steps - b.steps)[0]?.word;
}

/** How many letters have to be added, taken away or replaced. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const letter of a) row = nextRow(row, letter, b);
  return row[b.length] ?? 0;
}

function nextRow(above: readonly number[], letter: string, b: string): number[] {
  const row = [(above[0] ?? 0) + 1];
  for (const [index, other] of [...b].entries()) {
    const [diagonal = 0, over = 0] = above.slice(index, index + 2);
    row.push(Math.min(diagonal + (letter === other ? 0 : 1), over + 1, (row[index] ?? 0) + 1));
  }
  return row;
}
