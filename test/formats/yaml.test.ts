/** YAML with places: what is read, where it stands, and what is refused. */
import { describe, expect, test } from "vitest";
import { parseYaml } from "#src/formats/yaml.js";

const text = "models:\n  - model: a\n    weight: [1, 2]\n  - {model: b}\nname: x\n";

test("the data, and the place of every value and key", () => {
  const { value, problems, place } = parseYaml(text);
  expect(problems).toEqual([]);
  expect(value).toEqual({ models: [{ model: "a", weight: [1, 2] }, { model: "b" }], name: "x" });
  expect(place([])).toBe("1:1");
  expect(place(["models", 0, "model"])).toBe("2:12");
  expect(place(["models", 0, "model"], "key")).toBe("2:5");
  expect(place(["models", 0, "weight", 1])).toBe("3:17");
  expect(place(["models", 1, "model"])).toBe("4:13");
});

test("of what is missing the nearest thing around it", () => {
  const { place } = parseYaml(text);
  expect(place(["models", 1, "weight"])).toBe("4:5");
  expect(place(["models", 7])).toBe("2:3");
  expect(place(["nothing", "at", "all"])).toBe("1:1");
});

test("version 1.1 knows the switches of Python's YAML", () => {
  expect(parseYaml("a: yes\nb: off\n", "1.1").value).toEqual({ a: true, b: false });
  expect(parseYaml("a: yes\n").value).toEqual({ a: "yes" });
});

describe("refused", () => {
  const messages = (source: string) => parseYaml(source).problems.map(({ place, message }) => `${place}: ${message}`);

  test("tabs, keys that come twice, several documents, by their place", () => {
    expect(messages("a:\n\tb: 1\n")[0]).toMatch(/^2:\d: expected spaces, found a tab/);
    expect(messages("a: 1\na: 2\n")).toEqual(["2:1: expected each key once, found one twice"]);
    expect(messages("a: 1\n---\nb: 1\n")).toEqual(["2:1: expected one document, found several (---)"]);
  });

  test("text that goes on for ever, and nesting that does", () => {
    expect(messages(" ".repeat(150_001))).toEqual(["1:1: expected at most 150000 characters, found 150001"]);
    const deep = "1:1: expected at most 100 lists and mappings within each other, found more";
    for (const opening of ["[", "{a: ", "- ", "? "]) expect(messages(opening.repeat(37_000))).toEqual([deep]);
    const indented = Array.from({ length: 300 }, (_, level) => `${" ".repeat(level)}a:`).join("\n");
    expect(messages(indented)).toEqual([deep]);
    // A mistake in brackets, which the parser follows all the same.
    expect(messages(`a: { b: c${"<<: ".repeat(20_000)} }`)).toEqual([deep]);
    const wide = `{${Array.from({ length: 500 }, (_, n) => `k${n}: ${n}`).join(", ")}}`;
    expect(messages(wide)).toEqual([]);
    expect(messages(`a: ${"[".repeat(90)}${"]".repeat(90)}\n`)).toEqual([]);
  });
});
