/** `fusechat evaluate BENCHMARK`: a model's figures with their intervals, and how it compares with another model. */
import type { Command } from "commander";
import { readConversations } from "../data/read.ts";
import { inputError } from "../errors.ts";
import { evaluateHeldOut } from "../evaluate/benchmarks/held-out.ts";
import { BENCHMARKS, benchmark } from "../evaluate/benchmarks/index.ts";
import { integer } from "./option-values.ts";
import type { Verb } from "./verb.ts";

interface Options {
  model: string;
  data?: string;
  against?: string;
  maxLength: number;
}

export const evaluateVerb: Verb = {
  name: "evaluate",
  summary: "measure a model, with intervals, and compare it with another",
  declare: (command: Command) => {
    const names = BENCHMARKS.map(({ name, summary }) => `${name} (${summary})`);
    command
      .argument("<benchmark>", names.join("; "))
      .requiredOption("--model <folder>", "the model to measure")
      .option("--data <file>", "conversations that no training has seen")
      .option("--against <folder>", "another model, compared on the same conversations")
      .option("--max-length <tokens>", "tokens a conversation is cut to", integer({ min: 1 }), 2048);
  },
  run: async (invocation, positional, options) => {
    const chosen = benchmark(positional[0]!);
    const { data, model, against, maxLength } = options as unknown as Options;
    if (data === undefined) {
      throw inputError(`fusechat evaluate ${chosen.name}`, "needs conversations to measure on; add --data FILE");
    }
    const result = await evaluateHeldOut(
      {
        model,
        name: model,
        ...(against === undefined ? {} : { against, againstName: against }),
        conversations: await readConversations(data),
        maxLength,
      },
      { engine: await invocation.engine(), reporter: invocation.reporter, signal: invocation.signal },
    );
    for (const line of chosen.describe(result)) invocation.print(line);
    invocation.document(result);
    return undefined;
  },
};
