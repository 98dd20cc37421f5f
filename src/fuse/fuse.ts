/**
 * The fuse stage: from the pivot, its distributions and those of one aligned source to a target, a model of the
 * pivot's shape trained on both (FuseChat, section 3.2); or of several sources to one target (FuseLLM, the papers'
 * "Multi"). Without aligned distributions it is plain fine-tuning, the control that every fusion has to beat.
 *
 * The same options find their own work again: a finished target is recognised, an unfinished one continued from its
 * last checkpoint, to the same bytes in every file but `timing.jsonl`.
 */
import { basename, resolve } from "node:path";
import type { AlignedNats } from "../align/shard-file.ts";
import type { StageContext } from "../engine/context.ts";
import { isOfRevision, revisionOf } from "../engine/server/served-model.ts";
import { inputError, throwIfInterrupted } from "../errors.ts";
import { lockFolder } from "../formats/lock.ts";
import { openWeights } from "../formats/weights.ts";
import { computedOtherwise, otherProgram } from "../version.ts";
import { abandonTarget, beginTarget, examineFolder, removeCheckpoints, removeLeftovers } from "./checkpoint.ts";
import { gainWeights } from "./emphasis.ts";
import { fusionFunction } from "./functions/index.ts";
import { groupsOf } from "./groups/groups.ts";
import { type GroupRecord, recordOf } from "./groups/record.ts";
import { type Lessons, openLessons } from "./lessons.ts";
import { checkOptions, type FuseOptions, LORA_NEEDS_TORCH } from "./options.ts";
import { openPair, type Pair } from "./pair.ts";
import { openPlainPair } from "./plain-pair.ts";
import { describeTarget, sourceOf, type TargetRecord } from "./record.ts";
import { openRendering, type Rendering } from "./rendering.ts";
import { totalSteps } from "./schedule.ts";
import { type TargetDistributionRules, targetDistributionWidth } from "./target-distributions.ts";
import { type Coverage, checkTargetWeights, completeTarget, type TargetFigures } from "./target-folder.ts";
import { train } from "./training.ts";

export interface FuseSummary {
  readonly out: string;
  readonly pivot: string;
  /** Null for plain fine-tuning; of several their names with ` + ` between them. */
  readonly source: string | null;
  readonly steps: number;
  readonly coverage: Coverage;
  /** Loss of the first and of the last step, nats per row. */
  readonly firstLoss: number;
  readonly lastLoss: number;
  /** True where the target was already there. */
  readonly skipped: boolean;
  /** Steps that an earlier, interrupted run had done. */
  readonly resumedFrom: number;
}

export async function fuseTarget(options: FuseOptions, context: StageContext): Promise<FuseSummary> {
  checkOptions(options);
  if (options.lora !== undefined && context.engine.trainWhole === undefined) throw inputError("fuse", LORA_NEEDS_TORCH);
  const pair = await openInputs(options, context);
  const lock = await lockFolder(options.out);
  try {
    return await makeTarget(options, pair, context);
  } finally {
    await lock.release();
  }
}

async function openInputs(options: FuseOptions, context: StageContext): Promise<Pair> {
  const { pivot } = options;
  if (pivot === undefined) return openPlainPair(options, stageOf(options), context);
  const pair = await openPair({ ...options, pivot });
  await checkModel(pivot, options, pair);
  return pair;
}

function stageOf({ out }: FuseOptions): string {
  return `fuse ${basename(resolve(out))}`;
}

/** In a folder that nobody else writes to meanwhile. */
async function makeTarget(options: FuseOptions, pair: Pair, context: StageContext): Promise<FuseSummary> {
  const stage = stageOf(options);
  const record = await describeTarget(options, pair, context.engine);
  const { finished, begun, step } = await examineFolder(options.out, record);
  const other = begun === null ? null : otherProgram(begun.program, "target");
  if (other !== null) {
    const message = computedOtherwise(`${options.out} was ${finished === null ? "begun" : "trained"}`, other);
    context.reporter.report({ type: "warning", stage, message });
  }
  if (finished !== null) {
    await checkTargetWeights(options.out, finished);
    await removeCheckpoints(options.out);
    return summary(options, pair, finished.figures as TargetFigures, { skipped: true, resumedFrom: 0 });
  }

  await removeLeftovers(options.out, step);
  const rendering = await openRendering(options, pair);
  let lessons: Lessons;
  let weights: Float64Array | null = null;
  try {
    const total = options.conversations.length;
    context.reporter.report({ type: "start", stage: `${stage} data`, total, unit: "conversations" });
    const place = { folder: options.out, stage: `${stage} data`, total };
    const nats = await groupNats(options, pair);
    const group = nats && recordOfGroups(options, nats, stage, context);
    if (options.emphasis === "gain" && group !== null) {
      weights = gainWeights(group, nats![0]!.conversation, options.evenShare);
    }
    const rules = rulesOf(options, pair, rendering, group);
    lessons = await openLessons(pair, rendering, rules, place, context);
  } finally {
    await rendering.dispose();
  }
  try {
    return await trainTarget(options, pair, { stage, record, lessons, weights, step }, context);
  } finally {
    await lessons.dispose();
  }
}

interface Begun {
  readonly stage: string;
  readonly record: TargetRecord;
  readonly lessons: Lessons;
  readonly weights: Float64Array | null;
  /** Steps that are done. */
  readonly step: number;
}

async function trainTarget(
  options: FuseOptions,
  pair: Pair,
  { stage, record, lessons, weights, step }: Begun,
  context: StageContext,
): Promise<FuseSummary> {
  const { coverage } = lessons;
  if (coverage.rows === 0) {
    throw inputError(
      options.pivot ?? "the data",
      `holds no rows: with max_length ${pair.metadata.maxLength} every conversation is cut before its first response; try a larger one`,
    );
  }
  for (const message of idleSources(pair, coverage)) context.reporter.report({ type: "warning", stage, message });
  throwIfInterrupted(context.signal, stage);

  const total = totalSteps(coverage.conversations, options.batch, options.epochs);
  context.reporter.report({ type: "start", stage, total, unit: "steps" });
  if (step === 0) await beginTarget(options.out, record);
  const lambda = pair.sourceNames.length === 0 ? 1 : options.lambda;
  const lines = await train({ stage, options, lessons, weights, lambda, total, done: step }, context).catch(
    async (error: unknown) => {
      await abandonTarget(options.out);
      throw error;
    },
  );
  const figures: TargetFigures = { steps: total, coverage, first: lines[0]!, last: lines.at(-1)! };
  await completeTarget(options.model, options.out, record, figures);
  await removeCheckpoints(options.out);
  const done = summary(options, pair, figures, { skipped: false, resumedFrom: step });
  context.reporter.report({
    type: "end",
    stage,
    summary: `${total} steps, loss ${done.firstLoss.toFixed(4)} to ${done.lastLoss.toFixed(4)} nats per row`,
    figures: { ...done },
  });
  return done;
}

/** What to say of sources that no target has anything of. */
function idleSources({ sourceNames }: Pair, { source_rows: rows, sources }: Coverage): string[] {
  if (sourceNames.length === 0) return [];
  if (rows === 0) {
    const verb = sourceNames.length === 1 ? "is" : "are";
    return [`${sourceNames.join(" and ")} ${verb} never chosen: every target is the pivot's own distribution`];
  }
  const idle = (sources ?? []).filter((source) => source.rows === 0);
  return idle.map(({ source }) => `${source} is never chosen: no target has anything of it`);
}

/** What every conversation costs the models, a list a source; null where no choice leans on conversations that are alike. */
async function groupNats({ level }: FuseOptions, pair: Pair): Promise<readonly AlignedNats[] | null> {
  return level === "group" && pair.sourceNames.length > 0 ? await pair.nats() : null;
}

/** What conversations like each other cost the models. */
function recordOfGroups(
  { conversations }: FuseOptions,
  nats: readonly AlignedNats[],
  stage: string,
  { reporter }: Pick<StageContext, "reporter">,
): GroupRecord {
  const groups = groupsOf(conversations);
  const found = new Set(groups.group).size;
  if (found === 1) {
    const message = `all conversations are one group, by their ${groups.by}: one model is chosen for all of them; give the records a category, or take level: conversation`;
    reporter.report({ type: "warning", stage, message });
  } else {
    const summary = `${found} groups of conversations, by their ${groups.by}`;
    reporter.report({ type: "end", stage: `${stage} groups`, summary, figures: { groups: found, by: groups.by } });
  }
  return recordOf(groups, nats);
}

function rulesOf(
  options: FuseOptions,
  pair: Pair,
  { hasToken }: Rendering,
  record: GroupRecord | null,
): TargetDistributionRules {
  const { level, tail, unshared } = options;
  const function_ = fusionFunction(options.function);
  const width = targetDistributionWidth(pair, { function: function_, tail });
  return { function: function_, level, record, tail, unshared, hasToken, width };
}

/** Targets must start from the very model whose distributions they keep. */
async function checkModel(pivot: string, options: FuseOptions, pair: Pair): Promise<void> {
  const { model: name, served } = pair.metadata;
  if (served !== undefined) {
    const revision = await revisionOf(options.model);
    if (isOfRevision(served, revision)) return;
    throw inputError(
      pivot,
      `holds distributions of ${name} from a server (${served}), but ${options.model} is ${revision}; give the model that the server has, by the same folder or id, or collect the distributions of this one`,
    );
  }
  const found = await (await openWeights(options.model)).sha256();
  const expected = pair.metadata.weightsSha256;
  if (found === expected) return;
  throw inputError(
    pivot,
    `holds distributions of ${pair.metadata.model} (weights ${expected.slice(0, 12)}…), but ${options.model} has weights ${found.slice(0, 12)}…; collect the distributions of this model first`,
  );
}

function summary(
  options: FuseOptions,
  pair: Pair,
  figures: TargetFigures,
  how: { skipped: boolean; resumedFrom: number },
): FuseSummary {
  return {
    out: options.out,
    pivot: pair.metadata.model,
    source: sourceOf(pair),
    steps: figures.steps,
    coverage: figures.coverage,
    firstLoss: figures.first.loss,
    lastLoss: figures.last.loss,
    ...how,
  };
}
