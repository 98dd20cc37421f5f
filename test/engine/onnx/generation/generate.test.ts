/** Generation with kept keys and values against the plain definition: the whole sequence read again for each token. */
import { copyFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, EngineModel, GenerateOptions } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { chooseToken } from "#src/engine/sampling.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { createRandom } from "#src/random.js";
import { GOLDEN_MODELS, goldenFigures, goldenFolder } from "../golden.ts";

const greedy: GenerateOptions = { maxTokens: 24, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "test" };

let engine: Engine;

beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 2 });
});

afterAll(async () => {
  await engine.dispose();
});

/** A golden model, or where fields of its config are given a copy with these. */
async function withModel(name: string, use: (model: EngineModel) => Promise<void>, fields: object = {}): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-generation-"));
  let model: EngineModel | undefined;
  try {
    const config: unknown = JSON.parse(await readFile(join(goldenFolder(name), "config.json"), "utf8"));
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...(config as object), ...fields }));
    for (const file of await readdir(goldenFolder(name))) {
      if (file.startsWith("model")) await symlink(join(goldenFolder(name), file), join(folder, file));
    }
    model = await engine.open(folder);
    await use(model);
  } finally {
    await model?.dispose();
    await rm(folder, { recursive: true });
  }
}

/** The definition: logits of the whole sequence, its last row, a choice; no context limit, no batch. */
async function uncached(model: EngineModel, prompt: Int32Array, index: number, options: GenerateOptions) {
  const random = createRandom(`${options.seed}/${index}`);
  const allowed = options.bannedFrom ?? model.vocabulary;
  const id = Int32Array.from({ length: allowed }, (_, token) => token);
  const ids = [...prompt];
  while (ids.length < prompt.length + options.maxTokens) {
    const logits = await model.logits(Int32Array.from(ids));
    const start = logits.length - model.vocabulary;
    const chosen = chooseToken(id, logits.subarray(start, start + allowed), options, random);
    if (options.stopIds.includes(chosen)) break;
    ids.push(chosen);
  }
  return Int32Array.from(ids.slice(prompt.length));
}

function somePrompt(length: number, vocabulary: number, seed: string = ""): Int32Array {
  const random = createRandom(`prompt/${length}/${seed}`);
  return Int32Array.from({ length }, () => random.integer(vocabulary));
}

describe.each(GOLDEN_MODELS)("%s", (name) => {
  test("continues greedily with the reference's ids, heard one by one", async () => {
    await withModel(name, async (model) => {
      const { prompt, ids } = goldenFigures(name).greedy;
      const heard: number[] = [];
      const [answer] = await model.generate([Int32Array.from(prompt)], greedy, (_, id) => heard.push(id));
      expect([...answer!]).toEqual(ids);
      expect(heard).toEqual(ids);
    });
  });

  test("answers a batch of prompts of many lengths as the uncached path does", async () => {
    await withModel(name, async (model) => {
      // Past the sliding windows of these models, and across a growth of the cache from 64 to 128 places.
      const options = { ...greedy, maxTokens: 20 };
      const prompts = [1, 50, 17, 3, 64].map((length) => somePrompt(length, model.vocabulary));
      const answers = await model.generate(prompts, options);
      for (const [index, prompt] of prompts.entries()) {
        expect(answers[index]).toEqual(await uncached(model, prompt, index, options));
      }
    });
  });

  test("draws what the uncached path draws with the same seed", async () => {
    await withModel(name, async (model) => {
      for (const sampling of [
        { temperature: 1, topP: 1, topK: 0 },
        { temperature: 0.7, topP: 0.9, topK: 0 },
        { temperature: 1.3, topP: 0.95, topK: 20, bannedFrom: 180 },
      ]) {
        const options = { ...greedy, ...sampling, maxTokens: 12 };
        const prompts = [9, 30].map((length) => somePrompt(length, 180));
        const answers = await model.generate(prompts, options);
        for (const [index, prompt] of prompts.entries()) {
          expect(answers[index]).toEqual(await uncached(model, prompt, index, options));
        }
      }
    });
  });
});

/** Every answer, and that it is what the uncached path gives. */
async function expectUncached(model: EngineModel, prompts: readonly Int32Array[], options: GenerateOptions) {
  const answers = await model.generate(prompts, options);
  for (const [index, prompt] of prompts.entries()) {
    expect(answers[index], `prompt ${index}`).toEqual(await uncached(model, prompt, index, options));
  }
  return answers;
}

test("windows shorter than the prompt, than a piece of it and than the answer are kept", async () => {
  await withModel(
    "mistral",
    async (model) => {
      const prompts = [40, 7, 12].map((length) => somePrompt(length, model.vocabulary));
      await expectUncached(model, prompts, { ...greedy, maxTokens: 40 });
      await expectUncached(model, [somePrompt(2100, model.vocabulary)], { ...greedy, maxTokens: 2 });
    },
    { sliding_window: 11 },
  );
});

test("an answer goes on while the cache grows twice", async () => {
  await withModel("qwen2", async (model) => {
    await expectUncached(model, [somePrompt(20, model.vocabulary)], { ...greedy, maxTokens: 150 });
  });
});

test("a prompt too long for one pass is read in pieces, beside a short one and one that just fits", async () => {
  await withModel("llama", async (model) => {
    const prompts = [2700, 5, 2048].map((length) => somePrompt(length, model.vocabulary));
    await expectUncached(model, prompts, { ...greedy, maxTokens: 3 });
  });
});

test("more prompts than slots take the places of those that have ended", async () => {
  await withModel("mistral", async (model) => {
    const prompts = Array.from({ length: 45 }, (_, index) =>
      somePrompt(1 + (index % 13), model.vocabulary, `${index}`),
    );
    // A quarter of all ids ends an answer, so that answers end at many lengths.
    const stopIds = Array.from({ length: model.vocabulary / 4 }, (_, id) => 4 * id);
    const options = { ...greedy, temperature: 1, maxTokens: 25, stopIds };
    const heard = prompts.map((): number[] => []);
    const answers = await model.generate(prompts, options, (prompt, id) => heard[prompt]!.push(id));
    expect(answers.map((answer) => [...answer])).toEqual(heard);
    expect(new Set(answers.map(({ length }) => length)).size).toBeGreaterThan(8);
    for (const index of [0, 7, 31, 32, 44]) {
      expect(answers[index]).toEqual(await uncached(model, prompts[index]!, index, options));
    }
  });
});

test("an answer ends before any of several stop ids, at the limit of tokens and where the context ends", async () => {
  const { prompt, ids } = goldenFigures("llama").greedy;
  const prompts = [Int32Array.from(prompt)];
  await withModel("llama", async (model) => {
    const [stopped] = await model.generate(prompts, { ...greedy, stopIds: [ids[9]!, ids[5]!] });
    expect([...stopped!]).toEqual(ids.slice(0, Math.min(ids.indexOf(ids[5]!), ids.indexOf(ids[9]!))));
    expect([...(await model.generate(prompts, { ...greedy, maxTokens: 3 }))[0]!]).toEqual(ids.slice(0, 3));
  });
  await withModel(
    "llama",
    async (model) => {
      expect([...(await model.generate(prompts, greedy))[0]!]).toEqual(ids.slice(0, 7));
    },
    { max_position_embeddings: prompt.length + 7 },
  );
});

test("an empty prompt, one as long as the context, and no prompt at all have empty answers", async () => {
  await withModel(
    "llama",
    async (model) => {
      const prompts = [new Int32Array(0), somePrompt(30, model.vocabulary), somePrompt(29, model.vocabulary)];
      expect((await model.generate(prompts, greedy)).map(({ length }) => length)).toEqual([0, 0, 1]);
      expect(await model.generate([], greedy)).toEqual([]);
      expect((await model.generate(prompts, { ...greedy, bannedFrom: 0 })).map(({ length }) => length)).toEqual([
        0, 0, 0,
      ]);
    },
    { max_position_embeddings: 30 },
  );
});

test("logits have the same bits before and after tokens were generated, which rearranges the weights", async () => {
  await withModel("llama", async (model) => {
    const prompt = somePrompt(20, model.vocabulary);
    const before = await model.logits(prompt);
    await model.generate([prompt], { ...greedy, maxTokens: 2 });
    expect(await model.logits(prompt)).toEqual(before);
  });
});

test("ids without a token are never drawn", async () => {
  await withModel("llama", async (model) => {
    const options = { ...greedy, bannedFrom: 50, maxTokens: 40 };
    for (const sampling of [{}, { temperature: 1.5 }, { temperature: 1.5, topK: 60 }]) {
      const [answer] = await model.generate([somePrompt(8, model.vocabulary)], { ...options, ...sampling });
      expect(Math.max(...answer!)).toBeLessThan(50);
      expect(answer!.length).toBe(40);
    }
  });
});

test("a signal ends the answers with the tokens they have, and the model answers on", async () => {
  await withModel("mistral", async (model) => {
    const prompts = [somePrompt(8, model.vocabulary), somePrompt(9, model.vocabulary)];
    const controller = new AbortController();
    const heard: number[] = [];
    const options = { ...greedy, maxTokens: 3000, signal: controller.signal };
    const answers = await model.generate(prompts, options, (prompt, id) => {
      if (prompt === 0) heard.push(id);
      if (heard.length === 5) controller.abort();
    });
    expect(heard.length).toBeGreaterThanOrEqual(5);
    expect(heard.length).toBeLessThan(3000);
    expect([...answers[0]!]).toEqual(heard);
    const whole = await model.generate(prompts, { ...greedy, maxTokens: heard.length });
    expect([...whole[0]!]).toEqual(heard);
    expect((await model.generate(prompts, options)).map(({ length }) => length)).toEqual([0, 0]);
  });
});

test("sampling depends on the seed and the prompt's place, and on nothing else", async () => {
  await withModel("mistral", async (model) => {
    const options = { ...greedy, temperature: 1, topP: 0.95 };
    const prompts = [Int32Array.of(1, 2, 3), Int32Array.of(1, 2, 3)];
    const once = await model.generate(prompts, options);
    expect(await model.generate(prompts, options)).toEqual(once);
    expect(once[0]).not.toEqual(once[1]);
    expect(await model.generate(prompts.slice(0, 1), options)).toEqual(once.slice(0, 1));
    expect(await model.generate(prompts, { ...options, seed: "other" })).not.toEqual(once);
  });
});

test("with a seed of its own an answer does not depend on its place", async () => {
  await withModel("mistral", async (model) => {
    const options = { ...greedy, temperature: 1, topP: 0.95 };
    const prompt = Int32Array.of(1, 2, 3);
    const [first, second] = await model.generate([prompt, prompt], { ...options, seeds: ["a", "b"] });
    expect(first).not.toEqual(second);
    expect(await model.generate([prompt], { ...options, seeds: ["b"] })).toEqual([second]);
  });
});

test("weights that overflow single precision are told, not sampled from", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-generation-"));
  try {
    await copyFile(join(goldenFolder("mistral"), "config.json"), join(folder, "config.json"));
    const { tensors } = await readSafetensors(join(goldenFolder("mistral"), "model.safetensors"));
    const huge = [...tensors].map(([name, { shape, data }]): [string, Tensor] => {
      const values = Float32Array.from(data as Float32Array);
      return [name, { dtype: "F32", shape, data: name === "model.norm.weight" ? values.fill(3e38) : values }];
    });
    await writeSafetensors(join(folder, "model.safetensors"), huge);
    const model = await engine.open(folder);
    await expect(model.generate([Int32Array.of(1, 2)], greedy)).rejects.toThrow(
      /: a token's logits came out as (NaN|Infinity); the weights overflow single precision/,
    );
    await model.dispose();
  } finally {
    await rm(folder, { recursive: true });
  }
});
