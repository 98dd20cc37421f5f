/** `fusechat plan`: what a recipe or a merge would do, and what it would cost. Nothing is written. */
import { leftOutSentence } from "../data/irregular.ts";
import type { MachineFacts } from "../engine/estimates.ts";
import { measuredThroughput, TRIAL_PARAMETERS } from "../engine/onnx/throughput.ts";
import { type PythonFacts, probePython } from "../engine/torch/python.ts";
import { FusechatError } from "../errors.ts";
import { readText } from "../formats/files.ts";
import type { SafetensorsHeader } from "../formats/safetensors.ts";
import { parseYamlDocuments } from "../formats/yaml.ts";
import { printHubId } from "../hub/id.ts";
import { estimateFetch } from "../models/fetch-estimate.ts";
import { outlined, textOnly } from "../models/reference.ts";
import { plannedJudge } from "../recipe/judge.ts";
import { loadForPlan } from "../recipe/load.ts";
import { hubIdsOf, locateKnownModels } from "../recipe/locate.ts";
import { openInputs, type RecipeInputs } from "../recipe/open-inputs.ts";
import { derivePlan, enginesOf, type Plan } from "../recipe/plan.ts";
import type { PlannedStage } from "../recipe/plan-stages.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { columns } from "../run/result-table.ts";
import { budgetWarnings } from "./evaluate-plan.ts";
import { fetchLines } from "./fetch-lines.ts";
import { formatBytes, formatCount, formatSeconds } from "./figures.ts";
import { declareJudge, type JudgeFlags, judgeAccess } from "./judge-options.ts";
import { showMergePlan } from "./merge-plan.ts";
import type { Invocation, Verb } from "./verb.ts";

export const planVerb: Verb = {
  name: "plan",
  summary: "show steps, tokens, disk, memory and time of a recipe or a merge; write nothing",
  declare: (command) => {
    command
      .argument("<recipe>", "recipe file, or mergekit YAML")
      .option("--no-trial", "assume a speed instead of measuring a teacher pass of the pivot, or asking for GPUs");
    declareJudge(command);
  },
  run: async (invocation, [file = ""], options) => {
    if (await isMergeFile(file)) {
      await showMergePlan(invocation, file);
      return undefined;
    }
    const { loaded, lacksData } = await loadForPlan(file);
    const { recipe: written, where } = loaded;
    const judge = plannedJudge(written, judgeAccess(options as JudgeFlags, invocation.environment));
    const outlines = new Map<string, SafetensorsHeader>();
    const folders = { whole: outlined(invocation.hub, outlines), text: textOnly(invocation.hub) };
    const { recipe, unread } = await locateKnownModels(written, folders, where);
    const inputs = await openInputs(recipe, where, judge, outlines, { unread, data: lacksData });
    // Weights that are not here yet cannot be tried.
    const trial =
      options.trial === true &&
      inputs.models.flatMap(({ weights }) => weights?.files ?? []).every((path) => !outlines.has(path));
    const looking = { trial, probe: options.trial === true };
    const plan = derivePlan(recipe, inputs, await machineOf(invocation, recipe, inputs, looking));
    const ids = hubIdsOf(written).filter((id) => !unread.some(({ model }) => model === printHubId(id)));
    const fetch = ids.length === 0 ? null : await estimateFetch(await invocation.hub(), ids);
    invocation.print(planTable(plan));
    if (fetch !== null) invocation.print(fetchLines(fetch).join("\n"));
    invocation.document(fetch === null ? plan : { ...plan, fetch });
    return undefined;
  },
};

/** mergekit's files name their method where recipes have a section. */
async function isMergeFile(file: string): Promise<boolean> {
  const [first] = parseYamlDocuments(await readText(file), "1.1");
  const value = first?.value;
  return typeof value === "object" && value !== null && "merge_method" in value;
}

interface Looking {
  /** Whether the pivot may be tried, */
  readonly trial: boolean;
  /** and Python asked for its GPUs. */
  readonly probe: boolean;
}

/** What can be found out in seconds of whatever will compute here. */
async function machineOf(
  invocation: Invocation,
  recipe: Recipe,
  { models }: RecipeInputs,
  { trial, probe }: Looking,
): Promise<MachineFacts> {
  const engines = enginesOf(recipe);
  const [pivot] = models;
  const embedded = engines.find(({ kind }) => kind === "onnx");
  const isSmall = pivot !== undefined && pivot.sizes.parameters <= TRIAL_PARAMETERS && pivot.trial.length > 0;
  const throughput =
    trial && isSmall && embedded !== undefined
      ? await measuredThroughput(await invocation.engine(embedded), pivot, recipe.distributions.top_k)
      : undefined;
  const pythons = new Map<string, PythonFacts>();
  for (const engine of probe ? engines : []) {
    if (engine.kind !== "torch" || engine.gpu !== null || engine.launch !== "local" || pythons.has(engine.python))
      continue;
    try {
      pythons.set(engine.python, await probePython(engine.python, engine.device));
    } catch (error) {
      if (!(error instanceof FusechatError)) throw error;
      const message = `${error.message}; memory is planned for, and cannot be compared`;
      invocation.reporter.report({ type: "warning", stage: "plan", message });
    }
  }
  return { ...(throughput === undefined ? {} : { throughput }), pythons };
}

/** What evaluations ask for; calls and tokens of judges before the first of them is made. */
function evaluationLines({ evaluations, recipe }: Plan): string[] {
  if (evaluations.length === 0) return [];
  const lines = evaluations.map(({ name, models, prompts, judge }) => {
    const asked = `evaluate ${name}: ${formatCount(models)} models, ${formatCount(prompts)} prompts each`;
    if (judge === null) return asked;
    const { calls, promptTokens, answerTokensAtMost, model } = judge;
    const tokens = `about ${formatCount(promptTokens)} tokens asked and at most ${formatCount(answerTokensAtMost)} answered`;
    return `${asked}; ${formatCount(calls)} calls of ${model}, ${tokens}`;
  });
  const { max_calls, max_tokens } = recipe.evaluate.judge;
  const budget = { maxCalls: max_calls ?? undefined, maxTokens: max_tokens ?? undefined };
  const estimates = evaluations.flatMap(({ judge }) => judge ?? []);
  return [...lines, ...budgetWarnings(estimates, budget), ""];
}

/** A stage that has not the memory it needs. */
function fitLine({ stage, fits, memory_bytes, memory, available_memory_bytes, ...more }: PlannedStage): string[] {
  if (fits !== false) return [];
  const { processes, advice } = more;
  const available = orUnknown(available_memory_bytes, formatBytes);
  const each = processes > 1 ? ` in each of ${processes} processes` : "";
  const way = advice === null ? "" : `; ${advice}`;
  const needed = orUnknown(memory_bytes, formatBytes);
  return [`${stage} will not fit: it needs about ${needed} of ${memory}${each}, ${available} are available${way}.`];
}

function orUnknown(value: number | null, format: (value: number) => string): string {
  return value === null ? "?" : format(value);
}

/** A sum, some of whose parts may be missing. */
function totalOf({ total }: Plan, key: Plan["total"]["partial"][number], format: (value: number) => string): string {
  if (!total.partial.includes(key)) return format(total[key]);
  return total[key] === 0 ? "?" : `over ${format(total[key])}`;
}

function trainedOn({ conversations: { train, prompts }, recipe: { data } }: Plan): string {
  if (prompts === null || data.answers === null) return `${formatCount(train)} conversations to train on`;
  const { from, per_prompt: perPrompt, max_tokens: maxTokens, select } = data.answers;
  const answers = formatCount(prompts * perPrompt * from.length);
  const scored = new Map([
    ["judge", "the judge"],
    ["reward", "the reward model"],
  ]).get(select);
  // Empty, cut and repeated answers are not scored.
  const calls = scored === undefined ? "" : `, at most as many calls of ${scored}`;
  return `${formatCount(prompts)} prompts, ${answers} answers of at most ${formatCount(maxTokens)} tokens by ${from.join(", ")}${calls}; at most ${formatCount(train)} conversations to train on, counted as if no answer were ruled out`;
}

/** What servers are asked for. */
function serverLines({ models, recipe, tokens_counted: counted }: Plan): string[] {
  const lines = models.flatMap(({ name, train_tokens: tokens, server }) => {
    if (server === null) return [];
    const asked = `${counted ? "" : "about "}${formatCount(tokens)} tokens in about ${formatCount(server.requests)} requests`;
    return `distributions ${name}: ${asked} to ${server.url} (${server.kind}), ${recipe.distributions.top_k} candidates a row`;
  });
  return lines.length === 0 ? [] : [...lines, ""];
}

/** The plan as lines for people. */
export function planTable(plan: Plan): string {
  const { conversations, models, unread, training, stages, total } = plan;
  const about = plan.tokens_counted ? "" : "about ";
  const pivotFigures = [
    `${training.targets + training.fine_tuning_runs} trainings of ${formatCount(training.steps)} steps ` +
      `(${formatCount(training.steps_per_epoch)} an epoch, ${formatCount(training.warmup_steps)} of warm-up)` +
      (training.tokens === null || training.micro_batch_tokens === null
        ? ""
        : `, ${about}${formatCount(training.tokens)} tokens each, at most ${formatCount(training.micro_batch_tokens)} at a time`),
    training.checkpoints.length === 0
      ? "no checkpoints: a training that is interrupted starts again"
      : `checkpoints after steps ${training.checkpoints.join(", ")}` +
        (training.checkpoint_bytes === null ? "" : `, at most ${formatBytes(training.checkpoint_bytes)} at a time`),
    ...(training.lesson_file_bytes === null
      ? []
      : [`${formatBytes(training.lesson_file_bytes)} of disk for what it is taught while a target trains`]),
  ];
  const lines = [
    `${trainedOn(plan)}, ${formatCount(conversations.held_out)} held out` +
      (plan.expected ? ", by data.size: the data is not here yet" : ""),
    ...(conversations.left_out.length > 0 ? [leftOutSentence(conversations.left_out)] : []),
    "",
    ...(models.length === 0 ? [] : [...modelLines(plan, about), ""]),
    ...unreadLines(plan),
    ...(unread.length === 0 ? [] : [""]),
    ...pivotFigures,
    "",
    ...serverLines(plan),
    ...evaluationLines(plan),
    ...columns([
      ["stage", "disk", "memory", "time"],
      ...stages.map((stage) => [
        stage.stage,
        orUnknown(stage.disk_bytes, formatBytes),
        orUnknown(stage.memory_bytes, formatBytes) +
          (stage.processes > 1 && stage.memory_bytes !== null ? ` x ${stage.processes}` : ""),
        orUnknown(stage.seconds, formatSeconds),
      ]),
      [
        "in all",
        totalOf(plan, "disk_bytes", formatBytes),
        totalOf(plan, "memory_bytes", formatBytes),
        totalOf(plan, "seconds", formatSeconds),
      ],
    ]),
    "",
    ...(total.work_bytes > 0 ? [`At most ${formatBytes(total.work_bytes)} of disk more while a stage works.`] : []),
    `Disk follows from the file formats; memory and time are estimates (${plan.throughput}).`,
    ...stages.flatMap(fitLine),
  ];
  for (const { name, max_length } of models) {
    if (max_length < plan.recipe.data.max_length) {
      lines.push(`${name} takes at most ${formatCount(max_length)} tokens: its conversations are cut there.`);
    }
  }
  return lines.join("\n");
}

function modelLines({ models }: Plan, about: string): string[] {
  return columns([
    ["model", "role", "architecture", "parameters", `tokens${about === "" ? "" : " (about)"}`, "rows", "refused"],
    ...models.map((model) => [
      model.name,
      model.role,
      model.architecture,
      orUnknown(model.parameters, formatCount),
      formatCount(model.train_tokens),
      formatCount(model.train_rows),
      formatCount(model.refused_conversations),
    ]),
  ]);
}

/** A sentence a reason: mostly it is the same for all. */
function unreadLines({ unread }: Plan): string[] {
  const names = new Map<string, string[]>();
  for (const { name, model, because } of unread) {
    const reason = because.startsWith(`${model}: `) ? because.slice(model.length + 2) : because;
    names.set(reason, [...(names.get(reason) ?? []), name]);
  }
  return [...names].map(
    ([reason, of]) => `Not read, and ? stands for what follows from it: ${of.join(", ")} (${reason}).`,
  );
}
