/**
 * The torch engine behind the interface of all engines, with a real Python: against the goldens and against the embedded
 * engine, on models small enough that starting Python is what takes the time. `FUSECHAT_TORCH_PYTHON` names it.
 */
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { readConversations } from "#src/data/read.js";
import { collectDistributions } from "#src/distributions/collect.js";
import { readDistributions } from "#src/distributions/read-folder.js";
import type { Engine, EngineModel, Sequence } from "#src/engine/engine.js";
import { createEngine, EMBEDDED, TORCH } from "#src/engine/index.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { fuseTarget } from "#src/fuse/fuse.js";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "#src/fuse/options.js";
import type { ReporterEvent } from "#src/reporter.js";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const MISTRAL = join(GOLDEN, "models/mistral");
const { python } = inject("torch");

let folder: string;
let torch: Engine;
let embedded: Engine;
/** One model, asked all along by both. */
let theirs: EngineModel;
let ours: EngineModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-torch-test-"));
  torch = await createEngine({ ...TORCH, python, device: "cpu", compute: "float32" });
  embedded = await createEngine(EMBEDDED);
  theirs = await torch.open(MISTRAL);
  ours = await embedded.open(MISTRAL);
});
afterAll(async () => {
  await torch.dispose();
  await embedded.dispose();
  await rm(folder, { recursive: true, force: true });
});

const sequences: readonly Sequence[] = [
  { ids: Int32Array.of(1, 5, 9, 30, 200, 7), positions: Int32Array.of(1, 3, 5) },
  { ids: Int32Array.of(1, 77, 40), positions: Int32Array.of(2) },
  { ids: Int32Array.of(1, 8), positions: new Int32Array(0) },
];

const largest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((worst, value, index) => Math.max(worst, Math.abs(value - b[index]!)), 0);

test("rows and logits are those of the embedded engine", async () => {
  expect([theirs.vocabulary, theirs.parameters]).toEqual([ours.vocabulary, ours.parameters]);
  const [a, b] = [await ours.rows(sequences, 10), await theirs.rows(sequences, 10)];
  expect([...b.topId]).toEqual([...a.topId]);
  expect(largest(a.labelLogp, b.labelLogp)).toBeLessThan(1e-5);
  expect(largest(a.topLogp, b.topLogp)).toBeLessThan(1e-5);
  const ids = sequences[0]!.ids;
  expect(largest(await ours.logits(ids), await theirs.logits(ids))).toBeLessThan(1e-4);
});

test("drawn rows are those of the embedded engine", async () => {
  const drawn = sequences.map((sequence, s) => ({
    ...sequence,
    uniform: Float32Array.from(sequence.positions, (_, row) => (0.37 * (s + 1) + 0.21 * row) % 1),
  }));
  const [a, b] = [await ours.rows(drawn, 10), await theirs.rows(drawn, 10)];
  expect([...b.topId]).toEqual([...a.topId]);
  for (const [at, logp] of b.topLogp.entries()) expect(Math.exp(logp)).toBeCloseTo(Math.exp(a.topLogp[at]!), 6);
  expect(a.topLogp.includes(Number.NEGATIVE_INFINITY) || new Set(a.topLogp).size === 1).toBe(true);
});

test("answers are the embedded engine's, greedy and drawn with the same numbers", async () => {
  const prompts = [Int32Array.of(1, 5, 9), Int32Array.of(1, 30, 31, 32)];
  const greedy = { maxTokens: 8, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "s" };
  for (const options of [greedy, { ...greedy, temperature: 0.8, topP: 0.95 }]) {
    expect(await theirs.generate(prompts, options)).toEqual(await ours.generate(prompts, options));
  }
});

describe("a fusion", () => {
  const settings = () => ({
    ...FUSION_DEFAULTS,
    ...TRAINING_DEFAULTS,
    level: "conversation" as const,
    epochs: 6,
    batch: 8,
    lr: 1e-3,
    warmupRatio: 0.1,
  });

  test("trains the golden target: weights and log within the goldens' tolerances", async () => {
    const { conversations } = await readConversations(join(GOLDEN, "pipeline/conversations.jsonl"));
    const out = join(folder, "target");
    const events: ReporterEvent[] = [];
    const summary = await fuseTarget(
      {
        ...settings(),
        shuffle: false,
        model: MISTRAL,
        conversations,
        pivot: join(GOLDEN, "pipeline/distributions/mistral"),
        aligned: join(GOLDEN, "pipeline/aligned/qwen2"),
        out,
      },
      { engine: torch, reporter: { report: (event) => events.push(event) } },
    );
    expect(summary.steps).toBe(6);
    const golden = (await readSafetensors(join(GOLDEN, "pipeline/targets/qwen2/model.safetensors"))).tensors;
    const found = (await readSafetensors(join(out, "model.safetensors"))).tensors;
    expect([...found.keys()].sort()).toEqual([...golden.keys()].sort());
    for (const [name, { data }] of golden) {
      expect(largest(data as Float32Array, found.get(name)!.data as Float32Array), name).toBeLessThan(3e-4);
    }
    const lines = async (path: string): Promise<Record<string, number>[]> =>
      (await readFile(path, "utf8"))
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    const log = await lines(join(out, "log.jsonl"));
    for (const [step, line] of (await lines(join(GOLDEN, "pipeline/targets/qwen2/log.jsonl"))).entries()) {
      expect(Math.abs(log[step]!.loss! - line.loss!)).toBeLessThan(5e-5);
      expect(Math.abs(log[step]!.grad_norm! / line.grad_norm! - 1)).toBeLessThan(1e-4);
    }
    expect(JSON.parse(await readFile(join(out, "fuse.json"), "utf8")).settings.engine).toBe("torch float32");
    expect(await readdir(out)).not.toContain(".checkpoint");
    expect(events.filter(({ type }) => type === "progress").at(-1)).toMatchObject({ done: 6, total: 6, unit: "steps" });
  });

  test("of adapters gives a whole model, and the adapter that makes it of the pivot", async () => {
    const { conversations } = await readConversations(join(GOLDEN, "pipeline/conversations.jsonl"));
    const out = join(folder, "adapted");
    const lora = { rank: 4, alpha: 8, targets: ["all-linear"], keep: true };
    const options = { ...settings(), epochs: 2, lr: 1e-2, model: MISTRAL, conversations, lora, out };
    await fuseTarget(options, { engine: torch, reporter: { report: () => {} } });
    const opened = async (path: string): Promise<(name: string) => Float32Array> => {
      const { tensors } = await readSafetensors(path);
      return (name) => tensors.get(name)!.data as Float32Array;
    };
    const pivot = await opened(join(MISTRAL, "model.safetensors"));
    const target = await opened(join(out, "model.safetensors"));
    const adapter = await opened(join(out, "adapter/adapter_model.safetensors"));
    const name = "model.layers.1.mlp.down_proj";
    const [a, b] = ["lora_A", "lora_B"].map((part) => adapter(`base_model.model.${name}.${part}.weight`));
    const [before, after] = [pivot(`${name}.weight`), target(`${name}.weight`)];
    const columns = a!.length / lora.rank;
    const summed = before.map((value, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      for (let r = 0; r < lora.rank; r++) value += 2 * b![row * lora.rank + r]! * a![r * columns + column]!;
      return value;
    });
    expect(largest(before, after)).toBeGreaterThan(1e-3);
    expect(largest(summed, after)).toBeLessThan(1e-6);
    expect(target("model.embed_tokens.weight")).toEqual(pivot("model.embed_tokens.weight"));
    const config = JSON.parse(await readFile(join(out, "adapter/adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ r: 4, lora_alpha: 8, base_model_name_or_path: "mistral", task_type: "CAUSAL_LM" });
    expect(config.target_modules).toHaveLength(7);
    const record = JSON.parse(await readFile(join(out, "fuse.json"), "utf8"));
    const asked = { lora_rank: 4, lora_alpha: 8, lora_targets: "all-linear", lora_keep: true };
    expect(record.settings).toMatchObject(asked);
    expect((await fuseTarget(options, { engine: torch, reporter: { report: () => {} } })).skipped).toBe(true);
    await expect(
      fuseTarget({ ...options, lora: { ...lora, rank: 8 } }, { engine: torch, reporter: { report: () => {} } }),
    ).rejects.toThrow("holds a target with lora_rank 4, but now it is 8");
    await expect(fuseTarget(options, { engine: embedded, reporter: { report: () => {} } })).rejects.toThrow(
      "fuse: low-rank adapters are trained by PyTorch alone",
    );
  });

  test("goes on after Ctrl-C, to the same weights", async () => {
    const { conversations } = await readConversations(join(GOLDEN, "pipeline/conversations.jsonl"));
    const options = { ...settings(), batch: 4, model: MISTRAL, conversations };
    const whole = join(folder, "whole");
    await fuseTarget({ ...options, out: whole }, { engine: torch, reporter: { report: () => {} } });
    const out = join(folder, "stopped");
    const interrupt = new AbortController();
    const report = (event: ReporterEvent): void => {
      if (event.type === "progress" && event.unit === "steps" && event.done >= 2) interrupt.abort();
    };
    const attempt = fuseTarget({ ...options, out }, { engine: torch, reporter: { report }, signal: interrupt.signal });
    await expect(attempt).rejects.toThrow("interrupted; run the same command again to continue");
    await fuseTarget({ ...options, out }, { engine: torch, reporter: { report: () => {} } });
    expect(await readFile(join(out, "model.safetensors"))).toEqual(await readFile(join(whole, "model.safetensors")));
    expect(await readFile(join(out, "log.jsonl"), "utf8")).toBe(await readFile(join(whole, "log.jsonl"), "utf8"));
  });
});

test("distributions are collected in one job, and are the golden ones", async () => {
  const { conversations } = await readConversations(join(GOLDEN, "pipeline/conversations.jsonl"));
  const out = join(folder, "distributions");
  await collectDistributions(
    { model: MISTRAL, conversations, out, topK: 10, maxLength: 2048, template: "native", shardConversations: 3 },
    { engine: torch, reporter: { report: () => {} } },
  );
  const golden = (await readDistributions(join(GOLDEN, "pipeline/distributions/mistral")).next()).value;
  let row = 0;
  for await (const { shard } of readDistributions(out)) {
    const expected = golden!.shard.labelLogp.subarray(row, row + shard.labelLogp.length);
    expect(largest(expected, shard.labelLogp)).toBeLessThan(1e-4);
    row += shard.labelLogp.length;
  }
  expect(row).toBe(golden!.shard.labelLogp.length);
  expect((await readdir(out)).filter((name) => name.startsWith("."))).toEqual([]);
});

test("what was collected before an interruption is found again among all that was announced", async () => {
  const work = join(folder, "announced");
  const asked = [...sequences, { ids: Int32Array.of(1, 60, 61), positions: Int32Array.of(1, 2) }];
  const first = await torch.open(relative(process.cwd(), MISTRAL), work);
  await first.ahead!(asked, 4);
  const jobs = await readdir(work);
  const later = await torch.open(MISTRAL, work);
  await later.ahead!(asked, 4);
  expect(await readdir(work)).toEqual(jobs);
  const last = await later.rows(asked.slice(3), 4);
  const known = await ours.rows(asked.slice(3), 4);
  expect([...last.topId]).toEqual([...known.topId]);
  expect(largest(known.topLogp, last.topLogp)).toBeLessThan(1e-5);
});

describe("elsewhere", () => {
  test("a command of one's own is given the job folder, and one that is not there is told", async () => {
    const run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "fusechat_torch"];
    const settings = { ...TORCH, device: "cpu", compute: "float32" } as const;
    const two = await createEngine({ ...settings, python: "not asked", launch: [python, ...run] });
    const [a, b] = [await ours.rows(sequences, 4), await (await two.open(MISTRAL)).rows(sequences, 4)];
    await two.dispose();
    expect(largest(a.labelLogp, b.labelLogp)).toBeLessThan(1e-5);
    const none = await (await createEngine({ ...settings, launch: ["no-such-command"] })).open(MISTRAL);
    await expect(none.rows(sequences, 4)).rejects.toThrow("no-such-command: could not be started");
  });

  test("a job that is run by hand is written, and gone on with when its result is there", async () => {
    const work = join(folder, "by-hand");
    const manual = await createEngine({ ...TORCH, device: "cpu", compute: "float32", launch: "manual" });
    const model = await manual.open(MISTRAL, work);
    const attempt = await model.ahead!(sequences, 4).catch((error: Error) => error.message);
    const [, environment, line] = /: (PYTHONPATH=\S+) python (.+)$/.exec(String(attempt))!;
    await promisify(execFile)("sh", ["-c", `${environment} ${python} ${line}`], { cwd: tmpdir() });
    await model.ahead!(sequences, 4);
    const known = await ours.rows(sequences, 4);
    expect(largest(known.labelLogp, (await model.rows(sequences, 4)).labelLogp)).toBeLessThan(1e-5);
  });
});

test("a model that Python refuses is one sentence", async () => {
  const broken = join(folder, "broken");
  await mkdir(broken);
  const config = JSON.parse(await readFile(join(MISTRAL, "config.json"), "utf8"));
  await writeFile(join(broken, "config.json"), JSON.stringify({ ...config, model_type: "no_such_model" }));
  await copyFile(join(MISTRAL, "model.safetensors"), join(broken, "model.safetensors"));
  const model = await torch.open(broken);
  await expect(model.rows(sequences, 4)).rejects.toThrow(/no_such_model/);
});
