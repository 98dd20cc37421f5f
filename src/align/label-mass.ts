/**
 * What a source says of the very token that follows. Its own tokens spell the text, so where the pivot's label begins
 * and ends on boundaries of the source, the chain rule gives the probability that the source writes exactly that:
 *
 *   q = P(l1) P(l2 | l1) ... P(lk | l1 .. lk-1),   l1 .. lk the source's labels that tile the pivot's label.
 *
 * A vocabulary map knows nothing of this: it sees that the source says `2`, and not that `0` and `1` are sure to come,
 * so that a pivot with a token `201` is told to write a `2` that it never writes there. With `chain` the label has q,
 * and what is left of l1, P(l1) - q, belongs to the other places of l1. Other tokens of the source keep theirs: one that
 * begins with l1 spells another text. What q does not see is whether the pivot's token would have been a longer one
 * (`them` for the source's `the`, `m`): the text tells that it was not.
 */
import type { DistributionsShard } from "../distributions/shard.ts";
import { MINUS_INFINITY } from "../distributions/shard-columns.ts";
import { inputError, suggestion } from "../errors.ts";
import { halfToNumber } from "../formats/float.ts";
import type { RowSpans } from "./sequence.ts";
import type { SparseMap } from "./sparse-map.ts";

/** How the mass of the pivot's label is found: by the vocabulary map alone, or by the chain rule. */
export type LabelMass = "none" | "chain";

export const LABEL_MASSES: readonly LabelMass[] = ["none", "chain"];
export const DEFAULT_LABEL_MASS: LabelMass = "none";

/** The pivot's label under the source, at one row. */
export interface LabelShare {
  /** The source token that begins the label, and the pivot's label. */
  source: number;
  pivot: number;
  /** True where all of the mass that the row stores for the source token is the label's. */
  stored: boolean;
  /** Else the probability of the pivot's label, and what is left of the source token's. */
  mass: number;
  rest: number;
}

/** Where labels lie. */
type Spans = Pick<RowSpans, "turn" | "byteStart" | "byteEnd" | "endOfTurn">;

/**
 * How many source rows from `sourceRow` on tile the label of the pivot's row exactly; 0 where it begins or ends within
 * a token of the source, and for labels without bytes. The source's rows end at `sourceTo`.
 */
export function labelTokens(pivot: Spans, row: number, source: Spans, sourceRow: number, sourceTo: number): number {
  if (source.byteStart[sourceRow] !== pivot.byteStart[row]) return 0;
  return tokensToEnd(pivot, row, source, sourceRow, sourceTo);
}

/** The same of a label that begins within the first of them. */
export function tokensToEnd(pivot: Spans, row: number, source: Spans, sourceRow: number, sourceTo: number): number {
  const end = pivot.byteEnd[row]!;
  if (pivot.endOfTurn[row] === 1 || pivot.byteStart[row] === end) return 0;
  for (let j = sourceRow; j < sourceTo; j++) {
    if (source.endOfTurn[j] === 1 || source.turn[j] !== pivot.turn[row] || source.byteEnd[j]! > end) return 0;
    if (source.byteEnd[j] === end) return j + 1 - sourceRow;
  }
  return 0;
}

/**
 * Writes to `share` what the chain of `tokens` source rows from `row` on gives to the pivot's label; `source` is what
 * the map knows the first of them by, `before` the logarithm of what was written before that. False where the map says
 * the same: the only place of a stored token.
 */
export function chainLabel(
  share: LabelShare,
  pivotLabel: number,
  source: number,
  { token, labelLogp, topId, topLogp, metadata: { topK, rows } }: DistributionsShard,
  row: number,
  tokens: number,
  map: SparseMap,
  before = 0,
): boolean {
  share.source = source;
  share.pivot = pivotLabel;
  const place = placeOf(topId, topLogp, row * topK, (row + 1) * topK, token[row]!);
  // A token that was not drawn has its mass in the mean over all draws already.
  if (rows === "sampled" && place < 0) return false;
  share.stored = tokens === 1 && place >= 0;
  if (share.stored) {
    const at = map.start[source]!;
    return map.start[source + 1] !== at + 1 || map.pivot[at] !== pivotLabel;
  }
  let logp = 0;
  for (let j = row; j < row + tokens; j++) logp += labelLogp[j]!;
  share.mass = Math.exp(before + logp);
  share.rest = tokens === 1 ? 0 : Math.max(0, Math.exp(before + labelLogp[row]!) - share.mass);
  if (rows !== "sampled") return true;
  // What was drawn of l1, divided as its probability is: in the mean the same, and a row has no more than what was drawn.
  const drawn = Math.exp(before + halfToNumber(topLogp[place]!));
  share.mass = drawn * Math.exp(logp - labelLogp[row]!);
  share.rest = Math.max(0, drawn - share.mass);
  return true;
}

/** The label mass of this name. */
export function findLabelMass(name: string): LabelMass {
  const found = LABEL_MASSES.find((one) => one === name);
  if (found !== undefined) return found;
  const hint = suggestion(name, LABEL_MASSES) || `; expected ${LABEL_MASSES.join(", ")}`;
  throw inputError("align", `unknown label mass "${name}"${hint}`);
}

/** Places without mass hold nothing, whatever their id; -1 where none holds it. */
function placeOf(ids: ArrayLike<number>, logp: Uint16Array, from: number, to: number, id: number): number {
  for (let k = from; k < to && logp[k] !== MINUS_INFINITY; k++) if (ids[k] === id) return k;
  return -1;
}
