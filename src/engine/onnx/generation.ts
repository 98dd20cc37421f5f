/**
 * Answers to prompts, token by token. Each token reads its whole sequence again: right for the small models and short
 * answers of evaluation, quadratic for long ones; a cache of keys and values would change this file alone.
 */
import { failure } from "../../errors.ts";
import { createRandom } from "../../random.ts";
import type { GenerateOptions } from "../engine.ts";
import { candidatesNeeded, chooseToken } from "../sampling.ts";
import { lengthBucket, planBatches } from "./batches.ts";
import { POSITION_BUDGET } from "./inference.ts";
import type { LoadedModel } from "./loaded-model.ts";
import { rowsProgram } from "./programs/rows.ts";
import type { Runtime } from "./runtime.ts";

/** One answer a prompt, without the stop id. An answer also ends where the model's context does. */
export async function generateAnswers(
  { model, resident }: LoadedModel,
  runtime: Runtime,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  onToken: (prompt: number, id: number) => void,
): Promise<Int32Array[]> {
  const { vocabularySize, maxPositions } = model.config;
  const inputs = await resident();
  const topK = candidatesNeeded(vocabularySize, options);
  const room = (prompt: Int32Array): number =>
    Math.min(prompt.length + options.maxTokens, maxPositions ?? Number.POSITIVE_INFINITY);
  const sequences = prompts.map((prompt, index) => {
    const ids = new Int32Array(room(prompt));
    ids.set(prompt);
    const open = prompt.length > 0 && ids.length > prompt.length;
    return { ids, length: prompt.length, open, random: createRandom(`${options.seed}/${index}`) };
  });

  while (sequences.some(({ open }) => open)) {
    const waiting = sequences.map(({ length, open }) => ({ length, rows: open ? 1 : 0 }));
    for (const { size, length, members } of planBatches(waiting, POSITION_BUDGET, answerBucket)) {
      const session = await runtime.session(`${model.folder}: next ${size} x ${length}, top ${topK}`, () =>
        rowsProgram(model, { batch: size, length, rows: size, topK }),
      );
      const ids = new Int32Array(size * length);
      const rowIndex = new Int32Array(size);
      members.forEach((s, b) => {
        const sequence = sequences[s]!;
        ids.set(sequence.ids.subarray(0, sequence.length), b * length);
        rowIndex[b] = b * length + sequence.length - 1;
      });
      const outputs = await session.run({
        ...inputs,
        ids: runtime.tensor(ids, [size, length]),
        row_index: runtime.tensor(rowIndex, [size]),
        label: runtime.tensor(new Int32Array(size), [size]),
      });
      const topId = outputs.top_id!.data as Int32Array;
      const topLogp = outputs.top_logp!.data as Float32Array;
      members.forEach((s, b) => {
        const sequence = sequences[s]!;
        const from = b * topK;
        if (Number.isNaN(topLogp[from]!)) {
          throw failure(model.folder, "a token's logits came out as NaN; the weights overflow single precision");
        }
        const id = chooseToken(
          topId.subarray(from, from + topK),
          topLogp.subarray(from, from + topK),
          options,
          sequence.random,
        );
        if (id < 0 || options.stopIds.includes(id)) {
          sequence.open = false;
          return;
        }
        sequence.ids[sequence.length++] = id;
        sequence.open = sequence.length < sequence.ids.length;
        onToken(s, id);
      });
    }
  }
  return sequences.map(({ ids, length }, index) => ids.slice(prompts[index]!.length, length));
}

/** Coarser than for whole texts: an answer grows through all lengths, and each new one is a program to build. */
function answerBucket(length: number): number {
  return lengthBucket(32 * Math.ceil(length / 32));
}
