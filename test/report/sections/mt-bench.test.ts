/** MT-Bench in the report: from the document in a run's folder to the radar and the table. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { renderReport } from "#src/report/index.js";

const CATEGORIES = ["writing", "math", "stem", "coding"];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-report-"));
  await mkdir(join(folder, "evaluate"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const metric = (value: number) => ({ value, low: value - 1, high: value + 1, unit: "points of 10", prompts: 10 });

function metrics(average: number, categories: readonly string[] = CATEGORIES): Record<string, unknown> {
  return {
    turn_1: metric(average + 0.5),
    turn_2: metric(average - 0.5),
    average: metric(average),
    ...Object.fromEntries(categories.map((name, index) => [`category/${name}`, metric(average - 1 + index)])),
  };
}

async function section(document: Record<string, unknown>): Promise<string> {
  const common = { benchmark: "mt-bench", name: "mt-bench", metric: "average", better: "more", reference: "base" };
  await writeFile(join(folder, "evaluate/mt-bench.json"), JSON.stringify({ ...common, ...document }));
  const page = await renderReport(folder);
  return /<section id="mt-bench">.*?<\/section>/s.exec(page)?.[0] ?? "";
}

const model = (name: string, role: string, average: number) => ({
  ...{ name, role, prompts: 80, refused: 0, unparsed: 0, empty: 0, cut: 0 },
  metrics: metrics(average),
});

const difference = (value: number, p: number) => ({
  ...{ value, low: value - 0.1, high: value + 0.1, unit: "points of 10", p },
});

test("a radar with the fused model first, and tables of categories and of differences", async () => {
  const text = await section({
    models: [model("base", "pivot", 6), model("ours", "fused", 7), model("<b>other", "source", 5)],
    comparisons: [
      {
        model: "ours",
        against: "base",
        metrics: {
          average: difference(1, 0.001),
          "category/writing": difference(1, 0.001),
          "category/math": difference(1, 0.02),
          "category/stem": difference(0, 0.9),
          "category/coding": difference(0, 0.8),
        },
      },
    ],
  });
  const legend = [...text.matchAll(/<\/svg> ([^<]*)<\/span>/g)].map(([, label]) => label);
  expect(legend).toEqual(["ours", "base", "&lt;b&gt;other"]);
  const strokes = [...text.matchAll(/<line class="curve" style="stroke:var\(--(\w+),/g)].map(([, colour]) => colour);
  expect(strokes).toEqual(["fused", "pivot", "source"]);
  const labels = [...text.matchAll(/<tr><td class="name">([^<]*)<\/td>/g)].map(([, label]) => label);
  expect(labels).toEqual([...CATEGORIES, "all", ...CATEGORIES]);
  expect(text).toContain('<b>7.00</b> <span class="range">[6.00, 8.00]</span>');
  // Categories are outside the correction, so they have no verdict.
  expect(text).not.toContain("badge");
  const ps = [...text.matchAll(/<\/td><td class="number">(p [^<]*)</g)].map(([, p]) => p);
  expect(ps).toEqual(["p = 0.001", "p = 0.020", "p = 0.900", "p = 0.800"]);
});

test("many models are all in the table, and the radar says how many it leaves out", async () => {
  const models = Array.from({ length: 9 }, (_, index) => model(`m${index}`, index === 8 ? "fused" : "target", 5));
  const text = await section({ models, comparisons: [] });
  expect(text.match(/<path class="curve/g)).toHaveLength(6);
  expect(text).toContain("3 further models are in the table.");
  expect(text).toContain("m7");
  const strokes = [...text.matchAll(/<line class="curve" style="stroke:var\(--(\w+),/g)].map(([, colour]) => colour);
  expect(new Set(strokes)).toEqual(new Set(["fused", "pivot", "source", "baseline", "merge", "target"]));
});

test("a model without a category has a gap there, and too few categories have no radar", async () => {
  const partial = { ...model("ours", "fused", 6), metrics: metrics(6, ["writing", "math"]) };
  const text = await section({ models: [model("base", "pivot", 5), partial], comparisons: [] });
  expect(text).toContain('<td class="number">\u2013</td>');
  expect(await section({ models: [partial], comparisons: [] })).not.toContain("<svg");
});

test("another benchmark has no such part", async () => {
  expect(await section({ benchmark: "held-out", models: [], comparisons: [] })).toBe("");
});
