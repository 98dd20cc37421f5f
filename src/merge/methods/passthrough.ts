/** One model's tensors as they are, or scaled: what slices of several models are stacked with. */
import { z } from "zod";
import { defineMethod, type MergeMethod } from "../method.ts";

export const passthrough: MergeMethod = defineMethod({
  name: "passthrough",
  summary: "one model's tensors as they are, for stacking layers of several models",
  paper: "mergekit (Goddard et al. 2024), arXiv:2403.13257",
  base: "model",
  inputs: { least: 1, most: 1 },
  options: z.strictObject({}),
  modelOptions: z.strictObject({ scale: z.number().optional().describe("factor of the weights; 1 where absent") }),
  tensor({ modelOptions: [model] }) {
    const scale = model!.scale ?? 1;
    return {
      write: ({ models, count }, merged) => {
        for (let i = 0; i < count; i++) merged[i] = scale * models[i]!;
      },
    };
  },
});
