/**
 * Strengths from pairwise comparisons: P(i beats j) = s_i / (s_i + s_j) (Bradley and Terry, "Rank analysis of incomplete
 * block designs", Biometrika 1952), at the maximum of the likelihood, a tie half a win for each. Found by Newman's
 * iteration ("Efficient computation of rankings from pairwise comparisons", JMLR 2023, equation 28), which needs a tenth
 * of Zermelo's steps.
 *
 * The maximum exists where every group of models has won, or tied, against one outside of it (Ford, "Solution of a ranking
 * problem from binary comparisons", American Mathematical Monthly 1957); else some are infinitely better than others.
 */

const STEPS = 10_000;
const TOLERANCE = 1e-10;

/**
 * Natural logarithms of the strengths `[models]`, their mean 0; NaN, all of them, where there is no maximum. `wins`
 * `[models, models]`: how often the row's model has beaten the column's, ties as halves. `start` saves steps where the
 * solution is near.
 */
export function bradleyTerry(wins: Float64Array, models: number, start?: Float64Array): Float64Array {
  if (!hasMaximum(wins, models)) return new Float64Array(models).fill(Number.NaN);
  let strengths = start === undefined ? new Float64Array(models).fill(1) : start.map(Math.exp);
  for (let step = 0; step < STEPS; step++) {
    let moved = 0;
    for (let i = 0; i < models; i++) {
      let won = 0;
      let lost = 0;
      for (let j = 0; j < models; j++) {
        const sum = strengths[i]! + strengths[j]!;
        won += (wins[i * models + j]! * strengths[j]!) / sum;
        lost += wins[j * models + i]! / sum;
      }
      if (models === 1) break;
      moved = Math.max(moved, Math.abs(Math.log(won / lost / strengths[i]!)));
      strengths[i] = won / lost;
    }
    strengths = centred(strengths);
    if (moved < TOLERANCE) break;
  }
  return strengths.map(Math.log);
}

/** Divided by their geometric mean. */
function centred(strengths: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const mean = strengths.reduce((sum, strength) => sum + Math.log(strength), 0) / strengths.length;
  return strengths.map((strength) => strength / Math.exp(mean));
}

/** Whether from every model a chain of wins leads to every other one: forwards and backwards from the first. */
function hasMaximum(wins: Float64Array, models: number): boolean {
  const reaches = (won: (i: number, j: number) => boolean): boolean => {
    const reached = [0];
    for (const i of reached) {
      for (let j = 0; j < models; j++) if (won(i, j) && !reached.includes(j)) reached.push(j);
    }
    return reached.length === models;
  };
  return reaches((i, j) => wins[i * models + j]! > 0) && reaches((i, j) => wins[j * models + i]! > 0);
}
