import { expect, test } from "vitest";
import { strftime } from "#src/data/strftime.js";
import { openRenderer } from "#src/data/template.js";
import { checkTemplateSettings, identityOf, isDay, settingsOf } from "#src/data/template-settings.js";

test("a day is a day of the calendar, written as YYYY-MM-DD", () => {
  for (const day of ["2025-01-01", "2024-02-29"]) expect([day, isDay(day)]).toEqual([day, true]);
  for (const day of ["2025-02-29", "2025-1-1", "01-01-2025", "today", "2025-13-01", ""]) {
    expect([day, isDay(day)]).toEqual([day, false]);
  }
});

test("an identity tells variables in the order of their keys, and gives the settings back", () => {
  const template = { source: "x", specialTokens: { eos_token: "</s>", bos_token: "<s>" } };
  const a = identityOf(template, { date: "2025-01-01", variables: { b: 1, a: { d: [2], c: null } } });
  const b = identityOf(
    { ...template, specialTokens: { bos_token: "<s>", eos_token: "</s>" } },
    { date: "2025-01-01", variables: { a: { c: null, d: [2] }, b: 1 } },
  );
  expect(a).toEqual(b);
  expect(a.templateVariables).toBe('{"a":{"c":null,"d":[2]},"b":1}');
  expect(settingsOf(a)).toEqual({ date: "2025-01-01", variables: { a: { c: null, d: [2] }, b: 1 } });
  expect(settingsOf(identityOf(template, { date: "2025-01-01", variables: {}, name: "rag" })).name).toBe("rag");
  expect(identityOf({ ...template, source: "y" }, settingsOf(a)).templateSha256).not.toBe(a.templateSha256);
});

test("settings with no day, or with a variable that the program gives, are refused", () => {
  expect(() => checkTemplateSettings({ date: "tomorrow", variables: {} }, "--date")).toThrow(
    '--date: expected the date as YYYY-MM-DD, found "tomorrow"',
  );
  expect(() => checkTemplateSettings({ date: "2025-01-01", variables: { messages: 1 } }, "x")).toThrow(
    "x: the template variable messages is given by the program",
  );
});

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

test("templates see the day and the variables of the settings", async () => {
  const source = "{{ strftime_now('%d %b %Y') }} {{ 'deep' if enable_thinking else 'shallow' }}";
  const renderer = openRenderer(
    { path: "t", source, specialTokens: {} },
    { date: "2024-02-29", variables: { enable_thinking: true } },
  );
  expect(await renderer.render([{ turns: [], generationPrompt: true }])).toEqual([{ text: "29 Feb 2024 deep" }]);
  await renderer.dispose();
});
