/** Answers to prompts that are all known: the batch of `running-batch.ts`, the longest first. */
import { createRandom } from "../../../random.ts";
import type { GenerateOptions } from "../../engine.ts";
import type { LoadedModel } from "../loaded-model.ts";
import type { Runtime } from "../runtime.ts";
import type { Answer } from "./answer.ts";
import { openDecoder } from "./decoder.ts";
import { openRunningBatch } from "./running-batch.ts";

/** What a generation tells, and asks, on its way. */
export interface GenerationListener {
  readonly onToken: (prompt: number, id: number) => void;
  /** True where all answers are to end as they are. */
  readonly stopped: () => boolean;
}

/** One answer a prompt, without the stop id. An answer also ends where the model's context does. */
export async function generateAnswers(
  loaded: LoadedModel,
  runtime: Runtime,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  { onToken, stopped }: GenerationListener,
): Promise<Int32Array[]> {
  const { model } = loaded;
  const { vocabularySize, maxPositions } = model.config;
  const allowed = Math.min(vocabularySize, options.bannedFrom ?? vocabularySize);
  const answers = prompts.map((ids, prompt): Answer => {
    const room = Math.min(ids.length + options.maxTokens, maxPositions ?? Number.POSITIVE_INFINITY);
    return {
      ids: [...ids],
      room,
      sampling: options,
      stopIds: options.stopIds,
      random: createRandom(options.seeds?.[prompt] ?? `${options.seed}/${prompt}`),
      topLogprobs: null,
      onToken: (id) => onToken(prompt, id),
      stopped,
      open: allowed > 0 && ids.length > 0 && room > ids.length,
      reused: 0,
    };
  });
  const batch = openRunningBatch(model, openDecoder(loaded, runtime, allowed), {
    joins: "together",
    prefixes: null,
  });
  // Longest first: prompts of like lengths are read together.
  const longestFirst = [...answers.entries()].sort(
    ([a, one], [b, other]) => other.ids.length - one.ids.length || a - b,
  );
  batch.join(longestFirst.map(([, answer]) => answer).filter(({ open }) => open));
  while (!stopped() && (await batch.turn()));
  return answers.map(({ ids }, prompt) => Int32Array.from(ids.slice(prompts[prompt]!.length)));
}
