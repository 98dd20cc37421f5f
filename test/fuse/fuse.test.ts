/**
 * The stage on the golden pivot and its shards, with an engine of our own whose weights depend on everything it was
 * given: what comes out must not depend on how often, or when, the training was interrupted.
 */
import { appendFile, cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readAlignedShard, writeAlignedShard } from "#src/align/shard-file.js";
import { fileError } from "#src/formats/files.js";
import { type FuseSummary, fuseTarget } from "#src/fuse/fuse.js";
import type { FuseOptions } from "#src/fuse/options.js";
import type { ReporterEvent } from "#src/reporter.js";
import { type FakeEngine, fakeEngine } from "./fake-engine.ts";

import { aligned, conversations, exists, folder, fuse, golden, options, source, useFolder } from "./golden-stage.ts";

useFolder();

/** Every file of a folder but the wall times. */
async function contents(out: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(join(folder, out), { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory() || entry.name === "timing.jsonl") continue;
    const path = join(entry.parentPath, entry.name);
    found[relative(join(folder, out), path)] = await readFile(path, "latin1");
  }
  return found;
}

const lines = async (out: string, name: string): Promise<Record<string, number>[]> =>
  (await readFile(join(folder, out, name), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("a whole training", () => {
  let summary: FuseSummary;

  beforeAll(async () => {
    summary = await fuse(options("whole"));
  });

  test("gives a complete model folder and nothing else", async () => {
    expect(Object.keys(await contents("whole")).sort()).toEqual([
      "README.md",
      "config.json",
      "fuse.json",
      "generation_config.json",
      "log.jsonl",
      "model.safetensors",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const config = JSON.parse(await readFile(join(folder, "whole/config.json"), "utf8"));
    expect(config.torch_dtype).toBe("float32");
  });

  test("counts steps, conversations and rows as the golden alignment does", () => {
    expect(summary).toMatchObject({ pivot: "mistral", source: "qwen2", steps: 12, skipped: false, resumedFrom: 0 });
    expect(summary.coverage).toEqual({
      conversations: 8,
      rows: 367,
      source_conversations: 6,
      source_rows: 198,
      unshared_rows: 19,
    });
  });

  test("logs one line a step, the loss made of its parts, rows covering each epoch once", async () => {
    const log = await lines("whole", "log.jsonl");
    expect(log.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, step) => step));
    for (const { loss, label_loss, fusion_loss } of log) {
      expect(loss).toBeCloseTo(0.9 * label_loss! + 0.1 * fusion_loss!, 12);
      // Uniform logits: every label costs log V, every normalised target as much.
      expect(label_loss).toBeCloseTo(Math.log(479), 12);
      expect(fusion_loss).toBeCloseTo(Math.log(479), 5);
    }
    for (let epoch = 0; epoch < 4; epoch++) {
      expect(log.slice(3 * epoch, 3 * epoch + 3).reduce((sum, { rows }) => sum + rows!, 0)).toBe(367);
    }
    expect((await lines("whole", "timing.jsonl")).map(({ step }) => step)).toEqual(log.map(({ step }) => step));
  });

  test("is recognised when asked for again, and no step is taken", async () => {
    const before = await contents("whole");
    const engine = fakeEngine();
    expect(await fuse(options("whole"), engine)).toEqual({ ...summary, skipped: true });
    expect(engine.steps).toHaveLength(0);
    expect(await contents("whole")).toEqual(before);
  });

  test("loses what a kill between record and cleaning up has left", async () => {
    const before = await contents("whole");
    await mkdir(join(folder, "whole/.checkpoint"));
    await writeFile(join(folder, "whole/.checkpoint/step-000008.state"), "");
    expect((await fuse(options("whole"))).skipped).toBe(true);
    expect(await contents("whole")).toEqual(before);
  });

  test("is not taken for finished once its weights are gone", async () => {
    await cp(join(folder, "whole"), join(folder, "gone"), { recursive: true });
    await rm(join(folder, "gone/model.safetensors"));
    await expect(fuse(options("gone"))).rejects.toThrow(/gone: expected model\.safetensors or .*, found neither/);
  });

  test("is the same elsewhere, byte for byte", async () => {
    await fuse(options("elsewhere", { checkpointSteps: 5 }));
    expect(await contents("elsewhere")).toEqual(await contents("whole"));
  });

  test.each<[string, Partial<FuseOptions>, string]>([
    ["lambda", { lambda: 0.5 }, "holds a target with lambda 0.9, but now it is 0.5"],
    ["seed", { seed: 1 }, "holds a target with seed 0, but now it is 1"],
    [
      "source",
      { aligned: join(golden, "pipeline/aligned/gemma2") },
      "holds a target with source qwen2, but now it is gemma2",
    ],
    ["dtype", { dtype: "float16" }, "holds a target with dtype float32, but now it is float16"],
  ])("refuses another %s in the same folder", async (_, changes, message) => {
    await expect(fuse(options("whole", changes))).rejects.toThrow(`${join(folder, "whole")}: ${message}`);
  });

  test("another seed or none at all shuffles otherwise", async () => {
    await fuse(options("seed", { seed: 1 }));
    await fuse(options("order", { shuffle: false }));
    const rows = async (out: string) => (await lines(out, "log.jsonl")).map((line) => line.rows);
    expect(await rows("seed")).not.toEqual(await rows("whole"));
    const ordered = await rows("order");
    expect(ordered.slice(3)).toEqual(ordered.slice(0, -3));
  });
});

describe("an interrupted training", () => {
  /** An engine that fails at a step, after the checkpoint of step 4. */
  const stopping = (at: number): FakeEngine =>
    fakeEngine({
      onStep: (step, result) => {
        if (step === at) throw new Error("stop");
        return result;
      },
    });

  test.each([1, 4, 6, 11])("ends with the same bytes when Ctrl-C comes at step %i", async (at) => {
    const out = `ctrl-c-${at}`;
    const controller = new AbortController();
    const engine = fakeEngine({
      onStep: (step, result) => {
        if (step === at - 1) controller.abort();
        return result;
      },
    });
    await expect(fuse(options(out), engine, controller.signal)).rejects.toThrow(
      /interrupted; run the same command again/,
    );
    expect(engine.steps).toHaveLength(at);
    expect((await fuse(options(out))).resumedFrom).toBe(at);
    expect(await contents(out)).toEqual(await contents("whole"));
  });

  test("cuts the log back to the checkpoint and takes up there, half a line and foreign pieces included", async () => {
    const out = "killed";
    await expect(fuse(options(out), stopping(6))).rejects.toThrow("stop");
    await appendFile(join(folder, out, "log.jsonl"), '{"step":6,"lo');
    await writeFile(join(folder, out, "model.safetensors.123.tmp"), "half");
    await writeFile(join(folder, out, ".checkpoint/step-000008.state.123.tmp"), "half");
    await writeFile(join(folder, out, ".checkpoint/step-000008.state"), "written, but not yet named");
    const again = fakeEngine();
    expect((await fuse(options(out), again)).resumedFrom).toBe(4);
    expect(again.steps).toHaveLength(8);
    expect(await contents(out)).toEqual(await contents("whole"));
    expect(await lines(out, "timing.jsonl")).toHaveLength(12);
  });

  test("goes on from the last checkpoint when the disk was full at the next", async () => {
    const out = "full";
    const engine = fakeEngine({
      onCheckpoint: async (path) => {
        if (!path.endsWith("step-000008.state")) return;
        await writeFile("/dev/full", "x").catch((error: unknown) => {
          throw fileError(path, error);
        });
      },
    });
    await expect(fuse(options(out), engine)).rejects.toThrow(/step-000008\.state: the disk is full/);
    expect((await fuse(options(out))).resumedFrom).toBe(4);
    expect(await contents(out)).toEqual(await contents("whole"));
  });

  test("is refused with other settings, by the key that differs", async () => {
    const out = "other-settings";
    const controller = new AbortController();
    controller.abort();
    await expect(fuse(options(out), fakeEngine(), controller.signal)).rejects.toThrow("interrupted");
    expect(await exists(out)).toBe(false);
    await expect(fuse(options(out), stopping(5))).rejects.toThrow("stop");
    await expect(fuse(options(out, { lr: 2e-3 }))).rejects.toThrow("holds a target with lr 0.001, but now it is 0.002");
  });

  test("says so when its checkpoint is not one", async () => {
    const out = "bad-pointer";
    await expect(fuse(options(out), stopping(5))).rejects.toThrow("stop");
    await writeFile(join(folder, out, ".checkpoint/checkpoint.json"), '{"step": -1}');
    await expect(fuse(options(out))).rejects.toThrow(
      /checkpoint\.json: expected \{"step": n\}, found \{"step":-1\}; remove .* to start anew/,
    );
    await writeFile(join(folder, out, ".checkpoint/fuse.json"), "{}");
    await expect(fuse(options(out))).rejects.toThrow(/fuse\.json: expected the record of a target/);
  });

  test("says so when its log has lost lines", async () => {
    const out = "lost-log";
    await expect(fuse(options(out), stopping(5))).rejects.toThrow("stop");
    await writeFile(join(folder, out, "log.jsonl"), "");
    await expect(fuse(options(out))).rejects.toThrow(
      /log\.jsonl: expected the lines of 4 steps as the checkpoint beside it has done, found 0/,
    );
  });
});

describe("a training that diverges", () => {
  const diverging = (at: number): FakeEngine =>
    fakeEngine({ onStep: (step, result) => (step === at ? { ...result, labelLoss: Number.NaN } : result) });

  test("stops with the step and leaves nothing behind", async () => {
    await expect(fuse(options("nan"), diverging(2))).rejects.toThrow(
      /training diverged at step 2 of 12: loss NaN, gradient norm [\d.]+; lower the learning rate \(0\.001\)/,
    );
    expect(await exists("nan")).toBe(false);
  });

  test("keeps its last checkpoint, but writes no model", async () => {
    await expect(fuse(options("nan-later"), diverging(6))).rejects.toThrow("training diverged at step 6 of 12");
    expect(Object.keys(await contents("nan-later")).sort()).toEqual([
      ".checkpoint/checkpoint.json",
      ".checkpoint/fuse.json",
      ".checkpoint/step-000004.state",
      "log.jsonl",
    ]);
  });
});

describe("the variants", () => {
  test("without aligned shards the loss is the label loss", async () => {
    const engine = fakeEngine();
    const { aligned: _, ...plain } = options("sft");
    const summary = await fuse(plain, engine);
    expect(summary.source).toBeNull();
    expect(summary.coverage).toMatchObject({ rows: 367, source_conversations: 0, source_rows: 0, unshared_rows: 0 });
    for (const step of engine.steps) {
      expect(step.lambda).toBe(1);
      for (const { targetProbability } of step.sequences) expect(targetProbability.every((q) => q === 0)).toBe(true);
    }
    for (const { loss, label_loss, fusion_loss } of await lines("sft", "log.jsonl")) {
      expect(loss).toBe(label_loss);
      expect(fusion_loss).toBe(0);
    }
    const record = JSON.parse(await readFile(join(folder, "sft/fuse.json"), "utf8"));
    expect(record.source).toBeNull();
    expect(Object.keys(record.settings)).not.toContain("lambda");
  });

  test("without shards of the pivot it is the same training, found again by the same settings", async () => {
    const { aligned: _, ...plain } = options("sft-shards", { epochs: 1 });
    const { pivot: __, ...bare } = { ...plain, out: join(folder, "sft-bare") };
    const engines = [fakeEngine(), fakeEngine()] as const;
    await fuse(plain, engines[0]);
    const summary = await fuse(bare, engines[1]);
    expect(summary.coverage.rows).toBe(367);
    const asked = (engine: FakeEngine) =>
      engine.steps.map(({ sequences }) => sequences.map(({ ids, positions }) => [[...ids], [...positions]]));
    expect(asked(engines[1])).toEqual(asked(engines[0]));
    expect((await contents("sft-bare"))["model.safetensors"]).toBe((await contents("sft-shards"))["model.safetensors"]);
    expect((await fuse(bare)).skipped).toBe(true);
    const dated = { ...bare, templateSettings: { date: "2026-01-01", variables: {} } };
    await expect(fuse(dated)).rejects.toThrow(/holds a target with input rendering [0-9a-f]{12}…, but now it is/);
  });

  test("what shards know is not said a second time, and aligned shards need the pivot's", async () => {
    await expect(fuse({ ...options("twice"), maxLength: 64 })).rejects.toThrow("leave out --max-length");
    const { pivot: _, ...alone } = options("twice");
    await expect(fuse(alone)).rejects.toThrow("aligned shards lie beside the pivot's");
  });

  test("by row, targets come from both models", async () => {
    const { coverage } = await fuse(options("row", { level: "row", source }));
    expect(coverage.source_rows).toBeGreaterThan(0);
    expect(coverage.source_rows + coverage.unshared_rows).toBeLessThan(coverage.rows);
  });

  const gemma2 = join(golden, "pipeline/aligned/gemma2");

  test("of several sources at once, each conversation has the one that is best", async () => {
    const [one, two, both] = [fakeEngine(), fakeEngine(), fakeEngine()];
    const settings: Partial<FuseOptions> = { epochs: 1, shuffle: false, tail: "bucket" };
    await fuse(options("one", settings), one);
    await fuse(options("two", { ...settings, aligned: gemma2 }), two);
    const summary = await fuse(options("both", { ...settings, aligned: [aligned, gemma2] }), both);
    expect(summary.source).toBe("qwen2 + gemma2");
    const { sources, ...coverage } = summary.coverage;
    expect(coverage).toMatchObject({ conversations: 8, rows: 367 });
    expect(sources!.map(({ source }) => source)).toEqual(["qwen2", "gemma2"]);
    expect(sources!.reduce((sum, { rows }) => sum + rows, 0)).toBe(coverage.source_rows);
    // A conversation's targets are those of one of the pairs, as they were.
    const targets = (engine: FakeEngine) =>
      engine.steps.flatMap((step) =>
        step.sequences.map(({ targetProbability: q, tailProbability: t }) => [[...q], [...t!]]),
      );
    for (const [n, found] of targets(both).entries()) {
      expect([targets(one)[n], targets(two)[n]].some((pair) => JSON.stringify(pair) === JSON.stringify(found))).toBe(
        true,
      );
    }
    const record = JSON.parse(await readFile(join(folder, "both/fuse.json"), "utf8"));
    expect(record.source).toBe("qwen2 + gemma2");
    expect(Object.keys(record.inputs)).toEqual(expect.arrayContaining(["aligned_shards_1", "aligned_shards_2"]));
    expect(await readFile(join(folder, "both/README.md"), "utf8")).toContain("- gemma2: chosen in ");
  });

  test("the same source twice, or fewer folders of sources than aligned ones, are refused", async () => {
    await expect(fuse(options("twice", { aligned: [aligned, aligned] }))).rejects.toThrow(
      "is aligned from qwen2, as another folder is; give each source once",
    );
    await expect(fuse(options("fewer", { aligned: [aligned, gemma2], source: [source] }))).rejects.toThrow(
      "expected as many folders of sources as of aligned shards, in the same order, found 1 and 2",
    );
  });

  test("steps by gain are as many as even ones, and another target", async () => {
    const [even, gain] = [fakeEngine(), fakeEngine()];
    await fuse(options("even", { level: "group" }), even);
    const { steps } = await fuse(options("gain", { level: "group", emphasis: "gain" }), gain);
    expect(steps).toBe(12);
    // Batches of three, and the last of two.
    const conversationsAnEpoch = ({ steps: taken }: FakeEngine) =>
      [0, 3, 6, 9].map((first) =>
        taken.slice(first, first + 3).reduce((sum, { sequences }) => sum + sequences.length, 0),
      );
    expect(conversationsAnEpoch(gain)).toEqual([8, 8, 8, 8]);
    expect(conversationsAnEpoch(even)).toEqual([8, 8, 8, 8]);
    const settings = async (out: string) => JSON.parse(await readFile(join(folder, out, "fuse.json"), "utf8")).settings;
    expect(await settings("gain")).toEqual({ ...(await settings("even")), emphasis: "gain", even_share: 0.5 });
    await expect(fuse(options("gain", { level: "group" }))).rejects.toThrow("holds a target with emphasis gain");
  });

  test("by group, all conversations of a label go by one record, and other labels are another target", async () => {
    const labelled = (names: readonly string[]) =>
      conversations.map((conversation, n) => ({ ...conversation, skill: names[n % names.length]! }));
    // Two labels on eight conversations are too few to be groups; by their prompts they are one.
    const events: ReporterEvent[] = [];
    const reporter = { report: (event: ReporterEvent) => events.push(event) };
    const group = options("group", { level: "group", conversations: labelled(["a", "b"]) });
    const { coverage } = await fuseTarget(group, { engine: fakeEngine(), reporter });
    expect(events.find(({ type }) => type === "warning")).toMatchObject({
      message: expect.stringMatching(/^all conversations are one group, by their prompts: one model is chosen for all/),
    });
    expect([0, 8]).toContain(coverage.source_conversations);
    await expect(fuse(options("group", { level: "group", conversations: labelled(["a", "c"]) }))).rejects.toThrow(
      /holds a target with input labels [0-9a-f]{12}…, but now it is/,
    );
  });

  test("a source that is never chosen is told", async () => {
    const shard = await readAlignedShard(join(aligned, "shard-00000.safetensors"));
    shard.sourceNats.fill(1e6);
    await writeAlignedShard(join(folder, "never/shard-00000.safetensors"), shard);
    const events: ReporterEvent[] = [];
    const reporter = { report: (event: ReporterEvent) => events.push(event) };
    await fuseTarget(options("unmoved", { aligned: join(folder, "never") }), { engine: fakeEngine(), reporter });
    expect(events.find(({ type }) => type === "warning")).toEqual({
      type: "warning",
      stage: "fuse unmoved",
      message: "qwen2 is never chosen: every target is the pivot's own distribution",
    });
    expect(events.at(-1)).toMatchObject({ type: "end", stage: "fuse unmoved" });
  });
});
