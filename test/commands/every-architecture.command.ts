/** A pivot and eight sources of eight other families, from their folders to the fused model. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readConversations } from "#src/data/read.js";
import { ADAMW, type Engine, type TrainSequence } from "#src/engine/engine.js";
import { createEngine, EMBEDDED } from "#src/engine/index.js";
import { minCe } from "#src/fuse/functions/min-ce.js";
import { openLessons } from "#src/fuse/lessons.js";
import { openPair } from "#src/fuse/pair.js";
import { openRendering } from "#src/fuse/rendering.js";
import { targetDistributionWidth } from "#src/fuse/target-distributions.js";
import { loadRecipe } from "#src/recipe/load.js";
import { silent } from "#src/reporter.js";
import { runRecipe } from "#src/run/run-recipe.js";
import { CONVERSATIONS, GOLDEN, HELD_OUT, MISTRAL, temporaryFolder, writeRecipe } from "../run/fixtures.ts";

const SOURCES = ["llama", "mixtral", "qwen2", "internlm2", "llama3", "qwen3", "gemma2", "phi3"];

const RECIPE = `pivot: ${MISTRAL}
sources: [${SOURCES.map((name) => join(GOLDEN, "models", name)).join(", ")}]
data: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT} }
fuse: { level: conversation, lr: 3.0e-3, epochs: 4, batch: 8, lambda: 0.5 }
merge: { method: sce, select_topk: 0.5 }
baselines: [sft]
evaluate: [{ benchmark: held-out, models: [pivot, sources, targets, fused] }]
`;

interface HeldOut {
  readonly models: readonly {
    readonly name: string;
    readonly metrics: { readonly nats_per_byte: { readonly value: number } };
  }[];
}

let folder: string;
let out: string;
let engine: Engine;
let natsPerByte: Map<string, number>;
beforeAll(async () => {
  folder = await temporaryFolder();
  out = join(folder, "run");
  engine = await createEngine(EMBEDDED);
  const { recipe, text, file } = await loadRecipe(await writeRecipe(folder, RECIPE));
  await runRecipe(recipe, { out, recipeText: text, recipeFile: file }, { reporter: silent, createEngine });
  const { models } = JSON.parse(await readFile(join(out, "evaluate/held-out.json"), "utf8")) as HeldOut;
  natsPerByte = new Map(models.map(({ name, metrics }) => [name, metrics.nats_per_byte.value]));
}, 300_000);
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** What a target is trained on. */
async function lessonsOf(source: string): Promise<TrainSequence[]> {
  const pivot = join(out, "distributions/mistral");
  const pair = await openPair({ pivot, aligned: join(out, "aligned", source), level: "conversation" });
  const { conversations } = await readConversations(join(out, "data/train.jsonl"));
  const rendering = await openRendering({ model: MISTRAL, pivot, conversations }, pair);
  const { hasToken } = rendering;
  const width = targetDistributionWidth(pair, { function: minCe, tail: "renormalise" });
  const rules = {
    function: minCe,
    level: "conversation",
    record: null,
    tail: "renormalise",
    unshared: "label",
    hasToken,
    width,
  } as const;
  const place = { folder, stage: "lessons", total: conversations.length };
  const lessons = await openLessons(pair, rendering, rules, place, { reporter: silent });
  const read: TrainSequence[] = [];
  for (let n = 0; n < lessons.coverage.conversations; n++) read.push((await lessons.read(n))!);
  await lessons.dispose();
  await rendering.dispose();
  return read;
}

/** Nats a row that a model of the run gives to what the lessons say. */
async function distanceOf(model: string, lessons: readonly TrainSequence[]): Promise<number> {
  const trainer = await engine.train(join(out, model), ADAMW);
  try {
    return (await trainer.step({ sequences: lessons, lambda: 0, learningRate: 0 })).fusionLoss;
  } finally {
    await trainer.dispose();
  }
}

test("pivot and sources have the held-out figures of the independent implementation, to 1e-4", async () => {
  const { held_out: expected } = JSON.parse(await readFile(join(GOLDEN, "pipeline/expected.json"), "utf8")) as {
    held_out: Record<string, { nats_per_byte: number }>;
  };
  for (const name of ["mistral", "qwen2", "gemma2"]) {
    expect(Math.abs(natsPerByte.get(name)! - expected[name]!.nats_per_byte), name).toBeLessThan(1e-4);
  }
});

test("every source gives a target that predicts better than the pivot, and so does their merge", () => {
  const pivot = natsPerByte.get("mistral")!;
  for (const name of [...SOURCES.map((source) => `target-${source}`), "fused"]) {
    expect(natsPerByte.get(name), name).toBeLessThan(pivot - 0.01);
  }
});

test("every target has learnt from its source what plain fine-tuning has not", async () => {
  for (const source of SOURCES) {
    const record = JSON.parse(await readFile(join(out, "targets", source, "fuse.json"), "utf8"));
    expect(record.figures.coverage.source_rows, source).toBeGreaterThan(0);
    const lessons = await lessonsOf(source);
    const learnt = (await distanceOf("baselines/sft", lessons)) - (await distanceOf(`targets/${source}`, lessons));
    // 0.62 to 0.83 nats a row; at lambda 1 the two are the same model.
    expect(learnt, source).toBeGreaterThan(0.25);
  }
});
