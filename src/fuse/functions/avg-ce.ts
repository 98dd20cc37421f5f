/**
 * AvgCE (Wan et al., "Knowledge Fusion of Large Language Models", ICLR 2024, section 3.3): the target is the mean of all
 * models' distributions, weighted by `exp(-CE)`, the probability that a model gives to a token of the gold text in the
 * geometric mean. CE is in nats per token of the pivot for every model, so that no tokenizer is favoured. The released
 * code takes a softmax of these weights once more, which makes them nearly equal; that is not done here.
 */
import type { FusionFunction } from "./function.ts";

export const avgCe: FusionFunction = {
  name: "avg-ce",
  summary: "the mean of all models, weighted by exp(-cross-entropy) of a token of the gold text",
  paper: "https://arxiv.org/abs/2401.10491",
  blends: true,
  shares: ({ nats, bytesPerRow }) => {
    const least = Math.min(...nats.filter((cost) => cost !== null));
    // Relative to the best model: exp(-800) is 0 for all of them.
    const weights = nats.map((cost) => (cost === null ? 0 : Math.exp((least - cost) * bytesPerRow)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  },
};
