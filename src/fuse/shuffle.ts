/**
 * Which conversations form the batch of which optimiser step. Every epoch has an order of its own, drawn by
 * xoshiro128** seeded with `fuse/<seed>/epoch <e>` (`src/random.ts`): it depends on nothing but seed and epoch, so a
 * resumed training finds its place without replaying what came before. Where conversations have weights, that is a draw.
 */
import { createRandom } from "../random.ts";

/**
 * The order of `count` conversations in epoch `epoch` = 0, 1, ...: 0 .. count-1 as they are, or shuffled. With `weights`
 * [count] each comes up as often as its part of `count` says, rounded up or down by lot: a systematic draw, one number an
 * epoch.
 */
export function epochOrder(
  count: number,
  epoch: number,
  seed: number,
  shuffle: boolean,
  weights: Float64Array | null = null,
): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  if (!shuffle) return order;
  const random = createRandom(`fuse/${seed}/epoch ${epoch}`);
  random.shuffle(order);
  if (weights === null) return order;
  const step = weights.reduce((sum, weight) => sum + weight, 0) / count;
  let next = random.next() * step;
  let sum = 0;
  const drawn: number[] = [];
  for (const index of order) {
    sum += weights[index]!;
    for (; next < sum && drawn.length < count; next += step) drawn.push(index);
  }
  // What rounding of the sums leaves over, if anything.
  while (drawn.length < count) drawn.push(order.at(-1)!);
  return random.shuffle(drawn);
}

/** Returns a function from an optimiser step to the indices of its batch. It keeps the order of the latest epoch. */
export function batches(
  count: number,
  batch: number,
  seed: number,
  shuffle: boolean,
  weights: Float64Array | null = null,
): (step: number) => readonly number[] {
  const stepsPerEpoch = Math.ceil(count / batch);
  let latest = -1;
  let order: readonly number[] = [];
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== latest) {
      order = epochOrder(count, epoch, seed, shuffle, weights);
      latest = epoch;
    }
    const first = (step % stepsPerEpoch) * batch;
    return order.slice(first, first + batch);
  };
}
