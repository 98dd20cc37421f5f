/**
 * What a target is trained on, conversation by conversation: tokens, labels and target distributions. All of it is gone
 * through and checked once before the first step, and counted; after that a batch is read when its step comes, so that
 * memory does not grow with the data.
 */
import type { StageContext } from "../engine/context.ts";
import type { TrainSequence } from "../engine/engine.ts";
import { throwIfInterrupted } from "../errors.ts";
import type { Pair } from "./pair.ts";
import type { ConversationTokens, Rendering } from "./rendering.ts";
import { buildTargetDistributions, type TargetDistributionRules } from "./target-distributions.ts";
import type { Coverage, SourceCoverage } from "./target-folder.ts";
import { openTokenFile } from "./token-file.ts";

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
  const tokens = await openTokenFile(folder);
  const counts = { conversations: 0, rows: 0, source_conversations: 0, source_rows: 0, unshared_rows: 0 };
  const bySource = pair.sourceNames.map((source) => ({ source, conversations: 0, rows: 0 }));
  try {
    for await (const conversations of pair.shards()) {
      throwIfInterrupted(signal, stage);
      const rendered: ConversationTokens[] = [];
      for await (const one of rendering.render(conversations)) rendered.push(one);
      await tokens.append(rendered);
      for (const conversation of conversations) {
        const { sourceRows, unsharedRows, ...each } = buildTargetDistributions(conversation, rules);
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
      const done = (conversations.at(-1)?.conversation ?? -1) + 1;
      if (done > 0) reporter.report({ type: "progress", stage, done, total, unit: "conversations" });
    }
    await rendering.finish();
  } catch (error) {
    await tokens.dispose();
    throw error;
  }
  return {
    coverage: withSources(counts, bySource),
    read: async (place) => {
      const { ids, positions } = await tokens.read(place);
      if (positions.length === 0) return null;
      const { id, probability, tail } = buildTargetDistributions(await pair.read(place), rules);
      return { ids, positions, targetId: id, targetProbability: probability, tailProbability: tail };
    },
    dispose: () => tokens.dispose(),
  };
}

/** Of one source alone all that is counted speaks already. */
function withSources(counts: Coverage, sources: readonly SourceCoverage[]): Coverage {
  return sources.length < 2 ? counts : { ...counts, sources };
}
