/**
 * Files of the program's own, read back after somebody has edited them or a disk has lost a part: whatever stands in
 * them is read, or is one sentence with the path.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkSettings, readSettings } from "#src/distributions/folder.js";
import type { StageContext } from "#src/engine/context.js";
import { FusechatError } from "#src/errors.js";
import { BENCHMARKS } from "#src/evaluate/benchmarks/index.js";
import { ledgerLine } from "#src/evaluate/judges/ledger-line.js";
import { openKeptLines } from "#src/evaluate/kept-lines.js";
import { lockFolder } from "#src/formats/lock.js";
import { examineFolder } from "#src/fuse/checkpoint.js";
import { openJournal } from "#src/fuse/journal.js";
import { readRecord, type TargetRecord } from "#src/fuse/record.js";
import { annotateReport } from "#src/lab/demo-notes.js";
import { measureGiven, type SeedSettings } from "#src/lab/experiment/make.js";
import { LAB_MODELS } from "#src/lab/models/index.js";
import { trainLabModel } from "#src/lab/train.js";
import { readRunData } from "#src/report/run-data.js";
import { readBenchmarkResult } from "#src/run/evaluation-stages.js";
import { commitsOf } from "#src/run/hub-models.js";
import { checkInputIdentity } from "#src/run/input-identity.js";
import { readManifest } from "#src/run/manifest.js";
import { readRunModels } from "#src/run/run-models.js";
import { openSeenFiles } from "#src/run/seen-files.js";

interface OwnFile {
  readonly file: string;
  /** As the program writes it; of JSON Lines a line. */
  readonly document: Readonly<Record<string, unknown>>;
  /** Reads it in the folder; `path` is the file's. */
  read(folder: string, path: string): Promise<unknown>;
  /** Files beside it. */
  readonly beside?: Readonly<Record<string, unknown>>;
}

const metric = { value: 1, low: 0.5, high: 1.5, unit: "%", prompts: 3 };
const model = { name: "m", model: "/m", hub: `org/m@${"0".repeat(40)}` };
const plan = {
  recipe: { pivot: model, sources: [{ ...model, name: "s" }], data: {}, merge: [{ name: "a" }], baselines: ["multi"] },
  models: [{ name: "m", role: "pivot", architecture: "llama", parameters: 3 }],
};
const record: TargetRecord = {
  format: "fusechat-target-1",
  program: { version: "0.1.0", revision: 1 },
  pivot: "p",
  source: null,
  settings: { lr: 0.1 },
  inputs: { weights: "0" },
};
const step = { step: 0, loss: 1, label_loss: 1, fusion_loss: 0, lr: 0.1, grad_norm: 1, rows: 3 };
const training = {
  settings: { model: LAB_MODELS[0], steps: 1, batch: 64, learningRate: 3e-3, warmupRatio: 0.03 },
  steps: 1,
  rows: 10,
  lastLoss: 0.5,
};
const context = { reporter: { report: () => {} } } as unknown as StageContext;
/** Two prompts by every benchmark's own names. */
const prompts: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "held-out": {
    per_conversation: ["a", "b"].map((id) => ({ id, nats: 2, bytes: 4, rows: 2, skill: "add", floor_nats: 1 })),
  },
  "exact-match": {
    rule: "number",
    reasoning: "drop",
    per_prompt: ["a", "b"].map((id) => ({ id, skill: "add", correct: true })),
  },
  "alpaca-eval": {
    baseline: "gpt4",
    judge: "judge",
    per_prompt: ["a", "b"].map((instruction) => ({ instruction, preference: 1.5, length_controlled: 50 })),
  },
  "mt-bench": {
    judge: "judge",
    per_prompt: [1, 2].map((id) => ({
      ...{ id, category: "math", turn_1: 5, turn_2: null },
      ratings: { turn_1: [5], turn_2: [] },
    })),
  },
};

const OWN_FILES: readonly OwnFile[] = [
  { file: "plan.json", document: plan, read: readRunModels },
  { file: "plan.json", document: plan, read: commitsOf },
  { file: "plan.json", document: plan, read: readRunData },
  {
    file: "evaluate/gates.json",
    document: { gates: [{ gate: "g", met: true, figures: "1 < 2" }] },
    read: readRunData,
  },
  { file: "evaluate/notes.json", document: { notes: ["a"] }, read: readRunData },
  { file: "targets/a/log.jsonl", document: step, read: readRunData },
  { file: "timing.jsonl", document: { unit: "u", seconds: 1 }, read: readRunData },
  {
    file: "data/left-out.json",
    document: { left_out: [{ reason: "r", count: 1, file: "f", place: ":1" }] },
    read: readRunData,
  },
  {
    file: "fused/merge.json",
    document: {
      method: "sce",
      config: { parameters: { select_topk: 1 } },
      models: [{ model: "m" }],
      tensors: [{ name: "t", layer: 0, matrix: "q", models: ["m"], coefficients: [1] }],
    },
    read: readRunData,
  },
  ...BENCHMARKS.map(
    (benchmark): OwnFile => ({
      file: `evaluate/${benchmark.name}/m.json`,
      document: {
        benchmark: benchmark.name,
        model: "m",
        metrics: { [benchmark.metric]: metric },
        ...prompts[benchmark.name],
      },
      read: async (_, path) => {
        const result = await readBenchmarkResult(path, benchmark);
        // Without prompts, nothing can be compared; that is told of the models.
        if (Object.values(result).some((value) => Array.isArray(value) && value.length === 0)) return;
        benchmark.compare(result as never, result as never);
      },
    }),
  ),
  {
    file: ".units/u.json",
    document: { unit: "u", inputs: { a: "0" }, outputs: { x: { bytes: 1, sha256: "0" } } },
    read: (folder) => readManifest(folder, "u"),
  },
  {
    file: ".units/inputs.json",
    document: { pivot: "0" },
    read: (folder) => checkInputIdentity(folder, { pivot: "0" }, false),
  },
  {
    file: ".units/timing.jsonl",
    document: { file: "x", bytes: 1, changed: "1" },
    read: async (folder) => (await openSeenFiles(folder)).close(),
  },
  { file: "fuse.json", document: { ...record }, read: (_, path) => readRecord(path) },
  {
    file: ".checkpoint/checkpoint.json",
    document: { step: 3 },
    read: (folder) => examineFolder(folder, record),
    beside: { ".checkpoint/fuse.json": record },
  },
  {
    file: "log.jsonl",
    document: step,
    read: async (folder) => (await openJournal(folder, 1)).journal.close(),
  },
  {
    file: "settings.json",
    document: { program: { version: "0.1.0", revision: 1 }, model: "m", top_k: 10 },
    read: async (folder) => [await readSettings(folder), await checkSettings(folder, { model: "m", top_k: 10 })],
  },
  {
    file: `${LAB_MODELS[0]!.name}/training.json`,
    document: training,
    read: (out) => trainLabModel(LAB_MODELS[0]!, { out, steps: 1 }, context),
  },
  {
    file: "results/m.json",
    document: { model: "m", nats: [1], bytes: [2] },
    read: (out) => measureGiven("m", { out, models: out, heldOut: [{}] } as unknown as SeedSettings, context),
  },
  {
    file: "sweep.json",
    document: {
      draw: "validation",
      chosen: { lr: 0.1, epochs: 3, lambda: 0.5 },
      lines: [{ lr: 0.1, epochs: 3, lambda: null, model: "sft", above_floor: metric }],
    },
    read: (folder, path) =>
      annotateReport(join(folder, "run"), { models: [], comparisons: [], alignments: [], checks: [] }, path),
  },
  {
    file: "ledger.jsonl",
    document: {
      key: "k",
      id: "1",
      url: "http://a/v1",
      model: "m",
      request: { messages: [{ role: "user", content: "Hi" }], temperature: 0, maxTokens: 5, topLogprobs: 0 },
      reply: { text: "Yes", finish: "stop", topLogprobs: null, promptTokens: 3, answerTokens: 1 },
    },
    read: async (_, path) => {
      const kept = await openKeptLines(path, ledgerLine, "a judgment");
      try {
        await kept.get("k");
      } finally {
        await kept.close();
      }
    },
  },
  {
    file: ".lock",
    document: { pid: 2 ** 22 + 1, started: "1", host: "h", space: "" },
    read: async (folder) => (await lockFolder(folder)).release(),
  },
];

const HOSTILE = [
  ...["null", "[]", "{}", "1", "true", '"x"', "[null]", '{"constructor":null}', '{"toString":1}', "", "{", "\u0000"],
  `${"[".repeat(600)}${"]".repeat(600)}`,
  `${'{"a":'.repeat(600)}1${"}".repeat(600)}`,
];
const NONSENSE = /undefined|\[object|NaN|internal|Cannot|is not /;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-own-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test.each(OWN_FILES.map((one, index) => ({ ...one, index })))(
  "$file ($index) is read as it was written, and told in one sentence whatever stands in it",
  async ({ file, document, read, beside = {}, index }) => {
    const folder = join(root, String(index));
    const path = join(folder, file);
    await mkdir(dirname(path), { recursive: true });
    for (const [name, content] of Object.entries(beside)) await writeFile(join(folder, name), JSON.stringify(content));
    await writeFile(path, `${JSON.stringify(document)}\n`);
    if (file !== ".lock") await read(folder, path);
    for (const text of [...HOSTILE, ...withHostileMembers(document)]) {
      await writeFile(path, `${text}\n`);
      const error = await read(folder, path).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      if (error === null) continue;
      expect(error, text).toBeInstanceOf(FusechatError);
      const { code, message } = error as FusechatError;
      expect({ code, lines: message.split("\n").length, hasPath: message.startsWith(folder) }, message).toEqual({
        code: "input",
        lines: 1,
        hasPath: true,
      });
      expect(message.replaceAll(/"[^"]*"/g, ""), text).not.toMatch(NONSENSE);
    }
  },
);

/** Each member, and each of the members within it, replaced by what it is not. */
function withHostileMembers(document: Readonly<Record<string, unknown>>): string[] {
  const mark = "@@";
  const texts: string[] = [];
  const visit = (value: unknown, rebuild: (inner: unknown) => unknown, depth: number): void => {
    if (typeof value !== "object" || value === null || depth === 3) return;
    for (const [key, inner] of Object.entries(value)) {
      const put = (replaced: unknown): unknown =>
        rebuild(
          Array.isArray(value)
            ? value.map((one, i) => (String(i) === key ? replaced : one))
            : { ...value, [key]: replaced },
        );
      const text = JSON.stringify(put(mark));
      for (const hostile of ["null", "[]", "{}", '"x"', "1e999"]) texts.push(text.replace(`"${mark}"`, hostile));
      visit(inner, put, depth + 1);
    }
  };
  visit(document, (inner) => inner, 0);
  return texts;
}
