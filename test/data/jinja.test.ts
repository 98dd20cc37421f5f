import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { compileTemplate, stripPython, TemplateRefusal } from "#src/data/jinja.js";

const SHARED = resolve(import.meta.dirname, "../../../shared");
const hasShared = existsSync(join(SHARED, "data"));

const render = (source: string, context: Record<string, unknown> = {}, date = "2025-01-01") =>
  compileTemplate(source, date)(context);

test.each([
  ["{{ '\\n  a \\n'.lstrip('\\n') }}|", "  a \n|"],
  ["{{ 'xxaxx'.rstrip('x') }}", "xxa"],
  ["{{ 'xyaxy'.strip('yx') }}", "a"],
  ["{{ t.strip() }}", "a\ufeff"],
  ["{{ '😊a😊'.strip('😊') }}", "a"],
  ["{{ t | trim }}", "a\ufeff"],
  ["{{ (t | trim).lstrip('a') }}", "\ufeff"],
  ["{% macro m(x) %}{{ x.strip('-') }}{% endmacro %}{{ m('-a-') }}", "a"],
])("%j strips as Python does", (source, expected) => {
  expect(render(source, { t: "\u0085\u001c a\ufeff \u2003" })).toBe(expected);
});

test.each([
  ["' ' == false", false],
  ["'' == false", false],
  ["'0' == 0", false],
  ["1 == true", true],
  ["1 == 1.0", true],
  ["'a' != 'a'", false],
  ["[1, 'a'] == [1, 'a']", true],
  ["{'a': [1]} == {'a': [1]}", true],
  ["{'a': 1} == {'a': 2}", false],
  ["none == none", true],
])("%s is %s", (expression, expected) => {
  expect(render(`{{ 'yes' if ${expression} else 'no' }}`)).toBe(expected ? "yes" : "no");
});

test.each([
  ["{% for c in t %}{{ loop.index }}{{ c }}{% endfor %}", "1a2😊"],
  ["{% for c in t if c != 'a' %}{{ c }}{% endfor %}", "😊"],
  ["{% for c in t %}{{ c['text'] if c['type'] == 'text' }}{% endfor %}|", "|"],
  ["{% for c in t | selectattr('type', 'equalto', 'text') %}{{ c }}{% else %}none{% endfor %}", "none"],
  ["{% for c in parts | selectattr('type', 'equalto', 'text') %}{{ c.text }}{% endfor %}", "b"],
  ["{% for c in parts %}{{ c.type }} {% endfor %}", "image text "],
])("%j goes through a text by its characters", (source, expected) => {
  expect(render(source, { t: "a😊", parts: [{ type: "image" }, { type: "text", text: "b" }] })).toBe(expected);
});

test("a refusal is told apart from a failure", () => {
  expect(() => render("{{ raise_exception('no system turns') }}")).toThrow(TemplateRefusal);
  expect(() => render("{{ raise_exception('no system turns') }}")).toThrow("no system turns");
  expect(() => render("{{ missing.strip() }}")).not.toThrow(TemplateRefusal);
  expect(() => render("{{ missing.strip() }}")).toThrow("expected a text to strip, found nothing");
});

test("every kind of line end is a line feed", () => {
  expect(render("{% if true %}\r\na\r\nb\r{% endif %}")).toBe("a\nb\n");
});

test("white space is Python's: U+0085 and U+001C are, U+FEFF is not", () => {
  expect(stripPython("\u0085\u001c\ufeffa\u3000")).toBe("\ufeffa");
});

describe.runIf(hasShared)("published templates", () => {
  test("render as expected, all 53 of them", () => {
    const lines = readFileSync(join(SHARED, "data/chat_templates/hfjs_e2e.jsonl"), "utf8").trim().split("\n");
    expect(lines.length).toBe(53);
    for (const line of lines) {
      const { name, chat_template: source, context, expected } = JSON.parse(line);
      expect([name, render(source, context, "2025-07-10")]).toEqual([name, expected]);
    }
  });

  test("put every content into the text, trimmed or not", () => {
    const folder = join(SHARED, "data/chat_templates/jinja");
    const messages = [
      { role: "user", content: " What is it? " },
      { role: "assistant", content: "Water.\n" },
      { role: "user", content: "Sure?" },
      { role: "assistant", content: "Yes" },
    ];
    const names = readdirSync(folder);
    expect(names.length).toBe(18);
    for (const name of names) {
      const context = { messages, tools: null, documents: null, bos_token: "<s>", eos_token: "</s>" };
      const text = render(readFileSync(join(folder, name), "utf8"), { ...context, add_generation_prompt: false });
      for (const { content } of messages) expect(text).toContain(content.trim());
      // Some of the files have CR LF at the ends of their lines.
      expect(text).not.toContain("\r");
    }
  });
});

test.runIf(!hasShared)("skipped: ../shared is not there, so published templates are not compared", () => {
  expect(hasShared).toBe(false);
});
