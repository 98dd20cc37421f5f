import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { compileTemplate, stripPython, TemplateRefusal } from "#src/jinja/compile.js";
import { tellMissing } from "../shared.ts";
import { EXPRESSIONS } from "./expressions.ts";

const SHARED = resolve(import.meta.dirname, "../../../shared");
const hasShared = existsSync(join(SHARED, "data"));

const render = (source: string, context: Record<string, unknown> = {}, date = "2025-01-01") =>
  compileTemplate(source, date)(context);

/** The text, or null where the template refuses. */
function resultOf(expression: string): string | null {
  try {
    return render(`{{ ${expression} }}`, { messages: {} });
  } catch (error) {
    if (error instanceof TemplateRefusal) return null;
    throw error;
  }
}

describe.each(Object.entries(EXPRESSIONS))("%s are Python's", (_, expressions) => {
  test.each(expressions)("%s", (expression, value) => {
    expect(resultOf(expression)).toBe(value);
  });
});

test.each([
  // Lines and blanks.
  ["a\n  {% if true %}\n  b\n  {% endif %}\nc", "a\n  b\nc"],
  ["a\n  {%+ if true %}\n  b\n  {%- endif -%}\nc", "a\n    bc"],
  ["{% if true +%}\nx{% endif %}", "\nx"],
  ["  {{ 1 }}\n  {# c #}\n x \n", "  1\n x "],
  ["{% if true %}\r\na\r\nb\r{% endif %}", "a\nb\n"],
  ["{{ '%}' }}{{ {'a': {'b': 2}}.a.b }}{% raw %}{{ x }}{% endraw %}", "%}2{{ x }}"],
  ["x \u0085\n {{- 1 -}} \ufeff", "x1\ufeff"],
  // What a loop knows.
  [
    "{% for i in [1, 2, 3] %}{{ loop.index }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.last }},{% endfor %}",
    "12False,213False,32True,",
  ],
  [
    "{% for i in [1, 1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i) }}{{ loop.revindex0 }}{% endfor %}",
    "aTrue2bFalse1aTrue0",
  ],
  ["{% for i in [1, [2]] recursive %}{{ loop.depth }}{{ loop(i) if i is iterable else i }}{% endfor %}", "11122"],
  ["{% for a, b in {'x': 1, 'y': 2}.items() %}{{ a }}{{ b }}{% endfor %}", "x1y2"],
  ["{% for c in 'a\u{1f60a}' %}{{ loop.index }}{{ c }}{% endfor %}", "1a2\u{1f60a}"],
  ["{% for c in 'ab' | selectattr('type', 'equalto', 'text') %}{{ c }}{% else %}none{% endfor %}", "none"],
  ["{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "13"],
  ["{% for i in [1, 2] %}{% break %}{% else %}no body came to its end{% endfor %}", "no body came to its end"],
  [
    "{% set ns = namespace(f=false) %}{% for i in [1, 2, 3] if not ns.f %}{{ i }}{% if i == 2 %}{% set ns.f = true %}{% endif %}{% endfor %}",
    "12",
  ],
  ["{% set g = [1, 2] | map('string') %}{{ g | join }}{{ g | join }}", "12"],
  // Where names live.
  ["{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "231"],
  ["{% if true %}{% set x = 5 %}{% endif %}{{ x }}", "5"],
  ["{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(b=5) }}", "1215"],
  ["{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, x=3) }}", "(1,){'x': 3}"],
  ["{% macro m() %}[{{ caller('q') }}]{% endmacro %}{% call(x) m() %}{{ x }}!{% endcall %}", "[q!]"],
  ["{% set x | upper | trim %} a {% endset %}{{ x }}{% filter upper %}b{% endfilter %}", "AB"],
  ["{% generation %}x{% set y = 1 %}{% endgeneration %}{{ y }}|{% with z = 1 %}{{ z }}{% endwith %}{{ z }}", "x|1"],
  // A name that a body sets first has no value before; one that it asks for first has the context's.
  ["{% macro m() %}{{ given }}{% endmacro %}{{ m() }}|{% set given = 2 %}{{ m() }}", "|2"],
  ["{{ given }}{% macro m() %}{{ given }}{% endmacro %}{{ m() }}{% set given = 2 %}{{ m() }}", "112"],
])("%j gives Python's %j", (source, expected) => {
  expect(render(source, { given: 1 })).toBe(expected);
});

test("what Python fails at is a refusal, what only this program cannot is an error by name", () => {
  expect(() => render("{{ raise_exception('no system turns') }}")).toThrow(new TemplateRefusal("no system turns"));
  expect(() => render("{{ messages[0].content.strip() }}", { messages: [{}] })).toThrow(TemplateRefusal);
  expect(() => render("{{ messages[0].content.strip() }}", { messages: [{}] })).toThrow(
    "messages[0].content is not defined, so it has no strip",
  );
  for (const [source, problem] of [
    ["{{ 'a' | pprint }}", "the filter pprint is not supported"],
    ["{{ 'a' | nonsense }}", "there is no filter named nonsense"],
    ["{{ 'a'.encode() }}", "encode of a str is not supported"],
    ["{{ [1] | map('upper') }}", "the result of map has no text that two machines would agree on"],
    ["{% include 'x' %}", "{% include %} is not supported"],
    ["{% do 1 %}", "{% do %} is no tag of chat templates"],
    ["a\n{{ 1 2 }}", 'line 2: expected the end of the tag, found "2"'],
    ["{% if true %}", "expected {% endif %}, found the end of the template"],
  ] as const) {
    expect(() => render(source)).toThrow(problem);
    expect(() => render(source)).not.toThrow(TemplateRefusal);
  }
});

test("templates without measure are stopped", () => {
  expect(() => render(`{{ ${"(".repeat(5000)}1${")".repeat(5000)} }}`)).toThrow(
    "expected at most 200 brackets inside each other",
  );
  expect(() => render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")).toThrow("calls go deeper than 200");
  expect(() => render("{{ 'a' * 99999999999 }}")).toThrow("a repetition makes more than 16777216 characters");
  expect(() => render("{{ range(100001) }}")).toThrow("range: expected at most 100000 items, found 100001");
  expect(() => render("{{ 9 ** 99999999 }}")).toThrow("is too large");
});

test("white space is Python's: U+0085 and U+001C are, U+FEFF is not", () => {
  expect(stripPython("\u0085\u001c\ufeffa\u3000")).toBe("\ufeffa");
});

describe.runIf(hasShared)("published templates", () => {
  test("render as expected, all 53 of them; one prints its tools, which Python does by itself and not as JSON", () => {
    const lines = readFileSync(join(SHARED, "data/chat_templates/hfjs_e2e.jsonl"), "utf8").trim().split("\n");
    expect(lines.length).toBe(53);
    for (const line of lines) {
      const { name, chat_template: source, context, expected } = JSON.parse(line);
      const text = render(source, context, "2025-07-10");
      if (name === "MadeAgents/Hammer2.1") {
        expect(text).toContain("[{'type': 'function', 'function': {'name': 'get_current_temperature', 'description'");
      } else expect([name, text]).toEqual([name, expected]);
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

tellMissing(hasShared, "published templates are not compared");
