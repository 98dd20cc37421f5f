/** The report: what it says of a run, that names from outside stay text, and that parts may be missing. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderReport } from "#src/report/index.js";

const EVIL = `<script>alert("x")</script>&'\u202e\u0007`;
const SAFE = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39;\ufffd\u2407";

let parent: string;
let number = 0;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), "fusechat-report-"));
});

afterAll(async () => {
  await rm(parent, { recursive: true, force: true });
});

async function runFolder(files: Record<string, unknown>): Promise<string> {
  const folder = join(parent, `run-${number++}`);
  await mkdir(folder);
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  }
  return folder;
}

const metric = (value: number) => ({ value, low: value - 0.1, high: value + 0.1, unit: "nats/byte" });
const share = (value: number) => ({ value, low: value - 3, high: value + 3, unit: "%" });
const difference = (value: number, verdict: string) => ({ ...metric(value), p: 0.0004, verdict });

function files(): Record<string, unknown> {
  const models = [
    ["pivot", "pivot", 1.5],
    [EVIL, "source", 1.4],
    ["target-a", "target", 1.3],
    ["fused", "fused", 1.2],
    ["sft", "baseline", 1.25],
  ] as const;
  const step = (n: number) => ({
    step: n,
    loss: 2 / (n + 1),
    label_loss: 2 / (n + 1),
    fusion_loss: 0.5,
    lr: 1e-3,
    rows: 10,
    grad_norm: 1,
  });
  const tokens = [{ token: 1, text: EVIL, probability: 0.75 }];
  return {
    "recipe.yaml": `pivot: p # ${EVIL}\n`,
    "plan.json": {
      recipe: { pivot: { name: "pivot" }, sources: [{ name: EVIL }] },
      models: [{ name: "pivot", role: "pivot", architecture: "llama", parameters: 1234567 }],
    },
    "evaluate/held-out.json": {
      ...{ benchmark: "held-out", name: "held-out", metric: "nats_per_byte", better: "less", reference: "pivot" },
      models: models.map(([name, role, value]) => ({
        name,
        role,
        prompts: 40,
        refused: role === "source" ? 2 : 0,
        ...{ unparsed: 0, empty: 0, cut: 0 },
        metrics: {
          nats_per_byte: metric(value),
          above_floor: metric(value - 1),
          "above_floor/add": metric(value - 1.1),
        },
      })),
      comparisons: [
        {
          model: "fused",
          against: "pivot",
          prompts: 40,
          metrics: { nats_per_byte: difference(-0.3, "better"), "above_floor/add": difference(-0.3, "better") },
        },
        { model: "sft", against: "pivot", prompts: 40, metrics: { nats_per_byte: difference(0.3, "worse") } },
        {
          model: "fused",
          against: "sft",
          prompts: 40,
          metrics: { nats_per_byte: difference(-0.05, "within noise") },
        },
      ],
    },
    "evaluate/exact-match.json": {
      ...{ benchmark: "exact-match", name: "sums", metric: "accuracy", better: "more", reference: "pivot" },
      models: [
        ["pivot", "pivot", 40],
        ["fused", "fused", 52],
      ].map(([name, role, value]) => ({
        ...{ name, role, prompts: 100, refused: 0, unparsed: 3, empty: 1, cut: 0 },
        metrics: { accuracy: share(Number(value)), [`accuracy/${EVIL}`]: share(Number(value) + 5) },
      })),
      comparisons: [
        {
          ...{ model: "fused", against: "pivot", prompts: 100 },
          metrics: {
            accuracy: { ...share(12), p: 0.004, p_adjusted: 0.012, detectable: 8, verdict: "better" },
            [`accuracy/${EVIL}`]: { ...share(12), p: 0.2, verdict: "within noise" },
          },
        },
      ],
    },
    "evaluate/gates.json": {
      gates: [
        { gate: "fused.held_out < pivot.held_out, p < 0.01", met: true, figures: "1.2 < 1.5, p 0.0004 < 0.01" },
        { gate: `fused.sums > 60 ${EVIL}`, met: false, figures: "52 > 60 does not hold" },
      ],
    },
    "evaluate/notes.json": { notes: [`Lambda was chosen on the validation draw. ${EVIL}`] },
    "targets/a/log.jsonl": `${[0, 1, 2].map((n) => JSON.stringify(step(n))).join("\n")}\n`,
    "baselines/sft/log.jsonl": `${JSON.stringify({ ...step(0), fusion_loss: 0 })}\n`,
    "aligned/a/alignment.json": {
      ...{ vocabulary: "split", conversations: 8, source_better_conversations: 5, rows: 400, shared_rows: 300 },
      ...{ mass_stored: 0.9, mass_kept: 0.8, mass_lost: 0.1, mass_cut: 0 },
      strategies: {
        split: { tokens: 100, placed_tokens: 99, mass_kept: 0.8, mass_lost: 0.1 },
        exact: { tokens: 100, placed_tokens: 70, mass_kept: 0.6, mass_lost: 0.3 },
      },
      examples: [{ pivot: { text: " a" }, source: { text: EVIL }, stored: tokens, mapped: tokens }],
    },
    "fused/merge.json": {
      method: "sce",
      config: { parameters: { select_topk: 0.1, variant: EVIL } },
      models: [{ model: "targets/a" }, { model: EVIL }],
      tensors: [
        { name: "model.layers.0.mlp.up_proj.weight", layer: 0, matrix: "mlp.up_proj", coefficients: [0.25, 0.75] },
        { name: "model.layers.1.mlp.up_proj.weight", layer: 1, matrix: EVIL, coefficients: [0.5, 0.5] },
        { name: "lm_head.weight", layer: null, matrix: "lm_head", coefficients: [0.125, 0.875] },
      ],
    },
    "data/train.jsonl": `${JSON.stringify({
      turns: [
        { role: "user", content: "q" },
        { role: "assistant", content: "four" },
      ],
      skill: EVIL,
    })}\n`,
    "data/left-out.json": { left_out: [{ reason: "without turns", count: 2, file: EVIL, place: ":3" }] },
    "timing.jsonl": `{"unit":"data","seconds":0.5}\n{"unit":"fuse/a","seconds":75}\n`,
  };
}

describe("of a whole run", () => {
  let page: string;

  beforeAll(async () => {
    page = await renderReport(await runFolder(files()));
  });

  test("every comparison is stated plainly", () => {
    const text = page.replace(/<[^>]*>/g, "").replace(/\s+/g, " ");
    expect(text).toContain(
      "fused (1.2000) is better than pivot (1.5000): \u22120.3000 nats/byte, interval \u22120.4000 to \u22120.2000, p &lt; 0.001.",
    );
    expect(text).toContain("sft (1.2500) is worse than pivot (1.5000): +0.3000 nats/byte");
    expect(text).toContain("fused (1.2000) is within noise of sft (1.2500): \u22120.0500 nats/byte");
    expect(text).toContain(
      "fused (52.00) is better than pivot (40.00): +12.00 %, interval +9.00 to +15.00, p = 0.004, 0.012 by Holm.",
    );
    expect(text).toContain("Lambda was chosen on the validation draw.");
  });

  test("records left out of the data are counted by reason", () => {
    const text = page.replace(/<[^>]*>/g, "").replace(/\s+/g, " ");
    expect(text).toContain(`2 records are left out: 2 without turns (first: ${SAFE}:3).`);
  });

  test("what the recipe demands comes first, met or not", () => {
    const text = page.replace(/<[^>]*>/g, "").replace(/\s+/g, " ");
    expect(text).toContain("met fused.held_out &lt; pivot.held_out, p &lt; 0.01: 1.2 &lt; 1.5, p 0.0004 &lt; 0.01");
    expect(text).toContain(`not met fused.sums &gt; 60 ${SAFE}: 52 &gt; 60 does not hold`);
  });

  test("of each benchmark the table says which way is better, and what its prompts could have shown", () => {
    expect(page).toContain("<h3>held-out: nats per byte, less is better</h3>");
    expect(page).toContain(">3 not parsed, 1 empty</span>");
    expect(page).toContain("<h3>sums: accuracy, more is better</h3>");
    expect(page).toContain("The smallest difference that so many prompts find in four cases of five: 8.00 %.");
    // The larger share is the better one: it is set in bold.
    expect(page).toContain("<b>57.00</b>");
    expect(page).not.toContain("<b>45.00</b>");
  });

  test("all parts are there, in order", () => {
    const titles = [...page.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, title]) => title);
    expect(titles).toEqual([
      "What came out",
      "Results of every model",
      "By skill",
      "Training",
      "Alignment",
      "Merging",
      "Data",
      "Recipe",
      "Times",
    ]);
  });

  test("names from outside stay text everywhere", () => {
    expect(page).not.toContain("<script");
    expect(page).not.toContain("\u202e");
    // Title, heading, table, chart, skills, notes, alignment, merge, data and recipe.
    expect(page.split(SAFE).length).toBeGreaterThan(12);
  });

  test("the page needs nothing from elsewhere and runs nothing", () => {
    expect(page).not.toMatch(/https?:|src=|@import|url\(|\son\w+=/);
    expect(page).toContain("default-src 'none'");
    expect(page).toContain("prefers-color-scheme:dark");
  });

  test("figures of every part are shown", () => {
    for (const text of ["1,234,567 parameters", "75.0 %", "2 refused", "0.8750", "1 min 15 s", "layer 1", "\u2423a"]) {
      expect(page).toContain(text);
    }
  });

  test("tags are balanced", () => {
    const open: string[] = [];
    for (const [, closing, tag, own] of page.matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*?(\/?)>/g)) {
      if (own === "/" || tag === "meta") continue;
      if (closing === "/") expect(open.pop()).toBe(tag);
      else open.push(tag!);
    }
    expect(open).toEqual([]);
  });

  test("the same files give the same page", async () => {
    expect(await renderReport(await runFolder(files()))).toBe(page);
  });
});

test("what is not there is left out", async () => {
  expect(await renderReport(await runFolder({}))).toContain("This run has no results yet.");
  const { "recipe.yaml": recipe, "targets/a/log.jsonl": log } = files();
  const page = await renderReport(await runFolder({ "recipe.yaml": recipe, "targets/a/log.jsonl": log }));
  expect([...page.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, title]) => title)).toEqual(["Training", "Recipe"]);
});

test("a broken file is named, with its place", async () => {
  const folder = await runFolder({ "targets/a/log.jsonl": '{"step":0}\n' });
  await expect(renderReport(folder)).rejects.toThrow(/targets\/a\/log\.jsonl:1: label_loss: not as a run writes it/);
  const cut = await runFolder({ "evaluate/held-out.json": '{"models": [' });
  await expect(renderReport(cut)).rejects.toThrow(/held-out\.json:1:13: expected JSON/);
  const line = await runFolder({ "timing.jsonl": '{"unit":"a","seconds":1}\nnonsense\n' });
  await expect(renderReport(line)).rejects.toThrow("timing.jsonl:2: expected a line of JSON");
});
