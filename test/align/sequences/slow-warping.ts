/** Dynamic time warping by the whole matrix and a walk back, as the papers' code does it: the truth for a faster one. */
export function slowWarping(costs: readonly (readonly number[])[]): { pairs: [number, number][]; cost: number } {
  const rows = costs.length;
  const columns = costs[0]!.length;
  const total = costs.map((row) => row.map(() => 0));
  const at = (i: number, j: number): number => (i < 0 || j < 0 ? Infinity : total[i]![j]!);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const before = i === 0 && j === 0 ? 0 : Math.min(at(i - 1, j - 1), at(i, j - 1), at(i - 1, j));
      total[i]![j] = costs[i]![j]! + before;
    }
  }
  const pairs: [number, number][] = [];
  let [i, j] = [rows - 1, columns - 1];
  for (;;) {
    pairs.unshift([i, j]);
    if (i === 0 && j === 0) return { pairs, cost: at(rows - 1, columns - 1) };
    const options = [at(i - 1, j - 1), at(i, j - 1), at(i - 1, j)];
    const move = options.indexOf(Math.min(...options));
    if (move !== 1) i--;
    if (move !== 2) j--;
  }
}
