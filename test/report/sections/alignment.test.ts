/** The alignment's part of the report: where mass goes, and both tokenisations laid over the text. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alignDistributions } from "#src/align/align.js";
import { renderReport } from "#src/report/index.js";
import { silent } from "#src/reporter.js";

const golden = resolve(import.meta.dirname, "../../golden");
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-report-alignment-"));
});
afterAll(() => rm(root, { recursive: true }));

/** A run folder with the golden pipeline's qwen2 aligned to its mistral. */
async function alignedRun(name: string): Promise<{ run: string; file: string }> {
  const run = join(root, name);
  const out = join(run, "aligned/qwen2");
  await mkdir(join(run, "aligned"), { recursive: true });
  await alignDistributions(
    {
      pivot: join(golden, "pipeline/distributions/mistral"),
      source: join(golden, "pipeline/distributions/qwen2"),
      out,
      vocabulary: "split",
      sequence: "bytes",
      labelMass: "chain",
      divide: "pivot",
      pivotModel: join(golden, "models/mistral"),
      sourceModel: join(golden, "models/qwen2"),
    },
    { reporter: silent },
  );
  return { run, file: join(out, "alignment.json") };
}

/** Rows of the n-th table of tokens: cells with the columns they span. */
function tokenRows(page: string, number: number): string[][] {
  const table = [...page.matchAll(/<table class="tokens".*?<\/table>/gs)][number]![0];
  return [...table.matchAll(/<tr.*?<\/tr>/gs)].map(([row]) =>
    [...row.matchAll(/colspan="(\d+)"[^>]*>(.*?)<\/td>/gs)].map(
      ([, columns, cell]) => `${cell!.replace(/<[^>]*>/g, "")}${columns === "1" ? "" : `*${columns}`}`,
    ),
  );
}

describe("the alignment in the report", () => {
  test("tells the options and where the mass goes, and lays both tokenisations over the text", async () => {
    const { run } = await alignedRun("golden");
    const page = await renderReport(run);
    expect(await renderReport(run)).toBe(page);
    const text = page.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
    expect(text).toContain("split chain pivot");
    expect(text).toContain(
      "88.0 % goes to pivot tokens with the same bytes, 0.1 % from end of turn to end of turn, 9.8 %",
    );
    expect(text).toContain("refine it row by row");
    expect(text).toContain("ct 0.6 % 0.6 % c 100.0 %");
    expect(text).toContain("Conversation 4, turn 4: 11 of 11 rows shared That makes 84.");
    const tables = [...page.matchAll(/<table class="tokens"/g)].length;
    const found = Array.from({ length: tables }, (_, n) => tokenRows(page, n)).find(([, row]) => row![0] === "T")!;
    expect(found[1]!.join("").replace(/\*\d+/g, "")).toBe("That␣makes␣84.&lt;|end_of_turn|&gt;");
    expect(found[2]!.join("").replace(/\*\d+/g, "")).toBe("That␣makes␣84.&lt;|im_end|&gt;");
    const columns = found.map((cells) => cells.reduce((sum, cell) => sum + Number(/\*(\d+)$/.exec(cell)?.[1] ?? 1), 0));
    expect(new Set(columns).size).toBe(1);
  });

  test("shows hostile tokens as text, each kept in its own cell", async () => {
    const { run, file } = await alignedRun("hostile");
    const report = JSON.parse(await readFile(file, "utf8"));
    const hostile = ['"><script>x</script>', "\u202eשלום", "\u0301\u001b[2J", "\u00a0\t"];
    const passage = report.passages[1];
    for (const [index, text] of hostile.entries()) passage.pivot[index].text = text;
    passage.text = hostile.join("");
    report.mapped_pairs[0].text = hostile[0];
    await writeFile(file, JSON.stringify(report));
    const page = await renderReport(run);
    expect(page).not.toContain("<script");
    expect(page).not.toContain("\u202e");
    expect(page).not.toContain("\u001b");
    expect(page).toContain("<bdi>&quot;&gt;&lt;script&gt;x&lt;/script&gt;</bdi>");
    expect(page).toContain("<bdi>\ufffdשלום</bdi>");
    expect(page).toContain("<bdi>\u25cc\u0301\u241b[2J</bdi>");
    expect(page).toContain("<bdi>\u237d\u21e5</bdi>");
    expect(page).toContain('<table class="tokens" dir="ltr">');
  });

  test("refuses a passage whose shared rows are not in it", async () => {
    const { run, file } = await alignedRun("broken");
    const report = JSON.parse(await readFile(file, "utf8"));
    report.passages[0].shared[0].source = 1000;
    await writeFile(file, JSON.stringify(report));
    await expect(renderReport(run)).rejects.toThrow("a shared row names a token that is not in the passage");
  });

  test("does without what earlier versions did not write", async () => {
    const { run, file } = await alignedRun("earlier");
    const {
      passages: _p,
      mapped_pairs: _m,
      mass_to_equal_bytes: _e,
      ...report
    } = JSON.parse(await readFile(file, "utf8"));
    await writeFile(file, JSON.stringify(report));
    const page = await renderReport(run);
    expect(page).toContain("qwen2: worked examples");
    expect(page).not.toContain("where the mass goes");
    expect(page).not.toContain("both tokenisations");
  });
});
