/**
 * A target of the laboratory, small: trained by either engine on the same distributions, it has the same held-out figures. At the
 * demonstration's own size that takes a quarter of an hour; docs/clusters.md has what it gave.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { alignDistributions } from "#src/align/align.js";
import { collectDistributions } from "#src/distributions/collect.js";
import type { Engine } from "#src/engine/engine.js";
import { createEngine, EMBEDDED, TORCH } from "#src/engine/index.js";
import { evaluateHeldOut } from "#src/evaluate/benchmarks/held-out.js";
import { fuseTarget } from "#src/fuse/fuse.js";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "#src/fuse/options.js";
import { drawConversations } from "#src/lab/conversations.js";
import { SHIPPED_MODELS } from "#src/lab/demo.js";
import { DEMO_SETTINGS, MAX_LENGTH } from "#src/lab/demo-recipe.js";
import { silent } from "#src/reporter.js";

const { python } = inject("torch");
const model = join(SHIPPED_MODELS, "lab-mistral");
const source = join(SHIPPED_MODELS, "lab-qwen2");

let folder: string;
let embedded: Engine;
let torch: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-laboratory-"));
  embedded = await createEngine(EMBEDDED);
  torch = await createEngine({ ...TORCH, python, device: "cpu", compute: "float32" });
});
afterAll(async () => {
  await embedded.dispose();
  await torch.dispose();
  await rm(folder, { recursive: true, force: true });
});

test("a target has the embedded engine's held-out figures within 1e-3 nats a byte, skill by skill", async () => {
  const conversations = drawConversations("fusion", 128);
  const heldOut = drawConversations("held-out", 64);
  const context = { engine: embedded, reporter: silent };
  const common = { conversations, topK: 10, maxLength: MAX_LENGTH, template: "native" as const };
  const [pivot, other, aligned] = ["pivot", "source", "aligned"].map((name) => join(folder, name));
  await collectDistributions({ ...common, model, out: pivot! }, context);
  await collectDistributions({ ...common, model: source, out: other! }, context);
  const rules = { vocabulary: "split", sequence: "bytes" } as const;
  await alignDistributions({ ...rules, pivot: pivot!, source: other!, out: aligned! }, { reporter: silent });
  const settings = { ...FUSION_DEFAULTS, ...TRAINING_DEFAULTS, ...DEMO_SETTINGS, batch: 16, epochs: 1 };
  const figures: Record<string, number>[] = [];
  for (const [name, engine] of Object.entries({ embedded, torch })) {
    const out = join(folder, name);
    const options = { ...settings, model, conversations, pivot: pivot!, source: other!, aligned: aligned!, out };
    await fuseTarget(options, { engine, reporter: silent });
    const { metrics } = await evaluateHeldOut({ model: out, conversations: heldOut, maxLength: MAX_LENGTH }, context);
    figures.push(Object.fromEntries(Object.entries(metrics).map(([metric, { value }]) => [metric, value])));
  }
  const before = await evaluateHeldOut({ model, conversations: heldOut, maxLength: MAX_LENGTH }, context);
  const [ours, theirs] = figures;
  expect(Object.keys(theirs!)).toEqual(Object.keys(ours!));
  for (const [metric, value] of Object.entries(ours!)) {
    expect(Math.abs(theirs![metric]! - value), metric).toBeLessThan(1e-3);
  }
  // Which it did not have before.
  expect(Math.abs(ours!.nats_per_byte! - before.metrics.nats_per_byte!.value)).toBeGreaterThan(3e-3);
});
