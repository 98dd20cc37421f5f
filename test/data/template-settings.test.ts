import { expect, test } from "vitest";
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

test("templates see the day and the variables of the settings", async () => {
  const source = "{{ strftime_now('%d %b %Y') }} {{ 'deep' if enable_thinking else 'shallow' }}";
  const renderer = openRenderer(
    { path: "t", source, specialTokens: {} },
    { date: "2024-02-29", variables: { enable_thinking: true } },
  );
  expect(await renderer.render([{ turns: [], generationPrompt: true }])).toEqual([{ text: "29 Feb 2024 deep" }]);
});
