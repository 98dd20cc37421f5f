/** Adapters out of models: what they leave out is told, and on their base they give the model back. */
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readJson } from "#src/formats/files.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { extractAdapter } from "#src/merge/adapters/extract.js";
import { silent } from "#src/reporter.js";
import { readModel, relative } from "../compare.ts";
import { type SmallModels, smallModels } from "../small-models.ts";

const GOLDEN = resolve(import.meta.dirname, "../../golden");

let models: SmallModels;

beforeAll(async () => {
  models = await smallModels();
});

afterAll(() => models.remove());

const extract = (base: string, model: string, rank: number, out: string) =>
  extractAdapter({ base, model, rank, out: join(models.folder, out), baseFolder: models.folder }, { reporter: silent });

test("at full rank an adapter gives the model back, norms and heads included", async () => {
  const [base, tuned] = [join(GOLDEN, "merge/models/base"), join(GOLDEN, "merge/models/ft1")];
  const { error, matrices, saved } = await extract(base, tuned, 48, "full");
  expect(error).toBeLessThan(1e-7);
  expect(matrices.length).toBeGreaterThan(10);
  expect(saved).toContain("model.norm");
  const { out } = await models.merge({
    merge_method: "passthrough",
    models: [{ model: `${base}+${models.folder}/full` }],
  });
  const [actual, expected] = [
    await readModel(join(out, "model.safetensors")),
    await readModel(join(tuned, "model.safetensors")),
  ];
  for (const [name, values] of expected.values) {
    expect(relative(actual.values.get(name)!, values, 1e-6).beyond, name).toBe(0);
  }
});

test("at a lower rank what is left out is what is told, for every matrix and in all", async () => {
  const [base, tuned] = [join(GOLDEN, "merge/models/base"), join(GOLDEN, "merge/models/ft2")];
  const summary = await extract(base, tuned, 4, "thin");
  const { out } = await models.merge({
    merge_method: "passthrough",
    models: [{ model: `${base}+${models.folder}/thin` }],
  });
  const [actual, expected, origin] = await Promise.all(
    [out, tuned, base].map(async (folder) => (await readModel(join(folder, "model.safetensors"))).values),
  );
  let [rest, whole] = [0, 0];
  for (const { module, error, update } of summary.matrices) {
    const name = `${module}.weight`;
    let [own, all] = [0, 0];
    expected!.get(name)!.forEach((value, i) => {
      own += (value - actual!.get(name)![i]!) ** 2;
      all += (value - origin!.get(name)![i]!) ** 2;
    });
    expect(Math.sqrt(own / all), name).toBeCloseTo(error, 5);
    expect(Math.sqrt(all), name).toBeCloseTo(update, 5);
    rest += own;
    whole += all;
  }
  expect(summary.error).toBeCloseTo(Math.sqrt(rest / whole), 5);
  expect(summary.error).toBeGreaterThan(0.1);
  expect(await readFile(join(models.folder, "thin/README.md"), "utf8")).toContain(
    `${(100 * summary.error).toFixed(2)}% of the update`,
  );
  expect(await readJson(join(models.folder, "thin/adapter_config.json"))).toMatchObject({
    r: 4,
    lora_alpha: 4,
    peft_type: "LORA",
  });
});

test("a matrix with fewer rows or columns than the rank has zeros behind it, and no rank or scale of its own", async () => {
  const shapes = { "router.weight": [3, 8], "thin.weight": [8, 2], "square.weight": [8, 8] };
  await models.model("before", 1, shapes);
  await models.model("after", 2, shapes);
  const { matrices, rank } = await extract("before", "after", 5, "padded");
  expect(rank).toBe(5);
  expect(matrices.map((matrix) => [matrix.module, matrix.rank])).toEqual([
    ["router", 3],
    ["thin", 2],
    ["square", 5],
  ]);
  const { tensors } = await readSafetensors(join(models.folder, "padded/adapter_model.safetensors"));
  for (const [module, [rows, columns], kept] of [
    ["router", [3, 8], 3],
    ["thin", [8, 2], 2],
  ] as const) {
    const [a, b] = ["A", "B"].map((factor) => tensors.get(`base_model.model.${module}.lora_${factor}.weight`)!);
    expect([a!.shape, b!.shape]).toEqual([
      [5, columns],
      [rows, 5],
    ]);
    const behind = [...a!.data.slice(kept * columns), ...b!.data.filter((_: unknown, i: number) => i % 5 >= kept)];
    expect(new Set(behind)).toEqual(new Set([0]));
  }
  const config = await readJson(join(models.folder, "padded/adapter_config.json"));
  expect(config).toMatchObject({ r: 5, lora_alpha: 5 });
  expect(config).not.toHaveProperty("rank_pattern");
  expect(config).not.toHaveProperty("alpha_pattern");
  const merged = await models.merge({ merge_method: "passthrough", models: [{ model: "before+padded" }] });
  const expected = await readModel(join(models.folder, "after/model.safetensors"));
  const actual = await readModel(join(merged.out, "model.safetensors"));
  for (const [name, values] of expected.values) {
    expect(relative(actual.values.get(name)!, values, 1e-6).beyond, name).toBe(0);
  }
});

test("a rank beyond that of any matrix is the highest that one can have", async () => {
  const shapes = { "router.weight": [3, 8], "square.weight": [6, 8] };
  await models.model("low", 1, shapes);
  await models.model("high", 2, shapes);
  expect((await extract("low", "high", 1e12, "highest")).rank).toBe(6);
  expect(await readJson(join(models.folder, "highest/adapter_config.json"))).toMatchObject({ r: 6, lora_alpha: 6 });
});

test("experts of a matrix each are extracted, those packed in one tensor are left out and named", async () => {
  const shapes = { "experts.0.w1.weight": [4, 4], "experts.1.w1.weight": [4, 4], "experts.gate_up_proj": [2, 4, 4] };
  await models.model("mixture", 1, shapes);
  await models.model("mixture-tuned", 2, shapes);
  const summary = await extract("mixture", "mixture-tuned", 2, "experts");
  expect(summary.matrices.map(({ module }) => module)).toEqual(["experts.0.w1", "experts.1.w1"]);
  expect(summary.left_out).toEqual(["experts.gate_up_proj"]);
});

test("an adapter of a tied model changes head and embedding alike", async () => {
  const base = join(GOLDEN, "adapters/tied-head/base");
  await models.merge({ merge_method: "passthrough", models: [{ model: base, parameters: { scale: 1.5 } }] });
  const tuned = (await readdir(models.folder))
    .filter((name) => name.startsWith("out-"))
    .sort()
    .at(-1)!;
  await extract(base, tuned, 8, "tied");
  const { values, warnings } = await models.merge({ merge_method: "passthrough", models: [{ model: `${base}+tied` }] });
  expect(warnings).toEqual([]);
  expect(values["lm_head.weight"]).toBeCloseTo(values["model.embed_tokens.weight"]!, 6);
});

test("refused are models of other tensors, equal ones, and folders that are taken", async () => {
  const problem = (...given: Parameters<typeof extract>): Promise<string> =>
    extract(...given).then(
      () => "not refused",
      (error: Error) => error.message.replaceAll(`${models.folder}/`, ""),
    );
  await models.model("one", 1, { "q.weight": [2, 2] });
  await models.model("two", 2, { "q.weight": [2, 2], "v.weight": [2, 2] });
  expect(await problem("one", "two", 2, "never")).toBe(
    'one: expected the tensor "v.weight" of two, found none; an adapter needs a model of its base\'s tensors',
  );
  expect(await problem("one", "one", 2, "never")).toBe(
    "one: expected weights that differ from those of one, found none that an adapter can hold",
  );
  expect(await problem("one", "two", 2, "one")).toBe(
    "one: the folder exists and holds other files; choose another one or remove it",
  );
  expect(await readdir(models.folder)).not.toContain("never");
});
