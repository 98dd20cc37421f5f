/** The two methods that average every entry over the models that moved it. */
import { z } from "zod";
import { CHUNK_ENTRIES, type Chunk, defineMethod, type MergeMethod, type Pass } from "../method.ts";

/** As a constant of this file the compiler folds it; read through the import it costs a fifth of the time. */
const STRIDE = CHUNK_ENTRIES;

interface MoverMethod {
  readonly name: string;
  readonly summary: string;
  /** Entries of a single mover are lengthened by how much the model overlaps with others. */
  readonly lengthens: boolean;
}

export function moverMethod({ name, summary, lengthens }: MoverMethod): MergeMethod {
  return defineMethod({
    name,
    summary,
    paper: "Behavior Knowledge Merge in Reinforced Agentic Models (2026), arXiv:2601.13572",
    base: "origin",
    options: z.strictObject({
      epsilon: z.number().min(0).default(1e-5).describe("updates up to this size count as none"),
      ...(lengthens && {
        r: z.number().default(0.1).describe("how much overlap lengthens"),
        alpha: z.number().default(0.2).describe("overlap that counts at most"),
      }),
    }),
    modelOptions: z.strictObject({}),
    *tensor({ models, options }) {
      const { epsilon, r = 0, alpha = 0 } = options as { epsilon: number; r?: number; alpha?: number };
      const factors = new Float64Array(models).fill(1);
      if (lengthens) {
        const { shared, unique } = yield* countMovers(models, epsilon);
        for (let j = 0; j < models; j++)
          if (unique[j]! > 0) factors[j]! += r * Math.min(alpha, shared[j]! / unique[j]!);
      }
      return { write: (chunk, merged) => mergeMovers(chunk, epsilon, factors, merged) };
    },
  });
}

/** Per model: entries that it moved with others, and alone. */
function* countMovers(
  models: number,
  epsilon: number,
): Generator<Pass, { shared: Float64Array; unique: Float64Array }, void> {
  const moved = new Float64Array(models);
  const unique = new Float64Array(models);
  yield ({ models: values, base, count }) => {
    for (let i = 0; i < count; i++) {
      let movers = 0;
      let last = 0;
      for (let j = 0, place = i; j < models; j++, place += STRIDE) {
        if (Math.abs(values[place]! - base[i]!) <= epsilon) continue;
        moved[j]!++;
        movers++;
        last = j;
      }
      if (movers === 1) unique[last]!++;
    }
  };
  return { shared: moved.map((all, j) => all - unique[j]!), unique };
}

function mergeMovers(
  { models, base, count }: Chunk,
  epsilon: number,
  factors: Float64Array,
  merged: Float64Array,
): void {
  for (let i = 0; i < count; i++) {
    let movers = 0;
    let sum = 0;
    let last = 0;
    for (let j = 0, place = i; j < factors.length; j++, place += STRIDE) {
      const update = models[place]! - base[i]!;
      const moved = Number(Math.abs(update) > epsilon);
      movers += moved;
      sum += moved * update;
      last = moved === 1 ? j : last;
    }
    merged[i] = base[i]! + (movers === 1 ? factors[last]! * sum : sum / Math.max(1, movers));
  }
}
