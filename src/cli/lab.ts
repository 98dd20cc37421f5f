/** `fusechat lab`: the laboratory's models again (`train`), and the settings of its demonstration (`sweep`). */
import { Argument, Option } from "commander";
import type { StageContext } from "../engine/context.ts";
import { SHIPPED_MODELS } from "../lab/demo.ts";
import { LAB_MODELS, LAB_THREADS } from "../lab/models.ts";
import { runSweep, SWEEP_GRID } from "../lab/sweep.ts";
import { LAB_TRAIN_DEFAULTS, type LabTrainSummary, trainLabModel } from "../lab/train.ts";
import { integer } from "./option-values.ts";
import type { Invocation, Verb } from "./verb.ts";

interface Options {
  readonly out: string;
  readonly model?: string;
  readonly models?: string;
  readonly steps?: number;
  readonly batch: number;
  readonly checkpointSteps: number;
}

export const labVerb: Verb = {
  name: "lab",
  summary: "train the laboratory's models again, or choose the settings of its demonstration again",
  long: true,
  declare: (command) => {
    command
      .addArgument(new Argument("<task>", "train: the models; sweep: the demo's settings").choices(["train", "sweep"]))
      .requiredOption("--out <folder>", "where the model folders, or the sweep, go")
      .addOption(
        new Option("--model <name>", "train: only this model (default: all)").choices(
          LAB_MODELS.map((model) => model.name),
        ),
      )
      .option("--steps <n>", "train: optimiser steps (default: the model's own number)", integer({ min: 1 }))
      .option("--batch <n>", "train: conversations a step", integer({ min: 1 }), LAB_TRAIN_DEFAULTS.batch)
      .option(
        "--checkpoint-steps <n>",
        "train: steps between checkpoints",
        integer({ min: 1 }),
        LAB_TRAIN_DEFAULTS.checkpointSteps,
      )
      .option("--models <folder>", "sweep: other models than those in the package");
  },
  run: async (invocation, [task], given) => {
    const options = given as unknown as Options;
    const context = {
      engine: await invocation.engine({ kind: "onnx", threads: LAB_THREADS }),
      reporter: invocation.reporter,
      signal: invocation.signal,
    };
    await (task === "train" ? train(invocation, options, context) : sweep(invocation, options, context));
    return undefined;
  },
};

async function train(invocation: Invocation, { model: only, ...options }: Options, context: StageContext) {
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
}

async function sweep(invocation: Invocation, { out, models }: Options, context: StageContext) {
  const result = await runSweep({ ...SWEEP_GRID, models: models ?? SHIPPED_MODELS, out }, context);
  invocation.print("above the entropy floor on the validation draw, nats per byte");
  for (const { lr, epochs, lambda, model, above_floor: figure } of result.lines) {
    const setting = `lr ${lr}, ${epochs} epochs, ${lambda === null ? "labels alone" : `lambda ${lambda}`}`;
    const interval = `[${figure.low.toFixed(4)}, ${figure.high.toFixed(4)}]`;
    invocation.print(`${setting.padEnd(36)} ${model.padEnd(18)} ${figure.value.toFixed(4)} ${interval}`);
  }
  const { lr, epochs, lambda } = result.chosen;
  invocation.print(`chosen: lr ${lr}, ${epochs} epochs, lambda ${lambda}`);
  invocation.document(result);
}
