/** Shares of models in layers: stacks, experts and slices have their own. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommandLine } from "#src/cli/program.js";
import { reportVerb } from "#src/cli/report.js";
import { renderMergeReport } from "#src/report/index.js";
import { memoryStreams } from "../../cli/memory-streams.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merging-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

type Tensor = readonly [name: string, layer: number | null, matrix: string, shares?: number[], models?: string[]];

async function merged(name: string, tensors: readonly Tensor[], method = "sce"): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  const document = {
    method,
    config: { parameters: { select_topk: 0.1 } },
    models: [{ model: "a" }, { model: "b" }],
    tensors: tensors.map(([tensor, layer, matrix, coefficients, models]) => ({
      name: tensor,
      layer,
      matrix,
      ...(models && { models }),
      ...(coefficients && { coefficients }),
    })),
  };
  await writeFile(join(path, "merge.json"), JSON.stringify(document));
  return path;
}

/** The titles of the cells: `row, layer: share`. */
function cells(page: string): string[] {
  return [...page.matchAll(/<title>([^<]*: [\d.]+)<\/title>/g)].map(([, title]) => title!);
}

test("a merged model has a page with the share of every model by layer and matrix", async () => {
  const path = await merged("plain", [
    ["model.embed_tokens.weight", null, "embed_tokens", [0.125, 0.875]],
    ["model.layers.0.mlp.up_proj.weight", 0, "mlp.up_proj", [0.25, 0.75]],
    ["model.layers.1.mlp.up_proj.weight", 1, "mlp.up_proj", [0.5, 0.5]],
  ]);
  const page = (await renderMergeReport(path))!;
  expect(page).toContain("<title>Merge by sce</title>");
  expect(page).toContain("plain: sce, select_topk 0.1");
  expect(cells(page)).toEqual([
    "mlp.up_proj, layer 0: 0.2500",
    "mlp.up_proj, layer 1: 0.5000",
    "mlp.up_proj, layer 0: 0.7500",
    "mlp.up_proj, layer 1: 0.5000",
  ]);
  expect(page).toContain('<td>embed_tokens</td><td class="number">0.1250</td><td class="number">0.8750</td>');
});

test("stacks of layers have maps of their own, and experts are shown by their mean", async () => {
  const path = await merged("towers", [
    ["vision_tower.layers.0.mlp.weight", 0, "mlp", [0.1, 0.9]],
    ["model.layers.0.mlp.experts.0.weight", 0, "mlp.experts.0", [0.25, 0.75]],
    ["model.layers.0.mlp.experts.1.weight", 0, "mlp.experts.1", [0.75, 0.25]],
    ["model.layers.0.mlp.weight", 0, "mlp", [0.3, 0.7]],
  ]);
  const page = (await renderMergeReport(path))!;
  expect(page.indexOf("<h4>vision_tower.layers</h4>")).toBeLessThan(page.indexOf("<h4>model.layers</h4>"));
  expect(cells(page)).toEqual([
    "mlp, layer 0: 0.1000",
    "mlp, layer 0: 0.9000",
    "mlp.experts.*, layer 0: 0.5000",
    "mlp, layer 0: 0.3000",
    "mlp.experts.*, layer 0: 0.5000",
    "mlp, layer 0: 0.7000",
  ]);
});

test("tensors of slices are those of their own models", async () => {
  const path = await merged("slices", [
    ["model.layers.0.mlp.weight", 0, "mlp", [1], ["b"]],
    ["model.layers.1.mlp.weight", 1, "mlp", [0.2, 0.8], ["b", "a"]],
  ]);
  expect(cells((await renderMergeReport(path))!)).toEqual([
    "mlp, layer 1: 0.8000",
    "mlp, layer 0: 1.0000",
    "mlp, layer 1: 0.2000",
  ]);
});

test("fusechat report writes the page into the merged folder, and says where there is none to write", async () => {
  const run = async (path: string) => {
    const streams = memoryStreams();
    const exitCode = await runCommandLine(["report", path], streams, new AbortController().signal, [reportVerb]);
    return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
  };
  const weighed = await merged("written", [["model.layers.0.mlp.weight", 0, "mlp", [0.5, 0.5]]]);
  expect(await run(weighed)).toEqual({ exitCode: 0, stdout: `${join(weighed, "report.html")}\n`, stderr: "" });
  const other = await merged("ties", [["model.layers.0.mlp.weight", 0, "mlp"]], "ties");
  expect(await run(other)).toEqual({
    exitCode: 2,
    stdout: "",
    stderr: `${other}: its merge computed no coefficients to show; README.md says what was merged\n`,
  });
});
