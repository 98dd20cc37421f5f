/** `fusechat answers`: prompts answered by the sources, the best answers as a data set to fuse on. */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { writeAnswers } from "../answers/answers.ts";
import type { AnswersCard } from "../answers/card.ts";
import { promptsOf } from "../answers/prompts.ts";
import { SCORERS } from "../answers/scorers/index.ts";
import type { AnswerSource } from "../answers/scorers/scorer.ts";
import { KEPT, type Kept } from "../answers/select.ts";
import { type IrregularRule, LeftOutCounts, leftOutSentence } from "../data/irregular.ts";
import { readQuestions } from "../data/read.ts";
import type { EndpointOptions } from "../engine/endpoint/endpoint.ts";
import { EMBEDDED } from "../engine/index.ts";
import { inputError } from "../errors.ts";
import { RULE_NAMES } from "../evaluate/benchmarks/exact-match/rules.ts";
import type { Reasoning } from "../evaluate/reasoning.ts";
import { columns } from "../run/result-table.ts";
import { declareIrregular } from "./conversations-option.ts";
import { declareEngine, type EngineFlags, engineGiven, withoutEngine } from "./engine-options.ts";
import { subjectOf } from "./evaluate-models.ts";
import { formatCount } from "./figures.ts";
import {
  checkedUrl,
  declareJudge,
  declareJudgeBudget,
  declareRequests,
  type JudgeFlags,
  judgeOf,
  keyIn,
  type RequestFlags,
  requests,
} from "./judge-options.ts";
import { lazyEngine } from "./lazy-engine.ts";
import { integer, number } from "./option-values.ts";
import { declareTemplate, type TemplateFlags } from "./template-options.ts";
import type { Verb } from "./verb.ts";

interface Options extends TemplateFlags, EngineFlags, JudgeFlags, RequestFlags {
  readonly prompts: string;
  readonly model: readonly string[];
  readonly out: string;
  readonly irregular: IrregularRule;
  readonly perPrompt: number;
  readonly temperature: number;
  readonly topP: number;
  readonly maxTokens: number;
  readonly seed: number;
  readonly modelKeyEnv?: string;
  readonly select: string;
  readonly keep?: Kept;
  readonly rule?: string;
  readonly pattern?: string;
  readonly reasoning: Reasoning;
  readonly rewardUrl?: string;
  readonly rewardModel?: string;
  readonly rewardKeyEnv?: string;
}

export const answersVerb: Verb = {
  name: "answers",
  summary: "have models answer prompts, and keep the best answers as a data set",
  long: true,
  declare: (command: Command) => {
    const several = (text: string, before: readonly string[] | undefined): string[] => [...(before ?? []), text];
    command
      .requiredOption("--prompts <path>", "conversations or questions: a file, a folder or a pattern of files")
      .requiredOption(
        "--model <model>",
        "who answers: a folder, org/name of the Hub, RUN:NAME or MODEL@URL; may come several times",
        several,
      )
      .requiredOption("--out <file>", "the data set, JSON Lines; the same command goes on where it was stopped")
      .option("--per-prompt <n>", "answers of each model to each prompt", integer({ min: 1, max: 1000 }), 5)
      .option("--temperature <t>", "of sampling; 0 takes the most probable token", number({ min: 0 }), 0.8)
      .option("--top-p <p>", "draw from the most probable tokens with this mass", number({ min: 1e-6, max: 1 }), 0.95)
      .option("--max-tokens <n>", "tokens an answer is cut at; cut answers are left out", integer({ min: 1 }), 1024)
      .option("--seed <n>", "of what is drawn", integer(), 0)
      .option("--model-key-env <name>", "variable with the key of models behind servers (default: OPENAI_API_KEY)");
    const add = (option: Option): void => void command.addOption(option.helpGroup("Selection:"));
    const summaries = SCORERS.map(({ name, summary }) => `${name}: ${summary}`).join("; ");
    add(new Option("--select <by>", summaries).choices(SCORERS.map(({ name }) => name)).default("none"));
    add(
      new Option(
        "--keep <which>",
        "the best answer of all models, the best of each, or all that are not ruled out (default: all without --select, else best)",
      ).choices(KEPT),
    );
    add(
      new Option("--rule <name>", "of --select rule: what of an answer counts (default: number)").choices(RULE_NAMES),
    );
    add(new Option("--pattern <regex>", "the rule regex: its first group, or its match, is the answer"));
    add(
      new Option("--reasoning <what>", "reasoning before answers (up to the last </think>): what selection sees of it")
        .choices(["drop", "keep"])
        .default("drop"),
    );
    add(new Option("--reward-url <url>", "the reward model's server, with the route: http://127.0.0.1:8000/pooling"));
    add(new Option("--reward-model <name>", "the server's name of the reward model (default: reward)"));
    add(new Option("--reward-key-env <name>", "environment variable that holds its key (default: no key)"));
    declareJudge(command);
    declareJudgeBudget(command);
    declareRequests(command);
    declareTemplate(command, "folders: ");
    declareIrregular(command);
    declareEngine(command);
    command.addHelpText("after", EXAMPLES);
  },
  run: async (invocation, _positional, given) => {
    const { flags: engineFlags, rest: options } = withoutEngine(given as unknown as Options);
    const { environment, hub, reporter, signal } = invocation;
    if (!options.out.endsWith(".jsonl"))
      throw inputError("--out", `expected a name that ends with .jsonl, found ${JSON.stringify(options.out)}`);
    const models: AnswerSource["subject"][] = [];
    if (resolve(options.out) === resolve(options.prompts))
      throw inputError("--out", `${options.out} is what is asked; name another file`);
    for (const text of options.model) {
      const { subject } = await subjectOf(text, options, { environment, hub });
      if (subject.kind !== "ensemble") models.push(subject);
    }
    const twice = models.find(({ name }, index) => models.findIndex((other) => other.name === name) < index);
    if (twice !== undefined) throw inputError("--model", `${twice.name} is there twice; leave one of them out`);
    const read = await readQuestions(options.prompts, options.irregular);
    const { prompts, leftOut: unasked } = promptsOf(read.conversations, options.prompts);
    const leftOut = new LeftOutCounts();
    for (const counts of [read.leftOut, unasked.list()]) leftOut.addAll(counts);
    if (leftOut.list().length > 0) {
      reporter.report({ type: "warning", stage: "answers", message: leftOutSentence(leftOut.list()) });
    }
    const settings = engineGiven(engineFlags) ?? EMBEDDED;
    const engine = lazyEngine(settings, () => invocation.engine(settings));
    const judged = options.select === "judge";
    const [foreign] = foreignFlags(options);
    if (foreign !== undefined)
      throw inputError(foreign[0], `belongs to --select ${foreign[1]}; add that, or leave it out`);
    const card = await writeAnswers(
      {
        prompts,
        leftOut: leftOut.list(),
        sources: models.map((subject) => ({ subject })),
        perPrompt: options.perPrompt,
        temperature: options.temperature,
        topP: options.topP,
        maxTokens: options.maxTokens,
        seed: String(options.seed),
        selection: options.select,
        keep: options.keep ?? (options.select === "none" ? "all" : "best"),
        rule: options.rule ?? "number",
        ...(options.pattern === undefined ? {} : { pattern: options.pattern }),
        reasoning: options.reasoning,
        judge: judged ? judgeOf(options, environment) : null,
        reward: rewardOf(options, environment),
        out: options.out,
      },
      { engine, reporter, signal },
    );
    for (const line of cardLines(card, options.out)) invocation.print(line);
    invocation.document({ out: options.out, ...card });
    return undefined;
  },
};

const EXAMPLES = `
Answers, scores and the card are kept beside the data set (F-answers-MODEL.jsonl, F-card.json) and never asked for twice.

  fusechat answers --prompts questions.jsonl --model out/a --model out/b --per-prompt 5 --out drawn.jsonl
  fusechat answers --prompts gsm8k.jsonl --model out/a --select rule --rule number --keep all --out right.jsonl
  fusechat answers --prompts questions.jsonl --model qwen@http://127.0.0.1:8000/v1 --select judge --judge gpt-4o --out best.jsonl
`;

/** Flags of a selection that is not made, and which that is. */
function foreignFlags(options: Omit<Options, keyof EngineFlags>): (readonly [flag: string, selection: string])[] {
  const { select, judge, judgeUrl, rule, pattern, rewardUrl, rewardModel } = options;
  const flags = { judge: { judge, judgeUrl }, rule: { rule, pattern }, reward: { rewardUrl, rewardModel } };
  return Object.entries(flags).flatMap(([selection, values]) =>
    Object.entries(values)
      .filter(([, value]) => selection !== select && value !== undefined)
      .map(([name]) => [`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, selection] as const),
  );
}

function rewardOf(
  options: Omit<Options, keyof EngineFlags>,
  environment: Readonly<Record<string, string | undefined>>,
): EndpointOptions | null {
  const { select, rewardUrl, rewardModel, rewardKeyEnv } = options;
  if (select !== "reward") return null;
  if (rewardUrl === undefined)
    throw inputError("--select", "reward needs the reward model's server; add --reward-url URL");
  const apiKey = rewardKeyEnv === undefined ? undefined : keyIn(environment, rewardKeyEnv, "--reward-key-env");
  return {
    url: checkedUrl(rewardUrl, "--reward-url"),
    model: rewardModel ?? "reward",
    ...(apiKey === undefined ? {} : { apiKey }),
    ...requests(options),
  };
}

function cardLines({ prompts, records, unanswered, sources, settings }: AnswersCard, out: string): string[] {
  // Where all are worth the same, nobody wins.
  const isScored = settings.select !== "none";
  const none = unanswered === 0 ? "" : `, none to ${formatCount(unanswered)}`;
  const rows = sources.map(({ name, drawn, empty, refused, cut, duplicates, selected, wins, mean_bytes: bytes }) => [
    name,
    ...[drawn, empty, refused, cut, duplicates, selected, ...(isScored ? [wins] : []), Math.round(bytes)].map(
      formatCount,
    ),
  ]);
  const head = [
    "model",
    "drawn",
    "empty",
    "refused",
    "cut",
    "said before",
    "selected",
    ...(isScored ? ["wins"] : []),
    "mean bytes",
  ];
  return [
    `${out}: ${formatCount(records)} answers to ${formatCount(prompts)} prompts${none}`,
    ...columns([head, ...rows]),
  ];
}
