/**
 * A job that died for lack of memory, in a sentence: what its process would have needed by its model's sizes, what there is,
 * and what would fit.
 */

import { join } from "node:path";
import { z } from "zod";
import { FusechatError, failure } from "../../errors.ts";
import { readChecked } from "../../formats/checked-json.ts";
import { openWeights } from "../../formats/weights.ts";
import { modelSizes } from "../../models/sizes.ts";
import type { LoraShape } from "../estimate.ts";
import type { TorchContext } from "./context.ts";
import { advise } from "./fitting.ts";
import { processesOf } from "./launch.ts";
import { type ProcessWork, processBytes } from "./memory.ts";

export interface MemoryNeed {
  /** The model's folder. */
  readonly model: string;
  readonly kind: ProcessWork["kind"];
  readonly lora: LoraShape | null;
}

/** How the Python package begins what it says of such a death. */
const OUT_OF_MEMORY = /\bout of (GPU )?memory: /;

/** The result of `work`, or its error; of one for lack of memory with figures and advice. */
export async function explainingMemory<T>(context: TorchContext, need: MemoryNeed, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const found = error instanceof FusechatError ? OUT_OF_MEMORY.exec(error.message) : null;
    if (found === null) throw error;
    const { message } = error as FusechatError;
    throw failure(need.model, `${message}; ${await figures(context, need, found[1] !== undefined)}`, error);
  }
}

async function figures(
  { settings, facts, microTokens }: TorchContext,
  need: MemoryNeed,
  onGpu: boolean,
): Promise<string> {
  const config = await readChecked(join(need.model, "config.json"), z.looseObject({}), "the configuration of a model");
  const sizes = modelSizes(config, (await openWeights(need.model)).tensors.values());
  const processes = processesOf(settings, facts);
  const { kind, lora } = need;
  const work: ProcessWork = { kind, processes, microTokens, compute: settings.compute, lora };
  const place = onGpu ? "gpu" : "processor";
  const needed = processBytes(sizes, work, place);
  const each = `a ${kind === "train" ? "training" : "pass"} with micro-batches of ${microTokens} tokens takes about ${gigabytes(needed)}`;
  const shared = processes === 1 ? "in one process" : `in each of ${processes} processes`;
  // Of a card elsewhere only this is known: what there was did not do.
  const available = onGpu ? Math.min(needed, facts?.gpus[0]?.bytes ?? needed) : needed;
  const limit = available === needed ? 0.9 * needed : available;
  const there = onGpu && facts?.gpus[0] !== undefined ? `, a GPU has ${gigabytes(facts.gpus[0].bytes)}` : "";
  const advice = advise(sizes, work, limit, place);
  return `${each} ${shared}${there}${advice === null ? "" : `: ${advice}`}`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
