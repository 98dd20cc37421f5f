/**
 * Adapters beside peft: those that peft makes, merged into their base by us, and those that we extract, loaded by peft.
 * Either way base and adapter together must have the same logits.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { extractAdapter } from "#src/merge/adapters/extract.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import { createRandom } from "#src/random.js";
import { silent } from "#src/reporter.js";
import { GOLDEN_MODELS, goldenFolder } from "../engine/onnx/golden.ts";
import { writeNudged } from "./nudged.ts";
import { describeWithPeers, runScript } from "./python.ts";

const LOGITS_TOLERANCE = 1e-4;
/** What an adapter must change a logit by, or nothing was compared. */
const LEAST_CHANGE = 0.01;

/** By the name of a golden model: settings of peft's LoraConfig. */
const SETTINGS: Readonly<Record<string, object>> = {
  mistral: { r: 4, lora_alpha: 8, target_modules: "all-linear" },
  qwen2: {
    r: 4,
    use_rslora: true,
    target_modules: "all-linear",
    rank_pattern: { q_proj: 2 },
    alpha_pattern: { down_proj: 3 },
  },
  phi3: { r: 4, use_dora: true, target_modules: "all-linear" },
  llama: { r: 4, target_modules: ["q_proj", "up_proj"], modules_to_save: ["lm_head"] },
  qwen3: { r: 4, target_modules: ["v_proj"], modules_to_save: ["norm"] },
  mixtral: { r: 4, target_modules: ["k_proj", "o_proj"] },
  // Its head is tied to the embedding, and stays what it was.
  gemma2: { r: 4, target_modules: ["embed_tokens", "o_proj"] },
};
/** transformers, and so peft, has no class for InternLM2. */
const EXTRACTED = GOLDEN_MODELS.filter((name) => name !== "internlm2");
const RANK = 6;

const ids = ((random) => Array.from({ length: 20 }, () => random.integer(400)))(createRandom("adapters"));

interface Pair {
  readonly base: string;
  readonly adapter: string;
  readonly settings: object | null;
}

let folder: string;
let engine: Engine;
let pairs: Pair[];
/** Of each pair, [T][vocabulary]. */
let theirs: readonly (readonly number[])[][];

describeWithPeers("base and adapter have peft's logits", "nothing was compared with peft", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-peers-"));
    engine = await createOnnxEngine();
    const made = Object.entries(SETTINGS).map(([name, settings]) => ({
      base: goldenFolder(name),
      adapter: join(folder, "made", name),
      settings,
    }));
    pairs = [...made, ...(await Promise.all(EXTRACTED.map(extract)))];
    const jobs = pairs.map((pair) => ({ ...pair, ids }));
    theirs = await runScript("load_adapters.py", jobs, { packages: "environment" });
  });

  afterAll(async () => {
    await engine?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  test.each(Object.keys(SETTINGS))("%s with an adapter of peft's", (name) => compare(join(folder, "made", name)));
  test.each(EXTRACTED)("%s with an extracted adapter", (name) => compare(join(folder, "extracted", name)));
});

async function extract(name: string): Promise<Pair> {
  const base = goldenFolder(name);
  const model = join(folder, "models", name);
  const adapter = join(folder, "extracted", name);
  await writeNudged(base, model, name);
  await extractAdapter({ base, model, rank: RANK, out: adapter }, { reporter: silent });
  return { base, adapter, settings: null };
}

async function compare(adapter: string): Promise<void> {
  const index = pairs.findIndex((pair) => pair.adapter === adapter);
  const { base } = pairs[index]!;
  const out = `${adapter}.merged`;
  const config = { merge_method: "passthrough", models: [{ model: `${base}+${adapter}` }], dtype: "float32" };
  await mergeModels(checkMergeConfig(config, "adapter"), { out });
  const expected = theirs[index]!.flat();
  expect(largestDifference(await logitsOf(base), expected)).toBeGreaterThan(LEAST_CHANGE);
  expect(largestDifference(await logitsOf(out), expected)).toBeLessThan(LOGITS_TOLERANCE);
}

async function logitsOf(model: string): Promise<Float32Array> {
  const opened = await engine.open(model);
  try {
    return await opened.logits(Int32Array.from(ids));
  } finally {
    await opened.dispose();
  }
}

function largestDifference(a: ArrayLike<number>, b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return b.reduce((largest, value, i) => Math.max(largest, Math.abs(value - a[i]!)), 0);
}
