/**
 * Draws the next token: temperature, then top-k, then nucleus (Holtzman et al., "The curious case of neural text
 * degeneration", section 3.1), in the order transformers applies them. Greedy takes the most probable one.
 *
 * What is left is drawn in the order of ids, not of probabilities: neighbours in rank that rounding swaps (other batch,
 * other sums) then still have their shares at nearly the same place, and the same random number draws the same token.
 */
import type { Random } from "../random.ts";
import type { GenerateOptions } from "./engine.ts";

export type SamplingOptions = Pick<GenerateOptions, "temperature" | "topP" | "topK">;

/** How many of `allowed` ids, the most probable ones, `chooseToken` must be given so that what it returns is exact. */
export function candidatesNeeded(allowed: number, { temperature, topK }: SamplingOptions): number {
  if (temperature === 0) return Math.min(allowed, 1);
  return topK > 0 ? Math.min(allowed, topK) : allowed;
}

/** `id` [n] and `logit` [n] are the candidates, in any order, at least one; logits up to a common constant. */
export function chooseToken(id: Int32Array, logit: Float32Array, options: SamplingOptions, random: Random): number {
  const best = mostProbable(id, logit);
  if (options.temperature === 0) return id[best]!;
  const places = placesById(id);
  const mass = new Float64Array(id.length);
  for (let i = 0; i < mass.length; i++) {
    mass[i] = Math.exp((logit[places[i]!]! - logit[best]!) / options.temperature);
  }
  const total = dropImprobable(mass, options);
  let left = random.next() * total;
  for (let i = 0; i < mass.length; i++) {
    left -= mass[i]!;
    if (left < 0) return id[places[i]!]!;
  }
  return id[best]!;
}

/** The place of the largest logit; of equal ones that of the lowest id. */
function mostProbable(id: Int32Array, logit: Float32Array): number {
  let best = 0;
  for (let place = 1; place < id.length; place++) {
    const ahead = logit[place]! - logit[best]!;
    if (ahead > 0 || (ahead === 0 && id[place]! < id[best]!)) best = place;
  }
  return best;
}

/** Places of the candidates in the order of their ids. A whole vocabulary comes in that order. */
function placesById(id: Int32Array): Int32Array {
  const places = new Int32Array(id.length);
  let ascending = true;
  for (let place = 1; place < id.length; place++) {
    places[place] = place;
    ascending &&= id[place - 1]! < id[place]!;
  }
  return ascending ? places : places.sort((a, b) => id[a]! - id[b]!);
}

/** Sets the mass of what top-k and nucleus leave out to zero, of equal ones the last; gives what is left in total. */
function dropImprobable(mass: Float64Array, { topK, topP }: SamplingOptions): number {
  const all = sum(mass);
  const limited = topK > 0 && topK < mass.length;
  if (!limited && topP === 1) return all;
  // All masses below the floor together are less than a nucleus leaves out: mostly a few hundred are left to sort.
  const floor = limited ? 0 : ((1 - topP) * all) / mass.length;
  const ranked = mass
    .filter((value) => value >= floor)
    .sort()
    .reverse();
  let count = limited ? topK : ranked.length;
  if (topP < 1) {
    const wanted = topP * (limited ? sum(ranked.subarray(0, count)) : all);
    let reached = ranked[0]!;
    let nucleus = 1;
    // The set ends with the token that reaches the wanted share.
    while (nucleus < count && reached < wanted) reached += ranked[nucleus++]!;
    count = nucleus;
  }
  const least = ranked[count - 1]!;
  let ties = count - ranked.indexOf(least);
  for (let i = 0; i < mass.length; i++) {
    if (mass[i]! < least || (mass[i] === least && ties-- <= 0)) mass[i] = 0;
  }
  return sum(mass);
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}
