/**
 * Rows of the pivot that begin within a token of the source. The source has no row there, and yet it has told what
 * comes: its row at the token's beginning, given the bytes of the token that have been read since, is a distribution over
 * what follows them,
 *
 *   P(rest | read) = P(read rest) / sum over all rests of P(read rest),
 *
 * over its stored tokens that begin with what was read and go on. A source that says ` 58`, ` 61`, ` 7` tells a pivot
 * that has written the space and now writes digits which of them come. Tokens that end where the pivot stands are left
 * out, as the text tells that the source's did not end there. Byte-level sampling rests on the same rule (Phan et al.,
 * "Exact Byte-Level Probabilities from Tokenized Language Models", 2024).
 */
import { inputError, suggestion } from "../../errors.ts";
import { type Part, readsLike } from "../paired-conversations.ts";
import type { TokenBytes } from "../units/shared-vocabulary.ts";

/** What rows within a token of the source get: nothing, or the source's distribution given what was read. */
export type Within = "none" | "conditional";

export const WITHIN: readonly Within[] = ["none", "conditional"];
export const DEFAULT_WITHIN: Within = "none";

/**
 * For each row of a conversation without a row of the source (`shared` is -1) writes to `out` the source's row whose
 * label it begins within, counted as in `shared`, else -1; both are the shard's.
 */
export function findWithinRows(
  pivot: Part,
  source: Part,
  sourceVocabulary: TokenBytes,
  shared: Int32Array,
  out: Int32Array,
): void {
  const here = pivot.side.spans;
  const there = source.side.spans;
  const { lead } = pivot.side.shard;
  const readsAlike = readsLike(pivot, source);
  let j = source.from;
  for (let row = pivot.from; row < pivot.to; row++) {
    out[row] = -1;
    const start = here.byteStart[row]!;
    const turn = here.turn[row]!;
    if (shared[row] !== -1 || here.endOfTurn[row] === 1 || here.byteEnd[row] === start || lead[row] !== 0) continue;
    while (j < source.to && (there.turn[j]! < turn || (there.turn[j] === turn && endsBefore(source, j, start)))) j++;
    if (j === source.to || there.turn[j] !== turn || there.endOfTurn[j] === 1 || there.byteStart[j]! >= start) continue;
    if (!isWhole(source, j, sourceVocabulary) || !(readsAlike?.(row, j) ?? true)) continue;
    out[row] = j - source.from;
  }
}

function endsBefore({ side: { spans } }: Part, row: number, start: number): boolean {
  return spans.endOfTurn[row] === 0 && spans.byteEnd[row]! <= start;
}

/** True where a row's label has no bytes but its lead and its span: no special token, nothing cut off. */
export function isWhole({ side: { shard } }: Pick<Part, "side">, row: number, vocabulary: TokenBytes): boolean {
  const length = shard.byteEnd[row]! - shard.byteStart[row]!;
  return shard.lead[row]! + length === vocabulary.byteLength[shard.token[row]!];
}

/** Bytes of the label of source row `sourceRow`, its lead among them, that lie before the pivot's row. */
export function bytesRead(pivot: Part, row: number, source: Part, sourceRow: number): number {
  const { lead, byteStart } = source.side.shard;
  return lead[sourceRow]! + pivot.side.shard.byteStart[row]! - byteStart[sourceRow]!;
}

/** The rule of this name. */
export function findWithin(name: string): Within {
  const found = WITHIN.find((one) => one === name);
  if (found !== undefined) return found;
  const hint = suggestion(name, WITHIN) || `; expected ${WITHIN.join(", ")}`;
  throw inputError("align", `unknown rule for rows within a token "${name}"${hint}`);
}
