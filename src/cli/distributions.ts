/** `fusechat distributions`: a model reads conversations, and its top-K of every response row goes to shards. */
import { type Command, Option } from "commander";
import type { IrregularRule } from "../data/irregular.ts";
import { collectDistributions, ROWS, type RowsKind } from "../distributions/collect.ts";
import { inputError } from "../errors.ts";
import { textOnly } from "../models/reference.ts";
import { conversationsOf, declareIrregular } from "./conversations-option.ts";
import { declareEngine, type EngineFlags, engineGiven, type ServerFlags, withoutEngine } from "./engine-options.ts";
import { formatCount } from "./figures.ts";
import { MODEL_WORDS, modelFolder } from "./model-option.ts";
import { integer } from "./option-values.ts";
import { declareTemplate, type TemplateFlags, templateSettings } from "./template-options.ts";
import type { Verb } from "./verb.ts";

interface Options extends TemplateFlags, EngineFlags, ServerFlags {
  readonly model: string;
  readonly data: string;
  readonly irregular: IrregularRule;
  readonly out: string;
  readonly topK: number;
  readonly rows: RowsKind;
  readonly seed: number;
  readonly maxLength: number;
  readonly template: "native" | "pivot";
  readonly templateModel?: string;
  readonly name?: string;
  readonly shardConversations?: number;
}

export const distributionsVerb: Verb = {
  name: "distributions",
  summary: "collect a model's distributions over the responses of conversations",
  long: true,
  declare: (command: Command) => {
    command
      .requiredOption("--model <model>", MODEL_WORDS)
      .requiredOption("--data <path>", "conversations: a file, a folder or a pattern of files")
      .requiredOption("--out <folder>", "where the shards go; a finished shard is not computed again")
      .option("--top-k <n>", "most probable tokens stored a row", integer({ min: 1 }), 10)
      .addOption(
        new Option("--rows <which>", "the most probable tokens of a row, or as many drawn from all of it")
          .choices(ROWS)
          .default("top"),
      )
      .option("--seed <n>", "of drawn rows", integer({ min: 0 }), 0)
      .option("--max-length <n>", "tokens a conversation is cut to", integer({ min: 1 }), 2048)
      .addOption(
        new Option("--template <which>", "chat template: the model's own, or the pivot's for all (the papers)")
          .choices(["native", "pivot"])
          .default("native"),
      )
      .option("--template-model <model>", "the model whose template --template pivot means")
      .option("--name <name>", "the model's name in the shards (default: its own)")
      .option("--shard-conversations <n>", "conversations a shard (default: 256)", integer({ min: 1 }));
    declareTemplate(command);
    declareIrregular(command);
    declareEngine(command, true);
  },
  run: async (invocation, _positional, options) => {
    const { flags, rest: own } = withoutEngine(options as unknown as Options);
    const { data, irregular, templateModel, server, serverModel, concurrency, ...rest } = own;
    if ((rest.template === "pivot") !== (templateModel !== undefined)) {
      throw inputError("--template-model", "is needed with --template pivot, and with nothing else");
    }
    const { reporter } = invocation;
    const settings = engineGiven(flags, { server, serverModel, concurrency });
    const conversations = await conversationsOf(data, irregular, { reporter, stage: "distributions" });
    const context = {
      engine: await invocation.engine(settings),
      reporter: invocation.reporter,
      signal: invocation.signal,
    };
    const begun = performance.now();
    const summary = await collectDistributions(
      {
        model: await modelFolder(invocation, rest.model, server === undefined ? undefined : textOnly),
        conversations,
        out: rest.out,
        topK: rest.topK,
        rows: rest.rows,
        seed: rest.seed,
        maxLength: rest.maxLength,
        template: rest.template,
        templateSettings: templateSettings(rest),
        ...(templateModel !== undefined && {
          templateFolder: await modelFolder(invocation, templateModel, textOnly),
        }),
        ...(rest.name !== undefined && { name: rest.name }),
        ...(rest.shardConversations !== undefined && { shardConversations: rest.shardConversations }),
      },
      context,
    );
    const seconds = (performance.now() - begun) / 1000;
    const rate = summary.kept_shards === 0 ? `, ${formatCount(Math.round(summary.rows / seconds))} rows a second` : "";
    invocation.print(
      `${summary.out}: ${formatCount(summary.rows)} rows of ${formatCount(summary.conversations)} conversations${rate}, ` +
        `${summary.nats_per_byte.toFixed(4)} nats per byte`,
    );
    if (summary.refused.length > 0) {
      invocation.print(`${formatCount(summary.refused.length)} conversations left out, as the template refuses them`);
    }
    if (summary.without_end_of_turn > 0) {
      invocation.print(`${formatCount(summary.without_end_of_turn)} answers without an end-of-turn row`);
    }
    if (summary.left_out_in > 0) {
      invocation.print(`${formatCount(summary.left_out_in)} answers that the template writes in part`);
    }
    invocation.document(summary);
    return undefined;
  },
};
