/** The first step's losses and gradient norm on the embedded engine, for every level, tail and rule for unshared rows. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Conversation } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import type { Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { fuseTarget } from "#src/fuse/fuse.js";
import { FUSION_DEFAULTS, type FusionSettings, TRAINING_DEFAULTS } from "#src/fuse/options.js";
import { silent } from "#src/reporter.js";

const golden = resolve(import.meta.dirname, "../golden");
const pipeline = join(golden, "pipeline");

interface Losses {
  readonly loss: number;
  readonly label_loss: number;
  readonly fusion_loss: number;
  readonly grad_norm: number;
}

type Combination = Pick<FusionSettings, "level" | "unshared" | "tail"> & Losses;

let folder: string;
let engine: Engine;
let conversations: Conversation[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-losses-"));
  engine = await createOnnxEngine();
  conversations = (await readConversations(join(pipeline, "conversations.jsonl"))).conversations;
});

afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

// Level row needs the source's own shards; gemma2's are given, so this needs nothing of its architecture. Of its nine
// combinations the three with a tail bucket suffice: they have the other sums in them.
describe.each([
  { source: "qwen2", tails: ["renormalise", "drop", "bucket"], count: 9 },
  { source: "gemma2", tails: ["bucket"], count: 3 },
])("source $source", ({ source, tails, count }) => {
  test(`${count} combinations are the reference's`, async () => {
    const all: Combination[] = JSON.parse(await readFile(join(pipeline, "targets", source, "losses.json"), "utf8"));
    const combinations = all.filter(({ tail }) => tails.includes(tail));
    expect(combinations).toHaveLength(count);
    for (const { level, unshared, tail, ...wanted } of combinations) {
      const out = join(folder, `${source}-${level}-${unshared}-${tail}`);
      await fuseTarget(
        {
          ...{ ...FUSION_DEFAULTS, ...TRAINING_DEFAULTS, level, unshared, tail, epochs: 1, batch: 8 },
          ...{ model: join(golden, "models/mistral"), conversations, out },
          pivot: join(pipeline, "distributions/mistral"),
          aligned: join(pipeline, "aligned", source),
          source: join(pipeline, "distributions", source),
        },
        { engine, reporter: silent },
      );
      const found: Losses = JSON.parse((await readFile(join(out, "log.jsonl"), "utf8")).split("\n")[0]!);
      for (const loss of ["loss", "label_loss", "fusion_loss"] as const) {
        expect(Math.abs(found[loss] - wanted[loss])).toBeLessThan(5e-5);
      }
      expect(Math.abs(found.grad_norm / wanted.grad_norm - 1)).toBeLessThan(1e-4);
    }
  });
});
