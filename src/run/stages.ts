/** The real work of each kind of unit: a recipe's settings handed to the stage that knows what to do with them. */
import { join } from "node:path";
import { alignDistributions } from "../align/align.ts";
import { writeAnswers } from "../answers/answers.ts";
import { promptsOf } from "../answers/prompts.ts";
import type { AnswerSource } from "../answers/scorers/scorer.ts";
import type { Conversation } from "../data/conversation.ts";
import { countOf, leftOutSentence, withoutFolders } from "../data/irregular.ts";
import { readConversations, readQuestions, writeConversations } from "../data/read.ts";
import { collectDistributions } from "../distributions/collect.ts";
import { writeJson } from "../formats/files.ts";
import { openWeights } from "../formats/weights.ts";
import { fuseTarget } from "../fuse/fuse.ts";
import { FUSION_DEFAULTS } from "../fuse/options.ts";
import { type MergeDtype, mergeDtypeOf } from "../merge/dtypes.ts";
import { mergeModels } from "../merge/merge.ts";
import { answerSource, rewardServer } from "../recipe/answers.ts";
import { prepareConversations } from "../recipe/conversations.ts";
import { alignedFolder, distributionsFolder, RUN_FILES, type RunModel, templateOf } from "../recipe/layout.ts";
import { mergeConfigOf } from "../recipe/merge-config.ts";
import { longestOf, openInputs } from "../recipe/open-inputs.ts";
import { derivePlan } from "../recipe/plan.ts";
import { isServed, type Recipe, type RecipeMerge, type RecipeModel } from "../recipe/recipe.ts";
import { renderReport } from "../report/index.ts";
import { compare, evaluate, judgeGates } from "./evaluation-stages.ts";
import type { PerformContext, RunStages } from "./runner.ts";
import { listeners, makeFolderOf, stageContext } from "./stage-context.ts";
import type { Unit, UnitWork } from "./units.ts";

type WorkOf<Kind extends UnitWork["kind"]> = Extract<UnitWork, { kind: Kind }>;

export const STAGES: RunStages = {
  plan: async (recipe, judge, where, outlines) => derivePlan(recipe, await openInputs(recipe, where, judge, outlines)),
  perform,
  renderReport,
};

async function perform({ work }: Unit, run: PerformContext): Promise<void> {
  switch (work.kind) {
    case "data":
      return prepareData(run);
    case "answers":
      return answer(work, run);
    case "distributions":
      return collect(work, run);
    case "align":
      return align(work, run);
    case "fuse":
      return train(run, work.target, { sources: work.sources, seed: run.recipe.seed });
    case "fine-tune":
      return train(run, work.target, { sources: [], seed: work.seed });
    case "merge":
      return merge(work, run);
    case "evaluate":
      return evaluate(work, run);
    case "compare":
      return compare(work, run);
    case "gates":
      return judgeGates(run);
  }
}

async function prepareData({ recipe, out, reporter }: PerformContext): Promise<void> {
  reporter.report({ type: "start", stage: "data" });
  const { train: training, prompts, heldOut, overlapping, leftOut } = await prepareConversations(recipe);
  const asked = prompts ?? training;
  const file = join(out, prompts === null ? RUN_FILES.train : RUN_FILES.prompts);
  await makeFolderOf(file);
  await writeConversations(file, asked);
  await writeConversations(join(out, RUN_FILES.heldOut), heldOut);
  await writeJson(join(out, RUN_FILES.leftOut), { left_out: withoutFolders(leftOut) });
  if (leftOut.length > 0) reporter.report({ type: "warning", stage: "data", message: leftOutSentence(leftOut) });
  if (overlapping > 0) {
    const message = `${overlapping} conversations stand in held_out_path too and are left out of training`;
    reporter.report({ type: "warning", stage: "data", message });
  }
  const what = prompts === null ? "conversations to train on" : "prompts to answer";
  const summary = `${asked.length} ${what}, ${heldOut.length} held out`;
  reporter.report({
    type: "end",
    stage: "data",
    summary,
    figures: {
      [prompts === null ? "train" : "prompts"]: asked.length,
      held_out: heldOut.length,
      left_out: countOf(leftOut),
    },
  });
}

async function answer({ models }: WorkOf<"answers">, run: PerformContext): Promise<void> {
  const { recipe, out, keyFor } = run;
  const settings = recipe.data.answers!;
  const { conversations } = await readQuestions(join(out, RUN_FILES.prompts));
  const { prompts, leftOut } = promptsOf(conversations, RUN_FILES.prompts);
  const sources: AnswerSource[] = [];
  for (const model of models) {
    const own = model.engine !== null && !isServed(model);
    const engine = own ? { engine: await run.engine(model.engine) } : {};
    sources.push({ subject: answerSource(recipe, model, keyFor), ...engine });
  }
  await writeAnswers(
    {
      prompts,
      leftOut: leftOut.list(),
      sources,
      perPrompt: settings.per_prompt,
      temperature: settings.temperature,
      topP: settings.top_p,
      maxTokens: settings.max_tokens,
      seed: String(recipe.seed),
      selection: settings.select,
      keep: settings.keep,
      rule: settings.rule,
      ...(settings.pattern === null ? {} : { pattern: settings.pattern }),
      reasoning: "drop",
      judge: settings.select === "judge" ? run.judge() : null,
      reward: rewardServer(settings, keyFor),
      out: join(out, RUN_FILES.train),
    },
    await stageContext(run),
  );
}

async function collect({ model }: WorkOf<"distributions">, run: PerformContext): Promise<void> {
  const { recipe, out } = run;
  const { top_k: topK, rows, template } = recipe.distributions;
  const context = await stageContext(run, model.engine);
  await collectDistributions(
    {
      model: model.model,
      name: model.name,
      conversations: await conversationsOf(run, RUN_FILES.train),
      out: join(out, distributionsFolder(model.name)),
      topK,
      rows,
      seed: recipe.seed,
      maxLength: longestOf(recipe, await context.engine.facts(model.model)),
      template,
      templateSettings: templateOf(recipe, template === "pivot" ? recipe.pivot : model),
      ...(template === "pivot" ? { templateFolder: recipe.pivot.model } : {}),
    },
    context,
  );
}

async function align({ source }: WorkOf<"align">, run: PerformContext): Promise<void> {
  const { recipe, out } = run;
  const { vocabulary, sequence, width, label_mass: labelMass, divide, within } = recipe.align;
  await alignDistributions(
    {
      pivot: join(out, distributionsFolder(recipe.pivot.name)),
      source: join(out, distributionsFolder(source.name)),
      out: join(out, alignedFolder(source.name)),
      vocabulary,
      sequence,
      width,
      labelMass,
      divide,
      within,
    },
    listeners(run),
  );
}

/** Trains the pivot on one source, on several at once, or without any on the labels alone. */
async function train(
  run: PerformContext,
  target: RunModel,
  how: { readonly sources: readonly RecipeModel[]; readonly seed: number },
): Promise<void> {
  const { recipe, out } = run;
  const { fuse } = recipe;
  const { warmup_ratio: warmupRatio, weight_decay: weightDecay, even_share: evenShare, sources: _, ...settings } = fuse;
  const { sources, seed } = how;
  await fuseTarget(
    {
      ...settings,
      warmupRatio,
      weightDecay,
      evenShare: evenShare ?? FUSION_DEFAULTS.evenShare,
      seed,
      unshared: recipe.align.unshared,
      model: recipe.pivot.model,
      conversations: await conversationsOf(run, RUN_FILES.train),
      pivot: join(out, distributionsFolder(recipe.pivot.name)),
      out: join(out, target.folder),
      aligned: sources.map(({ name }) => join(out, alignedFolder(name))),
      source: sources.map(({ name }) => join(out, distributionsFolder(name))),
    },
    await stageContext(run),
  );
}

async function merge({ merge: settings, models, merged }: WorkOf<"merge">, run: PerformContext): Promise<void> {
  const { recipe, out } = run;
  const folders = { pivot: recipe.pivot.model, models: models.map(({ folder }) => folder) };
  const config = mergeConfigOf(settings, folders, await mergedDtype(settings, recipe));
  await makeFolderOf(join(out, merged.folder));
  await mergeModels(config, { out: join(out, merged.folder), baseFolder: out }, listeners(run));
}

/** What the recipe says, else the pivot's own: that of its first tensor. */
async function mergedDtype({ dtype }: RecipeMerge, { pivot }: Recipe): Promise<MergeDtype> {
  if (dtype !== null) return dtype;
  const [first] = (await openWeights(pivot.model)).tensors.values();
  return (first === undefined ? undefined : mergeDtypeOf(first.dtype)) ?? "float32";
}

async function conversationsOf({ out }: PerformContext, file: string): Promise<Conversation[]> {
  return (await readConversations(join(out, file))).conversations;
}
