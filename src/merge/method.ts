/**
 * What a merge method is: a name, where it comes from, the schemas of its options, and a pure function over one tensor
 * of every model. A method never sees files, dtypes or memory. It reads the tensor as often as it needs, chunk by
 * chunk, by yielding passes, and ends by saying how a chunk of the merged tensor follows from a chunk of the inputs:
 *
 *     *tensor(task) {
 *       const sums = new Float64Array(task.models);
 *       yield (chunk) => addSquares(chunk, sums);       // one whole reading, chunks in order
 *       return { write: (chunk, merged) => …, coefficients: share(sums) };
 *     }
 *
 * So the largest tensor never has to fit in memory, and whoever writes a method need not know. A method that can write
 * at once, such as an average, returns the last line alone. Steps that several methods share are in `steps/`.
 */
import type { z } from "zod";
import type { BlockMemory } from "./block-memory.ts";
import type { Chunk, Pass } from "./chunk.ts";

export { CHUNK_ENTRIES, type Chunk, type Pass } from "./chunk.ts";

export interface TensorTask<Options, ModelOptions> {
  /** The tensor's name in the output; stochastic methods seed themselves with it. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Entries of the tensor. */
  readonly size: number;
  /** Models to merge, a base that they differ from not counted. */
  readonly models: number;
  readonly options: Options;
  /** One per model. */
  readonly modelOptions: readonly ModelOptions[];
  /** `--like mergekit`: known defects of mergekit are repeated. */
  readonly likeMergekit: boolean;
  /** For arrays of chunks that a method keeps between passes; the names are its own. */
  readonly memory: BlockMemory;
  /** What the method's survey measured, summed over the tensor's scope. */
  readonly surveyed?: Float64Array | undefined;
}

/** A reading of all tensors before the first is merged, for what several tensors have in common. */
export interface Survey<Options, ModelOptions> {
  /** Tensors of the same scope share what was measured; undefined for a tensor that is merged by itself. */
  scope(options: Options, tensor: string): string | undefined;
  /** Figures of one tensor; those of a scope are added up in the order of the output. */
  measure(task: TensorTask<Options, ModelOptions>): Generator<Pass, Float64Array, void>;
}

export interface MergedTensor {
  /** Fills `merged[0 .. chunk.count-1]`. Called once for every chunk, in order. */
  write(chunk: Chunk, merged: Float64Array): void;
  /** The weight each model got in this tensor, where the method computes one; for the model card and the report. */
  readonly coefficients?: readonly number[];
  /** What the user should hear of this tensor; the same words for all tensors that share a reason. */
  readonly remark?: string;
}

/**
 * How a method takes `base_model`:
 * `origin`: needed, as the model that the others differ from, which is no input itself;
 * `optional`: the same where it is given, else weights are merged as they are;
 * `first`: needed, and one of the models, the one that comes first wherever it is listed;
 * `model`: as one more model to merge, which comes last where it is not listed.
 */
export type BaseRole = "origin" | "optional" | "first" | "model";

/** The schemas check the options of one tensor, after filters and gradients have been resolved to one value each. */
export interface MergeMethod<
  Options extends z.ZodObject = z.ZodObject,
  ModelOptions extends z.ZodObject = z.ZodObject,
> {
  readonly name: string;
  /** One line. */
  readonly summary: string;
  /** Citation and address. */
  readonly paper: string;
  readonly base: BaseRole;
  /** How many models it merges, a base that they differ from not counted; one or more where absent. */
  readonly inputs?: { readonly least: number; readonly most?: number };
  /** Options of the whole merge. */
  readonly options: Options;
  /** Options of each model; they may also be set for all models at once. */
  readonly modelOptions: ModelOptions;
  /** Why these options cannot work together, where they cannot. */
  readonly problem?: (
    options: z.output<Options>,
    modelOptions: readonly z.output<ModelOptions>[],
  ) => string | undefined;
  /** What the user should hear about options that are allowed but unlikely to be meant. */
  readonly remark?: (options: z.output<Options>, modelOptions: readonly z.output<ModelOptions>[]) => string | undefined;
  /** Where it departs from mergekit's method of that name unless `--like mergekit` is given; for the documentation. */
  readonly differs?: string;
  readonly survey?: Survey<z.output<Options>, z.output<ModelOptions>>;
  tensor(
    task: TensorTask<z.output<Options>, z.output<ModelOptions>>,
  ): MergedTensor | Generator<Pass, MergedTensor, void>;
}

/** Lets a method's file infer its option types from its schemas, and forgets them for the list of all methods. */
export function defineMethod<Options extends z.ZodObject, ModelOptions extends z.ZodObject>(
  method: MergeMethod<Options, ModelOptions>,
): MergeMethod {
  return method;
}
