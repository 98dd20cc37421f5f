/**
 * The recipe of the demonstration: the laboratory's pivot and sources, conversations from a draw that no model was
 * trained on, and every control that a result needs. Lambda, learning rate and epochs come from `sweep.ts`, which
 * looked at the validation draw only.
 */
import { DEMO_MODELS, LAB_THREADS } from "./models/index.ts";

/** What the sweep varies. */
export interface DemoSettings {
  readonly lambda: number;
  readonly lr: number;
  readonly epochs: number;
}

/** Fixed by `fusechat lab sweep` on the validation draw; lab/sweep.json has the figures. */
export const DEMO_SETTINGS: DemoSettings = { lambda: 0.1, lr: 5e-4, epochs: 3 };

export const FUSION_CONVERSATIONS = 2400;
export const HELD_OUT_CONVERSATIONS = 800;
/** Tokens; the longest conversation has about seventy in any of the tokenizers. */
export const MAX_LENGTH = 256;
/** Conversations an optimiser step: 75 steps an epoch. */
export const BATCH = 32;
/** Of SCE: the share of each tensor's entries that coefficients are found from. */
export const SELECT_TOPK = 0.1;

export interface DemoPaths {
  /** Folder with the laboratory's models, as the recipe should name it. */
  readonly models: string;
  readonly fusion: string;
  readonly heldOut: string;
}

/** The recipe as YAML text. */
export function demoRecipe(settings: DemoSettings, paths: DemoPaths): string {
  const folder = (name: string): string => JSON.stringify(`${paths.models}/${name}`);
  const [pivot] = DEMO_MODELS.filter(({ role }) => role === "pivot");
  const sources = DEMO_MODELS.filter(({ role }) => role === "source");
  return `# The laboratory's demonstration. Lambda, learning rate and epochs were fixed on a validation draw.
pivot: ${folder(pivot!.name)}
sources:
${sources.map(({ name }) => `  - ${folder(name)}`).join("\n")}
data: { path: ${JSON.stringify(paths.fusion)}, held_out_path: ${JSON.stringify(paths.heldOut)}, max_length: ${MAX_LENGTH} }
distributions: { top_k: 10, template: native }
align: { sequence: bytes, vocabulary: split, unshared: label }
fuse:
  { sources: together, function: min-ce, level: group, lambda: ${settings.lambda}, lr: ${settings.lr}, epochs: ${settings.epochs}, batch: ${BATCH} }
merge: { dtype: float32 }
baselines: [sft, pairwise] # plain fine-tuning, and the papers' way: a target for each source, merged by SCE
evaluate: [{ benchmark: held-out, models: [pivot, sources, fused, baselines] }]
seed: 0
engine: { kind: onnx, threads: ${LAB_THREADS} } # sums are cut by thread: another number gives other last digits
`;
}
