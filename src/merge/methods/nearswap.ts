/** Takes of another model what is near to the base: `base + min(1, t / |d|) d` with the difference d. */
import { z } from "zod";
import { defineMethod, type MergeMethod } from "../method.ts";

/** Smaller differences count as this: there the other model is taken whole for any t that is not tiny. */
const SMALLEST_DIFFERENCE = 1e-6;

export const nearswap: MergeMethod = defineMethod({
  name: "nearswap",
  summary: "moves each entry of the base by at most t towards one other model",
  paper: "mergekit (Goddard et al. 2024), arXiv:2403.13257",
  base: "origin",
  inputs: { least: 1, most: 1 },
  options: z.strictObject({ t: z.number().min(0).describe("how far an entry may move") }),
  modelOptions: z.strictObject({}),
  tensor({ options: { t } }) {
    return {
      write: ({ models, base, count }, merged) => {
        for (let i = 0; i < count; i++) {
          const difference = models[i]! - base[i]!;
          const share = Math.min(1, t / Math.max(Math.abs(difference), SMALLEST_DIFFERENCE));
          merged[i] = base[i]! + share * difference;
        }
      },
    };
  },
});
