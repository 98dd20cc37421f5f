/**
 * The learning rate of every optimiser step: linear warm-up, then a half cosine down towards zero (Loshchilov and
 * Hutter, "SGDR", ICLR 2017). FORMATS, "What training computes", fixes both to the letter.
 */

/** Steps of warm-up of `total`. The subtrahend keeps 0.07 * 100 = 7.000000000000001 at seven steps, not eight. */
export function warmupSteps(total: number, warmupRatio: number): number {
  return Math.max(0, Math.ceil(warmupRatio * total - 1e-9));
}

/**
 * The rate of optimiser step `step` = 0 .. total-1. The first step already moves (`peak / (W + 1)`), and the last one
 * does not rest at zero.
 */
export function learningRate(peak: number, step: number, total: number, warmupRatio: number): number {
  const warmup = warmupSteps(total, warmupRatio);
  if (step < warmup) return (peak * (step + 1)) / (warmup + 1);
  return peak * 0.5 * (1 + Math.cos((Math.PI * (step - warmup)) / (total - warmup)));
}

/** Optimiser steps of a training: an epoch's last, smaller batch is kept. */
export function totalSteps(conversations: number, batch: number, epochs: number): number {
  return epochs * Math.ceil(conversations / batch);
}

/**
 * Steps between checkpoints where none are asked for: ten checkpoints a training, but never closer than ten steps.
 * A function of the step count alone, so that the same training always stops at the same places.
 */
export function checkpointInterval(total: number): number {
  return Math.max(10, Math.ceil(total / 10));
}
