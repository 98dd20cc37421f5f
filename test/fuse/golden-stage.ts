/** The fuse stage on the golden pivot and its shards, in a temporary folder of the importing test file. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { readConversations } from "#src/data/read.js";
import { type FuseSummary, fuseTarget } from "#src/fuse/fuse.js";
import { FUSION_DEFAULTS, type FuseOptions, TRAINING_DEFAULTS } from "#src/fuse/options.js";
import { silent } from "#src/reporter.js";
import { type FakeEngine, fakeEngine } from "./fake-engine.ts";

export const golden: string = resolve(import.meta.dirname, "../golden");
export const model: string = join(golden, "models/mistral");
export const pivot: string = join(golden, "pipeline/distributions/mistral");
export const aligned: string = join(golden, "pipeline/aligned/qwen2");
export const source: string = join(golden, "pipeline/distributions/qwen2");

/** A folder of the test file that calls `useFolder`. */
export let folder: string;

export function useFolder(): void {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-fuse-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
}

export const conversations = (await readConversations(join(golden, "pipeline/conversations.jsonl"))).conversations;

/** Eight conversations, batches of three, four epochs: twelve steps. */
export function options(out: string, changes: Partial<FuseOptions> = {}): FuseOptions {
  return {
    ...FUSION_DEFAULTS,
    ...TRAINING_DEFAULTS,
    level: "conversation",
    model,
    conversations,
    pivot,
    aligned,
    out: join(folder, out),
    lr: 1e-3,
    epochs: 4,
    batch: 3,
    checkpointSteps: 4,
    ...changes,
  };
}

export function fuse(
  given: FuseOptions,
  engine: FakeEngine = fakeEngine(),
  signal?: AbortSignal,
): Promise<FuseSummary> {
  return fuseTarget(given, { engine, reporter: silent, ...(signal === undefined ? {} : { signal }) });
}

export const exists = async (out: string): Promise<boolean> => (await readdir(folder)).includes(out);
