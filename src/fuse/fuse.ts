/**
 * The fuse stage: from the pivot, its distributions and those of one aligned source to a target, a model of the
 * pivot's shape trained on both (FuseChat, section 3.2). Without aligned distributions it is plain fine-tuning, the
 * control that every fusion has to beat.
 *
 * The same options find their own work again: a finished target is recognised, an unfinished one continued from its
 * last checkpoint, to the same bytes in every file but `timing.jsonl`.
 */
import { basename, resolve } from "node:path";
import type { StageContext } from "../engine/context.ts";
import { inputError, throwIfInterrupted } from "../errors.ts";
import { lockFolder } from "../formats/lock.ts";
import { openWeights } from "../formats/weights.ts";
import { computedOtherwise, otherProgram } from "../version.ts";
import { abandonTarget, beginTarget, examineFolder, removeCheckpoints } from "./checkpoint.ts";
import { fusionFunction } from "./functions/index.ts";
import { checkOptions, type FuseOptions } from "./options.ts";
import { type Pair, readPair } from "./pair.ts";
import { describeTarget } from "./record.ts";
import { renderPair } from "./rendering.ts";
import { totalSteps } from "./schedule.ts";
import { type Coverage, checkTargetWeights, completeTarget, type TargetFigures } from "./target-folder.ts";
import { buildTargets, type TargetRules, targetWidth } from "./targets.ts";
import { train } from "./training.ts";

export interface FuseSummary {
  readonly out: string;
  readonly pivot: string;
  /** Null for plain fine-tuning. */
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
  const pair = await readPair(options);
  await checkModel(options, pair);
  const lock = await lockFolder(options.out);
  try {
    return await makeTarget(options, pair, context);
  } finally {
    await lock.release();
  }
}

/** In a folder that nobody else writes to meanwhile. */
async function makeTarget(options: FuseOptions, pair: Pair, context: StageContext): Promise<FuseSummary> {
  const stage = `fuse ${basename(resolve(options.out))}`;
  const record = await describeTarget(options, pair);
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

  const rendering = await renderPair(options, pair);
  const rules: TargetRules = {
    function: fusionFunction(options.function),
    level: options.level,
    tail: options.tail,
    unshared: options.unshared,
    hasToken: rendering.hasToken,
    width: targetWidth(pair, fusionFunction(options.function)),
  };
  const coverage = countCoverage(pair, rules);
  if (coverage.rows === 0) {
    throw inputError(
      options.pivot,
      `holds no rows: with max_length ${pair.metadata.maxLength} every conversation is cut before its first response; collect again with a larger one`,
    );
  }
  if (pair.sourceName !== null && coverage.source_rows === 0) {
    context.reporter.report({
      type: "warning",
      stage,
      message: `${pair.sourceName} is never chosen: every target is the pivot's own distribution`,
    });
  }
  throwIfInterrupted(context.signal, stage);

  const total = totalSteps(pair.conversations.length, options.batch, options.epochs);
  context.reporter.report({ type: "start", stage, total, unit: "steps" });
  await beginTarget(options.out, record, step);
  const plan = {
    stage,
    options,
    conversations: rendering.conversations,
    rules,
    lambda: pair.sourceName === null ? 1 : options.lambda,
    total,
    done: step,
  };
  const lines = await train(plan, context).catch(async (error: unknown) => {
    await abandonTarget(options.out);
    throw error;
  });
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

/** Targets must start from the very model whose distributions they keep. */
async function checkModel(options: FuseOptions, pair: Pair): Promise<void> {
  const found = await (await openWeights(options.model)).sha256();
  const expected = pair.metadata.weightsSha256;
  if (found === expected) return;
  throw inputError(
    options.pivot,
    `holds distributions of ${pair.metadata.model} (weights ${expected.slice(0, 12)}…), but ${options.model} has weights ${found.slice(0, 12)}…; collect the distributions of this model first`,
  );
}

function countCoverage(pair: Pair, rules: TargetRules): Coverage {
  let rows = 0;
  let sourceConversations = 0;
  let sourceRows = 0;
  let unsharedRows = 0;
  for (const conversation of pair.conversations) {
    const targets = buildTargets(conversation, rules);
    rows += conversation.pivot.rows;
    sourceRows += targets.sourceRows;
    unsharedRows += targets.unsharedRows;
    if (targets.sourceRows + targets.unsharedRows > 0) sourceConversations++;
  }
  return {
    conversations: pair.conversations.length,
    rows,
    source_conversations: sourceConversations,
    source_rows: sourceRows,
    unshared_rows: unsharedRows,
  };
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
    source: pair.sourceName,
    steps: figures.steps,
    coverage: figures.coverage,
    firstLoss: figures.first.loss,
    lastLoss: figures.last.loss,
    ...how,
  };
}
