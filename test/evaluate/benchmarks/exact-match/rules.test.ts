import { describe, expect, test } from "vitest";
import { RULE_NAMES, ruleOf } from "#src/evaluate/benchmarks/exact-match/rules.js";

const extracted = (rule: string, texts: readonly string[], pattern?: string): (string | null)[] =>
  texts.map((text) => ruleOf(rule, pattern).extract(text));

describe("number", () => {
  test("is what stands after the first ####", () => {
    expect(
      extracted("number", [
        "2 + 3 = <<2+3=5>>5\n#### 5",
        "#### 7 apples\nQuestion: and now?\n#### 9",
        "####\n42",
        "####42.",
        "It is 5.",
        "#### none",
        "####",
      ]),
    ).toEqual(["5", "7", "42", "42", null, null, null]);
  });

  test("has one spelling, whatever its separators, currency, sign and zeros", () => {
    const texts = ["#### 1,234,567", "#### $1234567", "#### 1234567.00", "#### +1,234,567 dollars", "#### €01234567."];
    expect(new Set(extracted("number", texts))).toEqual(new Set(["1234567"]));
    expect(
      extracted("number", [
        "#### -$5.50",
        "#### $-5.5",
        "#### \u22125.5",
        "#### .5",
        "#### 0.0",
        "#### -0",
        "#### 12%",
      ]),
    ).toEqual(["-5.5", "-5.5", "-5.5", "0.5", "0", "0", "12"]);
  });

  test("a fraction is its value, and no number where it divides by zero", () => {
    expect(extracted("number", ["#### 3/4", "#### 6/8", "#### -3/4", "#### 1/3", "#### 2/6", "#### 1/0"])).toEqual([
      "0.75",
      "0.75",
      "-0.75",
      "0.3333333333333333",
      "0.3333333333333333",
      null,
    ]);
  });

  test("keeps every digit of a large number", () => {
    expect(extracted("number", ["#### 12345678901234567891", "#### 12345678901234567890"])).toEqual([
      "12345678901234567891",
      "12345678901234567890",
    ]);
  });
});

test("last-number is the last of the answer, and a minus between two numbers is no sign", () => {
  expect(
    extracted("last-number", ["37 plus 15 is 52.", "10-3", "from 7 to -2", "1,000 and 2,50", "GPT4 and x2", "none"]),
  ).toEqual(["52", "3", "-2", "50", null, null]);
});

describe("choice", () => {
  test("is the letter after the last answer, alone, at the beginning, or in brackets", () => {
    const bs = [
      "B",
      " b ",
      "(B)",
      "(b) Paris",
      "B. Paris",
      "B) Paris",
      "**B**",
      "Answer: B",
      "**Answer:** B",
      "answer B.",
    ];
    expect(new Set(extracted("choice", bs))).toEqual(new Set(["B"]));
    expect(
      extracted("choice", [
        "The answer is (C).",
        "First I thought the answer is A. But the answer is D.",
        "Both (A) and (B) tempt; it must be (E)",
        "The correct answer is: J",
        "ANSWER: `F`",
      ]),
    ).toEqual(["C", "D", "E", "J", "F"]);
  });

  test("is never guessed from a word", () => {
    const texts = ["A capital city", "I think so", "Because", "K", "The answer is Berlin", "The answer is a city", ""];
    expect(extracted("choice", texts)).toEqual(texts.map(() => null));
  });
});

describe("json", () => {
  test("is equal whatever the order of keys, white space and spelling of numbers", () => {
    const texts = [
      '{"b": [1, 2.0], "a": null}',
      '{ "a":null,"b":[1e0,2] }',
      'Here:\n```json\n{"a": null, "b": [1, 2]}\n```\nDone.',
    ];
    expect(new Set(extracted("json", texts))).toEqual(new Set(['{"a":null,"b":[1,2]}']));
    expect(extracted("json", ["[2, 1]", '"x"', " true "])).toEqual(["[2,1]", '"x"', "true"]);
  });

  test("is not looked for in prose, and hostile nesting is none", () => {
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    const texts = ['The answer is {"a": 1}', "```json\n{broken\n```", "```", "", deep, '{"__proto__": 1}'];
    expect(extracted("json", texts)).toEqual([null, null, null, null, null, '{"__proto__":1}']);
  });
});

test("text is the whole answer but for white space", () => {
  expect(extracted("text", [" It is\n  rain. ", "It is rain.", "e\u0301", "  "])).toEqual([
    "It is rain.",
    "It is rain.",
    "\u00e9",
    null,
  ]);
});

describe("regex", () => {
  test("is the first group of the first match, or the match", () => {
    expect(extracted("regex", ["color: red, color: blue", "none"], "color: (\\w+)")).toEqual(["red", null]);
    expect(extracted("regex", ["a 12 b"], "\\d+")).toEqual(["12"]);
    expect(extracted("regex", ["b"], "(a)?b")).toEqual(["b"]);
  });

  test("that runs away on an answer stops the evaluation and names the pattern", () => {
    expect(() => extracted("regex", [`${"a".repeat(60)}b`], "^(a+)+$")).toThrow(
      "exact-match: the pattern /^(a+)+$/u ran longer than 2 s on an answer of 61 characters; write it without nested repetitions",
    );
  });

  test("needs a pattern that is one, and belongs to no other rule", () => {
    expect(() => ruleOf("regex", undefined)).toThrow("exact-match: the rule regex needs a pattern; add --pattern");
    expect(() => ruleOf("regex", "(a")).toThrow(
      'exact-match: the pattern "(a" is no regular expression (Unterminated group)',
    );
    expect(() => ruleOf("number", "a")).toThrow("exact-match: a pattern belongs to the rule regex, not to number");
  });
});

test("an unknown rule is told its neighbour", () => {
  expect(RULE_NAMES).toEqual(["number", "last-number", "choice", "json", "text", "regex"]);
  expect(() => ruleOf("jsn", undefined)).toThrow(
    'exact-match: unknown rule "jsn"; did you mean "json"? (there is: number, last-number, choice, json, text, regex)',
  );
});

test("long hostile answers take no time", () => {
  const hostile = [
    "1,".repeat(200_000),
    "1".repeat(400_000),
    "(".repeat(400_000),
    "answer ".repeat(60_000),
    "0.".repeat(200_000),
    `1.${"0".repeat(300_000)}1`,
    " ".repeat(400_000),
  ];
  const start = performance.now();
  for (const rule of ["number", "last-number", "choice", "json", "text"]) {
    for (const text of hostile) ruleOf(rule, undefined).extract(`####${text}`);
    for (const text of hostile) ruleOf(rule, undefined).extract(text);
  }
  // 70 answers of 400,000 characters: about 0.5 s; one quadratic pattern alone would take minutes.
  expect(performance.now() - start).toBeLessThan(15_000);
});

describe("answers as they really look", () => {
  test("a letter in a box, in lower case after answer is, or alone on a line", () => {
    const ds = [
      "So \\boxed{D}.",
      "\\boxed{\\text{(D)}}",
      "The answer is (d).",
      "Answer: (d)",
      "D\nBecause ice is light.",
      "Ice is light, A) is wrong.\n\n**D**\n",
      "First A seems right (A), but\n(d)\n",
    ];
    expect(extracted("choice", ds)).toEqual(ds.map(() => "D"));
    expect(extracted("choice", ["The answer is a dog", "I think so", "answer: dog", "A dog\nran"])).toEqual(
      Array.from({ length: 4 }, () => null),
    );
  });

  test("a number in a box, its braces in pairs, before any other number", () => {
    const texts = [
      "\\boxed{42} after 3 steps",
      "\\boxed{\\frac{3}{4}}",
      "$\\boxed{1{,}234}$",
      "\\boxed{\\$5.50}",
      "first \\boxed{1}, then \\boxed{\\text{2 apples}}",
      "\\boxed{x",
    ];
    expect(extracted("last-number", texts)).toEqual(["42", "0.75", "1234", "5.5", "2", null]);
    expect(extracted("number", [texts[0]!, "#### \\boxed{7}", "#### 8 \\boxed{9"])).toEqual(["42", "7", "8"]);
  });

  test("a number with an exponent is the number", () => {
    const texts = ["#### 1e3", "#### 1.5e-3", "#### -2.50E+2", "#### 12e0", "#### 0.001e2", "#### 1e3f", "#### 2 eggs"];
    expect(extracted("number", texts)).toEqual(["1000", "0.0015", "-250", "12", "0.1", "1", "2"]);
  });

  test("reasoning is not read unless it is kept, and an answer that was cut within it is none", () => {
    const thought = "<think>\nIs it #### 5, and (A)? {}\n</think>\n\n";
    expect(extracted("number", [`${thought}#### 6`, `${thought}none`])).toEqual(["6", null]);
    expect(extracted("choice", [`${thought}B`, "<think>\nB"])).toEqual(["B", null]);
    expect(extracted("json", [`${thought}{"a":1}`])).toEqual(['{"a":1}']);
    expect(extracted("text", [`${thought}a b`, "<think> a"])).toEqual(["a b", null]);
    expect(extracted("regex", [`${thought}c`, "<think> a"], "[a-z]|^")).toEqual(["c", null]);
    expect(ruleOf("number", undefined).extract(`${thought}#### 6`, "keep")).toBe("5");
  });
});

test("the rule text knows an accented letter in both spellings, and takes a megabyte of marks in no time", () => {
  const { extract } = ruleOf("text", undefined);
  expect(extract(" cafe\u0301  x ")).toBe("caf\u00e9 x");
  // The platform's normaliser alone would take minutes.
  const marks = "\u0323\u0301".repeat(1 << 18);
  expect(extract(`e\u0301 e${marks}`)).toBe(`\u00e9 e${marks}`);
});
