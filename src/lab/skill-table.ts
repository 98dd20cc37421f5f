/** The matrix of models by skills for the terminal: distance above the entropy floor, in thousandths of a nat a byte. */
import type { Metric } from "../evaluate/benchmarks/benchmark.ts";
import type { MeasuredModel } from "./demo-checks.ts";
import { SKILLS } from "./skills/index.ts";

export type SkillRow = Pick<MeasuredModel, "name" | "metrics"> & Partial<MeasuredModel>;

/** Lines of text. A cell is the distance and half the width of its 95 % interval. */
export function skillTable(models: readonly SkillRow[]): string[] {
  const columns = ["all", ...SKILLS.map(({ name }) => name)];
  const rows = models.map(({ name, metrics }) => [
    name,
    ...columns.map((column) => cell(metrics[column === "all" ? "above_floor" : `above_floor/${column}`])),
  ]);
  const header = ["model", ...columns];
  const widths = header.map((title, index) => Math.max(title.length, ...rows.map((row) => row[index]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((text, index) => (index === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[index]!))).join("  ");
  return [line(header), ...rows.map(line)];
}

function cell(metric: Metric | undefined): string {
  if (metric === undefined) return "-";
  return `${(1000 * metric.value).toFixed(1)}±${(500 * (metric.high - metric.low)).toFixed(1)}`;
}
