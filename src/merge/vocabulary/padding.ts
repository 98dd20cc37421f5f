/**
 * Heads of one tokenizer that are padded differently. Published models round the rows of embedding and head up to some
 * multiple, and some fine-tunes cut them back: 151,936 rows and 151,665 may hold the same 151,665 tokens. Rows beyond
 * the tokens say nothing, so those that all models have are merged, and the result has as many as `base_model`, whose
 * config it takes: rows that others lack stay as they are there.
 */
import { inputError } from "../../errors.ts";
import type { TensorInfo } from "../../formats/safetensors.ts";
import { readTokenizerOf, sizeOf } from "./tokenizer-file.ts";

/** Whose rows the result has, and how many of them are tokens. */
export interface PaddingRule {
  readonly folder: string;
  readonly tokens: () => Promise<number>;
}

/** The rule where the result takes the shape of the model in `folder`. Its tokenizer is read when it is asked for. */
export function paddingRule(folder: string): PaddingRule {
  let size: Promise<number> | undefined;
  return {
    folder,
    tokens: () => {
      size ??= readTokenizerOf(folder).then(({ vocabulary }) => sizeOf(vocabulary));
      return size;
    },
  };
}

export interface CommonRows<T> {
  /** What is merged: the tensors without the rows that some lack. */
  readonly stored: readonly T[];
  /** Rows of the keeper that follow, undefined where there are none. */
  readonly padding: T | undefined;
}

/**
 * Tensors of one name, all of one shape; of those with a row for every token the rows that all have, where the rest is
 * padding.
 * `keeper` is the place among them of the model whose shape the result has. Throws where shapes differ otherwise, or
 * where no rule says whose shape that is.
 */
export async function matchShapes<T extends TensorInfo & { readonly input: string }>(
  name: string,
  stored: readonly T[],
  rule: PaddingRule | undefined,
  keeper: number,
  hasTokenRows: boolean,
): Promise<CommonRows<T>> {
  const first = stored[0]!;
  const other = stored.find(({ shape }) => shape.join() !== first.shape.join());
  if (other === undefined) return { stored, padding: undefined };
  const shape = ({ shape: extents, input }: T): string => `[${extents.join(", ")}] in ${input}`;
  const problem = `expected one shape, found ${shape(first)} and ${shape(other)}`;
  const width = ({ shape: [, ...extents] }: T): string => extents.join();
  if (!hasTokenRows || stored.some((tensor) => width(tensor) !== width(first))) {
    throw inputError(JSON.stringify(name), problem);
  }
  if (rule === undefined) {
    const advice = "where only the padding differs, name the model whose shape the result is to have as base_model";
    throw inputError(JSON.stringify(name), `${problem}; ${advice}`);
  }
  const tokens = await rule.tokens();
  const rows = Math.min(...stored.map((tensor) => tensor.shape[0]!));
  if (rows < tokens) {
    throw inputError(JSON.stringify(name), `${problem}; that is no padding, ${rule.folder} has ${tokens} tokens`);
  }
  const kept = stored[keeper]!;
  return {
    stored: stored.map((tensor) => cutRows(tensor, 0, rows)),
    padding: kept.shape[0]! > rows ? cutRows(kept, rows, kept.shape[0]!) : undefined,
  };
}

/** Rows `start` to `end` - 1 of a tensor, where they lie in its file. */
function cutRows<T extends TensorInfo>(tensor: T, start: number, end: number): T {
  const [rows, ...width] = tensor.shape;
  const rowBytes = tensor.byteLength / rows!;
  return {
    ...tensor,
    firstRow: start,
    shape: [end - start, ...width],
    offset: tensor.offset + start * rowBytes,
    byteLength: (end - start) * rowBytes,
  };
}
