/**
 * Chooses the answer that the models together find the least surprising: every member reads every answer, and the mean
 * over the members of its nats per byte decides (equal ones: the first). Per byte and not per token, because the
 * members' tokenizers differ. It stands for the papers' "Top1-PPL", whose reader and unit may be others.
 */
import type { StageContext } from "../../engine/context.ts";
import type { Choice } from "./ensemble.ts";
import type { FolderSubject } from "./folder.ts";

/** The readers are the ensemble's members and belong to it. */
export function openLowestPerplexity(readers: readonly FolderSubject[], context: StageContext): Choice {
  return {
    identity: "lowest-perplexity",
    choose: async (candidates, _seed, signal = context.signal) => {
      const asked = candidates.flatMap(({ dialogue, answers }) => answers.map((answer) => ({ dialogue, answer })));
      const readings: (number | null)[][] = [];
      for (const reader of readers) {
        readings.push(await reader.natsPerByte(asked, signal));
        await reader.putAway();
      }
      let first = 0;
      return candidates.map(({ answers }) => {
        const places = answers.map((_, answer) => first + answer);
        first += answers.length;
        return leastSurprising(readings.map((byReader) => places.map((place) => byReader[place]!)));
      });
    },
    dispose: async () => {},
  };
}

/**
 * `readings[r][a]`: nats per byte of answer a under reader r. A reader that could not read all of the answers has no
 * say, because means over different readers do not compare. Where none has, the first answer is taken.
 */
export function leastSurprising(readings: readonly (readonly (number | null)[])[]): number {
  const whole = readings.filter((reading): reading is readonly number[] => reading.every((nats) => nats !== null));
  const count = readings[0]?.length ?? 0;
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let answer = 0; answer < count && whole.length > 0; answer++) {
    const sum = whole.reduce((total, reading) => total + reading[answer]!, 0);
    if (sum < least) [best, least] = [answer, sum];
  }
  return best;
}
