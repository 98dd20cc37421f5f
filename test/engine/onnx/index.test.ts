import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ADAMW, type Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { missingRuntime } from "#src/engine/onnx/runtime.js";
import { readSafetensors, writeSafetensors } from "#src/formats/safetensors.js";
import { goldenFolder } from "./golden.ts";

let engine: Engine;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-engine-"));
  engine = await createOnnxEngine();
});

afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const greedy = { maxTokens: 4, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "" };

test("what is wrong with a model crosses the thread as the error it was", async () => {
  await expect(engine.open(join(folder, "none"))).rejects.toMatchObject({
    name: "FusechatError",
    code: "input",
    exitCode: 2,
    message: `${join(folder, "none/config.json")}: no such file or folder`,
  });
});

test("weights that are not finite are refused by name, file and element", async () => {
  const broken = join(folder, "broken");
  await cp(goldenFolder("mistral"), broken, { recursive: true });
  const file = join(broken, "model.safetensors");
  const { tensors, metadata } = await readSafetensors(file);
  (tensors.get("model.layers.1.mlp.up_proj.weight")!.data as Float32Array)[7] = Number.NaN;
  await writeSafetensors(file, tensors, metadata);
  const message = `${file}: "model.layers.1.mlp.up_proj.weight": expected finite weights, found NaN at element 7; the model is damaged`;
  await expect(engine.open(broken)).rejects.toThrow(message);
  await expect(engine.train(broken, ADAMW)).rejects.toThrow(message);
});

test("sequences that the model cannot read are refused before anything is computed", async () => {
  const model = await engine.open(goldenFolder("mistral"));
  const positions = Int32Array.of(1);
  const foreign = { ids: Int32Array.of(1, 5000), positions };
  await expect(async () => model.rows([foreign], 1)).rejects.toThrow("position 1 of sequence 0 has id 5000");
  const long = { ids: new Int32Array(5000), positions };
  await expect(async () => model.rows([long], 1)).rejects.toThrow("the context of this model ends at 4096");
  await expect(async () => model.logits(long.ids)).rejects.toThrow("sequence 0 has 5000 tokens");
  await expect(model.generate([Int32Array.of(1), long.ids], greedy)).rejects.toThrow("sequence 1 has 5000 tokens");
  await model.dispose();
});

test("a disposed model, and a disposed engine, say so", async () => {
  const other = await createOnnxEngine({ threads: 1 });
  const model = await other.open(goldenFolder("mistral"));
  const ids = Int32Array.of(1, 2);
  await model.dispose();
  await expect(model.logits(ids)).rejects.toThrow("internal: a model was used after it was disposed of");
  await other.dispose();
  await expect(model.logits(ids)).rejects.toThrow("internal: the engine was used after it was disposed of");
  await expect(other.open(goldenFolder("mistral"))).rejects.toThrow("internal: the engine was used after");
});

test("two models of one folder do not disturb each other", async () => {
  const [a, b] = [await engine.open(goldenFolder("llama")), await engine.open(goldenFolder("llama"))];
  const ids = Int32Array.of(1, 2, 3);
  const logits = await a.logits(ids);
  await a.dispose();
  expect(await b.logits(ids)).toEqual(logits);
  await b.dispose();
});

test("calls made at once are all answered", async () => {
  const models = await Promise.all(["llama", "mistral", "qwen2"].map((name) => engine.open(goldenFolder(name))));
  const lengths = await Promise.all(
    models.flatMap((model) => [1, 2, 3].map(async (n) => (await model.logits(new Int32Array(n))).length / n)),
  );
  expect(lengths).toEqual(models.flatMap((model) => [model.vocabulary, model.vocabulary, model.vocabulary]));
  await Promise.all(models.map((model) => model.dispose()));
});

test("the caller's arrays are left as they were", async () => {
  const model = await engine.open(goldenFolder("llama"));
  const sequence = { ids: Int32Array.of(1, 2, 3), positions: Int32Array.of(1, 2) };
  await model.rows([sequence], 1);
  await model.logits(sequence.ids);
  await model.generate([sequence.ids], greedy);
  expect(sequence).toEqual({ ids: Int32Array.of(1, 2, 3), positions: Int32Array.of(1, 2) });
  await model.dispose();
});

test("an engine that has nothing to do does not keep the process alive", async () => {
  const script = `
    import { createOnnxEngine } from ${JSON.stringify(resolve("dist/engine/onnx/index.js"))};
    const engine = await createOnnxEngine();
    const model = await engine.open(${JSON.stringify(goldenFolder("llama"))});
    console.log((await model.logits(new Int32Array(1))).length === model.vocabulary);`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    timeout: 30_000,
  });
  expect(stdout).toBe("true\n");
});

/** Some seconds of work, in many micro-batches. */
const longWork = (count: number) =>
  Array.from({ length: count }, () => ({ ids: new Int32Array(2000), positions: Int32Array.of(1999) }));

test("an engine disposed of at work ends after the micro-batch in hand and refuses the call", async () => {
  const other = await createOnnxEngine({ threads: 1 });
  const model = await other.open(goldenFolder("llama"));
  await model.rows(longWork(1), 1);
  const work = expect(model.rows(longWork(500), 1)).rejects.toThrow("internal: the engine was used after");
  await other.dispose();
  await work;
});

test("a process may exit while its engine is at work", async () => {
  const script = `
    import { createOnnxEngine } from ${JSON.stringify(resolve("dist/engine/onnx/index.js"))};
    const engine = await createOnnxEngine();
    const model = await engine.open(${JSON.stringify(goldenFolder("llama"))});
    await model.rows([{ ids: new Int32Array(2000), positions: Int32Array.of(1999) }], 1);
    const work = Array.from({ length: 500 }, () => ({ ids: new Int32Array(2000), positions: Int32Array.of(1999) }));
    model.rows(work, 1).catch(() => {});
    setTimeout(() => process.exit(7), 300);`;
  // Without the gate the process aborts with 134.
  await expect(
    promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { timeout: 60_000 }),
  ).rejects.toMatchObject({ code: 7, stderr: "" });
});

test("a missing runtime is explained with what helps", () => {
  const absent = new Error("Cannot find package 'onnxruntime-node'\n  stack");
  expect(missingRuntime(absent, "linux-x64").message).toBe(
    "onnxruntime-node: could not be loaded on linux-x64 (Cannot find package 'onnxruntime-node'); " +
      "install it with ONNXRUNTIME_NODE_INSTALL=skip npm install (the CPU build is inside the package)",
  );
  expect(missingRuntime(absent, "darwin-x64").message).toContain("it has no build for macOS on Intel processors");
  expect(missingRuntime(absent).exitCode).toBe(1);
});

test("the runtime reports nothing to anyone: a process that used it leaves no trace in its home or temporary folder", async () => {
  const home = join(folder, "home");
  await mkdir(home);
  const script = `
    import { createOnnxEngine } from ${JSON.stringify(import.meta.resolve("#src/engine/onnx/index.js"))};
    const engine = await createOnnxEngine();
    const model = await engine.open(${JSON.stringify(goldenFolder("mistral"))});
    console.log((await model.logits(Int32Array.of(1, 2))).length);
    await engine.dispose();`;
  const environment = { PATH: process.env.PATH, HOME: home, TMPDIR: home, XDG_CACHE_HOME: home };
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    env: environment,
  });
  expect(stdout.trim()).toBe(String(2 * 479));
  expect(await readdir(home)).toEqual([]);
});
