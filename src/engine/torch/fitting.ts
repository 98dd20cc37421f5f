/** What would fit, where a model does not: more processes, smaller micro-batches, low-rank adapters. */
import type { ModelSizes } from "../../models/sizes.ts";
import { LORA_DEFAULTS } from "../lora.ts";
import { type ProcessWork, processBytes } from "./memory.ts";

const MOST_PROCESSES = 1024;
/** Smaller micro-batches keep no card busy. */
const LEAST_TOKENS = 512;
type Place = "gpu" | "processor";

/** The fewest processes with which it fits; null where no number does. */
export function leastProcesses(sizes: ModelSizes, work: ProcessWork, limit: number, place: Place): number | null {
  for (let processes = 1; processes <= MOST_PROCESSES; processes++) {
    if (processBytes(sizes, { ...work, processes }, place) <= limit) return processes;
  }
  return null;
}

/** The longest micro-batch with which it fits, halved from the one there is; null where none does. */
function fittingTokens(sizes: ModelSizes, work: ProcessWork, limit: number, place: Place): number | null {
  for (let microTokens = work.microTokens / 2; microTokens >= LEAST_TOKENS; microTokens /= 2) {
    const tokens = Math.floor(microTokens);
    if (processBytes(sizes, { ...work, microTokens: tokens }, place) <= limit) return tokens;
  }
  return null;
}

/** The ways there are, as a part of a sentence; null where none is known. */
export function advise(sizes: ModelSizes, work: ProcessWork, limit: number, place: Place): string | null {
  const ways: string[] = [];
  const tokens = fittingTokens(sizes, work, limit, place);
  if (tokens !== null) ways.push(`micro_tokens: ${tokens}`);
  // Processes of a processor share its memory: more of them need more.
  const processes = place === "gpu" ? leastProcesses(sizes, work, limit, place) : null;
  if (processes !== null && processes > work.processes) ways.push(`at least ${processes} processes, each with a GPU`);
  if (work.kind === "train" && work.lora === null) {
    const least = leastProcesses(sizes, { ...work, lora: LORA_DEFAULTS }, limit, place);
    if (least !== null && least <= work.processes) ways.push("fuse.lora");
    else if (least !== null && place === "gpu") ways.push(`fuse.lora with ${least} processes`);
  }
  if (ways.length === 0) return null;
  return `${ways.join(", or ")} would do`;
}
