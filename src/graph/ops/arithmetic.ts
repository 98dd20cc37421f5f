/** Elementwise operations. Two operands broadcast, and the gradient of a stretched one is summed back to its shape. */
import { addNode, type Dtype, type Gradient, onnx, operation, scalar, type Value } from "../graph.ts";
import { broadcastShape, sumTo } from "./broadcast.ts";

export function add(a: Value, b: Value): Value {
  return binary("Add", a, b, (gradient) => [sumTo(gradient, a.shape), sumTo(gradient, b.shape)]);
}

export function subtract(a: Value, b: Value): Value {
  return binary("Sub", a, b, (gradient) => [sumTo(gradient, a.shape), sumTo(negate(gradient), b.shape)]);
}

export function multiply(a: Value, b: Value): Value {
  return binary("Mul", a, b, (gradient) => [
    sumTo(multiply(gradient, b), a.shape),
    sumTo(multiply(gradient, a), b.shape),
  ]);
}

export function divide(a: Value, b: Value): Value {
  const result = binary("Div", a, b, (gradient) => {
    const byB = divide(gradient, b);
    return [sumTo(byB, a.shape), sumTo(negate(multiply(byB, result)), b.shape)];
  });
  return result;
}

/** The larger of each pair; where they are equal the gradient goes to `a`. */
export function maximum(a: Value, b: Value): Value {
  return binary("Max", a, b, (gradient) => {
    const zero = scalar(a.graph, 0);
    const fromB = greater(b, a);
    return [sumTo(where(fromB, zero, gradient), a.shape), sumTo(where(fromB, gradient, zero), b.shape)];
  });
}

export function scale(a: Value, factor: number): Value {
  return factor === 1 ? a : multiply(a, scalar(a.graph, factor));
}

export function addScalar(a: Value, summand: number): Value {
  return summand === 0 ? a : add(a, scalar(a.graph, summand));
}

export function negate(a: Value): Value {
  return unary("Neg", a, (gradient) => [negate(gradient)]);
}

export function exp(a: Value): Value {
  const result = unary("Exp", a, (gradient) => [multiply(gradient, result)]);
  return result;
}

export function log(a: Value): Value {
  return unary("Log", a, (gradient) => [divide(gradient, a)]);
}

export function sqrt(a: Value): Value {
  const result = unary("Sqrt", a, (gradient) => [divide(scale(gradient, 0.5), result)]);
  return result;
}

export function reciprocal(a: Value): Value {
  const result = unary("Reciprocal", a, (gradient) => [negate(multiply(gradient, multiply(result, result)))]);
  return result;
}

export function sigmoid(a: Value): Value {
  const result = unary("Sigmoid", a, (gradient) => [
    multiply(gradient, multiply(result, subtract(scalar(a.graph, 1), result))),
  ]);
  return result;
}

/** A truth value: `a > b`. Without a gradient. */
export function greater(a: Value, b: Value): Value {
  return addNode(a.graph, [a, b], [{ shape: broadcastShape(a.shape, b.shape), dtype: "bool" }], onnx("Greater"))[0]!;
}

/** `a` where the condition holds, `b` elsewhere. */
export function where(condition: Value, a: Value, b: Value): Value {
  const shape = broadcastShape(condition.shape, broadcastShape(a.shape, b.shape));
  return operation(
    [a, b, condition],
    shape,
    (emit, [whenTrue, whenFalse, test], outputs) => emit.node("Where", [test!, whenTrue!, whenFalse!], outputs),
    (gradient) => {
      const zero = scalar(a.graph, 0);
      return [sumTo(where(condition, gradient, zero), a.shape), sumTo(where(condition, zero, gradient), b.shape), null];
    },
  );
}

/** Without a gradient. */
export function cast(a: Value, dtype: Dtype): Value {
  return addNode(a.graph, [a], [{ shape: a.shape, dtype }], (emit, inputs, outputs) => {
    const type = { float: emit.float === "float32" ? 1 : 11, int32: 6, int64: 7, bool: 9 }[dtype];
    emit.node("Cast", inputs, outputs, { to: { int: type } });
  })[0]!;
}

function unary(op: string, a: Value, gradient: Gradient): Value {
  return operation([a], a.shape, onnx(op), gradient);
}

function binary(op: string, a: Value, b: Value, gradient: Gradient): Value {
  return operation([a, b], broadcastShape(a.shape, b.shape), onnx(op), gradient);
}
