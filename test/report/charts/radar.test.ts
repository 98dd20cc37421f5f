import { expect, test } from "vitest";
import { radar } from "#src/report/charts/radar.js";

const chart = (lines: { label: string; values: (number | undefined)[] }[], axes = ["up", "right", "down", "left"]) =>
  radar({
    title: "t",
    axes,
    lines: lines.map((line) => ({ ...line, kind: "fused" })),
    low: 0,
    high: 10,
    rings: [5, 10],
    figure: (value) => value.toFixed(1),
  }).text;

test("a radar puts values on their axes, clockwise from the top, and closes the line", () => {
  const text = chart([{ label: "a", values: [10, 5, 0, 10] }]);
  expect(text).toContain('d="M380,40L462.5,205L380,205L215,205Z"');
  expect(text).toContain("<title>a, right: 5.0</title>");
  // The ring of 5 and the ring of 10.
  expect(text).toContain('points="380,122.5 462.5,205 380,287.5 297.5,205"');
  expect(text).toContain('points="380,40 545,205 380,370 215,205"');
});

test("a missing figure leaves a gap, and one out of scale stays within it", () => {
  const text = chart([{ label: "a", values: [10, undefined, 12, -3] }]);
  expect(text).toContain('d="M380,370L380,205M380,205L380,40"');
  expect(text.match(/<circle/g)).toHaveLength(3);
  expect(chart([{ label: "a", values: [Number.NaN, 1, 1, 1] }])).not.toContain("NaN");
});

test("lines can be told apart without colour, and names are text", () => {
  const lines = Array.from({ length: 8 }, (_, index) => ({ label: `<b>${index}`, values: [1, 2, 3, 4] }));
  const text = chart(lines);
  const dashes = [...text.matchAll(/<path class="curve" stroke-dasharray="([^"]*)"/g)].map(([, dash]) => dash);
  expect(new Set(dashes).size).toBe(8);
  expect(text).toContain("&lt;b&gt;7");
  expect(text).not.toContain("<b>");
});

test("the names of axes stand outside, away from the centre", () => {
  const text = chart([]);
  const anchors = [...text.matchAll(/class="label" [^>]*text-anchor="(\w+)">(\w+)</g)].map(([, side, name]) => [
    name,
    side,
  ]);
  expect(anchors).toEqual([
    ["up", "middle"],
    ["right", "start"],
    ["down", "middle"],
    ["left", "end"],
  ]);
});
