import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelsOf } from "#src/recipe/layout.js";
import { BENCHMARK_NAMES } from "#src/recipe/names.js";
import { attemptRecipe, parseRecipe, recipeDifference } from "#src/recipe/parse.js";
import { RECIPE_TEMPLATE } from "#src/recipe/template.js";

const SHORTEST = "pivot: models/a\nsources: [models/b]\ndata: { path: c.jsonl }\n";

function problems(text: string): readonly string[] {
  return attemptRecipe(text, "recipe.yaml").problems;
}

describe("defaults", () => {
  test("three keys suffice; the rest are the papers' settings", () => {
    expect(parseRecipe(SHORTEST, "recipe.yaml").recipe).toEqual({
      pivot: { name: "a", model: "models/a", template_name: null, template_variables: {}, engine: null },
      sources: [{ name: "b", model: "models/b", template_name: null, template_variables: {}, engine: null }],
      data: {
        path: ["c.jsonl"],
        max_length: 2048,
        date: "2025-01-01",
        irregular: "refuse",
        held_out: 0.02,
        held_out_path: null,
        answers: null,
      },
      distributions: { top_k: 10, rows: "top", template: "native" },
      align: {
        sequence: "bytes",
        vocabulary: "split",
        label_mass: "chain",
        divide: "pivot",
        within: "conditional",
        unshared: "label",
        width: 20,
      },
      fuse: {
        function: "min-ce",
        level: "group",
        sources: "pairwise",
        lambda: 0.9,
        tail: "renormalise",
        emphasis: "even",
        lr: 5e-6,
        epochs: 3,
        batch: 128,
        warmup_ratio: 0.03,
        weight_decay: 0,
        shuffle: true,
        dtype: "float32",
      },
      merge: [
        {
          name: "fused",
          method: "sce",
          variant: "fusechat",
          select_topk: 0.1,
          weights: null,
          parameters: {},
          dtype: null,
        },
      ],
      baselines: [],
      evaluate: {
        benchmarks: [
          {
            name: "held-out",
            benchmark: "held-out",
            settings: { max_length: 2048, irregular: "refuse" },
            models: null,
          },
        ],
        judge: {
          model: null,
          url: null,
          concurrency: 8,
          max_calls: null,
          max_tokens: null,
          timeout: 120,
          retries: 5,
        },
        gates: [],
      },
      seed: 0,
      engine: { kind: "onnx", threads: null },
    });
  });

  test("the recipe that init writes is one, and differs from the defaults in the recommended way alone", () => {
    const { recipe } = parseRecipe(RECIPE_TEMPLATE, "recipe.yaml");
    const { pivot, sources, data } = recipe;
    const recommended = "fuse: { sources: together, level: group }";
    const defaults = parseRecipe(`${SHORTEST}${recommended}`, "recipe.yaml").recipe;
    expect({ ...recipe, pivot: 0, sources: 0, data: 0 }).toEqual({ ...defaults, pivot: 0, sources: 0, data: 0 });
    expect(pivot.name).toBe("openchat_3.5");
    expect(sources.map(({ name }) => name)).toEqual(["Starling-LM-7B-alpha", "qwen"]);
    expect(data).toEqual({ ...defaults.data, path: ["conversations.jsonl"] });
    expect(RECIPE_TEMPLATE).toMatch(/^# yaml-language-server: \$schema=\S+schema\/recipe\.json\n/);
  });

  test("the width of aligned rows follows top_k", () => {
    expect(parseRecipe(`${SHORTEST}distributions: { top_k: 4 }`, "r").recipe.align.width).toBe(8);
  });

  test("the first merge is the fused model, the others take the name of their method", () => {
    const merges = "merge: [{ variant: paper }, {}, { variant: mergekit }, { method: linear, name: average }]";
    const { recipe } = parseRecipe(`${SHORTEST}${merges}`, "recipe.yaml");
    expect(recipe.merge.map(({ name, variant }) => [name, variant])).toEqual([
      ["fused", "paper"],
      ["sce", "fusechat"],
      ["sce-mergekit", "mergekit"],
      ["average", null],
    ]);
  });
});

describe("what prompts are rendered with", () => {
  test("is the recipe's date, and variables of all models with a model's own over them", () => {
    const { recipe } = parseRecipe(
      `pivot: { model: models/a, template_name: tool_use, template_variables: { levels: [1, 2] } }
sources: [models/b, { model: models/c, template_variables: { enable_thinking: true } }]
data: { path: c.jsonl, date: 2024-02-29, template_variables: { enable_thinking: false } }
`,
      "recipe.yaml",
    );
    expect(recipe.data.date).toBe("2024-02-29");
    expect(recipe.pivot).toMatchObject({
      template_name: "tool_use",
      template_variables: { enable_thinking: false, levels: [1, 2] },
    });
    expect(recipe.sources.map(({ template_variables: variables }) => variables)).toEqual([
      { enable_thinking: false },
      { enable_thinking: true },
    ]);
    expect(modelsOf(recipe).map(({ name, template }) => [name, template.date, template.name])).toEqual([
      ["a", "2024-02-29", "tool_use"],
      ["b", "2024-02-29", undefined],
      ["c", "2024-02-29", undefined],
      ["target-b", "2024-02-29", "tool_use"],
      ["target-c", "2024-02-29", "tool_use"],
      ["fused", "2024-02-29", "tool_use"],
    ]);
  });

  test.each([
    ["date: 2025-02-30", '3:30 data.date: expected a day as YYYY-MM-DD, found "2025-02-30"'],
    ["date: 1 January", '3:30 data.date: expected a day as YYYY-MM-DD, found "1 January"'],
    [
      "template_variables: { messages: [] }",
      '3:46 data.template_variables.messages: expected a name that the program does not give to templates itself, found "messages"',
    ],
    [
      "template_variables: { 2x: 1 }",
      '3:46 data.template_variables.2x: expected the name of a template variable: letters, digits and underscores, found "2x"',
    ],
    ["template_variables: [x]", "3:44 data.template_variables: expected a mapping of names, found a list of 1"],
  ])("is refused where it is written as %s", (text, message) => {
    const found = problems(`pivot: models/a\nsources: [models/b]\ndata: { path: c.jsonl, ${text} }\n`);
    expect(found).toEqual([`recipe.yaml:${message}`]);
  });

  test("may be called like a property of all objects, and is then no more than a name", () => {
    const { recipe } = parseRecipe(
      "pivot: models/a\nsources: [models/b]\ndata: { path: c.jsonl, template_variables: { constructor: 1 } }\n",
      "recipe.yaml",
    );
    expect(Object.entries(recipe.pivot.template_variables)).toEqual([["constructor", 1]]);
  });
});

describe("mistakes", () => {
  test("all of them are told at once, in the order of the file, each with line, column and key", () => {
    const recipe = `pivot: models/a
sources:
  - { model: 3 }
  - 5
data: { path: [], max_lenght: 3, held_out: 1 }
fuse:
  lambda: 2
  lr: 0
  epochs: 1.5
  function: mince
  shuffle: maybe
merge: { method: sces, selecttopk: 1 }
baseline: [sft]
`;
    expect(problems(recipe)).toEqual([
      "recipe.yaml:3:14 sources[0].model: expected text, found 3",
      "recipe.yaml:4:5 sources[1]: expected text or a mapping of keys, found 5",
      "recipe.yaml:5:15 data.path: expected at least 1 entry, found an empty list",
      'recipe.yaml:5:19 data.max_lenght: unknown key; did you mean "max_length"?',
      "recipe.yaml:5:44 data.held_out: expected less than 1, found 1",
      "recipe.yaml:7:11 fuse.lambda: expected at most 1, found 2",
      "recipe.yaml:8:7 fuse.lr: expected more than 0, found 0",
      "recipe.yaml:9:11 fuse.epochs: expected a whole number, found 1.5",
      'recipe.yaml:10:13 fuse.function: expected one of min-ce, avg-ce, source, found "mince"; did you mean "min-ce"?',
      'recipe.yaml:11:12 fuse.shuffle: expected true or false, found "maybe"',
      expect.stringMatching(
        /^recipe\.yaml:12:18 merge\.method: expected one of sce, .*found "sces"; did you mean "sce"\?$/,
      ),
      'recipe.yaml:12:24 merge.selecttopk: unknown key; did you mean "select_topk"?',
      'recipe.yaml:13:1 baseline: unknown key; did you mean "baselines"?',
    ]);
  });

  test.each([
    ["", "recipe.yaml: expected a recipe with pivot, sources and data, found nothing; fusechat init writes one"],
    ["- 3", "recipe.yaml:1:1: expected a mapping of keys, found a list of 1"],
    ["pivot: a\npivot: b", "recipe.yaml:2:1: expected each key once, found one twice"],
    ["a:\n\tb: 1", "recipe.yaml:2:1: expected spaces, found a tab; YAML is indented with spaces only"],
    ["--- a\n--- b", "recipe.yaml:2:1: expected one document, found several (---)"],
    [
      `${SHORTEST}align: { vocabulary: splitt }`,
      'recipe.yaml:4:22 align.vocabulary: expected one of split, mapping-statistics, exact, prefix, min-edit, found "splitt"; did you mean "split"?',
    ],
    [
      `${SHORTEST}evaluate: [held]`,
      `recipe.yaml:4:12 evaluate[0]: expected one of ${BENCHMARK_NAMES.join(", ")} or a mapping of keys, found "held"`,
    ],
    [
      `${SHORTEST}engine: { kind: torch, threads: 2 }`,
      "recipe.yaml:4:24 engine.threads: is a setting of kind onnx; leave it out",
    ],
    [
      "pivot: a\nsources: [{ model: b, engine: { kind: endpoint, url: http://gpu } }]\ndata: { path: c.jsonl }",
      'recipe.yaml:2:39 sources[0].engine.kind: a server is named by its kind; expected one of onnx, torch, vllm, sglang, found "endpoint"',
    ],
    [
      "pivot: x/a\nsources: [y/A]\ndata: { path: c.jsonl }",
      'recipe.yaml:2:11 sources[0]: the name "A" is already that of the pivot; give it one of its own: { model: …, name: … }',
    ],
    [
      'pivot: "my model"\nsources: [b]\ndata: { path: c.jsonl }',
      'recipe.yaml:1:8 pivot: the folder\'s name "my model" cannot name a model; give it one: { model: …, name: … }',
    ],
    [
      `${SHORTEST}merge: { method: linear, weights: [1, 2] }`,
      "recipe.yaml:4:35 merge.weights: expected a weight for each source, 1 in all, found 2",
    ],
    [
      `${SHORTEST}merge: { method: linear, select_topk: 0.1 }`,
      "recipe.yaml:4:39 merge.select_topk: linear has no such option; leave it out",
    ],
    [
      `${SHORTEST}merge: { weights: [1] }`,
      "recipe.yaml:4:19 merge.weights: sce finds the weights of the targets itself; leave them out",
    ],
    [
      `${SHORTEST}merge: { method: linear, parameters: { normalise: false } }`,
      'recipe.yaml:4:38 merge.parameters: linear: parameters.normalise: linear has no such parameter; did you mean "normalize"?',
    ],
    [
      "pivot: a\nsources: [{ model: b, name: fused }]\ndata: { path: c.jsonl }",
      'recipe.yaml:2:29 sources[0].name: the name "fused" is already that of a model that the run makes; give it one of its own: { model: …, name: … }',
    ],
    [
      `${SHORTEST}merge: [{}, { method: linear }, { method: linear }]`,
      'recipe.yaml:4:33 merge[2]: the merge "linear" is there twice; give one of them another name',
    ],
    [
      "pivot: a\nsources: [b]\ndata: { path: c.jsonl, held_out: 0 }",
      "recipe.yaml:3:34 data.held_out: expected more than 0, found 0: nothing would be left to evaluate on; give held_out_path, or set evaluate: []",
    ],
  ])("`%s` is refused", (text, message) => {
    expect(problems(text)).toEqual([message]);
  });

  test("a YAML bomb and endless nesting are refused quickly", () => {
    const levels = Array.from(
      { length: 9 },
      (_, level) => `l${level + 1}: &l${level + 1} [${`*l${level}, `.repeat(9)}]`,
    );
    for (const text of [`l0: &l0 [a]\n${levels.join("\n")}`, "[".repeat(20_000), "a: ".repeat(400_000)]) {
      expect(problems(text).length).toBeGreaterThan(0);
      expect(problems(text).length).toBeLessThanOrEqual(20);
    }
  });

  test("whatever the text, there is a recipe or a problem, and never an exception", () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), (text, value) => {
        for (const candidate of [text, JSON.stringify(value), `${SHORTEST}fuse: ${JSON.stringify(value)}`]) {
          const { parsed, problems: found } = attemptRecipe(candidate, "r");
          expect(parsed === null).toBe(found.length > 0);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("differences", () => {
  const recipe = (text: string) => parseRecipe(text, "r").recipe;

  test("comments, order and written-out defaults make no difference", () => {
    const other =
      "# same\nsources: [{ model: models/b, name: b }]\ndata: { path: [c.jsonl], held_out: 0.02 }\npivot: models/a";
    expect(recipeDifference(recipe(SHORTEST), recipe(other))).toBeNull();
  });

  test("the first key that differs is named, with both values", () => {
    const other = recipe(`${SHORTEST}fuse: { lr: 1.0e-5 }`);
    expect(recipeDifference(recipe(SHORTEST), other)).toEqual({ key: "fuse.lr", a: "0.000005", b: "0.00001" });
    const longer = recipe(SHORTEST.replace("[models/b]", "[models/b, models/c]"));
    expect(recipeDifference(recipe(SHORTEST), longer)?.key).toBe("sources[1]");
  });
});

test("adapters are asked for by a section, whose defaults are written out; without it there is no key of theirs", () => {
  const adapted = parseRecipe(`${SHORTEST}engine: torch\nfuse: { lora: { rank: 8 } }`, "recipe.yaml").recipe;
  expect(adapted.fuse.lora).toEqual({ rank: 8, alpha: 16, targets: ["all-linear"], keep: false });
  expect("lora" in parseRecipe(SHORTEST, "recipe.yaml").recipe.fuse).toBe(false);
});

test("adapters need the engine that trains them", () => {
  expect(() => parseRecipe(`${SHORTEST}fuse: { lora: {} }`, "recipe.yaml")).toThrow(
    "recipe.yaml:4:9 fuse.lora: low-rank adapters are trained by PyTorch alone; choose engine: torch (--engine torch), or train the weights themselves",
  );
});

test("a share of steps by gain is there where it is said, and needs them", () => {
  const text = "fuse: { level: group, emphasis: gain, even_share: 0.75 }";
  expect(parseRecipe(`${SHORTEST}${text}`, "recipe.yaml").recipe.fuse.even_share).toBe(0.75);
  expect("even_share" in parseRecipe(SHORTEST, "recipe.yaml").recipe.fuse).toBe(false);
  expect(() => parseRecipe(`${SHORTEST}fuse: { even_share: 0.75 }`, "recipe.yaml")).toThrow(
    "recipe.yaml:4:9 fuse.even_share: says how many of the steps by gain go to all conversations alike; take emphasis: gain (--emphasis gain), or leave it out",
  );
});

test("sampled rows are refused of servers, where the server is named", () => {
  const text =
    "pivot: a\nsources: [{ model: b, engine: { kind: vllm, url: 'http://localhost:1' } }]\ndata: { path: c }\n";
  expect(() => parseRecipe(`${text}distributions: { rows: sampled }`, "recipe.yaml")).toThrow(
    "sources[0].engine: servers tell the most probable tokens of a row and no others; take distributions.rows: top",
  );
});
