/**
 * The gate of a GeGLU layer (Shazeer 2020, eq. 6): `gelu(gate) * up`, with the approximation of Hendrycks and Gimpel
 * (2016, section 2) that checkpoints call `gelu_pytorch_tanh`: `gelu(x) = x (1 + tanh(u)) / 2 = x sigmoid(2 u)` with
 * `2 u = x (a + b x^2)`. With `s = sigmoid(2 u)` and `y = x s` the slope is `s + y (1 - s) (a + 3 b x^2)`, by hand for
 * the same reason as in the gate of a SwiGLU layer.
 */
import { composite, type Emitter, operation, scalar, type Value } from "../graph.ts";
import { add, addScalar, multiply, scale, sigmoid, subtract } from "./arithmetic.ts";

const A = 2 * Math.sqrt(2 / Math.PI);
const B = 0.044715 * A;

/** Both operands of one shape. */
export function gatedGelu(gate: Value, up: Value): Value {
  return composite([gate, up], () => {
    const activated = gelu(gate);
    return {
      output: multiply(activated, up),
      gradient: (gradient) => [multiply(multiply(gradient, up), slope(gate, activated)), multiply(gradient, activated)],
    };
  });
}

/** `x sigmoid(x (a + b x^2))`. */
export function gelu(x: Value): Value {
  const result = operation(
    [x],
    x.shape,
    (emit, [name], [output]) => {
      if (emit.float === "float32") {
        emit.node("Gelu", [name!], [output!], { approximate: { string: "tanh" } });
      } else {
        lowerPlain(emit, name!, output!);
      }
    },
    (gradient) => [multiply(gradient, slope(x, result))],
  );
  return result;
}

function slope(x: Value, activated: Value): Value {
  const square = multiply(x, x);
  const share = sigmoid(multiply(x, addScalar(scale(square, B), A)));
  const rest = multiply(activated, subtract(scalar(x.graph, 1), share));
  return add(share, multiply(rest, addScalar(scale(square, 3 * B), A)));
}

/** The runtime's own kernel knows single precision only. */
function lowerPlain(emit: Emitter, x: string, output: string): void {
  const compute = (op: string, ...operands: string[]): string => {
    const value = emit.temporary();
    emit.node(op, operands, [value]);
    return value;
  };
  const number = (value: number): string => emit.constant([value], [], "float");
  const factor = compute("Add", compute("Mul", compute("Mul", x, x), number(B)), number(A));
  emit.node("Mul", [x, compute("Sigmoid", compute("Mul", x, factor))], [output]);
}
