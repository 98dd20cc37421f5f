/** Models of one tokenizer whose heads are padded to different numbers of rows. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bfloat16ToFloat32, float32ToBfloat16 } from "#src/formats/float.js";
import { readSafetensors, writeSafetensors } from "#src/formats/safetensors.js";
import type { MergeConfig } from "#src/merge/config.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkWeights, openModel } from "#src/models/index.js";
import { silent } from "#src/reporter.js";
import { loudPadding, TOKENS, withRows } from "../../padded-models.ts";

const HIDDEN = 48;
const VOCABULARY_TENSORS = ["lm_head.weight", "model.embed_tokens.weight"];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-padding-"));
  await loudPadding(join(folder, "padded"));
  for (const rows of [TOKENS, 400, 432, 448]) await withRows(join(folder, `rows-${rows}`), rows);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const linear = (models: readonly string[], base?: string): MergeConfig => ({
  merge_method: "linear",
  models: models.map((model) => ({ model })),
  parameters: { weight: 1 },
  ...(base === undefined ? {} : { base_model: base }),
});

async function merge(config: MergeConfig, out: string, likeMergekit = false) {
  return mergeModels(config, { out: join(folder, out), baseFolder: folder, likeMergekit }, { reporter: silent });
}

async function weight(model: string, name: string): Promise<Float32Array> {
  const { tensors } = await readSafetensors(join(folder, model, "model.safetensors"));
  const { dtype, data } = tensors.get(name)!;
  return dtype === "BF16" ? bfloat16ToFloat32(data as Uint16Array) : (data as Float32Array);
}

describe("the result has as many rows as base_model", () => {
  test.each([
    ["base-wider", "rows-432", 432],
    ["base-narrower", "padded", 418],
  ])("%s: rows that both have are merged, those of the base alone are kept", async (out, base, rows) => {
    const summary = await merge(linear(["padded", "rows-432"], base), out);
    const model = await openModel(join(folder, out));
    expect(model.config.vocabularySize).toBe(rows);
    expect(summary.parameters).toBe(model.parameters);
    const { tensors } = await readSafetensors(join(folder, out, "model.safetensors"));
    expect(() => checkWeights(model, tensors)).not.toThrow();
    for (const name of VOCABULARY_TENSORS) {
      const [merged, a, b] = await Promise.all([out, "padded", "rows-432"].map((from) => weight(from, name)));
      const means = a!.map((value, place) => Math.fround((value + b![place]!) / 2));
      expect(merged!.subarray(0, 418 * HIDDEN)).toEqual(means);
      expect(merged!.subarray(418 * HIDDEN)).toEqual(b!.subarray(418 * HIDDEN, rows * HIDDEN));
    }
  });

  test("a head cut back to its tokens merges with one that is padded", async () => {
    await merge(linear(["rows-409", "rows-432"], "rows-409"), "cut-back");
    const merged = await weight("cut-back", "lm_head.weight");
    // Both are the same model up to there.
    expect(merged).toEqual(await weight("rows-409", "lm_head.weight"));
  });

  test("padding is rounded to the output's dtype like everything else", async () => {
    await merge({ ...linear(["padded", "rows-448"], "rows-448"), dtype: "bfloat16" }, "rounded");
    const merged = await weight("rounded", "lm_head.weight");
    const base = (await weight("rows-448", "lm_head.weight")).subarray(418 * HIDDEN);
    expect(merged.subarray(418 * HIDDEN)).toEqual(bfloat16ToFloat32(float32ToBfloat16(base)));
    expect(merged.length).toBe(448 * HIDDEN);
  });

  test("sce of one model on a wider base takes the model's rows, and keeps the rest of the base", async () => {
    const models = [{ model: "padded" }];
    await merge({ merge_method: "sce", base_model: "rows-432", models, parameters: { select_topk: 1 } }, "sce");
    const [merged, model, base] = await Promise.all(
      ["sce", "padded", "rows-432"].map((from) => weight(from, "lm_head.weight")),
    );
    const far = merged!.subarray(0, 418 * HIDDEN).filter((value, place) => Math.abs(value - model![place]!) > 1e-6);
    expect(far.length).toBe(0);
    expect(merged!.subarray(418 * HIDDEN)).toEqual(base!.subarray(418 * HIDDEN));
  });
});

describe("refused by name", () => {
  const refusal = (config: MergeConfig, likeMergekit = false): Promise<string> =>
    merge(config, "refused", likeMergekit).then(
      () => "not refused",
      (error: Error) => error.message.replaceAll(`${folder}/`, ""),
    );
  const shapes = '"lm_head.weight": expected one shape, found [418, 48] in padded and [432, 48] in rows-432';

  test("different padding where nothing says which the result is to have", async () => {
    const advice = "where only the padding differs, name the model whose shape the result is to have as base_model";
    expect(await refusal(linear(["padded", "rows-432"]))).toBe(`${shapes}; ${advice}`);
  });

  test("different padding where mergekit is repeated, which refuses it", async () => {
    expect(await refusal(linear(["padded", "rows-432"], "padded"), true)).toContain(shapes);
  });

  test("a NaN in the padding that is kept, with its place in the file", async () => {
    const path = join(folder, "damaged/model.safetensors");
    await withRows(join(folder, "damaged"), 432);
    const tensors = new Map((await readSafetensors(path)).tensors);
    (tensors.get("lm_head.weight")!.data as Float32Array)[430 * HIDDEN + 5] = Number.NaN;
    await writeSafetensors(path, tensors);
    expect(await refusal(linear(["padded", "damaged"], "damaged"))).toBe(
      'damaged/model.safetensors: "lm_head.weight": expected finite weights, found NaN or infinity at [430, 5]; look for another copy of the model, or merge with --repair',
    );
  });

  test("a head without rows for all tokens", async () => {
    expect(await refusal(linear(["padded", "rows-400"], "padded"))).toBe(
      '"lm_head.weight": expected one shape, found [418, 48] in padded and [400, 48] in rows-400; ' +
        "that is no padding, padded has 409 tokens",
    );
  });
});
