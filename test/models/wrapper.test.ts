/** Decoders within models of several parts: how checkpoints name their weights, and what becomes of the other ones. */
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { ADAMW } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { readJson } from "#src/formats/files.js";
import { readSafetensors, readTensorBytes, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import { checkWeights, openModel } from "#src/models/index.js";

const GOLDEN = resolve(import.meta.dirname, "../golden/models");

/** A copy of a golden folder with other tensors, and fields of its config replaced. */
async function withCopy(
  name: string,
  change: (tensors: Map<string, Tensor>) => void,
  use: (folder: string) => Promise<void>,
  fields: object = {},
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-wrapper-"));
  try {
    await cp(join(GOLDEN, name), folder, { recursive: true });
    const { tensors } = await readSafetensors(join(GOLDEN, name, "model.safetensors"));
    const changed = new Map(tensors);
    change(changed);
    await writeSafetensors(join(folder, "model.safetensors"), [...changed]);
    const config = (await readJson(join(folder, "config.json"))) as object;
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...fields }));
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The names that other tools give the same tensors. */
function otherNames(tensors: Map<string, Tensor>): void {
  for (const [name, tensor] of [...tensors]) {
    tensors.delete(name);
    const decoder = name.replace(/^language_model\.(model|lm_head)\./, (_, part) =>
      part === "model" ? "model.language_model." : "lm_head.",
    );
    tensors.set(decoder === name ? `model.${name}` : decoder, tensor);
  }
}

test.each(["gemma3", "mistral3"])("%s computes the same under either names, and leaves no tensor out", async (name) => {
  const engine = await createOnnxEngine({ threads: 2 });
  const ids = Int32Array.from({ length: 30 }, (_, index) => (7 * index) % 400);
  const published = await engine.open(join(GOLDEN, name));
  const expected = await published.logits(ids);
  await withCopy(name, otherNames, async (folder) => {
    const model = await openModel(folder);
    checkWeights(model, (await openWeights(folder)).tensors);
    expect(model.layerPrefix(1)).toBe("model.language_model.layers.1.");
    expect(await (await engine.open(folder)).logits(ids)).toEqual(expected);
  });
  await engine.dispose();
});

test.each(["gemma3", "mistral3"])(
  "what sees pictures in %s goes along into what is trained, as it is",
  async (name) => {
    const engine = await createOnnxEngine({ threads: 2 });
    const before = (await openWeights(join(GOLDEN, name))).tensors;
    const carried = [...before.keys()].filter((tensor) => !tensor.startsWith("language_model."));
    const trainer = await engine.train(join(GOLDEN, name), ADAMW);
    await withCopy(name, otherNames, async (out) => {
      await trainer.saveWeights(out, "float32");
      const after = (await openWeights(out)).tensors;
      expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
      expect(carried.length).toBeGreaterThan(10);
      for (const tensor of carried) {
        expect(after.get(tensor)!.dtype, tensor).toBe("BF16");
        expect(await readTensorBytes(after.get(tensor)!), tensor).toEqual(await readTensorBytes(before.get(tensor)!));
      }
      expect(after.get("language_model.model.norm.weight")!.dtype).toBe("F32");
    });
    await engine.dispose();
  },
);

const HEAD = "language_model.lm_head.weight";
const EMBEDDING = "language_model.model.embed_tokens.weight";

test("a head that differs from the embedding counts, whatever the config says of it", async () => {
  await withCopy(
    "mistral3",
    () => {},
    async (folder) => expect(await openModel(folder)).toMatchObject({ head: HEAD, config: { tied: false } }),
    { tie_word_embeddings: true },
  );
  await withCopy(
    "gemma3",
    (tensors) => {
      const { data, ...rest } = tensors.get(EMBEDDING)!;
      tensors.set(HEAD, { ...rest, data: data.slice().reverse() as typeof data });
    },
    async (folder) => expect(await openModel(folder)).toMatchObject({ head: HEAD, config: { tied: false } }),
  );
});

test("without a head of its own, or with a copy of the embedding for one, the head is tied", async () => {
  const tied = { head: EMBEDDING, config: { tied: true } };
  await withCopy(
    "mistral3",
    (tensors) => tensors.delete(HEAD),
    async (folder) => expect(await openModel(folder)).toMatchObject(tied),
  );
  await withCopy(
    "mistral3",
    (tensors) => tensors.set(HEAD, tensors.get(EMBEDDING)!),
    async (folder) => {
      const model = await openModel(folder);
      expect(model).toMatchObject(tied);
      checkWeights(model, (await openWeights(folder)).tensors);
    },
  );
});

test("a stack whose head is another model's embedding says so where either reader of configs looks", async () => {
  await withCopy(
    "gemma3",
    (tensors) => {
      const { data, ...rest } = tensors.get(EMBEDDING)!;
      tensors.set(EMBEDDING, { ...rest, data: data.slice().reverse() as typeof data });
    },
    async (other) => {
      const slice = (model: string) => ({ sources: [{ model, layer_range: [0, 4] }] });
      const slices = [slice(join(GOLDEN, "gemma3")), slice(other)];
      await mergeModels(checkMergeConfig({ merge_method: "passthrough", slices }, "stack"), {
        out: join(other, "out"),
      });
      const config = (await readJson(join(other, "out/config.json"))) as { text_config: object };
      expect(config).toMatchObject({
        tie_word_embeddings: false,
        text_config: { tie_word_embeddings: false, num_hidden_layers: 8 },
      });
      expect(await openModel(join(other, "out"))).toMatchObject({ head: HEAD, config: { tied: false, layers: 8 } });
    },
  );
});

test("settings of the decoder that are missing or another's are refused, and so is a tensor of no part", async () => {
  const refused = async (fields: object, message: string): Promise<void> =>
    withCopy(
      "gemma3",
      () => {},
      async (folder) => expect(openModel(folder)).rejects.toThrow(`config.json: ${message}`),
      fields,
    );
  await refused({ text_config: null }, "text_config: expected the settings of the language model, found nothing");
  await refused(
    { text_config: { model_type: "gemma2" } },
    'text_config: model_type: "gemma2" is not supported (only "gemma3_text")',
  );
  await refused(
    { architectures: ["Gemma3ForCausalLM"] },
    'architectures: expected Gemma3ForConditionalGeneration, found ["Gemma3ForCausalLM"]',
  );
  await refused(
    { text_config: { model_type: "gemma3_text", quantization_config: {} } },
    "text_config: quantization_config: quantised weights are not supported; use the unquantised checkpoint",
  );
  await withCopy(
    "gemma3",
    (tensors) => tensors.set("audio_tower.norm.weight", tensors.get(EMBEDDING)!),
    async (folder) => {
      const { tensors } = await openWeights(folder);
      const model = await openModel(folder);
      expect(() => checkWeights(model, tensors)).toThrow(
        '"audio_tower.norm.weight": gemma3 models with this config have no such tensor',
      );
    },
  );
});
