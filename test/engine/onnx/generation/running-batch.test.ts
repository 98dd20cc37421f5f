/** A batch that others join and leave, against the same answers given alone. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine, EngineModel } from "#src/engine/engine.js";
import { type Answer, endAnswer } from "#src/engine/onnx/generation/answer.js";
import { type Decoder, openDecoder } from "#src/engine/onnx/generation/decoder.js";
import { openKeptPrefixes } from "#src/engine/onnx/generation/kept-prefixes.js";
import { positionBytes } from "#src/engine/onnx/generation/key-value-cache.js";
import { type BatchPolicy, openRunningBatch, type RunningBatch } from "#src/engine/onnx/generation/running-batch.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { type LoadedModel, loadModel } from "#src/engine/onnx/loaded-model.js";
import { createNativeGate } from "#src/engine/onnx/native-gate.js";
import { loadRuntime } from "#src/engine/onnx/runtime.js";
import { createRandom } from "#src/random.js";
import { goldenFolder } from "../golden.ts";

const greedy = { temperature: 0, topP: 1, topK: 0 };

let engine: Engine;
let alone: EngineModel;
let loaded: LoadedModel;
let decoder: Decoder;
/** Passes of the network: sequences of each, and positions. */
let passes: { batch: number; length: number }[] = [];
beforeAll(async () => {
  engine = await createOnnxEngine({ threads: 1 });
  alone = await engine.open(goldenFolder("mistral"));
  const runtime = await loadRuntime(1, createNativeGate());
  loaded = await loadModel(goldenFolder("mistral"), runtime, 1e9);
  const opened = await openDecoder(loaded, runtime, loaded.model.config.vocabularySize);
  decoder = {
    ...opened,
    run: (pass) => {
      passes.push(pass);
      return opened.run(pass);
    },
  };
});
afterAll(() => engine.dispose());

function somePrompt(length: number, seed = ""): number[] {
  const random = createRandom(`prompt/${length}/${seed}`);
  return Array.from({ length }, () => random.integer(loaded.model.config.vocabularySize));
}

function answerTo(prompt: readonly number[], count: number, more: Partial<Answer> = {}): Answer {
  return {
    ids: [...prompt],
    room: prompt.length + count,
    sampling: greedy,
    stopIds: [],
    random: createRandom("test"),
    topLogprobs: null,
    onToken: () => {},
    stopped: () => false,
    open: true,
    reused: 0,
    ...more,
  };
}

function open(more: Partial<BatchPolicy> = {}): RunningBatch {
  passes = [];
  return openRunningBatch(loaded.model, decoder, { joins: "at once", prefixes: null, ...more });
}

async function finish(batch: RunningBatch): Promise<void> {
  while (await batch.turn());
}

/** The same answer, when nobody else is there. */
async function expectAsAlone(answer: Answer, prompt: readonly number[], count: number): Promise<void> {
  const options = { ...greedy, maxTokens: count, stopIds: [], seed: "" };
  const [ids] = await alone.generate([Int32Array.from(prompt)], options);
  expect(answer.ids.slice(prompt.length)).toEqual([...ids!]);
}

test("answers that join in the middle are what they are alone, and their next token waits for one pass at most", async () => {
  const batch = open();
  const prompts = [30, 7, 61, 1, 20].map((length) => somePrompt(length));
  const answers = prompts.map((prompt, index) => answerTo(prompt, 40 - 6 * index));
  for (const answer of answers) {
    batch.join([answer]);
    for (let turn = 0; turn < 5; turn++) await batch.turn();
  }
  await finish(batch);
  for (const [index, answer] of answers.entries()) await expectAsAlone(answer, prompts[index]!, 40 - 6 * index);
  const reads = passes.flatMap(({ length }, index) => (length > 1 ? [index] : []));
  for (const [index, at] of reads.entries()) expect(at).not.toBe((reads[index - 1] ?? -2) + 1);
});

test("whoever leaves makes the passes of the others smaller", async () => {
  const batch = open();
  let gone = false;
  const prompts = [5, 6, 7, 8, 9].map((length) => somePrompt(length));
  const answers = prompts.map((prompt, index) => answerTo(prompt, 30, index < 4 ? { stopped: () => gone } : {}));
  batch.join(answers);
  for (let turn = 0; turn < 14; turn++) await batch.turn();
  expect(passes.at(-1)).toMatchObject({ batch: 8, length: 1 });
  gone = true;
  await batch.turn();
  expect(answers.map((answer) => answer.open)).toEqual([false, false, false, false, true]);
  expect(passes.at(-1)).toMatchObject({ batch: 1, length: 1 });
  await finish(batch);
  await expectAsAlone(answers[4]!, prompts[4]!, 30);
});

test("where memory ends, some wait again and go on as if nothing had been", async () => {
  // Two sequences of 512 places, or four of 256.
  const batch = open({ cacheBytes: 1024 * positionBytes(loaded.model) });
  const prompts = [200, 210, 220, 190].map((length) => somePrompt(length));
  const answers = prompts.map((prompt) => answerTo(prompt, 70));
  batch.join(answers);
  await finish(batch);
  for (const [index, answer] of answers.entries()) await expectAsAlone(answer, prompts[index]!, 70);
  const steps = passes.filter(({ length }) => length === 1).map(({ batch: size }) => size);
  expect(new Set(steps)).toEqual(new Set([4, 2]));
});

test("what sequences have in common is read once, while one of them goes on and after it has ended", async () => {
  const batch = open({ prefixes: openKeptPrefixes(loaded.model, 1000 * positionBytes(loaded.model)) });
  const shared = somePrompt(40);
  const prompts = [
    [...shared, ...somePrompt(9, "a")],
    [...shared, ...somePrompt(12, "b")],
  ];
  const [first, second] = prompts.map((prompt) => answerTo(prompt, 20));
  batch.join([first!, second!]);
  await finish(batch);
  expect([first!.reused, second!.reused]).toEqual([0, 40]);
  // The next question of the first chat, whose last token was never read.
  const next = [...first!.ids, ...somePrompt(5, "c")];
  const third = answerTo(next, 20);
  batch.join([third]);
  await finish(batch);
  expect(third.reused).toBe(40 + 9 + 20 - 1);
  await expectAsAlone(first!, prompts[0]!, 20);
  await expectAsAlone(second!, prompts[1]!, 20);
  await expectAsAlone(third, next, 20);
});

test("what is kept has its limit, and the least recently used goes first", () => {
  const prefixes = openKeptPrefixes(loaded.model, 100 * positionBytes(loaded.model));
  const { layers, keyValueHeads, headSize } = loaded.model.config;
  const cache = {
    slots: 1,
    capacity: 64,
    filled: Int32Array.of(40),
    arrays: Array.from({ length: 2 * layers }, () => new Float32Array(64 * keyValueHeads * headSize)),
    keyValueHeads,
    headSize,
  };
  const [a, b, c] = ["a", "b", "c"].map((seed) => somePrompt(40, seed)) as [number[], number[], number[]];
  prefixes.keep(a, false, cache, 0);
  prefixes.keep(b, false, cache, 0);
  expect(prefixes.find([...a, 1], false)?.count).toBe(40);
  prefixes.keep(c, false, cache, 0);
  expect([a, b, c].map((ids) => prefixes.find(ids, false)?.count)).toEqual([40, undefined, 40]);
  expect(prefixes.find(a, true)).toBeNull();
  expect(prefixes.find(a.slice(0, 15), false)).toBeNull();
});

test("an answer ends once", () => {
  let ends = 0;
  const answer = answerTo([1], 1, { onEnd: () => ends++ });
  endAnswer(answer);
  expect([answer.open, ends]).toEqual([false, 1]);
});
