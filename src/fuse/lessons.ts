/**
 * What a target is trained on, conversation by conversation: tokens, labels and target distributions. All of it is gone
 * through, checked and counted once before the first step, and laid down in a file; after that a batch is read when its
 * step comes, so that memory does not grow with the data.
 */
import type { StageContext } from "../engine/context.ts";
import type { TrainSequence } from "../engine/engine.ts";
import { internalError, throwIfInterrupted } from "../errors.ts";
import { openLessonFile } from "./lesson-file.ts";
import type { Pair } from "./pair.ts";
import type { Rendering } from "./rendering.ts";
import { buildTargetDistributions, hasTail, type TargetDistributionRules } from "./target-distributions.ts";
import type { Coverage, SourceCoverage } from "./target-folder.ts";

export interface Lessons {
  readonly coverage: Coverage;
  /** That of the conversation at a place in the order of the shards; null where it was cut before its first response. */
  read(place: number): Promise<TrainSequence | null>;
  dispose(): Promise<void>;
}

/** Goes through the whole pair. `folder` is locked, and takes what is too large for memory until `dispose`. */
export async function openLessons(
  pair: Pair,
  rendering: Rendering,
  rules: TargetDistributionRules,
  { folder, stage, total }: { readonly folder: string; readonly stage: string; readonly total: number },
  { reporter, signal }: Pick<StageContext, "reporter" | "signal">,
): Promise<Lessons> {
  const file = await openLessonFile(folder, rules.width, hasTail(pair.sourceNames.length, rules));
  const counts = { conversations: 0, rows: 0, source_conversations: 0, source_rows: 0, unshared_rows: 0 };
  const bySource = pair.sourceNames.map((source) => ({ source, conversations: 0, rows: 0 }));
  try {
    for await (const conversations of pair.shards()) {
      throwIfInterrupted(signal, stage);
      let place = 0;
      for await (const { ids, positions } of rendering.render(conversations)) {
        const conversation = conversations[place++]!;
        const targets = buildTargetDistributions(conversation, rules);
        const { id: targetId, probability: targetProbability, tail: tailProbability } = targets;
        await file.append({ ids, positions, targetId, targetProbability, tailProbability });
        const { sourceRows, unsharedRows, ...each } = targets;
        counts.conversations++;
        counts.rows += conversation.pivot.rows;
        counts.source_rows += sourceRows;
        counts.unshared_rows += unsharedRows;
        if (sourceRows + unsharedRows > 0) counts.source_conversations++;
        for (const [index, own] of bySource.entries()) {
          own.rows += each.rowsOfSource[index]!;
          if (each.chosenRows[index]! > 0) own.conversations++;
        }
      }
      if (place !== conversations.length) throw internalError(`${place} of ${conversations.length} were rendered`);
      const done = (conversations.at(-1)?.conversation ?? -1) + 1;
      if (done > 0) reporter.report({ type: "progress", stage, done, total, unit: "conversations" });
    }
    await rendering.finish();
  } catch (error) {
    await file.dispose();
    throw error;
  }
  return {
    coverage: withSources(counts, bySource),
    read: async (place) => {
      const lesson = await file.read(place);
      return lesson.positions.length === 0 ? null : lesson;
    },
    dispose: () => file.dispose(),
  };
}

/** Of one source alone all that is counted speaks already. */
function withSources(counts: Coverage, sources: readonly SourceCoverage[]): Coverage {
  return sources.length < 2 ? counts : { ...counts, sources };
}
