import { expect, test } from "vitest";
import { strftime } from "#src/jinja/strftime.js";

// Values of Python's datetime(2025, 1, 5, 12).strftime.
test.each([
  ["%Y-%m-%d", "2025-01-05"],
  ["%d %B %Y", "05 January 2025"],
  ["%b %-d, %y", "Jan 5, 25"],
  ["%A %a %w %u", "Sunday Sun 0 7"],
  ["%j %U %W", "005 01 00"],
  ["%e|%H:%M:%S|%I %p", " 5|12:00:00|12 PM"],
  ["%F %D %T %R", "2025-01-05 01/05/25 12:00:00 12:00"],
  ["100%%", "100%"],
])("strftime of %s is Python's", (format, expected) => {
  expect(strftime("2025-01-05", format)).toBe(expected);
});

test("a directive that is not known is an error, not a guess", () => {
  expect(() => strftime("2025-01-05", "%Q")).toThrow("strftime_now: the directive %Q is not known");
});
