import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { suffixWords } from "#src/data/containers/index.js";
import { checkRecipe, loadRecipe } from "#src/recipe/load.js";
import { temporaryFolder, writeRecipe } from "../run/fixtures.ts";

let folder: string;
beforeEach(async () => {
  folder = await temporaryFolder();
  for (const model of ["pivot", "source"]) {
    await mkdir(join(folder, model));
    await writeFile(join(folder, model, "config.json"), "{}");
  }
  await writeFile(join(folder, "data.jsonl"), "");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("paths are looked up beside the recipe, and become absolute", async () => {
  const file = await writeRecipe(folder, "pivot: pivot\nsources: [./source/]\ndata: { path: data.jsonl }\n");
  const { recipe, where } = await loadRecipe(file);
  expect(recipe.pivot).toMatchObject({ name: "pivot", model: join(folder, "pivot") });
  expect(recipe.sources).toMatchObject([{ name: "source", model: join(folder, "source") }]);
  expect(recipe.data.path).toEqual([join(folder, "data.jsonl")]);
  expect(where(["data", "path"])).toBe(`${file}:3:15 data.path`);
});

test("data may be a folder, or a pattern that a file fits", async () => {
  const text = "pivot: pivot\nsources: [source]\ndata: { path: [., '*.jsonl'] }\n";
  const { recipe } = await loadRecipe(await writeRecipe(folder, text));
  expect(recipe.data.path).toEqual([folder, join(folder, "*.jsonl")]);
});

test("then from the current folder", async () => {
  const file = await writeRecipe(folder, "pivot: pivot\nsources: [source]\ndata: { path: package.json }\n");
  expect((await loadRecipe(file)).recipe.data.path).toEqual([join(process.cwd(), "package.json")]);
});

describe("a recipe that is an object", () => {
  const given = () => ({
    pivot: join(folder, "pivot"),
    sources: [{ model: join(folder, "source"), name: "other" }],
    data: { path: join(folder, "data.jsonl") },
  });

  test("is checked as one in a file is, and keeps a text that says the same", async () => {
    const { recipe, text } = await checkRecipe(given());
    expect(recipe.sources).toMatchObject([{ name: "other", model: join(folder, "source") }]);
    expect((await loadRecipe(await writeRecipe(folder, text))).recipe).toEqual(recipe);
  });

  test("is refused by its keys alone, all mistakes at once", async () => {
    const wrong = { ...given(), pivot: join(folder, "nowhere"), sedd: 1, evaluate: [{ benchmark: "held_out" }] };
    await expect(checkRecipe(wrong, "my recipe")).rejects.toMatchObject({
      exitCode: 2,
      message: [
        'my recipe sedd: unknown key; did you mean "seed"?',
        'my recipe evaluate[0].benchmark: expected one of held-out, alpaca-eval, mt-bench, exact-match, found "held_out"; did you mean "held-out"?',
        `my recipe pivot: expected a model folder, found nothing at ${join(folder, "nowhere")}`,
      ].join("\n"),
    });
    await expect(checkRecipe(undefined)).rejects.toThrow(
      "recipe: expected a recipe with pivot, sources and data, found nothing",
    );
  });
});

describe("mistakes", () => {
  async function mistakes(text: string): Promise<string[]> {
    const file = await writeRecipe(folder, text);
    const error = await loadRecipe(file).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ exitCode: 2 });
    return error.message.split("\n").map((line: string) => line.replaceAll(folder, "DIR"));
  }

  test("missing files are told together with the recipe's own mistakes", async () => {
    const text =
      "pivot: nowhere\nsources: [source, data.jsonl]\ndata: { path: [no.jsonl, empty, source/config.toml] }\nsedd: 1\n";
    await writeFile(join(folder, "source/config.toml"), "");
    await mkdir(join(folder, "empty"));
    const here = process.cwd();
    expect(await mistakes(text)).toEqual([
      'DIR/recipe.yaml:4:1 sedd: unknown key; did you mean "seed"?',
      `DIR/recipe.yaml:1:8 pivot: expected a model folder, found nothing at DIR/nowhere or ${here}/nowhere`,
      "DIR/recipe.yaml:2:19 sources[1]: expected a model folder, found a file: DIR/data.jsonl",
      `DIR/recipe.yaml:3:16 data.path[0]: expected conversations (a file, a folder or a pattern), found nothing at DIR/no.jsonl or ${here}/no.jsonl`,
      "DIR/recipe.yaml:3:26 data.path[1]: DIR/empty: expected files of conversations in this folder, found none",
      `DIR/recipe.yaml:3:33 data.path[2]: DIR/source/config.toml: expected a file of conversations (${suffixWords()}), found "config.toml"`,
    ]);
  });

  test("what is no folder and reads like an id of the Hub stays one", async () => {
    const text = "pivot: openchat/openchat_3.5@v2\nsources: [source]\ndata: { path: data.jsonl }\n";
    await writeFile(join(folder, "recipe.yaml"), text);
    const { recipe } = await loadRecipe(join(folder, "recipe.yaml"));
    expect(recipe.pivot).toMatchObject({ name: "openchat_3.5", model: "openchat/openchat_3.5@v2" });
    expect(recipe.sources[0]).toMatchObject({ name: "source", model: join(folder, "source") });
    await mkdir(join(folder, "openchat/openchat_3.5@v2"), { recursive: true });
    await writeFile(join(folder, "openchat/openchat_3.5@v2/config.json"), "{}");
    const { recipe: found } = await loadRecipe(join(folder, "recipe.yaml"));
    expect(found.pivot).toMatchObject({ name: "openchat_3.5", model: join(folder, "openchat/openchat_3.5@v2") });
  });

  test("a folder without a config is no model", async () => {
    await rm(join(folder, "source/config.json"));
    expect(await mistakes("pivot: pivot\nsources: [source]\ndata: { path: data.jsonl }\n")).toEqual([
      "DIR/recipe.yaml:2:11 sources[0]: expected a model folder, found no config.json in DIR/source",
    ]);
  });

  test("a recipe that is not there, or not text", async () => {
    await expect(loadRecipe(join(folder, "other.yaml"))).rejects.toMatchObject({
      exitCode: 2,
      message: `${join(folder, "other.yaml")}: no such file or folder`,
    });
    await writeFile(join(folder, "binary.yaml"), Uint8Array.of(0x70, 0xff, 0xfe));
    await expect(loadRecipe(join(folder, "binary.yaml"))).rejects.toMatchObject({
      exitCode: 2,
      message: `${join(folder, "binary.yaml")}: expected UTF-8 text, found other bytes at offset 1`,
    });
  });
});
