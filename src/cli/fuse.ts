/** `fusechat fuse`: trains one target on a pivot and aligned sources, or fine-tunes plainly without any. */
import { type Command, Option } from "commander";
import type { IrregularRule } from "../data/irregular.ts";
import type { WeightDtype } from "../engine/engine.ts";
import { ALL_LINEAR, alphaOf, LORA_DEFAULTS, type LoraSettings } from "../engine/lora.ts";
import { inputError } from "../errors.ts";
import { EMPHASES, type Emphasis } from "../fuse/emphasis.ts";
import { FUSION_FUNCTIONS } from "../fuse/functions/index.ts";
import { fuseTarget } from "../fuse/fuse.ts";
import {
  EVEN_SHARE_NEEDS_GAIN,
  FUSION_DEFAULTS,
  LEVELS,
  type Level,
  LORA_NEEDS_TORCH,
  TAILS,
  type Tail,
  TRAINING_DEFAULTS,
  UNSHARED,
  type Unshared,
  WEIGHT_DTYPES,
} from "../fuse/options.ts";
import { conversationsOf, declareIrregular } from "./conversations-option.ts";
import { declareEngine, type EngineFlags, engineGiven, withoutEngine } from "./engine-options.ts";
import { MODEL_WORDS, modelFolder } from "./model-option.ts";
import { integer, number } from "./option-values.ts";
import { declareTemplate, type TemplateFlags, templateGiven } from "./template-options.ts";
import type { Verb } from "./verb.ts";

/** What the flags of `declare` parse to, their defaults filled in. */
interface Options extends TemplateFlags, EngineFlags, LoraFlags {
  model: string;
  data: string;
  irregular: IrregularRule;
  pivot?: string;
  maxLength?: number;
  aligned?: string[];
  source?: string[];
  out: string;
  function: string;
  level: Level;
  lambda: number;
  tail: Tail;
  unshared: Unshared;
  emphasis: Emphasis;
  evenShare?: number;
  lr: number;
  epochs: number;
  batch: number;
  warmupRatio: number;
  weightDecay: number;
  seed: number;
  shuffle: boolean;
  dtype: WeightDtype;
  checkpointSteps?: number;
}

interface LoraFlags {
  loraRank?: number | undefined;
  loraAlpha?: number | undefined;
  loraTargets?: string[] | undefined;
  loraKeep?: boolean | undefined;
}

export const fuseVerb: Verb = {
  name: "fuse",
  summary: "train a target: the pivot, fused with aligned sources, one or several (or plainly fine-tuned)",
  long: true,
  declare: (command: Command) => {
    const names = FUSION_FUNCTIONS.map((candidate) => candidate.name);
    command
      .requiredOption("--model <model>", `the pivot: ${MODEL_WORDS}`)
      .requiredOption("--data <path>", "the conversations that the shards speak of")
      .option("--pivot <folder>", "the pivot's distributions; without them and --aligned: plain fine-tuning")
      .option(
        "--aligned <folders...>",
        "a source's distributions, aligned to the pivot, or those of several sources; without them: plain fine-tuning",
      )
      .option("--source <folders...>", "the sources' own distributions in the same order, for --level row")
      .requiredOption("--out <folder>", "the target's model folder")
      .addOption(new Option("--function <name>", "fusion function").choices(names).default(FUSION_DEFAULTS.function))
      .addOption(
        new Option("--level <level>", "what the function judges").choices(LEVELS).default(FUSION_DEFAULTS.level),
      )
      .option("--lambda <weight>", "weight of the label loss", number({ min: 0, max: 1 }), FUSION_DEFAULTS.lambda)
      .addOption(
        new Option("--tail <rule>", "mass outside the stored top-K").choices(TAILS).default(FUSION_DEFAULTS.tail),
      )
      .addOption(
        new Option("--unshared <rule>", "target of rows where the chosen source has none")
          .choices(UNSHARED)
          .default(FUSION_DEFAULTS.unshared),
      )
      .addOption(
        new Option(
          "--emphasis <rule>",
          "gain: conversations come up the more often the more their sources know beyond the pivot",
        )
          .choices(EMPHASES)
          .default(FUSION_DEFAULTS.emphasis),
      )
      .option(
        "--even-share <share>",
        `with --emphasis gain: share of the steps that goes to all conversations alike (default: ${FUSION_DEFAULTS.evenShare})`,
        number({ min: 0, max: 1 }),
      )
      .option("--lr <rate>", "peak learning rate", number({ min: 0 }), TRAINING_DEFAULTS.lr)
      .option("--epochs <n>", "passes over the data", integer({ min: 1 }), TRAINING_DEFAULTS.epochs)
      .option("--batch <n>", "conversations an optimiser step", integer({ min: 1 }), TRAINING_DEFAULTS.batch)
      .option(
        "--warmup-ratio <share>",
        "share of the steps in which the rate rises",
        number({ min: 0, max: 1 }),
        TRAINING_DEFAULTS.warmupRatio,
      )
      .option("--weight-decay <decay>", "decoupled, on matrices", number({ min: 0 }), TRAINING_DEFAULTS.weightDecay)
      .option("--seed <n>", "of the order of the conversations", integer({ min: 0 }), TRAINING_DEFAULTS.seed)
      .option("--no-shuffle", "keep the order of the data in every epoch")
      .addOption(
        new Option("--dtype <dtype>", "of the written weights").choices(WEIGHT_DTYPES).default(TRAINING_DEFAULTS.dtype),
      )
      .option(
        "--lora-rank <n>",
        "train adapters of this rank instead of all weights (engine torch)",
        integer({ min: 1 }),
      )
      .option(
        "--lora-alpha <alpha>",
        "an adapter counts alpha / rank times (default: twice the rank)",
        number({ min: 0 }),
      )
      .option("--lora-targets <names...>", `last names of the modules that get one (default: ${ALL_LINEAR})`)
      .option("--lora-keep", "write the adapter too, below adapter/, for peft")
      .option(
        "--checkpoint-steps <n>",
        "steps between checkpoints (default: a tenth, at least 10)",
        integer({ min: 1 }),
      )
      .option(
        "--max-length <n>",
        "without --pivot: tokens a conversation is cut to (default: 2048)",
        integer({ min: 1 }),
      );
    declareTemplate(command, "without --pivot: ");
    declareIrregular(command);
    declareEngine(command);
  },
  run: async (invocation, _positional, options) => {
    const { flags, rest } = withoutEngine(options as unknown as Options);
    const { data, irregular, date, templateVariable, templateName, ...others } = rest;
    const { loraRank, loraAlpha, loraTargets, loraKeep, evenShare, ...settings } = others;
    const lora = loraGiven({ loraRank, loraAlpha, loraTargets, loraKeep });
    if (evenShare !== undefined && settings.emphasis === "even")
      throw inputError("--even-share", EVEN_SHARE_NEEDS_GAIN);
    if (lora !== undefined && flags.engine !== "torch") throw inputError("--lora-rank", LORA_NEEDS_TORCH);
    const templates = templateGiven({
      ...(date !== undefined && { date }),
      ...(templateVariable !== undefined && { templateVariable }),
      ...(templateName !== undefined && { templateName }),
    });
    const { reporter, signal } = invocation;
    const conversations = await conversationsOf(data, irregular, { reporter, stage: "fuse" });
    const summary = await fuseTarget(
      {
        ...settings,
        model: await modelFolder(invocation, settings.model),
        conversations,
        evenShare: evenShare ?? FUSION_DEFAULTS.evenShare,
        ...(lora !== undefined && { lora }),
        ...(templates !== undefined && { templateSettings: templates }),
      },
      { engine: await invocation.engine(engineGiven(flags)), reporter, signal },
    );
    const { coverage } = summary;
    invocation.print(
      summary.skipped
        ? `${summary.out}: already finished with these settings and inputs`
        : `${summary.out}: ${summary.steps} steps, loss ${summary.firstLoss.toFixed(4)} → ${summary.lastLoss.toFixed(4)} nats per row`,
    );
    if (summary.source !== null) {
      invocation.print(
        `${summary.source} chosen in ${coverage.source_conversations} of ${coverage.conversations} conversations: ` +
          `${coverage.source_rows} of ${coverage.rows} rows have its distribution, ${coverage.unshared_rows} had none to give`,
      );
      for (const { source, conversations, rows } of coverage.sources ?? []) {
        invocation.print(`  ${source} in ${conversations} conversations, ${rows} rows`);
      }
    }
    invocation.document(summary);
    return undefined;
  },
};

/** Adapters are asked for by their rank. */
function loraGiven({ loraRank, loraAlpha, loraTargets, loraKeep }: LoraFlags): LoraSettings | undefined {
  if (loraRank === undefined) {
    const given = { "--lora-alpha": loraAlpha, "--lora-targets": loraTargets, "--lora-keep": loraKeep };
    const [first] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
    if (first !== undefined) throw inputError(first, "says how adapters are trained; add --lora-rank, or leave it out");
    return undefined;
  }
  return {
    rank: loraRank,
    alpha: loraAlpha ?? alphaOf(loraRank),
    targets: loraTargets ?? LORA_DEFAULTS.targets,
    keep: loraKeep ?? LORA_DEFAULTS.keep,
  };
}
