/**
 * `fusechat lab`: the laboratory's models again (`train`), the settings of its demonstration (`sweep`), and every claim
 * tested (`experiment`).
 */
import { Argument, Option } from "commander";
import type { StageContext } from "../engine/context.ts";
import { SHIPPED_MODELS } from "../lab/demo.ts";
import { runExperiment } from "../lab/experiment/experiment.ts";
import { EXPERIMENT } from "../lab/experiment/settings.ts";
import { LAB_MODELS, LAB_THREADS } from "../lab/models/index.ts";
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
  readonly seeds: number;
  readonly conversations: number;
  readonly heldOut: number;
  readonly curve: readonly number[];
  readonly recommended: number;
}

const TASKS = ["train", "sweep", "experiment"] as const;

export const labVerb: Verb = {
  name: "lab",
  summary: "train the laboratory's models again, choose the demonstration's settings again, or test every claim",
  long: true,
  declare: (command) => {
    command
      .addArgument(
        new Argument(
          "<task>",
          "train: the models; sweep: the demo's settings; experiment: what fusion is worth",
        ).choices([...TASKS]),
      )
      .requiredOption("--out <folder>", "where the model folders, the sweep or the experiment go")
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
      .option("--models <folder>", "sweep, experiment: other models than those in the package")
      .option("--seeds <n>", "experiment: seeds of every training", integer({ min: 2 }), EXPERIMENT.seeds)
      .option("--conversations <n>", "experiment: to fuse on", integer({ min: 8 }), EXPERIMENT.conversations)
      .option("--held-out <n>", "experiment: conversations to measure on", integer({ min: 8 }), EXPERIMENT.held_out)
      .option(
        "--curve <n,...>",
        "experiment: numbers of conversations of its curves",
        (text: string) => text.split(",").map(integer({ min: 8 })),
        EXPERIMENT.curve,
      )
      .option(
        "--recommended <n>",
        "experiment: conversations of the recommended way",
        integer({ min: 8 }),
        EXPERIMENT.recommended.conversations,
      );
  },
  run: async (invocation, [task], given) => {
    const options = given as unknown as Options;
    const context = {
      engine: await invocation.engine({ kind: "onnx", threads: LAB_THREADS }),
      reporter: invocation.reporter,
      signal: invocation.signal,
    };
    await { train, sweep, experiment }[task as (typeof TASKS)[number]](invocation, options, context);
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

async function experiment(invocation: Invocation, options: Options, context: StageContext) {
  const { out, models = SHIPPED_MODELS, seeds, conversations, heldOut, curve } = options;
  const points = [...new Set([...curve, conversations])].sort((a, b) => a - b);
  const recommended = { ...EXPERIMENT.recommended, conversations: options.recommended };
  const settings = { ...EXPERIMENT, seeds, conversations, curve: points, held_out: heldOut, recommended };
  const result = await runExperiment({ models, out, settings }, context);
  for (const { claim, value, low, high, p_adjusted: p, verdict } of result.claims) {
    const effect = [value, low, high].map((nats) => (1000 * nats).toFixed(1));
    invocation.print(`${claim}: ${effect[0]} [${effect[1]}, ${effect[2]}], p ${p.toFixed(3)}, ${verdict}`);
  }
  invocation.document(result);
}
