/** The order of work, what is skipped and what is refused; the stages are fakes that write a line. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failure } from "#src/errors.js";
import { type LoadedRecipe, loadRecipe } from "#src/recipe/load.js";
import type { RunStages, RunSummary } from "#src/run/runner.js";
import { fakes, runFakes } from "./fake-stages.ts";
import { CONVERSATIONS, MISTRAL, QWEN2, temporaryFolder, writeRecipe } from "./fixtures.ts";

/** Six units. */
const RECIPE = `pivot: ${MISTRAL}
sources: [${QWEN2}]
data: { path: ${CONVERSATIONS}, held_out: 0.3 }
fuse: { epochs: 3 }
evaluate: []
`;

let folder: string;
let out: string;
let loaded: LoadedRecipe;
beforeEach(async () => {
  folder = await temporaryFolder();
  out = join(folder, "run");
  loaded = await loadRecipe(await writeRecipe(folder, RECIPE));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(stages: RunStages, more: { force?: boolean; signal?: AbortSignal } = {}): Promise<RunSummary> {
  return (await runFakes(loaded, out, stages, more)).summary;
}

test("a run leaves the recipe, the plan, all outputs with their manifests, times and the report", async () => {
  const { units, report } = await run(fakes());
  expect(units.every(({ skipped }) => !skipped)).toBe(true);
  expect((await readdir(out)).sort()).toEqual([
    ".units",
    "aligned",
    "data",
    "distributions",
    "fused",
    "plan.json",
    "recipe.yaml",
    "report.html",
    "targets",
    "timing.jsonl",
  ]);
  expect(await readFile(join(out, "recipe.yaml"), "utf8")).toBe(RECIPE);
  expect(await readFile(report, "utf8")).toBe("<!doctype html>");
  const manifest = JSON.parse(await readFile(join(out, ".units/align--qwen2.json"), "utf8"));
  expect(Object.keys(manifest.inputs)).toEqual(["distributions/mistral", "distributions/qwen2"]);
  expect(Object.keys(manifest.outputs)).toEqual(["aligned/qwen2/file.txt"]);
});

describe("going on", () => {
  test("a finished run has nothing left to do", async () => {
    await run(fakes());
    const again = fakes();
    expect((await run(again)).units.every(({ skipped }) => skipped)).toBe(true);
    expect(again.performed).toEqual([]);
  });

  test("a run that failed goes on with the unit that failed", async () => {
    const broken = fakes((unit) => {
      if (unit === "fuse/qwen2") throw failure("disk", "the disk is full");
    });
    await expect(run(broken)).rejects.toMatchObject({ exitCode: 1, message: "disk: the disk is full" });
    const again = fakes();
    await run(again);
    expect(again.performed[0]).toBe("fuse/qwen2");
    expect([...broken.performed, ...again.performed]).toEqual(fakesOfAll.performed);
  });

  const fakesOfAll = fakes();
  beforeEach(async () => {
    if (fakesOfAll.performed.length > 0) return;
    const aside = out;
    out = join(folder, "aside");
    await run(fakesOfAll);
    out = aside;
  });

  test("Ctrl-C finishes the unit in hand and ends with 130", async () => {
    const controller = new AbortController();
    const interrupted = fakes((unit) => {
      if (unit === "align/qwen2") controller.abort();
    });
    await expect(run(interrupted, { signal: controller.signal })).rejects.toMatchObject({
      exitCode: 130,
      message: `${out}: interrupted; run the same command again to continue`,
    });
    expect(interrupted.performed.at(-1)).toBe("align/qwen2");
    const again = fakes();
    await run(again);
    expect([...interrupted.performed, ...again.performed]).toEqual(fakesOfAll.performed);
  });

  test("an output that was removed is made again, and what comes after it stays where it is the same", async () => {
    await run(fakes());
    await rm(join(out, "fused"), { recursive: true });
    const again = fakes();
    await run(again);
    expect(again.performed).toEqual(["merge/fused"]);
  });

  test("a broken manifest, or one of other inputs, does not count", async () => {
    await run(fakes());
    await writeFile(join(out, ".units/align--qwen2.json"), '{"unit": "align/qwen2", "inputs": {}, "outputs": {}}\n');
    await writeFile(join(out, ".units/merge--fused.json"), "{");
    const again = fakes();
    await run(again);
    expect(again.performed).toEqual(["align/qwen2", "merge/fused"]);
  });

  test("what a killed process was writing is removed", async () => {
    await run(fakes());
    await writeFile(join(out, "fused/model.safetensors.123.tmp"), "half");
    await run(fakes());
    expect(await readdir(join(out, "fused"))).toEqual(["file.txt"]);
  });
});

describe("what is refused", () => {
  test("another recipe in the directory, with the key that differs", async () => {
    await run(fakes());
    loaded = await loadRecipe(await writeRecipe(folder, RECIPE.replace("epochs: 3", "epochs: 4")));
    await expect(run(fakes())).rejects.toMatchObject({
      exitCode: 2,
      message: `${out}: this directory holds a run of another recipe: fuse.epochs is 3 there and 4 in ${loaded.file}; use another --out, or --force to start anew`,
    });
    const dated = RECIPE.replace("held_out: 0.3", "held_out: 0.3, date: 2025-02-01");
    loaded = await loadRecipe(await writeRecipe(folder, dated));
    await expect(run(fakes())).rejects.toThrow('data.date is "2025-01-01" there and "2025-02-01" in');
    const variables = RECIPE.replace("held_out: 0.3", "held_out: 0.3, template_variables: { level: 1 }");
    loaded = await loadRecipe(await writeRecipe(folder, variables));
    await expect(run(fakes())).rejects.toThrow("pivot.template_variables.level is nothing there and 1 in");
  });

  test("--force starts anew", async () => {
    await run(fakes());
    loaded = await loadRecipe(await writeRecipe(folder, RECIPE.replace("evaluate: []", "seed: 1\nevaluate: []")));
    const anew = fakes();
    await run(anew, { force: true });
    expect(anew.performed[0]).toBe("data");
    expect(await readFile(join(out, "recipe.yaml"), "utf8")).toContain("seed: 1");
  });

  test("data that are no longer those the run began with", async () => {
    const data = join(folder, "data.jsonl");
    await writeFile(data, "one\n");
    loaded = await loadRecipe(await writeRecipe(folder, RECIPE.replace(/path: [^,]+,/, `path: ${data},`)));
    await run(fakes());
    await writeFile(data, "two\n");
    await expect(run(fakes())).rejects.toMatchObject({
      exitCode: 2,
      message: `${out}: data.path[0] is no longer what this run began with; restore it, use another --out, or --force to start anew`,
    });
  });

  test("a folder with other files in it, also with --force", async () => {
    await mkdir(out);
    await writeFile(join(out, "thesis.tex"), "precious");
    for (const force of [false, true]) {
      await expect(run(fakes(), { force })).rejects.toMatchObject({
        exitCode: 2,
        message: `${out}: expected a run directory or an empty folder, found other files and no recipe.yaml; use another --out`,
      });
    }
    expect(await readdir(out)).toEqual(["thesis.tex"]);
  });

  test("a folder with a recipe and data of the user's own, also with --force", async () => {
    await mkdir(join(out, "data"), { recursive: true });
    await writeFile(join(out, "recipe.yaml"), RECIPE);
    await writeFile(join(out, "data/own.jsonl"), "precious");
    for (const force of [false, true]) {
      await expect(run(fakes(), { force })).rejects.toMatchObject({
        exitCode: 2,
        message: `${out}: expected a run directory or an empty folder, found other files; use another --out`,
      });
    }
    expect((await readdir(out, { recursive: true })).sort()).toEqual(["data", "data/own.jsonl", "recipe.yaml"]);
  });

  test("a file in the place of the directory", async () => {
    await writeFile(out, "");
    await expect(run(fakes())).rejects.toMatchObject({
      message: `${out}: expected a folder for the run, found a file`,
    });
  });

  test("two runs at once", async () => {
    const first = fakes(async (unit) => {
      if (unit !== "data") return;
      await expect(run(fakes())).rejects.toMatchObject({
        exitCode: 2,
        message: `${out}: process ${process.pid} is at work in this run directory; wait for it, or use another --out`,
      });
    });
    await run(first);
    expect(first.performed.length).toBeGreaterThan(1);
  });

  test("wrong inputs, before anything is written", async () => {
    const stages: RunStages = { ...fakes(), plan: () => Promise.reject(failure("model", "broken")) };
    await expect(run(stages)).rejects.toThrow("model: broken");
    expect(await readdir(folder)).toEqual(["recipe.yaml"]);
  });
});
