/**
 * `mapping-statistics`: the pivot token with the same bytes, else the one that was most often found beginning where the
 * source token begins, else `prefix`. The idea of FuseChat's MS; its released code multiplies an edit distance by a
 * weight that grows with the count, so that among equal distances the rarer partner wins. Here the count decides alone.
 */
import type { CoStarts } from "../co-starts.ts";
import { oneToOne } from "../sparse-map.ts";
import type { Vocabulary } from "../vocabulary.ts";
import { commonPrefixLength, winsTie } from "./common-prefix.ts";
import { equalBytes } from "./exact.ts";
import { equalOrFirst } from "./prefix.ts";
import type { StrategyInput, TokenText, VocabularyStrategy } from "./strategy.ts";

export const mappingStatistics: VocabularyStrategy = {
  name: "mapping-statistics",
  summary: "equal bytes, else the pivot token most often found beginning where it begins, else prefix",
  source: "FuseChat (Wan et al., 2024), mapping statistics",
  needsCounts: true,
  costly: false,
  place: async (texts, input) => oneToOne(await equalOrCounted(texts, input)),
};

async function equalOrCounted(texts: readonly TokenText[], input: StrategyInput): Promise<Int32Array> {
  const result = equalBytes(texts, input.pivot);
  const open: number[] = [];
  texts.forEach((text, i) => {
    if (result[i] === -1) result[i] = mostFrequent(text, input.counts, input.pivot);
    if (result[i] === -1) open.push(i);
  });
  const first = await equalOrFirst(
    open.map((i) => texts[i]!),
    input,
  );
  open.forEach((i, k) => {
    result[i] = first[k]!;
  });
  return result;
}

/** The pivot token with the largest count beside the source token that spells the text, or -1. */
export function mostFrequent({ bytes, source }: TokenText, counts: CoStarts, pivot: Vocabulary): number {
  if (source < 0) return -1;
  const from = counts.start[source]!;
  const to = counts.start[source + 1]!;
  let most = 0;
  for (let e = from; e < to; e++) most = Math.max(most, counts.count[e]!);
  let best = -1;
  let bestPrefix = -1;
  for (let e = from; e < to; e++) {
    if (counts.count[e] !== most) continue;
    const id = counts.pivot[e]!;
    const prefix = commonPrefixLength(bytes, pivot.bytes(id));
    if (!winsTie(prefix, id, bestPrefix, best)) continue;
    best = id;
    bestPrefix = prefix;
  }
  return best;
}
