/**
 * Matrix products. The runtime's own product reads an operand transposed at no cost, so weights stay in the layout of
 * the checkpoint, `[out, in]`, and a transposed copy is never made.
 */
import { internalError } from "../../errors.ts";
import { addNode, type Contribution, type Lowering, operation, sameShape, type Value } from "../graph.ts";
import { add } from "./arithmetic.ts";
import { sumTo } from "./broadcast.ts";

export interface ProductOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** Multiplies the product. */
  readonly scale?: number;
}

/** `op(a) op(b) + c` of matrices; `c` has the shape of the product or of one row of it. */
export function gemm(a: Value, b: Value, options: ProductOptions & { readonly c?: Value | undefined } = {}): Value {
  const { transA = false, transB = false, scale = 1, c } = options;
  const [rows, inner] = matrixSize(a, transA);
  const [innerB, columns] = matrixSize(b, transB);
  if (a.shape.length !== 2 || b.shape.length !== 2 || inner !== innerB) {
    throw internalError(`no matrix product of [${a.shape}] and [${b.shape}] (${transA}, ${transB})`);
  }
  const attributes = { transA: { int: +transA }, transB: { int: +transB }, alpha: { float: scale } };
  return operation(
    c === undefined ? [a, b] : [a, b, c],
    [rows, columns],
    (emit, inputs, outputs) => emit.node("Gemm", inputs, outputs, attributes),
    (gradient) => {
      const contributions: Contribution[] = [
        (sum) =>
          transA
            ? gemm(b, gradient, { transA: transB, transB: true, scale, c: sum })
            : gemm(gradient, b, { transB: !transB, scale, c: sum }),
        (sum) =>
          transB
            ? gemm(gradient, a, { transA: true, transB: transA, scale, c: sum })
            : gemm(a, gradient, { transA: !transA, scale, c: sum }),
      ];
      if (c !== undefined) {
        contributions.push(sumTo(gradient, c.shape));
      }
      return contributions;
    },
  );
}

/** `x weight^T + bias + residual`: a linear layer on rows, weights `[out, in]` as checkpoints have them. */
export function linear(x: Value, weight: Value, bias?: Value, residual?: Value): Value {
  if (bias === undefined) return gemm(x, weight, { transB: true, c: residual });
  const product = gemm(x, weight, { transB: true, c: bias });
  return residual === undefined ? product : add(product, residual);
}

/** A product of matrices in the last two axes, the axes before them being equal: `scale * op(a) op(b)`. */
export function matmul(a: Value, b: Value, options: ProductOptions = {}): Value {
  const { transA = false, transB = false, scale = 1 } = options;
  const batch = a.shape.slice(0, -2);
  const [rows, inner] = matrixSize(a, transA);
  const [innerB, columns] = matrixSize(b, transB);
  if (!sameShape(batch, b.shape.slice(0, -2)) || inner !== innerB) {
    throw internalError(`no product of [${a.shape}] and [${b.shape}] (${transA}, ${transB})`);
  }
  return operation(
    [a, b],
    [...batch, rows, columns],
    lowerMatmul(a.shape.length, { transA, transB, scale }),
    (gradient) => [
      transA
        ? matmul(b, gradient, { transA: transB, transB: true, scale })
        : matmul(gradient, b, { transB: !transB, scale }),
      transB
        ? matmul(gradient, a, { transA: true, transB: transA, scale })
        : matmul(a, gradient, { transA: !transA, scale }),
    ],
  );
}

/**
 * Products of `a` [n, rows, inner] with `b` [n, inner, columns], or transposed, row by row: the runtime reads `b` where it lies for one
 * row, and packs it for several. Without a gradient.
 */
export function matmulByRows(a: Value, b: Value, transB: boolean): Value {
  const [count, rows, inner] = a.shape as [number, number, number];
  const [innerB, columns] = matrixSize(b, transB);
  if (count !== b.shape[0] || inner !== innerB)
    throw internalError(`no product of [${a.shape}] and [${b.shape}] (${transB})`);
  const shape = [count, rows, columns];
  return addNode(a.graph, [a, b], [{ shape, dtype: a.dtype }], (emit, [left, right], [result]) => {
    const reshaped = (name: string, size: readonly number[], to = emit.temporary(size)): string => {
      emit.node("Reshape", [name, emit.constant(size, [size.length], "int64")], [to]);
      return to;
    };
    const product = emit.temporary();
    const operands = [reshaped(left!, [count, rows, 1, inner]), reshaped(right!, [count, 1, ...b.shape.slice(1)])];
    lowerMatmul(4, { transA: false, transB, scale: 1 })(emit, operands, [product]);
    reshaped(product, shape, result!);
  })[0]!;
}

/** The runtime's fused product knows single precision only; in double it is spelt out. */
function lowerMatmul(rank: number, { transA, transB, scale }: Required<ProductOptions>): Lowering {
  return (emit, [a, b], [name]) => {
    if (emit.float === "float32") {
      const attributes = { transA: { int: +transA }, transB: { int: +transB }, alpha: { float: scale } };
      emit.node("FusedMatMul", [a!, b!], [name!], attributes, "com.microsoft");
      return;
    }
    const order = Array.from({ length: rank }, (_, axis) => axis);
    order.splice(-2, 2, rank - 1, rank - 2);
    const turned = (operand: string, flag: boolean): string => {
      if (!flag) return operand;
      const copy = emit.temporary();
      emit.node("Transpose", [operand], [copy], { perm: { ints: order } });
      return copy;
    };
    const product = emit.temporary();
    emit.node("MatMul", [turned(a!, transA), turned(b!, transB)], [product]);
    emit.node("Mul", [product, emit.constant([scale], [], "float")], [name!]);
  };
}

function matrixSize(a: Value, transposed: boolean): [number, number] {
  const [rows, columns] = a.shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}
