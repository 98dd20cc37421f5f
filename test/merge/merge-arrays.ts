/** Runs a merge method over arrays in memory, in chunks as the stage does. */
import { type BlockMemory, createBlockMemory } from "#src/merge/block-memory.js";
import { CHUNK_ENTRIES, type Chunk, type MergedTensor } from "#src/merge/method.js";
import { METHODS } from "#src/merge/methods/index.js";

const vectorMemory = createBlockMemory();

export interface ArrayMerge {
  readonly values: number[];
  readonly coefficients: readonly number[] | undefined;
}

export function mergeArrays(
  name: string,
  options: Record<string, unknown>,
  models: readonly ArrayLike<number>[],
  rest: {
    base?: ArrayLike<number>;
    modelOptions?: readonly Record<string, unknown>[];
    likeMergekit?: boolean;
    name?: string;
    shape?: readonly number[];
    memory?: BlockMemory;
  } = {},
): ArrayMerge {
  const method = METHODS.find((candidate) => candidate.name === name)!;
  const size = models[0]!.length;
  const memory = rest.memory ?? vectorMemory;
  const work = method.tensor({
    name: rest.name ?? "test",
    shape: rest.shape ?? [size],
    size,
    models: models.length,
    options: method.options.parse(options),
    modelOptions: (rest.modelOptions ?? models.map(() => ({}))).map((one) => method.modelOptions.parse(one)),
    likeMergekit: rest.likeMergekit ?? false,
    memory,
  });
  const visit = (read: (chunk: Chunk) => void): void => {
    for (let start = 0; start < size; start += CHUNK_ENTRIES) {
      const count = Math.min(CHUNK_ENTRIES, size - start);
      const values = memory.doubles("models", models.length * CHUNK_ENTRIES).fill(0);
      const base = memory.doubles("base", rest.base === undefined ? 0 : CHUNK_ENTRIES).fill(0);
      for (let i = 0; i < count; i++) {
        for (const [j, model] of models.entries()) values[j * CHUNK_ENTRIES + i] = model[start + i]!;
        if (rest.base !== undefined) base[i] = rest.base[start + i]!;
      }
      read({ start, count, models: values, base });
    }
  };
  let merged: MergedTensor;
  if ("next" in work) {
    let step = work.next();
    while (step.done !== true) {
      visit(step.value);
      step = work.next();
    }
    merged = step.value;
  } else merged = work;
  const values: number[] = [];
  const buffer = memory.doubles("merged", CHUNK_ENTRIES);
  visit((chunk) => {
    merged.write(chunk, buffer);
    values.push(...buffer.subarray(0, chunk.count));
  });
  return { values, coefficients: merged.coefficients };
}
