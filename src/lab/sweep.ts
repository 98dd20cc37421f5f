/**
 * Chooses the demonstration's learning rate, epochs and lambda, by the validation draw alone. Learning rate and epochs
 * are those at which plain fine-tuning does best, so that the control is at its own optimum; lambda is then the one
 * at which the papers' way does best, a target for each source and their merge. Distributions and alignments are made once, and a finished target is found again, so an
 * interrupted sweep continues.
 */
import { join } from "node:path";
import { alignDistributions } from "../align/align.ts";
import { recommendedTransfer } from "../align/recommended.ts";
import { DEFAULT_WITHIN } from "../align/within/within.ts";
import type { Conversation } from "../data/conversation.ts";
import { collectDistributions } from "../distributions/collect.ts";
import type { StageContext } from "../engine/context.ts";
import type { Metric } from "../evaluate/benchmarks/benchmark.ts";
import { evaluateHeldOut } from "../evaluate/benchmarks/held-out.ts";
import { writeJson } from "../formats/files.ts";
import { lockOwnFolder } from "../formats/own-folder.ts";
import { fuseTarget } from "../fuse/fuse.ts";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "../fuse/options.ts";
import { mergeModels } from "../merge/merge.ts";
import { drawConversations } from "./conversations.ts";
import { BATCH, FUSION_CONVERSATIONS, HELD_OUT_CONVERSATIONS, MAX_LENGTH, SELECT_TOPK } from "./demo-recipe.ts";
import { DEMO_MODELS } from "./models/index.ts";

export interface SweepOptions {
  readonly models: string;
  readonly out: string;
  readonly learningRates: readonly number[];
  readonly epochs: readonly number[];
  readonly lambdas: readonly number[];
  /** To fuse on. */
  readonly conversations: number;
  /** To measure on. */
  readonly heldOut: number;
}

export const SWEEP_GRID: Omit<SweepOptions, "models" | "out"> = {
  learningRates: [2.5e-4, 5e-4, 1e-3, 2e-3],
  epochs: [3],
  lambdas: [0.9, 0.5, 0.1, 0],
  conversations: FUSION_CONVERSATIONS,
  heldOut: HELD_OUT_CONVERSATIONS,
};

export interface SweepLine {
  readonly lr: number;
  readonly epochs: number;
  /** Null for plain fine-tuning. */
  readonly lambda: number | null;
  /** `sft`, `sft-merge`, `target-<source>` or `fused`. */
  readonly model: string;
  /** Above the entropy floor on the validation draw. */
  readonly above_floor: Metric;
}

export interface SweepResult {
  readonly draw: "validation";
  readonly lines: readonly SweepLine[];
  readonly chosen: { readonly lr: number; readonly epochs: number; readonly lambda: number };
}

const SWEEP_FILE = "sweep.json";
const ENTRIES: readonly string[] = [SWEEP_FILE, "distributions", "aligned", "targets", "merges"];

export async function runSweep(options: SweepOptions, context: StageContext): Promise<SweepResult> {
  const lock = await lockOwnFolder(options.out, (name) => ENTRIES.includes(name));
  try {
    return await sweepInto(options, context);
  } finally {
    await lock.release();
  }
}

/** In a folder that nobody else writes to meanwhile. */
async function sweepInto(options: SweepOptions, context: StageContext): Promise<SweepResult> {
  const fusion = drawConversations("fusion", options.conversations);
  const validation = drawConversations("validation", options.heldOut);
  const { pivot, sources } = await collectAndAlign(options, fusion, context);
  const lines: SweepLine[] = [];
  const train = async (name: string, lr: number, epochs: number, lambda: number | null, source?: string, seed = 0) => {
    const out = join(
      options.out,
      "targets",
      `lr-${lr}-epochs-${epochs}`,
      lambda === null ? "" : `lambda-${lambda}`,
      name,
    );
    await fuseTarget(
      {
        ...FUSION_DEFAULTS,
        ...TRAINING_DEFAULTS,
        level: "conversation",
        model: join(options.models, pivot),
        conversations: fusion,
        pivot: join(options.out, "distributions", pivot),
        ...(source === undefined ? {} : { aligned: join(options.out, "aligned", source) }),
        lambda: lambda ?? FUSION_DEFAULTS.lambda,
        lr,
        epochs,
        batch: BATCH,
        seed,
        out,
      },
      context,
    );
    return out;
  };
  const measure = async (folder: string, line: Omit<SweepLine, "above_floor">) => {
    const { metrics } = await evaluateHeldOut(
      { model: folder, conversations: validation, maxLength: MAX_LENGTH, name: line.model },
      context,
    );
    lines.push({ ...line, above_floor: metrics.above_floor! });
  };
  const merge = async (folders: readonly string[], out: string) => {
    const config = {
      merge_method: "sce",
      models: folders.map((model) => ({ model })),
      base_model: join(options.models, pivot),
      parameters: { select_topk: SELECT_TOPK, variant: "fusechat" },
      dtype: "float32" as const,
    };
    await mergeModels(config, { out, baseFolder: options.out }, context);
    return out;
  };

  for (const epochs of options.epochs) {
    for (const lr of options.learningRates) {
      const runs: string[] = [];
      for (const seed of sources.keys()) runs.push(await train(`sft-${seed}`, lr, epochs, null, undefined, seed));
      await measure(runs[0]!, { lr, epochs, lambda: null, model: "sft" });
      const setting = join(options.out, "merges", `lr-${lr}-epochs-${epochs}`);
      await measure(await merge(runs, join(setting, "sft-merge")), { lr, epochs, lambda: null, model: "sft-merge" });
      for (const lambda of options.lambdas) {
        const targets: string[] = [];
        for (const source of sources) {
          targets.push(await train(source, lr, epochs, lambda, source));
          await measure(targets.at(-1)!, { lr, epochs, lambda, model: `target-${source}` });
        }
        const fused = await merge(targets, join(setting, `lambda-${lambda}`));
        await measure(fused, { lr, epochs, lambda, model: "fused" });
      }
    }
  }
  const { lr, epochs } = best(lines.filter(({ model }) => model === "sft"));
  const fused = lines.filter((line) => line.model === "fused" && line.lr === lr && line.epochs === epochs);
  const lambda = best(fused).lambda!;
  const result: SweepResult = { draw: "validation", lines, chosen: { lr, epochs, lambda } };
  await writeJson(join(options.out, SWEEP_FILE), result);
  return result;
}

/** The first of the lowest. */
function best(lines: readonly SweepLine[]): SweepLine {
  return lines.reduce((a, b) => (b.above_floor.value < a.above_floor.value ? b : a));
}

async function collectAndAlign(options: SweepOptions, fusion: readonly Conversation[], context: StageContext) {
  for (const { name } of DEMO_MODELS) {
    await collectDistributions(
      {
        model: join(options.models, name),
        conversations: fusion,
        out: join(options.out, "distributions", name),
        topK: 10,
        maxLength: MAX_LENGTH,
        template: "native",
      },
      context,
    );
  }
  const pivot = DEMO_MODELS.find(({ role }) => role === "pivot")!.name;
  const sources = DEMO_MODELS.filter(({ role }) => role === "source").map(({ name }) => name);
  for (const source of sources) {
    await alignDistributions(
      {
        pivot: join(options.out, "distributions", pivot),
        source: join(options.out, "distributions", source),
        out: join(options.out, "aligned", source),
        vocabulary: "split",
        sequence: "bytes",
        ...recommendedTransfer("split"),
        within: DEFAULT_WITHIN,
      },
      context,
    );
  }
  return { pivot, sources };
}
