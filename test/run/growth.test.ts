/** A run may grow: what is added to its recipe costs what it adds, and what is there stays. */
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadRecipe } from "#src/recipe/load.js";
import { type FakeRun, fakes, runFakes, told } from "./fake-stages.ts";
import { CONVERSATIONS, GOLDEN, HELD_OUT, hashesOf, MISTRAL, QWEN2, temporaryFolder, writeRecipe } from "./fixtures.ts";

const GEMMA = join(GOLDEN, "models/gemma2");

/** A recipe with its parts as a reader would write them. */
function recipeOf({
  sources = [QWEN2],
  merge = "{ method: linear, weights: [1] }",
  benchmarks = "[held-out]",
  gates = '["fused.held_out < pivot.held_out"]',
  more = "",
} = {}): string {
  return `pivot: ${MISTRAL}
sources: [${sources.join(", ")}]
data: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT} }
merge: ${merge}
evaluate: { benchmarks: ${benchmarks}, gates: ${gates} }
${more}`;
}

let folder: string;
let begun: string;
let number = 0;
beforeAll(async () => {
  folder = await temporaryFolder();
  begun = join(folder, "begun");
  await run(recipeOf(), begun);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(text: string, out: string): Promise<FakeRun & { readonly performed: readonly string[] }> {
  const stages = fakes();
  const loaded = await loadRecipe(await writeRecipe(folder, text));
  return { ...(await runFakes(loaded, out, stages)), performed: stages.performed };
}

/** The run of before, gone on with by another recipe. */
async function grow(text: string): ReturnType<typeof run> {
  const out = join(folder, `grown-${number++}`);
  await cp(begun, out, { recursive: true, preserveTimestamps: true });
  return run(text, out);
}

/** What a further source is and changes. */
const OF_A_SOURCE = [
  "distributions/gemma2",
  "align/gemma2",
  "fuse/gemma2",
  "merge/fused",
  "evaluate/held-out/gemma2",
  "evaluate/held-out/target-gemma2",
  "evaluate/held-out/fused",
  "compare/held-out",
  "gates",
];

test.each([
  [
    "a source",
    { sources: [QWEN2, GEMMA], merge: "{ method: linear, weights: [1, 2] }" },
    ["source gemma2"],
    OF_A_SOURCE,
  ],
  [
    "a source before the others",
    { sources: [GEMMA, QWEN2], merge: "{ method: linear, weights: [2, 1] }" },
    ["source gemma2"],
    OF_A_SOURCE,
  ],
  [
    "a merge",
    { merge: "[{ method: linear, weights: [1] }, { method: sce }]" },
    ["merge sce"],
    ["merge/merge-sce", "evaluate/held-out/merge-sce", "compare/held-out", "gates"],
  ],
  [
    "a benchmark",
    { benchmarks: `[{ benchmark: held-out, as: again, data: ${HELD_OUT} }, held-out]` },
    ["benchmark again"],
    [
      "evaluate/again/mistral",
      "evaluate/again/qwen2",
      "evaluate/again/target-qwen2",
      "evaluate/again/fused",
      "compare/again",
      "gates",
    ],
  ],
  [
    "a gate",
    { gates: '["fused.held_out < pivot.held_out", "fused.held_out < 3"]' },
    ["gate fused.held_out < 3"],
    ["gates"],
  ],
])(
  "%s costs what it adds, and the run is then as if it had been there from the beginning",
  async (_, parts, added, units) => {
    const text = recipeOf(parts);
    const { performed, events, summary } = await grow(text);
    expect(performed).toEqual(units);
    expect(told(events, "warning")).toEqual([]);
    expect(told(events, "end")[0]).toBe(`the recipe has grown: ${added.join(", ")}`);
    const anew = join(folder, `anew-${number++}`);
    await run(text, anew);
    expect(await hashesOf(summary.out)).toEqual(await hashesOf(anew));
    expect(await readFile(join(summary.out, "recipe.yaml"), "utf8")).toBe(text);
  },
);

test("the first gate of a run, and the first merge for comparison", async () => {
  const before = join(folder, "bare");
  await run(recipeOf({ gates: "[]" }), before);
  expect((await run(recipeOf(), before)).performed).toEqual(["gates"]);
});

test("a benchmark with a judge brings the judge, and after that it is the run's", async () => {
  const judged = (model: string): string =>
    recipeOf({ benchmarks: "[held-out, { benchmark: alpaca-eval }]" }).replace(
      "gates:",
      `judge: { model: ${model}, url: "http://localhost:1" }, gates:`,
    );
  const { summary, performed } = await grow(judged("one"));
  expect(performed).toContain("evaluate/alpaca-eval/fused");
  await expect(run(judged("other"), summary.out)).rejects.toThrow('evaluate.judge.model is "one" there and "other"');
});

test.each([
  ["a source less", { sources: [GEMMA] }, 'sources[0].name is "qwen2" there and "gemma2" in'],
  ["another order of steps", { more: "fuse: { epochs: 4 }\n" }, "fuse.epochs is 3 there and 4 in"],
  [
    "a source more and another seed",
    { sources: [QWEN2, GEMMA], merge: "{ method: linear, weights: [1, 1] }", more: "seed: 1\n" },
    "seed is 0 there and 1 in",
  ],
  [
    "other weights of the sources that are there",
    { sources: [QWEN2, GEMMA], merge: "{ method: linear, weights: [2, 1] }" },
    "merge[0].weights[0] is 1 there and 2 in",
  ],
  [
    "another merge in the first place",
    { merge: "[{ method: sce }, { method: linear, weights: [1] }]" },
    'merge[0].method is "linear" there and "sce" in',
  ],
  ["a gate less", { gates: "[]" }, 'evaluate.gates[0] is "fused.held_out < pivot.held_out" there and nothing in'],
  ["a baseline", { more: "baselines: [sft]\n" }, 'baselines[0] is nothing there and "sft" in'],
  [
    "another setting of a benchmark",
    { benchmarks: "[{ benchmark: held-out, max_length: 64 }, { benchmark: held-out, as: again }]" },
    "evaluate.benchmarks[0].settings.max_length is 2048 there and 64 in",
  ],
])("%s is another run, told by the key", async (_, parts, message) => {
  await expect(grow(recipeOf(parts))).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining(message) });
});

test("a run whose growth is refused stays as it was", async () => {
  const before = await hashesOf(begun);
  await expect(run(recipeOf({ sources: [QWEN2, GEMMA], merge: "{ method: sce }" }), begun)).rejects.toThrow(
    "merge[0].method",
  );
  expect(await hashesOf(begun)).toEqual(before);
});
