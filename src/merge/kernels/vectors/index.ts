/**
 * The kernels in vectors of two doubles. Each does the operations of its namesake in `plain-kernels.ts` or
 * `conversions.ts` on every entry in the same order, so that results are equal to the bit; sums over entries have four
 * lanes in both. Arguments are addresses where the namesake has arrays, in the same places. Entries are taken up to 32
 * at a time: arrays have room for as many more, and sums over entries find zeros behind the last.
 */
import type { FunctionSource } from "../../../vectors/assembler.ts";
import type * as plainConversions from "../conversions.ts";
import type * as plain from "../plain-kernels.ts";
import * as combinations from "./combinations.ts";
import * as conversions from "./conversions.ts";
import * as selection from "./selection.ts";
import * as statistics from "./statistics.ts";
import * as updates from "./updates.ts";

/** Every kernel there is. */
export type KernelName = keyof typeof plainConversions | keyof typeof plain;

export const VECTOR_KERNELS: Readonly<Record<KernelName, FunctionSource>> = {
  ...conversions,
  ...combinations,
  ...updates,
  ...statistics,
  ...selection,
};
