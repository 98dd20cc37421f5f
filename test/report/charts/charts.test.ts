/** Charts: scales, and that figures which cannot be drawn do no harm. */
import { describe, expect, test } from "vitest";
import { linearScale } from "#src/report/charts/axis.js";
import { heatMap } from "#src/report/charts/heat-map.js";
import { intervalChart } from "#src/report/charts/interval-chart.js";
import { lineChart } from "#src/report/charts/line-chart.js";

describe("a scale", () => {
  const labels = (values: number[]) => {
    const scale = linearScale(values);
    return scale.ticks.map((tick) => scale.label(tick));
  };

  test("ends in round numbers around the data", () => {
    expect(labels([0.13, 0.52])).toEqual(["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]);
    expect(labels([-3, 999])).toEqual(["\u2212500", "0", "500", "1000"]);
    expect(labels([-0.0004, 0.0011])).toEqual(["\u22120.0005", "0.0000", "0.0005", "0.0010", "0.0015"]);
  });

  test("of one value, or of none, still has room", () => {
    expect(linearScale([2]).place(2)).toBeCloseTo(0.5, 6);
    expect(labels([0])).toEqual(["\u22121.0", "\u22120.5", "0.0", "0.5", "1.0"]);
    expect(labels([Number.NaN, Number.POSITIVE_INFINITY])).toEqual(["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
  });
});

test("an interval chart puts dots and bars where the figures are", () => {
  const rows = [{ label: "a", kind: "fused", value: 0.5, low: 0, high: 1, title: "tip" }];
  const { text } = intervalChart({ title: "t", rows, unit: "u", reference: 0.5 });
  expect(text).toContain('<line class="whisker" x1="190" x2="736"');
  expect(text).toContain('<circle cx="463"');
  expect(text).toContain('<line class="reference" x1="463"');
});

test("a curve of very many steps is thinned to means, and its broken points are left out", () => {
  const points = Array.from({ length: 9000 }, (_, x) => ({ x, y: x === 4 ? Number.NaN : 2 }));
  const { text } = lineChart({ title: "t", curves: [{ label: "a", points }], xLabel: "x", yLabel: "y" });
  const places = /points="([^"]*)"/.exec(text)![1]!.split(" ");
  expect(places).toHaveLength(300);
  expect(text).not.toContain("NaN");
});

test("a heat map leaves cells without a figure empty", () => {
  const { text } = heatMap({
    title: "t",
    rows: ["a"],
    columns: ["x", "y"],
    value: (_, column) => (column === 0 ? 0.25 : undefined),
  });
  expect(text.match(/<rect/g)).toHaveLength(1);
  expect(text).toContain('fill-opacity="0.25"');
});
