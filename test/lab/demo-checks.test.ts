import { expect, test } from "vitest";
import type { AlignmentSummary } from "#src/align/report.js";
import { checkAlignment, checkFusion, checkModels } from "#src/lab/demo-checks.js";
import { skillTable } from "#src/lab/skill-table.js";

const metric = (value: number, low: number, high: number) => ({
  value,
  low,
  high,
  unit: "nats/byte",
  prompts: 9,
});

test("a model below the floor beyond noise is told by name, one within noise is not", () => {
  const models = [
    { name: "lucky", role: "source", metrics: { above_floor: metric(-0.001, -0.003, 0.001) } },
    { name: "cheat", role: "source", metrics: { above_floor: metric(-0.004, -0.006, -0.002) } },
  ];
  const [finite, floor] = checkModels(models);
  expect(finite).toMatchObject({ passed: true });
  expect(floor).toEqual({
    name: "no model is below the entropy floor beyond noise",
    passed: false,
    detail: "cheat -0.0040",
  });
});

test("a figure that is not a number fails", () => {
  const models = [{ name: "broken", role: "pivot", metrics: { nats_per_byte: metric(Number.NaN, 0, 0) } }];
  expect(checkModels(models)[0]).toMatchObject({ passed: false, detail: "broken" });
});

test("alignment must share most rows, and its masses add up", () => {
  const summary = {
    source: "s",
    rows: 100,
    shared_rows: 60,
    mass_stored: 0.9,
    mass_kept: 0.8,
    mass_lost: 0.06,
    mass_cut: 0.04,
  };
  expect(checkAlignment(summary as AlignmentSummary).map(({ passed }) => passed)).toEqual([true, true]);
  const poor = { ...summary, shared_rows: 40, mass_kept: 0.9 };
  expect(checkAlignment(poor as AlignmentSummary).map(({ passed }) => passed)).toEqual([false, false]);
});

test("fusion passes where the whole interval is below zero", () => {
  const difference = { ...metric(-0.01, -0.02, -0.001), p: 0.001, verdict: "better" as const };
  expect(checkFusion(difference)).toMatchObject({ passed: true, detail: "-0.0100 [-0.0200, -0.0010] nats/byte" });
  expect(checkFusion({ ...difference, high: 0.001 })).toMatchObject({ passed: false });
});

test("the table has a line a model and a column a skill, in thousandths", () => {
  const lines = skillTable([
    {
      name: "pivot",
      role: "pivot",
      metrics: { above_floor: metric(0.0123, 0.0103, 0.0143), "above_floor/add": metric(0.5, 0.4, 0.6) },
    },
  ]);
  expect(lines).toEqual([
    "model       all  food  weather  walk  price  visit          add  reverse  capital",
    "pivot  12.3±2.0     -        -     -      -      -  500.0±100.0        -        -",
  ]);
});
