/** `fuse` of a recipe: how each target is trained. Defaults are the papers' where they state one, but for `level`. */
import { z } from "zod";
import type { WeightDtype } from "../engine/engine.ts";
import { ALL_LINEAR, LORA_DEFAULTS, LORA_TARGET } from "../engine/lora.ts";
import { DEFAULT_EVEN_SHARE, EMPHASES, type Emphasis } from "../fuse/emphasis.ts";
import { LEVELS, type Level, TAILS, type Tail, WEIGHT_DTYPES } from "../fuse/options.ts";
import { FUNCTION_NAMES } from "./names.ts";

/** A JavaScript number that counts something. */
const count = (least: number): z.ZodInt => z.int().min(least);
const share = (): z.ZodNumber => z.number().min(0).max(1);

const lora = z.strictObject({
  rank: count(1)
    .max(65536)
    .default(LORA_DEFAULTS.rank)
    .describe(`Rank of each adapter. (dimensions; default ${LORA_DEFAULTS.rank})`),
  alpha: z
    .number()
    .gt(0)
    .optional()
    .describe("An adapter counts alpha / rank times. (no unit; default twice the rank)"),
  targets: z
    .array(z.string().regex(LORA_TARGET, "the last name of a module, such as q_proj"))
    .min(1)
    .default([...LORA_DEFAULTS.targets])
    .describe(
      `Last names of the modules that get one, such as \`q_proj\`; \`${ALL_LINEAR}\` is every matrix product of the layers. (list of names; default [${ALL_LINEAR}])`,
    ),
  keep: z
    .boolean()
    .default(LORA_DEFAULTS.keep)
    .describe("Write each target's adapter beside it too, as `adapter/`, for peft. (yes or no; default false)"),
});

export const fuseSchema = (): z.ZodType<FuseFile, unknown> =>
  z
    .strictObject({
      function: z
        .enum(FUNCTION_NAMES as [string, ...string[]])
        .default("min-ce")
        .describe("How pivot and sources become one target distribution. (name; default min-ce)"),
      level: z
        .enum(LEVELS)
        .default("group")
        .describe(
          "What the models are compared on: a `group` of conversations that are alike, by their skill or category, else by their prompts; a `conversation` by itself, as in the papers; or a `row`. (name; default group)",
        ),
      sources: z
        .enum(["pairwise", "together"])
        .default("pairwise")
        .describe(
          "`pairwise` trains a target for each source, as the papers do, and merges them; `together` trains one target on all sources at once. (name; default pairwise)",
        ),
      lambda: share()
        .default(0.9)
        .describe("Weight of the label term of the loss; the distribution term has the rest. (fraction; default 0.9)"),
      tail: z
        .enum(TAILS)
        .default("renormalise")
        .describe(
          "What becomes of the mass beyond the stored tokens: `renormalise` gives it to them, `drop` leaves it away, `bucket` holds it against all other tokens together, `pivot` spreads what a source leaves over the tokens that the pivot stores, the rest as `bucket`. (name; default renormalise)",
        ),
      emphasis: z
        .enum(EMPHASES)
        .default("even")
        .describe(
          "How often conversations come up: `even`, once an epoch each, or by `gain`, with `level: group`: steps go to conversations by how much their sources know beyond the pivot. (name; default even)",
        ),
      even_share: z
        .number()
        .gt(0)
        .max(1)
        .optional()
        .describe(
          `Of \`emphasis: gain\`: the share of the steps that goes to all conversations alike. (fraction; default ${DEFAULT_EVEN_SHARE})`,
        ),
      lr: z
        .number()
        .gt(0)
        .max(1)
        .default(5e-6)
        .describe("Highest learning rate of the schedule. (no unit; default 5.0e-6)"),
      epochs: count(1).max(1000).default(3).describe("Passes over the training conversations. (passes; default 3)"),
      batch: count(1).default(128).describe("Conversations of one optimiser step. (conversations; default 128)"),
      warmup_ratio: share()
        .default(0.03)
        .describe("Share of the steps in which the learning rate rises. (fraction; default 0.03)"),
      weight_decay: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe("Decoupled decay of tensors of two or more dimensions. (no unit; default 0)"),
      shuffle: z
        .boolean()
        .default(true)
        .describe("Draw a new order of the conversations for each pass. (yes or no; default true)"),
      dtype: z
        .enum(WEIGHT_DTYPES)
        .default("float32")
        .describe("Type in which targets are written; training itself is in float32. (name; default float32)"),
      lora: lora
        .optional()
        .describe(
          "Train low-rank adapters instead of all weights, with `engine: torch`; targets are whole models all the same. (section; default none)",
        ),
    })
    .prefault({})
    .describe("How each target is trained. (section; default as below)");

/** As the file says it, with defaults filled in. */
export interface FuseFile {
  function: string;
  level: Level;
  sources: "pairwise" | "together";
  lambda: number;
  tail: Tail;
  emphasis: Emphasis;
  even_share?: number | undefined;
  lr: number;
  epochs: number;
  batch: number;
  warmup_ratio: number;
  weight_decay: number;
  shuffle: boolean;
  dtype: WeightDtype;
  lora?: { rank: number; alpha?: number | undefined; targets: string[]; keep: boolean } | undefined;
}
