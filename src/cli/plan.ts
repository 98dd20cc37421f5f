/** `fusechat plan`: what a recipe or a merge would do, and what it would cost. Nothing is written. */
import { leftOutSentence } from "../data/irregular.ts";
import { readText } from "../formats/files.ts";
import type { SafetensorsHeader } from "../formats/safetensors.ts";
import { parseYamlDocuments } from "../formats/yaml.ts";
import { estimateFetch } from "../models/fetch-estimate.ts";
import { outlined } from "../models/reference.ts";
import type { Throughput } from "../recipe/estimates.ts";
import { assumedThroughput, measuredThroughput, TRIAL_PARAMETERS, threadsOf } from "../recipe/estimates.ts";
import { plannedJudge } from "../recipe/judge.ts";
import { loadRecipe } from "../recipe/load.ts";
import { hubIdsOf, locateModels } from "../recipe/locate.ts";
import { openInputs, type RecipeInputs } from "../recipe/open-inputs.ts";
import { derivePlan, type Plan } from "../recipe/plan.ts";
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
      .option("--no-trial", "assume a speed instead of measuring a teacher pass of the pivot");
    declareJudge(command);
  },
  run: async (invocation, [file = ""], options) => {
    if (await isMergeFile(file)) {
      await showMergePlan(invocation, file);
      return undefined;
    }
    const { recipe: written, where } = await loadRecipe(file);
    const judge = plannedJudge(written, judgeAccess(options as JudgeFlags, invocation.environment));
    const outlines = new Map<string, SafetensorsHeader>();
    const recipe = await locateModels(written, outlined(invocation.hub, outlines), where);
    const inputs = await openInputs(recipe, where, judge, outlines);
    // Weights that are not here yet cannot be tried.
    const trial = options.trial === true && inputs.models[0]!.weights.files.every((path) => !outlines.has(path));
    const plan = derivePlan(recipe, inputs, await throughputOf(invocation, recipe, inputs, trial));
    const ids = hubIdsOf(written);
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

async function throughputOf(
  invocation: Invocation,
  recipe: Recipe,
  inputs: RecipeInputs,
  trial: boolean,
): Promise<Throughput> {
  const pivot = inputs.models[0]!;
  const isSmall = pivot.facts.parameters <= TRIAL_PARAMETERS && pivot.trial.length > 0;
  if (!trial || !isSmall || pivot.model === null) return assumedThroughput(threadsOf(recipe));
  return measuredThroughput(await invocation.engine(), pivot, recipe.distributions.top_k);
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

/** The plan as lines for people. */
export function planTable(plan: Plan): string {
  const { conversations, models, training, stages, total } = plan;
  const about = plan.tokens_counted ? "" : "about ";
  const lines = [
    `${formatCount(conversations.train)} conversations to train on, ${formatCount(conversations.held_out)} held out`,
    ...(conversations.left_out.length > 0 ? [leftOutSentence(conversations.left_out)] : []),
    "",
    ...columns([
      ["model", "role", "architecture", "parameters", `tokens${about === "" ? "" : " (about)"}`, "rows", "refused"],
      ...models.map((model) => [
        model.name,
        model.role,
        model.architecture,
        formatCount(model.parameters),
        formatCount(model.train_tokens),
        formatCount(model.train_rows),
        formatCount(model.refused_conversations),
      ]),
    ]),
    "",
    `${training.targets + training.fine_tuning_runs} trainings of ${formatCount(training.steps)} steps ` +
      `(${formatCount(training.steps_per_epoch)} an epoch, ${formatCount(training.warmup_steps)} of warm-up), ` +
      `${about}${formatCount(training.tokens)} tokens each, at most ${formatCount(training.micro_batch_tokens)} at a time`,
    training.checkpoints.length === 0
      ? "no checkpoints: a training that is interrupted starts again"
      : `checkpoints after steps ${training.checkpoints.join(", ")}, at most ${formatBytes(training.checkpoint_bytes)} at a time`,
    `${formatBytes(training.token_file_bytes)} of disk for tokens while a target trains`,
    "",
    ...evaluationLines(plan),
    ...columns([
      ["stage", "disk", "memory", "time"],
      ...[...stages, { stage: "in all", ...total }].map((stage) => [
        stage.stage,
        formatBytes(stage.disk_bytes),
        formatBytes(stage.memory_bytes),
        formatSeconds(stage.seconds),
      ]),
    ]),
    "",
    `Disk follows from the file formats; memory and time are estimates (${plan.throughput}).`,
  ];
  for (const { stage, memory_bytes, fits } of stages) {
    if (fits) continue;
    const available = formatBytes(plan.available_memory_bytes);
    lines.push(
      `${stage} will not fit: it needs about ${formatBytes(memory_bytes)} of memory, ${available} are available.`,
    );
  }
  for (const { name, max_length } of models) {
    if (max_length < plan.recipe.data.max_length) {
      lines.push(`${name} takes at most ${formatCount(max_length)} tokens: its conversations are cut there.`);
    }
  }
  return lines.join("\n");
}
