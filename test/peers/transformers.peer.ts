/**
 * What fusechat writes, loaded by transformers: nothing missing, nothing left over, and the same numbers, tokens and
 * texts as ours. Both read the stored weights in float32.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openConversationTokeniser } from "#src/data/tokenise.js";
import type { Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { createRandom } from "#src/random.js";
import { GOLDEN_MODELS } from "../engine/onnx/golden.ts";
import type { Packages } from "./environment.ts";
import { type Output, writeOutputs } from "./outputs.ts";
import { describeWithPeers, runScript } from "./python.ts";

const LOGITS_TOLERANCE = 1e-4;
/** More than Gemma 2's window in these models, so that some positions do not see the first ones. */
const LENGTH = 40;
/** As many as load_models.py asks for. */
const NEW_TOKENS = 16;
const TURNS = [
  { role: "user", content: "What is 12 plus 30?" },
  { role: "assistant", content: "It is 42." },
] as const;

interface Reading {
  /** [T][vocabulary] */
  readonly logits: readonly (readonly number[])[];
  readonly greedy: readonly number[];
  readonly text: string;
  readonly text_ids: readonly number[];
}

interface Loaded extends Reading {
  readonly problems: readonly string[];
}

let folder: string;
let outputs: Output[];
let ours: Reading[];

/** Ids that every one of the models has. */
const ids = ((random) => Array.from({ length: LENGTH }, () => random.integer(400)))(createRandom("peers"));
const prompt = ids.slice(0, 12);

describeWithPeers("what fusechat writes", "nothing was loaded by transformers", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-peers-"));
    outputs = await writeOutputs(folder);
    const engine = await createOnnxEngine();
    try {
      ours = [];
      for (const output of outputs) ours.push(await read(engine, output.folder));
    } finally {
      await engine.dispose();
    }
  });

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  describe.each<[string, Packages]>([
    ["5.24.0", "environment"],
    ["4.57.6", "transformers-4"],
  ])("loaded by transformers %s", (version, packages) => {
    let answer: { readonly transformers: string; readonly models: readonly Loaded[] };
    beforeAll(async () => {
      const jobs = outputs.map((output) => ({ folder: output.folder, ids, prompt, messages: TURNS }));
      answer = await runScript("load_models.py", jobs, { packages });
    });

    test("is loaded by this version", () => {
      expect(answer.transformers).toBe(version);
      expect(answer.models.length).toBe(4 * GOLDEN_MODELS.length);
    });

    test.each(GOLDEN_MODELS)("%s has our logits, greedy tokens and rendered conversation", (name) => {
      for (const [index, { architecture, kind }] of outputs.entries()) {
        if (architecture !== name) continue;
        const theirs = answer.models[index]!;
        expect(theirs.problems, kind).toEqual([]);
        expect(largestDifference(theirs.logits, ours[index]!.logits), kind).toBeLessThan(LOGITS_TOLERANCE);
        expect(theirs.greedy, kind).toEqual(ours[index]!.greedy);
        expect(theirs.text, kind).toBe(ours[index]!.text);
        expect(theirs.text_ids, kind).toEqual(ours[index]!.text_ids);
      }
    });
  });
});

async function read(engine: Engine, model: string): Promise<Reading> {
  const opened = await engine.open(model);
  const tokeniser = await openConversationTokeniser(model, { maxLength: 1000 });
  try {
    const logits = await opened.logits(Int32Array.from(ids));
    const options = { maxTokens: NEW_TOKENS, stopIds: [], temperature: 0, topP: 1, topK: 0, seed: "peers" };
    const [greedy] = await opened.generate([Int32Array.from(prompt)], options);
    const [conversation] = await tokeniser.tokenise([{ id: "1", turns: TURNS }], 0);
    if (conversation === undefined || "refused" in conversation) throw new Error(`${model} refuses the conversation`);
    return {
      logits: ids.map((_, row) => [...logits.subarray(row * opened.vocabulary, (row + 1) * opened.vocabulary)]),
      greedy: [...greedy!],
      text: conversation.text,
      text_ids: [...conversation.ids],
    };
  } finally {
    await tokeniser.dispose();
    await opened.dispose();
  }
}

function largestDifference(a: Reading["logits"], b: Reading["logits"]): number {
  expect(a.map(({ length }) => length)).toEqual(b.map(({ length }) => length));
  return Math.max(...a.flatMap((row, t) => row.map((logit, id) => Math.abs(logit - b[t]![id]!))));
}
