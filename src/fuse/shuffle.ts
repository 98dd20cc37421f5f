/**
 * Which conversations form the batch of which optimiser step. Every epoch has an order of its own, drawn by
 * xoshiro128** seeded with `fuse/<seed>/epoch <e>` (`src/random.ts`): it depends on nothing but seed and epoch, so a
 * resumed training finds its place without replaying what came before.
 */
import { createRandom } from "../random.ts";

/** The order of `count` conversations in epoch `epoch` = 0, 1, ...: 0 .. count-1 as they are, or shuffled. */
export function epochOrder(count: number, epoch: number, seed: number, shuffle: boolean): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  return shuffle ? createRandom(`fuse/${seed}/epoch ${epoch}`).shuffle(order) : order;
}

/** Returns a function from an optimiser step to the indices of its batch. It keeps the order of the latest epoch. */
export function batches(
  count: number,
  batch: number,
  seed: number,
  shuffle: boolean,
): (step: number) => readonly number[] {
  const stepsPerEpoch = Math.ceil(count / batch);
  let latest = -1;
  let order: readonly number[] = [];
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch !== latest) {
      order = epochOrder(count, epoch, seed, shuffle);
      latest = epoch;
    }
    const first = (step % stepsPerEpoch) * batch;
    return order.slice(first, first + batch);
  };
}
