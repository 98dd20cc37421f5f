/**
 * The sparse target q of every row (FORMATS, "What training computes"): which model's distribution it is, what becomes
 * of the mass outside the stored top-K, and what stands in where a source has nothing to say.
 *
 * Legend: R rows of a conversation, W the width of all targets of a training.
 */
import { halfToNumber } from "../formats/float.ts";
import { allFrom, type Costs, type FusionFunction } from "./functions/function.ts";
import type { GroupRecord } from "./groups/record.ts";
import type { Level, Tail, Unshared } from "./options.ts";
import { alignedWidth, type Pair } from "./pair.ts";
import type { PairConversation, SourceRows } from "./pair-conversation.ts";

export interface TargetDistributionRules {
  readonly function: FusionFunction;
  readonly level: Level;
  /** What conversations like one cost the models; at `level: group`. */
  readonly record: GroupRecord | null;
  readonly tail: Tail;
  readonly unshared: Unshared;
  /** [vocabulary] 1 where the id has a token: a padded head's other ids are dropped from every target. */
  readonly hasToken: Uint8Array;
  /** W, from `targetDistributionWidth`. */
  readonly width: number;
}

export interface TargetDistributions {
  /** [R, W] unused places have id 0 and probability 0. */
  readonly id: Int32Array;
  readonly probability: Float32Array;
  /** [R] mass of the tail bucket, or null where `tail` is neither `bucket` nor `pivot`. */
  readonly tail: Float32Array | null;
  /** Rows whose target is a source's distribution, wholly or in part; and of these those of each source. */
  readonly sourceRows: number;
  readonly rowsOfSource: readonly number[];
  /** Rows for which sources are chosen but none of them has anything to say; and of each source those it is chosen for. */
  readonly unsharedRows: number;
  readonly chosenRows: readonly number[];
}

/** Sparse probabilities of one row and, for `tail: bucket` and `pivot`, the mass outside them. */
interface Sparse {
  readonly id: readonly number[];
  readonly probability: readonly number[];
  readonly tail: number;
}

const NOTHING: Sparse = { id: [], probability: [], tail: 0 };

/**
 * W: room for the distribution of any model; for those of all where the function blends them; and for the pivot's beside
 * any where it has the tail.
 */
export function targetDistributionWidth(
  { pivotWidth, alignedWidths }: Pick<Pair, "pivotWidth" | "alignedWidths">,
  { function: function_, tail }: Pick<TargetDistributionRules, "function" | "tail">,
): number {
  if (alignedWidths.length === 0) return 1;
  if (function_.blends) return alignedWidths.reduce((sum, width) => sum + width, pivotWidth);
  return tail === "pivot" ? pivotWidth + Math.max(...alignedWidths) : Math.max(1, pivotWidth, ...alignedWidths);
}

/** Whether the targets say what mass lies outside of them; of no source there is none to say. */
export function hasTail(sources: number, { tail }: Pick<TargetDistributionRules, "tail">): boolean {
  return sources > 0 && (tail === "bucket" || tail === "pivot");
}

/** The targets of one conversation. Without a source they are empty: the fusion term is then 0. */
export function buildTargetDistributions(pair: PairConversation, rules: TargetDistributionRules): TargetDistributions {
  const { rows, first } = pair.pivot;
  const { width } = rules;
  const { sources } = pair;
  const id = new Int32Array(rows * width);
  const probability = new Float32Array(rows * width);
  const tail = hasTail(sources.length, rules) ? new Float32Array(rows) : null;
  let sourceRows = 0;
  let unsharedRows = 0;
  const rowsOfSource = sources.map(() => 0);
  const chosenRows = sources.map(() => 0);
  const whole = rules.level === "row" ? null : conversationShares(pair, rules);
  for (let r = 0; r < rows && sources.length > 0; r++) {
    const row = first + r;
    const shares = whole ?? rowShares(pair, row, rules.function);
    const said = sources.map((source, index) =>
      shares[index + 1]! > 0 ? sourceDistribution(pair, source, row, rules) : null,
    );
    for (const [index, distribution] of said.entries()) {
      if (shares[index + 1]! > 0) chosenRows[index]!++;
      if (distribution !== null) rowsOfSource[index]!++;
    }
    if (said.some((distribution) => distribution !== null)) sourceRows++;
    else if (shares.some((share, model) => model > 0 && share > 0)) unsharedRows++;
    const target = rowTarget(pair, row, shares, said, rules);
    for (let k = 0; k < target.id.length; k++) {
      id[r * width + k] = target.id[k]!;
      probability[r * width + k] = target.probability[k]!;
    }
    if (tail !== null) tail[r] = target.tail;
  }
  return { id, probability, tail, sourceRows, rowsOfSource, unsharedRows, chosenRows };
}

/**
 * Each model's share of a whole conversation, from nats per byte, so that tokenizers do not bias it; at `level: group`
 * those of conversations like it. A source has no share in what it has not read (0 bytes: its template refuses it).
 */
export function conversationShares(
  pair: PairConversation,
  { function: function_, record }: Pick<TargetDistributionRules, "function" | "record">,
): number[] {
  const [first] = pair.sources;
  if (first === undefined) return [1];
  const pivotBytes = first.aligned.shard.pivotBytes[first.aligned.place]!;
  const nats: (number | null)[] = [first.aligned.shard.pivotNats[first.aligned.place]! / pivotBytes];
  for (const { aligned } of pair.sources) {
    const bytes = aligned.shard.sourceBytes[aligned.place]!;
    nats.push(bytes === 0 ? null : aligned.shard.sourceNats[aligned.place]! / bytes);
  }
  const costs: Costs = { nats, bytesPerRow: pivotBytes / pair.pivot.rows };
  if (pivotBytes === 0) return allFrom(0, costs);
  if (record === null) return function_.shares(costs);
  const known = record.nats(pair.conversation);
  return function_.shares({ ...costs, nats: nats.map((own, model) => (own === null ? null : known[model]!)) });
}

/**
 * Each model's share of one row, from the log-probabilities of the labels. They speak of the same thing only where the
 * labels are the same bytes: equal spans of the content, end of turn (empty spans at its end) with end of turn.
 */
export function rowShares(pair: PairConversation, row: number, function_: FusionFunction): number[] {
  const pivot = pair.pivot.shard;
  const nats: (number | null)[] = [-pivot.labelLogp[row]!];
  for (const { aligned, own } of pair.sources) {
    const sourceRow = aligned.shard.sourceRow[row]!;
    const at = own === null ? -1 : own.first + sourceRow;
    const isSame =
      sourceRow >= 0 &&
      own !== null &&
      own.shard.byteStart[at] === pivot.byteStart[row] &&
      own.shard.byteEnd[at] === pivot.byteEnd[row];
    nats.push(isSame ? -own.shard.labelLogp[at]! : null);
  }
  return function_.shares({ nats, bytesPerRow: 1 });
}

/** One model's part of a target. */
interface Part {
  readonly share: number;
  readonly distribution: Sparse;
}

/** `said` has of each source its distribution, null where it is not chosen (share 0) or has nothing to say. */
function rowTarget(
  pair: PairConversation,
  row: number,
  shares: readonly number[],
  said: readonly (Sparse | null)[],
  rules: TargetDistributionRules,
): Sparse {
  const parts: Part[] = [];
  let missing = 0;
  for (const [index, distribution] of said.entries()) {
    const share = shares[index + 1]!;
    if (distribution !== null) parts.push({ share, distribution });
    else missing += share;
  }
  if (missing > 0 && rules.unshared === "skip" && parts.length === 0) return NOTHING;
  const pivotShare = shares[0]! + (rules.unshared === "pivot" ? missing : 0);
  if (missing > 0 && rules.unshared === "label") parts.push({ share: missing, distribution: oneHot(pair, row) });
  if (pivotShare > 0) {
    const distribution = pivotDistribution(pair, row, rules);
    if (distribution !== null) parts.unshift({ share: pivotShare, distribution });
    // A pivot whose whole top-K are ids without a token (a padded head gone astray) says nothing either.
    else if (parts.length === 0) return rules.unshared === "label" ? oneHot(pair, row) : NOTHING;
  }
  const [only] = parts;
  return parts.length === 1 ? only!.distribution : blend(parts);
}

function oneHot(pair: PairConversation, row: number): Sparse {
  return { id: [pair.pivot.shard.token[row]!], probability: [1], tail: 0 };
}

function pivotDistribution(pair: PairConversation, row: number, rules: TargetDistributionRules): Sparse | null {
  const { shard } = pair.pivot;
  return stored(shard.topId, shard.topLogp, row, shard.metadata.topK, rules);
}

function sourceDistribution(
  pair: PairConversation,
  { aligned: { shard } }: SourceRows,
  row: number,
  rules: TargetDistributionRules,
): Sparse | null {
  if (shard.sourceRow[row]! < 0 && (shard.withinRow?.[row] ?? -1) < 0) return null;
  const own = stored(shard.topId, shard.topLogp, row, alignedWidth(shard), rules);
  return own === null || rules.tail !== "pivot" ? own : withPivotsTail(own, pivotDistribution(pair, row, rules));
}

/** The pivot's own mass elsewhere has to be this much, or nothing says how a tail is shaped. */
const LEAST_TAIL = 1e-6;

/**
 * The mass that a source's row leaves, shaped as the pivot's distribution is where the source says nothing:
 * `t p(i) / (1 - sum_S p)` for the ids i that the pivot stores outside of the source's S, and what the pivot itself has
 * beyond those for the bucket. Of ids of S that the pivot does not store nothing is known: they count as 0.
 */
function withPivotsTail(own: Sparse, pivot: Sparse | null): Sparse {
  if (pivot === null || own.tail === 0) return own;
  const said = new Set(own.id);
  const others = pivot.id.flatMap((id, k) => (said.has(id) ? [] : [{ id, mass: pivot.probability[k]! }]));
  const mass = others.reduce((sum, other) => sum + other.mass, pivot.tail);
  if (mass < LEAST_TAIL) return own;
  return {
    id: [...own.id, ...others.map(({ id }) => id)],
    probability: [...own.probability, ...others.map((other) => (own.tail * other.mass) / mass)],
    tail: (own.tail * pivot.tail) / mass,
  };
}

/** One stored row as probabilities, or null where no mass is left. The stored values are full-softmax nats. */
function stored(
  topId: Uint16Array | Uint32Array,
  topLogp: Uint16Array,
  row: number,
  width: number,
  rules: TargetDistributionRules,
): Sparse | null {
  const id: number[] = [];
  const mass: number[] = [];
  let sum = 0;
  for (let k = row * width; k < (row + 1) * width; k++) {
    const probability = Math.exp(halfToNumber(topLogp[k]!));
    if (!(probability > 0) || rules.hasToken[topId[k]!] !== 1) continue;
    id.push(topId[k]!);
    mass.push(probability);
    sum += probability;
  }
  if (sum === 0) return null;
  if (rules.tail !== "renormalise") return { id, probability: mass, tail: Math.max(0, 1 - sum) };
  return { id, probability: mass.map((probability) => probability / sum), tail: 0 };
}

/** The mean of the parts by their shares, over what there is of these: masses that meet on one id add up. */
function blend(parts: readonly Part[]): Sparse {
  const whole = parts.reduce((sum, { share }) => sum + share, 0);
  const mass = new Map<number, number>();
  let tail = 0;
  for (const { share, distribution } of parts) {
    const weight = share / whole;
    for (const [k, id] of distribution.id.entries()) {
      mass.set(id, (mass.get(id) ?? 0) + weight * distribution.probability[k]!);
    }
    tail += weight * distribution.tail;
  }
  return { id: [...mass.keys()], probability: [...mass.values()], tail };
}
