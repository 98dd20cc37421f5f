/**
 * A linear layer with a weight for every group of rows, as experts need it (Gale et al. 2022, "MegaBlocks", section 4,
 * whose kernel for uneven groups this is in the runtime's terms): the rows are cut at the group borders, every part is
 * a product of its own, and the results are put together again. How many rows a group has is known only at run time;
 * their sum is static. The work is that of one linear layer on all rows, whatever the number of groups.
 *
 * A group without rows is a product of no rows in the forward pass, and in the gradient of its weight a sum over none:
 * zeros, written by the runtime in both precisions, into outputs that were allocated before, too.
 */
import { internalError } from "../../errors.ts";
import { addNode, composite, type Emitter, sameShape, type Value } from "../graph.ts";

/**
 * `x` [rows, in] sorted by group, `sizes` [groups] int64 the rows of each, summing to `rows`, `weights` [out, in] one a
 * group: [rows, out].
 */
export function groupedLinear(x: Value, sizes: Value, weights: readonly Value[]): Value {
  const [first] = weights;
  const consistent = weights.every(({ shape }) => sameShape(shape, first!.shape));
  if (first?.shape[1] !== x.shape[1] || !consistent || !sameShape(sizes.shape, [weights.length])) {
    throw internalError(`no grouped product of [${x.shape}], groups [${sizes.shape}] and [${first?.shape}]`);
  }
  return composite([x, ...weights], () => ({
    output: groupedProduct(x, sizes, weights, true),
    gradient: (dy) => [groupedProduct(dy, sizes, weights, false), ...weightGradients(dy, x, sizes)],
  }));
}

/** `x_g W_g`, or `x_g W_g^T`, of every group, one below the other. */
function groupedProduct(x: Value, sizes: Value, weights: readonly Value[], transposed: boolean): Value {
  const [count, inner] = x.shape as [number, number];
  const width = weights[0]!.shape[transposed ? 0 : 1]!;
  const part = partRows(count, weights.length);
  const attributes = { transB: { int: +transposed } };
  return addNode(
    x.graph,
    [x, sizes, ...weights],
    [{ shape: [count, width], dtype: x.dtype }],
    (emit, [rows, groups, ...names], outputs) => {
      const products = split(emit, rows!, groups!, names.length, [part, inner]).map((ofGroup, group) => {
        const product = emit.temporary([part, width]);
        emit.node("Gemm", [ofGroup, names[group]!], [product], attributes);
        return product;
      });
      emit.node("Concat", products, outputs, { axis: { int: 0 } });
    },
  )[0]!;
}

/** `dy_g^T x_g` [out, in] of every group. */
function weightGradients(dy: Value, x: Value, sizes: Value): Value[] {
  const count = sizes.shape[0]!;
  const shape = [dy.shape[1]!, x.shape[1]!] as const;
  const part = partRows(x.shape[0]!, count);
  return addNode(
    x.graph,
    [dy, x, sizes],
    Array.from({ length: count }, () => ({ shape, dtype: x.dtype })),
    (emit, [left, right, groups], outputs) => {
      const lefts = split(emit, left!, groups!, count, [part, shape[0]]);
      const rights = split(emit, right!, groups!, count, [part, shape[1]]);
      outputs.forEach((name, group) => {
        emit.node("Gemm", [lefts[group]!, rights[group]!], [name], { transA: { int: 1 } });
      });
    },
  );
}

/** Rows that a group has on average: what its part of memory is reckoned by. */
function partRows(rows: number, groups: number): number {
  return Math.ceil(rows / groups);
}

/** Names of the rows of every group. */
function split(emit: Emitter, rows: string, sizes: string, count: number, shape: readonly number[]): string[] {
  const parts = Array.from({ length: count }, () => emit.temporary(shape));
  emit.node("Split", [rows, sizes], parts, { axis: { int: 0 } });
  return parts;
}
