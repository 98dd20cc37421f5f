/**
 * `split`: the mass of a source token is divided over the pivot tokens that were found beginning where it begins, in
 * proportion to their counts over the corpus; equal bytes have no privilege. A source that says `'` where the pivot
 * would say `'s` or `'t` means both. Tokens never seen at a shared start fall to `prefix`.
 */
import { createSparseMapBuilder, type SparseMap } from "../sparse-map.ts";
import { equalOrFirst } from "./prefix.ts";
import type { StrategyInput, TokenText, VocabularyStrategy } from "./strategy.ts";

export const split: VocabularyStrategy = {
  name: "split",
  summary: "divided over the pivot tokens found beginning where it begins, by counts over the corpus, else prefix",
  source: "fusechat; counts as in FuseChat (Wan et al., 2024), mapping statistics",
  needsCounts: true,
  costly: false,
  place: divideByCounts,
};

async function divideByCounts(texts: readonly TokenText[], input: StrategyInput): Promise<SparseMap> {
  const { start, pivot, count } = input.counts;
  const seen = (source: number): boolean => source >= 0 && start[source + 1]! > start[source]!;
  const fallback = await equalOrFirst(
    texts.filter(({ source }) => !seen(source)),
    input,
  );
  const builder = createSparseMapBuilder();
  let unseen = 0;
  for (const { source } of texts) {
    if (seen(source)) {
      let total = 0;
      for (let e = start[source]!; e < start[source + 1]!; e++) total += count[e]!;
      for (let e = start[source]!; e < start[source + 1]!; e++) builder.place(pivot[e]!, count[e]! / total);
    } else {
      const id = fallback[unseen++]!;
      if (id >= 0) builder.place(id, 1);
    }
    builder.next();
  }
  return builder.build();
}
