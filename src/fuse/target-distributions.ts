/**
 * The sparse target q of every row (FORMATS, "What training computes"): which model's distribution it is, what becomes
 * of the mass outside the stored top-K, and what stands in where the source has nothing to say.
 *
 * Legend: R rows of a conversation, W the width of all targets of a training.
 */
import { halfToNumber } from "../formats/float.ts";
import type { FusionFunction } from "./functions/function.ts";
import type { Level, Tail, Unshared } from "./options.ts";
import { alignedWidth, type Pair, type PairConversation } from "./pair.ts";

export interface TargetDistributionRules {
  readonly function: FusionFunction;
  readonly level: Level;
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
  /** [R] mass of the tail bucket, or null where `tail` is not `bucket`. */
  readonly tail: Float32Array | null;
  /** Rows whose target is the source's distribution, wholly or in part. */
  readonly sourceRows: number;
  /** Rows for which the source is chosen but has nothing to say. */
  readonly unsharedRows: number;
}

/** Sparse probabilities of one row and, for `tail: bucket`, the mass outside them. */
interface Sparse {
  readonly id: readonly number[];
  readonly probability: readonly number[];
  readonly tail: number;
}

const NOTHING: Sparse = { id: [], probability: [], tail: 0 };

/** W: room for either distribution, or for both where the function blends them. */
export function targetDistributionWidth(pair: Pair, function_: FusionFunction): number {
  if (pair.sourceName === null) return 1;
  return function_.blends ? pair.pivotWidth + pair.alignedWidth : Math.max(pair.pivotWidth, pair.alignedWidth, 1);
}

/** The targets of one conversation. Without a source they are empty: the fusion term is then 0. */
export function buildTargetDistributions(pair: PairConversation, rules: TargetDistributionRules): TargetDistributions {
  const { rows, first } = pair.pivot;
  const { width } = rules;
  const id = new Int32Array(rows * width);
  const probability = new Float32Array(rows * width);
  const tail = rules.tail === "bucket" && pair.aligned !== null ? new Float32Array(rows) : null;
  let sourceRows = 0;
  let unsharedRows = 0;
  const whole = conversationShare(pair, rules.function);
  for (let r = 0; r < rows && pair.aligned !== null; r++) {
    const row = first + r;
    const share = rules.level === "conversation" ? whole : rowShare(pair, row, rules.function);
    const source = share > 0 ? sourceDistribution(pair, row, rules) : null;
    if (source !== null) sourceRows++;
    else if (share > 0) unsharedRows++;
    const target = rowTarget(pair, row, share, source, rules);
    for (let k = 0; k < target.id.length; k++) {
      id[r * width + k] = target.id[k]!;
      probability[r * width + k] = target.probability[k]!;
    }
    if (tail !== null) tail[r] = target.tail;
  }
  return { id, probability, tail, sourceRows, unsharedRows };
}

/**
 * The source's share of a whole conversation, from nats per byte, so that tokenizers do not bias it. A conversation
 * that the source has not read (0 bytes: its template refuses it) is the pivot's.
 */
export function conversationShare(pair: PairConversation, function_: FusionFunction): number {
  if (pair.aligned === null) return 0;
  const { shard, place } = pair.aligned;
  const pivotBytes = shard.pivotBytes[place]!;
  const sourceBytes = shard.sourceBytes[place]!;
  if (sourceBytes === 0 || pivotBytes === 0) return 0;
  return function_.sourceShare(shard.pivotNats[place]! / pivotBytes, shard.sourceNats[place]! / sourceBytes);
}

/**
 * The source's share of one row, from the two label log-probabilities. They speak of the same thing only where the
 * labels are the same bytes: equal spans of the content, end of turn (empty spans at its end) with end of turn.
 */
export function rowShare(pair: PairConversation, row: number, function_: FusionFunction): number {
  const sourceRow = pair.aligned?.shard.sourceRow[row] ?? -1;
  if (sourceRow < 0 || pair.source === null) return 0;
  const pivot = pair.pivot.shard;
  const source = pair.source.shard;
  const at = pair.source.first + sourceRow;
  if (source.byteStart[at] !== pivot.byteStart[row] || source.byteEnd[at] !== pivot.byteEnd[row]) return 0;
  return function_.sourceShare(-pivot.labelLogp[row]!, -source.labelLogp[at]!);
}

/** `source` is null where it is not chosen (`share` 0) or has nothing to say. */
function rowTarget(
  pair: PairConversation,
  row: number,
  share: number,
  source: Sparse | null,
  rules: TargetDistributionRules,
): Sparse {
  if (share === 1 && source !== null) return source;
  if (share === 0 || (source === null && rules.unshared === "pivot")) {
    // A pivot whose whole top-K are ids without a token (a padded head gone astray) says nothing either.
    return pivotDistribution(pair, row, rules) ?? (rules.unshared === "label" ? oneHot(pair, row) : NOTHING);
  }
  if (source === null && rules.unshared === "skip") return NOTHING;
  const theirs = source ?? oneHot(pair, row);
  const ours = share === 1 ? null : pivotDistribution(pair, row, rules);
  return ours === null ? theirs : blend(ours, 1 - share, theirs, share);
}

function oneHot(pair: PairConversation, row: number): Sparse {
  return { id: [pair.pivot.shard.token[row]!], probability: [1], tail: 0 };
}

function pivotDistribution(pair: PairConversation, row: number, rules: TargetDistributionRules): Sparse | null {
  const { shard } = pair.pivot;
  return stored(shard.topId, shard.topLogp, row, shard.metadata.topK, rules);
}

function sourceDistribution(pair: PairConversation, row: number, rules: TargetDistributionRules): Sparse | null {
  const { shard } = pair.aligned!;
  if (shard.sourceRow[row]! < 0) return null;
  return stored(shard.topId, shard.topLogp, row, alignedWidth(shard), rules);
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

/** `ourShare * ours + theirShare * theirs`: masses that meet on one id add up. */
function blend(ours: Sparse, ourShare: number, theirs: Sparse, theirShare: number): Sparse {
  const mass = new Map<number, number>();
  for (const [k, id] of ours.id.entries()) mass.set(id, ourShare * ours.probability[k]!);
  for (const [k, id] of theirs.id.entries()) mass.set(id, (mass.get(id) ?? 0) + theirShare * theirs.probability[k]!);
  return {
    id: [...mass.keys()],
    probability: [...mass.values()],
    tail: ourShare * ours.tail + theirShare * theirs.tail,
  };
}
