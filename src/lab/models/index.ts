/**
 * The laboratory's models: a pivot and sources that differ in architecture, tokenizer, chat template and in what they are
 * good at. About a million parameters each; everything about them but the trained weights is written here. A new one is
 * one file and one name.
 */
import { INTERNLM2 } from "./internlm2.ts";
import { LLAMA } from "./llama.ts";
import { MISTRAL } from "./mistral.ts";
import { MIXTRAL } from "./mixtral.ts";
import type { LabModel } from "./model.ts";
import { QWEN2 } from "./qwen2.ts";
import { STARLING } from "./starling.ts";

export type { LabModel } from "./model.ts";

/** A pivot and two sources: what three minutes allow. */
export const DEMO_MODELS: readonly LabModel[] = [MISTRAL, LLAMA, QWEN2];

/** One for each model that the paper fused, in its architecture, the pivot first. */
export const LAB_MODELS: readonly LabModel[] = [MISTRAL, STARLING, LLAMA, INTERNLM2, MIXTRAL, QWEN2];

/** Threads of everything whose bytes are shipped or printed: sums are cut by thread, another number gives other digits. */
export const LAB_THREADS = 2;
