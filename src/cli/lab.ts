/** `fusechat lab train`: the laboratory's models again, from their seeded random start. */
import { Argument, Option } from "commander";
import { LAB_MODELS } from "../lab/models.ts";
import { LAB_TRAIN_DEFAULTS, type LabTrainSummary, trainLabModel } from "../lab/train.ts";
import { integer } from "./option-values.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly out: string;
  readonly model?: string;
  readonly steps?: number;
  readonly batch: number;
  readonly checkpointSteps: number;
}

export const labVerb: Verb = {
  name: "lab",
  summary: "train the laboratory's models again",
  long: true,
  declare: (command) => {
    command
      .addArgument(new Argument("<task>", "what to do").choices(["train"]))
      .requiredOption("--out <folder>", "where the model folders go")
      .addOption(
        new Option("--model <name>", "only this model (default: all)").choices(LAB_MODELS.map((model) => model.name)),
      )
      .option("--steps <n>", "optimiser steps (default: the model's own number)", integer({ min: 1 }))
      .option("--batch <n>", "conversations a step", integer({ min: 1 }), LAB_TRAIN_DEFAULTS.batch)
      .option(
        "--checkpoint-steps <n>",
        "steps between checkpoints",
        integer({ min: 1 }),
        LAB_TRAIN_DEFAULTS.checkpointSteps,
      );
  },
  run: async (invocation, _positional, given) => {
    const { model: only, ...options } = given as unknown as Options;
    const context = { engine: await invocation.engine(), reporter: invocation.reporter, signal: invocation.signal };
    const summaries: LabTrainSummary[] = [];
    for (const model of LAB_MODELS.filter(({ name }) => only === undefined || name === only)) {
      const summary = await trainLabModel(model, options, context);
      summaries.push(summary);
      invocation.print(
        summary.skipped
          ? `${summary.folder}: already finished with these settings`
          : `${summary.folder}: ${summary.steps} steps, loss ${summary.lastLoss.toFixed(4)} nats per token at the end`,
      );
    }
    invocation.document(summaries);
    return undefined;
  },
};
