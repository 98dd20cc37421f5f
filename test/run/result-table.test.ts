import { expect, test } from "vitest";
import { DEFAULT_TEMPLATE_SETTINGS } from "#src/data/template-settings.js";
import { heldOut, heldOutResult } from "#src/evaluate/benchmarks/held-out.js";
import type { RunModel } from "#src/recipe/layout.js";
import { compareModels } from "#src/recipe/results.js";
import { resultTable } from "#src/run/result-table.js";

const template = DEFAULT_TEMPLATE_SETTINGS;
const MODELS: readonly RunModel[] = [
  { name: "small", role: "pivot", folder: "/small", template },
  { name: "large", role: "source", folder: "/large", template },
  { name: "target-large", role: "target", folder: "targets/large", template, source: "large" },
  { name: "fused", role: "fused", folder: "fused", template },
];

/** Forty conversations of ten bytes; `nats` of each, by model. */
function results(nats: Record<string, (index: number) => number>, refused: Record<string, number> = {}) {
  return MODELS.map(({ name }) => {
    const read = Array.from({ length: 40 }, (_, index) => ({
      id: String(index),
      nats: nats[name]!(index),
      bytes: 10,
      rows: 5,
      floor_nats: 2,
    }));
    return heldOutResult(name, read.slice(refused[name] ?? 0), refused[name] ?? 0);
  });
}

const evaluated = results(
  {
    small: (index) => 12 + (index % 4),
    large: (index) => 10 + ((index * 7) % 5),
    "target-large": (index) => 10 + (index % 3),
    fused: (index) => 10 + ((index + 1) % 3),
  },
  { large: 4 },
);

const comparison = compareModels(
  heldOut,
  MODELS.map(({ name, role, source }, index) => ({ name, role, ...(source && { source }), result: evaluated[index]! })),
  { name: "held-out", reference: "small", champion: "fused" },
);

test("every model is compared with the pivot, and the fused model with every other", () => {
  expect(comparison.comparisons.map(({ model, against }) => `${model} - ${against}`)).toEqual([
    "large - small",
    "target-large - small",
    "fused - small",
    "fused - large",
    "fused - target-large",
  ]);
  expect(comparison.models[2]).toMatchObject({ role: "target", source: "large", prompts: 40, refused: 0 });
  expect(comparison.models[1]).toMatchObject({ prompts: 36, refused: 4 });
});

test("the headline of all pairs is one family of tests; other differences have no verdict", () => {
  const held = comparison.comparisons.map(({ metrics }) => metrics.nats_per_byte!);
  // Of five pairs, the one that is hardly different comes last.
  expect(held.map(({ verdict }) => verdict)).toEqual(["better", "better", "better", "better", "within noise"]);
  for (const { p, p_adjusted: adjusted } of held) expect(adjusted).toBeGreaterThanOrEqual(p);
  for (const { metrics } of comparison.comparisons) {
    expect(Object.keys(metrics)).toEqual(["nats_per_byte", "above_floor"]);
    expect(metrics.above_floor).not.toHaveProperty("verdict");
    expect(metrics.above_floor).not.toHaveProperty("p_adjusted");
  }
});

test("the table has intervals, and says what is within noise", () => {
  const text = resultTable(comparison);
  const lines = text.split("\n");
  expect(lines[0]).toMatch(/^model +held-out nats per byte +above the floor +against the pivot$/);
  expect(lines[2]).toMatch(/^small +1\.3500 \[1\.3\d{3}, 1\.3\d{3}\] +1\.1500 \[\S+, \S+\]$/);
  expect(lines[4]).toMatch(/^target-large +1\.0975 \[.*\] +0\.8975 \[.*\] +-0\.2525 \[-0\.\d{4}, -0\.\d{4}\] better$/);
  expect(text).toMatch(
    /^fused is better than small by 0\.2500 \[0\.\d{4}, 0\.\d{4}\] nats per byte \(p 0\.0001, 0\.0005 over the table\)$/m,
  );
  expect(text).toMatch(
    /^fused against target-large: within noise, \+0\.0025 \[-0\.\d{4}, \+0\.\d{4}\] nats per byte \(p \d\.\d{4}, \d\.\d{4} over the table\)$/m,
  );
  expect(text).toContain("large was judged on 36 conversations: its template refuses 4.");
  expect(lines.at(-2)).toMatch(
    /^The smallest difference that so many prompts find in four cases of five: 0\.06\d\d to 0\.0[89]\d\d nats per byte, by the pair\.$/,
  );
  expect(lines.at(-1)).toBe(
    "Intervals are 95 %, over the held-out conversations; they do not cover the draw of a training seed.",
  );
});
