/**
 * What one thread does in an optimiser step: it keeps the sums of the gradients of its share of the tensors, and updates
 * these. Tensors are known by their place in the share.
 */
import { discard } from "../discard.ts";
import { type Parameter, PLAIN_KERNELS, type Update } from "./adamw.ts";
import { createVectorKernels } from "./vectors.ts";

export type Values = Float32Array<ArrayBuffer>;

/** Gradients of embeddings that were looked up: row i of `rows` [B*T, H] belongs to row `ids[i]` of the tensor. */
export interface LookedUp {
  readonly ids: Int32Array;
  readonly rows: Values;
}

/** The gradients of a micro-batch, null where a tensor has none. Whoever gives them has them no more. */
export interface Gradients {
  readonly tensors: readonly (Values | null)[];
  /** For one tensor of the share, after its other gradient. */
  readonly lookedUp: (LookedUp & { readonly tensor: number }) | null;
}

export interface UpdateRequest {
  readonly parameters: readonly Parameter[];
  readonly update: Update;
}

export interface OptimiserWork {
  /** Adds to the sums; the first gradients' arrays become the sums. */
  add(gradients: Gradients): Promise<null>;
  /** The sum over each tensor's entries of the squared gradient. */
  sumsOfSquares(nothing: null): Promise<readonly number[]>;
  /** Updates in place by the sums, which are gone afterwards, and gives the same memory back. */
  update(request: UpdateRequest): Promise<readonly Parameter[]>;
  /** Drops the sums. */
  forget(nothing: null): Promise<null>;
}

/** Work on tensors of so many entries. */
export function createOptimiserWork(lengths: readonly number[]): OptimiserWork {
  const { addTo, sumOfSquares, update } = createVectorKernels() ?? PLAIN_KERNELS;
  const sums: (Values | undefined)[] = new Array(lengths.length).fill(undefined);
  const sumOf = (tensor: number): Values => {
    sums[tensor] ??= new Float32Array(lengths[tensor]!);
    return sums[tensor];
  };
  const forget = async (): Promise<void> => {
    const spent = sums.filter((sum) => sum !== undefined);
    sums.fill(undefined);
    await discard(spent);
  };
  return {
    add: async ({ tensors, lookedUp }) => {
      const added: Values[] = [];
      tensors.forEach((gradient, tensor) => {
        if (gradient === null) return;
        const sum = sums[tensor];
        if (sum === undefined) {
          sums[tensor] = gradient;
        } else {
          addTo(sum, gradient);
          added.push(gradient);
        }
      });
      await discard(added);
      if (lookedUp !== null) scatterAdd(sumOf(lookedUp.tensor), lookedUp);
      return null;
    },
    sumsOfSquares: async () => sums.map((sum) => (sum === undefined ? 0 : sumOfSquares(sum))),
    update: async ({ parameters, update: numbers }) => {
      // A step without rows has no gradients; moments decay and weights move all the same.
      parameters.forEach((parameter, tensor) => {
        update(parameter, sumOf(tensor), numbers);
      });
      await forget();
      return parameters;
    },
    forget: async () => {
      await forget();
      return null;
    },
  };
}

/** The buffers that a request or an answer takes with it. */
export function buffersOf(message: Gradients | UpdateRequest | readonly Parameter[]): ArrayBuffer[] {
  if ("tensors" in message) {
    const arrays = message.lookedUp === null ? message.tensors : [...message.tensors, message.lookedUp.rows];
    return arrays.flatMap((array) => array?.buffer ?? []);
  }
  const parameters = "parameters" in message ? message.parameters : message;
  return parameters.flatMap(({ weight, mean, square }) => [weight.buffer, mean.buffer, square.buffer]);
}

/** A third of the time that the runtime takes for it. */
function scatterAdd(gradient: Values, { ids, rows }: LookedUp): void {
  const hidden = rows.length / ids.length;
  for (let i = 0; i < ids.length; i++) {
    const to = ids[i]! * hidden;
    const from = i * hidden;
    for (let h = 0; h < hidden; h++) gradient[to + h] = gradient[to + h]! + rows[from + h]!;
  }
}
