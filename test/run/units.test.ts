import { expect, test } from "vitest";
import { modelsOf } from "#src/recipe/layout.js";
import { parseRecipe } from "#src/recipe/parse.js";
import { unitsOf } from "#src/run/units.js";

function recipe(more = "") {
  return parseRecipe(`pivot: p\nsources: [a, b]\ndata: { path: c.jsonl }\n${more}`, "recipe.yaml").recipe;
}

test("a recipe is a list of units in the order of the data's path", () => {
  expect(unitsOf(recipe()).map(({ id }) => id)).toEqual([
    "data",
    "distributions/p",
    "distributions/a",
    "distributions/b",
    "align/a",
    "align/b",
    "fuse/a",
    "fuse/b",
    "merge/fused",
    "evaluate/held-out/p",
    "evaluate/held-out/a",
    "evaluate/held-out/b",
    "evaluate/held-out/target-a",
    "evaluate/held-out/target-b",
    "evaluate/held-out/fused",
    "compare/held-out",
  ]);
});

test("sft-merge takes as many fine-tuning runs as there are targets, each with another seed", () => {
  const units = unitsOf(recipe("baselines: [sft-merge]\nseed: 7\nmerge: [{}, { variant: paper }]"));
  const runs = units.flatMap(({ work }) => (work.kind === "fine-tune" ? [[work.target.name, work.seed]] : []));
  expect(runs).toEqual([
    ["sft", 7],
    ["sft-2", 8],
  ]);
  const merges = units.flatMap(({ id, after, outputs, work }) =>
    work.kind === "merge" ? [{ id, after, outputs }] : [],
  );
  expect(merges).toEqual([
    { id: "merge/fused", after: ["fuse/a", "fuse/b"], outputs: ["fused"] },
    { id: "merge/merge-sce-paper", after: ["fuse/a", "fuse/b"], outputs: ["merges/sce-paper"] },
    { id: "merge/sft-merge", after: ["fine-tune/sft", "fine-tune/sft-2"], outputs: ["baselines/sft-merge"] },
  ]);
});

test("where models answer, what is trained on comes from their answers", () => {
  const text = "pivot: p\nsources: [a, b]\ndata: { path: c.jsonl, answers: { select: nats } }";
  const units = unitsOf(parseRecipe(text, "recipe.yaml").recipe);
  expect(units.slice(0, 3).map(({ id, after, outputs }) => [id, after, outputs])).toEqual([
    ["data", [], ["data/prompts.jsonl", "data/held-out.jsonl", "data/left-out.json"]],
    ["answers", ["data"], ["data/train.jsonl", "data/train-card.json"]],
    ["distributions/p", ["answers"], ["distributions/p"]],
  ]);
  for (const { id, after } of units.filter(({ work }) => work.kind === "fuse")) expect(after, id).toContain("answers");
});

test("of sources together one target is made, and the fused model is that target", () => {
  const together = recipe("fuse: { sources: together }\nbaselines: [sft, sft-merge]");
  const units = unitsOf(together);
  expect(
    units.flatMap(({ id, after, outputs }) => (/^(fuse|merge|fine)/.test(id) ? [{ id, after, outputs }] : [])),
  ).toEqual([
    {
      id: "fuse/together",
      after: ["data", "distributions/p", "distributions/a", "align/a", "distributions/b", "align/b"],
      outputs: ["targets/together"],
    },
    { id: "fine-tune/sft", after: ["data", "distributions/p"], outputs: ["baselines/sft"] },
    { id: "merge/fused", after: ["fuse/together"], outputs: ["fused"] },
    { id: "merge/sft-merge", after: ["fine-tune/sft"], outputs: ["baselines/sft-merge"] },
  ]);
  expect(together.merge).toMatchObject([{ name: "fused", method: "linear", variant: null, select_topk: null }]);
  expect(recipe("fuse: { sources: together }\nmerge: { method: sce }").merge[0]).toMatchObject({ method: "sce" });
});

test("the baseline multi is what all sources teach together", () => {
  const units = unitsOf(recipe("baselines: [multi]"));
  const multi = units.find(({ id }) => id === "baseline/multi")!;
  expect(multi.outputs).toEqual(["baselines/multi"]);
  expect(multi.after).toEqual(["data", "distributions/p", "distributions/a", "align/a", "distributions/b", "align/b"]);
  expect(multi.work.kind === "fuse" && multi.work.sources.map(({ name }) => name)).toEqual(["a", "b"]);
  expect(units.filter(({ id }) => id.startsWith("fuse/")).map(({ id }) => id)).toEqual(["fuse/a", "fuse/b"]);
  expect(units.some(({ id }) => id === "evaluate/held-out/multi")).toBe(true);
});

test("the baseline pairwise is the papers' way beside a target of all sources", () => {
  const both = recipe("fuse: { sources: together }\nbaselines: [sft-merge, pairwise]\nmerge: { dtype: float32 }");
  const units = unitsOf(both);
  expect(units.flatMap(({ id }) => (/^(fuse|baseline|merge|fine)/.test(id) ? [id] : []))).toEqual([
    "fuse/together",
    "fine-tune/sft",
    "fine-tune/sft-2",
    "baseline/pair-a",
    "baseline/pair-b",
    "merge/fused",
    "merge/sft-merge",
    "merge/pairwise",
  ]);
  const merge = units.find(({ id }) => id === "merge/pairwise")!;
  expect(merge).toMatchObject({
    after: ["baseline/pair-a", "baseline/pair-b"],
    outputs: ["baselines/pairwise"],
    work: { merge: { method: "sce", variant: "fusechat", select_topk: 0.1, dtype: "float32" } },
  });
  // What is compared with a merge of two is merged as it is.
  expect(units.find(({ id }) => id === "merge/sft-merge")).toMatchObject({ work: { merge: { method: "sce" } } });
  const own = recipe("merge: { method: sce, variant: fusechat, select_topk: 0.1, dtype: float32 }").merge[0]!;
  expect(merge.work.kind === "merge" && { ...merge.work.merge, name: "fused" }).toEqual(own);
});

test("every unit comes after those it reads, and no two write the same place", () => {
  const units = unitsOf(recipe("baselines: [sft, sft-merge, multi]\nmerge: [{}, { method: linear }]"));
  const seen = new Set<string>();
  const outputs = units.flatMap((unit) => unit.outputs);
  for (const { id, after } of units) {
    for (const input of after) expect(seen.has(input), `${id} after ${input}`).toBe(true);
    seen.add(id);
  }
  expect(seen.size).toBe(units.length);
  expect(new Set(outputs).size).toBe(outputs.length);
});

test("an evaluation may look at some models only, and gates come last of all", () => {
  const gates = "gates: [fused.short < pivot.short]";
  const units = unitsOf(
    recipe(`evaluate: { benchmarks: [{ benchmark: held-out, as: short, models: [targets, fused, pivot] }], ${gates} }`),
  );
  expect(units.slice(-6).map(({ id, outputs }) => [id, ...outputs])).toEqual([
    ["evaluate/short/p", "evaluate/short/p.json"],
    ["evaluate/short/target-a", "evaluate/short/target-a.json"],
    ["evaluate/short/target-b", "evaluate/short/target-b.json"],
    ["evaluate/short/fused", "evaluate/short/fused.json"],
    ["compare/short", "evaluate/short.json"],
    ["gates", "evaluate/gates.json"],
  ]);
  expect(units.at(-1)!.after).toEqual(units.slice(-6, -2).map(({ id }) => id));
});

test("without benchmarks nothing is evaluated", () => {
  expect(unitsOf(recipe("evaluate: []")).at(-1)!.id).toBe("merge/fused");
});

test("every model of a run has a name and a folder of its own", () => {
  const models = modelsOf(recipe("baselines: [sft-merge]\nmerge: [{}, { method: linear }]"));
  expect(models.map(({ name, role, folder }) => `${role} ${name} in ${folder}`)).toEqual([
    "pivot p in p",
    "source a in a",
    "source b in b",
    "target target-a in targets/a",
    "target target-b in targets/b",
    "fused fused in fused",
    "merge merge-linear in merges/linear",
    "baseline sft in baselines/sft",
    "baseline sft-2 in baselines/sft-2",
    "baseline sft-merge in baselines/sft-merge",
  ]);
});
