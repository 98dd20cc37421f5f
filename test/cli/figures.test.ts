import { expect, test } from "vitest";
import { formatBytes, formatCount, formatSeconds } from "#src/cli/figures.js";

test.each([
  [0, "0"],
  [999, "999"],
  [1234567, "1,234,567"],
  [1234.56, "1,234.6"],
  [0.04, "0.0"],
])("the count %d is written %s", (value, text) => {
  expect(formatCount(value)).toBe(text);
});

test.each([
  [0.04, "0.0 s"],
  [9.94, "9.9 s"],
  [59.4, "59 s"],
  [200, "3 min 20 s"],
  [3599.7, "1 h 0 min"],
  [7500, "2 h 5 min"],
  [3 * 86400, "3 days"],
])("%d seconds are written %s", (value, text) => {
  expect(formatSeconds(value)).toBe(text);
});

test.each([
  [512, "512 B"],
  [1500, "1.5 kB"],
  [14e9, "14 GB"],
  [2.5e12, "2.5 TB"],
])("%d bytes are written %s", (value, text) => {
  expect(formatBytes(value)).toBe(text);
});
