/**
 * The gate of a SwiGLU layer (Shazeer 2020, eq. 6): `silu(gate) * up` with `silu(x) = x * sigmoid(x)`, and
 * `silu'(x) = sigmoid(x) * (1 + x - silu(x))`. By hand, because memory passes over the widest activation of a layer
 * are what the gradient costs.
 */
import { composite, operation, type Value } from "../graph.ts";
import { addScalar, multiply, sigmoid, subtract } from "./arithmetic.ts";

/** Both operands of one shape. */
export function gatedSilu(gate: Value, up: Value): Value {
  return composite([gate, up], () => {
    const activated = silu(gate);
    return {
      output: multiply(activated, up),
      gradient: (gradient) => {
        const slope = multiply(sigmoid(gate), addScalar(subtract(gate, activated), 1));
        return [multiply(multiply(gradient, up), slope), multiply(gradient, activated)];
      },
    };
  });
}

/** `x * sigmoid(x)`. */
export function silu(x: Value): Value {
  const result = operation(
    [x],
    x.shape,
    (emit, [name], outputs) => {
      if (emit.float === "float32") {
        // QuickGelu is x * sigmoid(alpha * x), in one pass.
        emit.node("QuickGelu", [name!], outputs, { alpha: { float: 1 } }, "com.microsoft");
      } else {
        const gate = emit.temporary();
        emit.node("Sigmoid", [name!], [gate]);
        emit.node("Mul", [name!, gate], outputs);
      }
    },
    (gradient) => [multiply(gradient, multiply(sigmoid(x), addScalar(subtract(x, result), 1)))],
  );
  return result;
}
