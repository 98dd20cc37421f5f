/**
 * Where a model's weights are while it is used. Small models stay in memory in single precision, and one program runs
 * the whole network. Of large ones teacher passes read layer after layer from the files, each once for the tokens of a
 * whole pass (`streamed/network.ts`), so that memory depends on the width of a model and not on its depth. Reading and
 * widening take about 4 ns a weight and pass, the products of 32,768 tokens some hundred times that.
 */

export type Placement = "resident" | "streamed";

/** Single-precision weights up to this many bytes are resident. */
export const RESIDENT_BYTES = 1e9;

/** Positions of a pass: their states take 268 MB at a hidden size of 2,048, 1.1 GB at 8,192. */
export const PASS_POSITIONS = 32_768;

/** Training and generation read all weights at every step; they ask for resident ones themselves. */
export function placementOf(parameters: number, residentBytes: number = RESIDENT_BYTES): Placement {
  return 4 * parameters > residentBytes ? "streamed" : "resident";
}
