/**
 * The loss of training and, in the same pass, its gradient. Label and sparse target are one thing: a few ids with
 * coefficients per row. With probabilities p, coefficients c at ids i and their sum C the gradient of
 * `-sum c log p(i)` with respect to the logits is `C p - sum c onehot(i)`; the tail adds
 * `-t log(complement)`, whose gradient is `t (p - p restricted to the complement / complement)`.
 *
 * Logits exist for one chunk of rows at a time, so memory depends neither on the number of rows nor on the width of
 * the target. The log-sum-exp comes from what is there already: `max z - log max p`.
 */
import { scalar, type Value } from "./graph.ts";
import { after } from "./ops/after.ts";
import { add, cast, divide, greater, log, maximum, multiply, negate, subtract, where } from "./ops/arithmetic.ts";
import { reduceSum } from "./ops/broadcast.ts";
import { gatherColumns, scatterColumns } from "./ops/indexing.ts";
import { gemm } from "./ops/matmul.ts";
import { reduceMax, softmax } from "./ops/reduction.ts";
import { concat, reshape, slice } from "./ops/shape.ts";
import { softCap, softCapSlope } from "./ops/soft-cap.ts";

/** The smallest complement whose logarithm is taken; below it the tail has no gradient. */
export const COMPLEMENT_FLOOR = 1e-7;

export interface SparseTargets {
  /** [rows] int32 */
  readonly label: Value;
  /** [rows] */
  readonly labelWeight: Value;
  /** [rows, width] int32; duplicates, of the label too, add up. */
  readonly targetId: Value;
  /** [rows, width]; an id counts as a target where this is positive. */
  readonly targetWeight: Value;
  /** [rows], or null for a loss without a tail. */
  readonly tailWeight: Value | null;
}

export interface SparseCrossEntropy {
  /** [rows] natural logarithm of the label's probability. */
  readonly labelLogp: Value;
  /** [rows, width] */
  readonly targetLogp: Value;
  /** [rows] log of the probability of all ids that are no target, floored; null without a tail. */
  readonly complementLog: Value | null;
  /** [rows, hidden] gradient of the sum over rows of the weighted terms. */
  readonly hiddenGradient: Value;
  /** [vocabulary, hidden] */
  readonly headGradient: Value;
  /** [rows] sum of the row's weights; zero where nothing flows back. */
  readonly rowWeight: Value;
}

export interface SparseCrossEntropyOptions {
  /** Rows whose logits exist at a time. */
  readonly chunkRows: number;
  /** Logits z become `cap * tanh(z / cap)`; null leaves them. */
  readonly logitCap: number | null;
}

/** `hidden` [rows, hidden] before the head, `head` [vocabulary, hidden]. No entries on the tape are needed. */
export function sparseCrossEntropy(
  hidden: Value,
  head: Value,
  targets: SparseTargets,
  { chunkRows, logitCap }: SparseCrossEntropyOptions,
): SparseCrossEntropy {
  const rows = hidden.shape[0]!;
  const chunks: SparseCrossEntropy[] = [];
  for (let start = 0; start < rows; start += chunkRows) {
    const cut = (value: Value): Value => slice(value, 0, start, Math.min(start + chunkRows, rows));
    const before = chunks.at(-1);
    chunks.push(
      chunkCrossEntropy(
        before === undefined ? cut(hidden) : after(cut(hidden), resultsOf(before)),
        head,
        {
          label: cut(targets.label),
          labelWeight: cut(targets.labelWeight),
          targetId: cut(targets.targetId),
          targetWeight: cut(targets.targetWeight),
          tailWeight: targets.tailWeight === null ? null : cut(targets.tailWeight),
        },
        logitCap,
        before?.headGradient,
      ),
    );
  }
  const joined = (part: (chunk: SparseCrossEntropy) => Value): Value => concat(chunks.map(part), 0);
  return {
    labelLogp: joined((chunk) => chunk.labelLogp),
    targetLogp: joined((chunk) => chunk.targetLogp),
    complementLog: targets.tailWeight === null ? null : joined((chunk) => chunk.complementLog!),
    hiddenGradient: joined((chunk) => chunk.hiddenGradient),
    headGradient: chunks.at(-1)!.headGradient,
    rowWeight: joined((chunk) => chunk.rowWeight),
  };
}

/** What is made of a chunk's logits. */
function resultsOf(chunk: SparseCrossEntropy): Value[] {
  const { targetLogp, complementLog, hiddenGradient, headGradient } = chunk;
  return [targetLogp, hiddenGradient, headGradient, ...(complementLog === null ? [] : [complementLog])];
}

function chunkCrossEntropy(
  hidden: Value,
  head: Value,
  targets: SparseTargets,
  logitCap: number | null,
  headGradientBefore: Value | undefined,
): SparseCrossEntropy {
  const { graph } = hidden;
  const rows = hidden.shape[0]!;
  const width = targets.targetId.shape[1]!;
  const column = (value: Value): Value => reshape(value, [rows, 1]);
  const ids = concat([column(targets.label), targets.targetId], 1);
  const weights = concat([column(targets.labelWeight), targets.targetWeight], 1);

  const logits = softCap(gemm(hidden, head, { transB: true }), logitCap);
  const probabilities = softmax(logits);
  const logp = subtract(gatherColumns(logits, ids), logSumExp(logits, probabilities));

  const tail = targets.tailWeight === null ? null : complementTerm(probabilities, targets, column(targets.tailWeight));
  const total = tail === null ? reduceSum(weights, [1]) : add(reduceSum(weights, [1]), tail.weight);
  // dlogits = total * (p - scatter(weights / total)): the factor moves to the narrow operands of the products below,
  // which saves a pass over [rows, vocabulary]. A row without any weight divides by one and is multiplied by zero.
  const one = scalar(graph, 1);
  const divisor = where(greater(total, scalar(graph, 0)), total, one);
  const base =
    tail === null ? probabilities : subtract(probabilities, multiply(tail.share, divide(tail.weight, divisor)));
  const dCapped = scatterColumns(base, ids, negate(divide(weights, divisor)), "add");
  const dLogits = logitCap === null ? dCapped : multiply(dCapped, softCapSlope(logits, logitCap));
  return {
    labelLogp: reshape(slice(logp, 1, 0, 1), [rows]),
    targetLogp: slice(logp, 1, 1, 1 + width),
    complementLog: tail === null ? null : reshape(tail.log, [rows]),
    hiddenGradient: multiply(gemm(dLogits, head), total),
    headGradient: gemm(dLogits, multiply(hidden, total), { transA: true, c: headGradientBefore }),
    rowWeight: reshape(total, [rows]),
  };
}

/**
 * `log` [rows, 1] of the floored complement; `share` [rows, vocabulary], the distribution within the complement; and
 * `weight` [rows, 1], the tail's weight where the complement is not floored, else 0.
 */
function complementTerm(
  probabilities: Value,
  targets: SparseTargets,
  tailWeight: Value,
): { readonly log: Value; readonly share: Value; readonly weight: Value } {
  const { graph } = probabilities;
  const zero = scalar(graph, 0);
  const floor = scalar(graph, COMPLEMENT_FLOOR);
  // Summing what is left keeps the relative precision that 1 - sum(targets) would lose.
  const isTarget = greater(targets.targetWeight, zero);
  const keep = where(isTarget, zero, scalar(graph, 1));
  const outside = scatterColumns(probabilities, targets.targetId, keep, "mul");
  const complement = reduceSum(outside, [1]);
  const floored = maximum(complement, floor);
  return {
    log: log(floored),
    share: divide(outside, floored),
    weight: multiply(tailWeight, cast(greater(complement, floor), "float")),
  };
}

/** [rows, 1] from logits and their softmax. */
export function logSumExp(logits: Value, probabilities: Value): Value {
  return subtract(reduceMax(logits, [1]), log(reduceMax(probabilities, [1])));
}
