/**
 * What shards of distributions and aligned shards have in common: columns of a fixed dtype and shape in a safetensors
 * file, rows grouped by conversation, and rows of most probable tokens. A shard may come from anywhere, so everything
 * is checked here once; what passes is trusted afterwards. Errors name the file and the tensor.
 */
import { inputError } from "../errors.ts";
import { halfToNumber } from "../formats/float.ts";
import { readSafetensors, readSafetensorsHeader, type Tensor, type TensorMemory } from "../formats/safetensors.ts";
import { LARGEST_ID } from "../tokenizer/definition.ts";

/** The arrays in which the dtypes of shards are held; F16 as bit patterns. */
interface ColumnArrays {
  readonly I32: Int32Array;
  readonly I64: BigInt64Array;
  readonly U8: Uint8Array;
  readonly U16: Uint16Array;
  readonly U32: Uint32Array;
  readonly F16: Uint16Array;
  readonly F32: Float32Array;
}

export interface ShardMetadata {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ShardColumns extends ShardMetadata {
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Float16 log-probabilities of a row may add up to a little more than one: rounding alone reaches 0.4 %. */
const LARGEST_MASS = 1.01;
/** The float16 pattern of the log-probability of unused places. */
export const MINUS_INFINITY = 0xfc00;

/** Ids of a row are compared where their lowest bits agree, which few do: so much stays in the fastest memory. */
const ID_CLASSES = 4096;

/** Arrays as wide as a vocabulary are made in every thread: no file decides alone how wide. */
export const LARGEST_VOCABULARY: number = LARGEST_ID + 1;

/** Reads a whole shard of one of the `formats`; another version, or no shard at all, is refused. */
export async function readShardColumns(
  path: string,
  formats: readonly [string, ...string[]],
  memory?: TensorMemory,
): Promise<ShardColumns> {
  const { tensors, metadata } = await readSafetensors(path, memory);
  checkFormat(path, metadata, formats);
  return { path, tensors, metadata };
}

/** Reads only what a shard of one of the `formats` says of itself. */
export async function readShardMetadata(path: string, formats: readonly [string, ...string[]]): Promise<ShardMetadata> {
  const { metadata } = await readSafetensorsHeader(path);
  checkFormat(path, metadata, formats);
  return { path, metadata };
}

function checkFormat(path: string, metadata: ShardMetadata["metadata"], formats: readonly [string, ...string[]]): void {
  const found = Object.hasOwn(metadata, "format") ? metadata.format : undefined;
  if (found !== undefined && formats.includes(found)) return;
  const [format] = formats;
  const older = found?.replace(/\d+$/, "") === format.replace(/\d+$/, "");
  throw inputError(
    path,
    `expected a shard of format "${format}", found ${found === undefined ? "none" : JSON.stringify(found)}` +
      (older ? "; it was written by another version of fusechat, make it again with this one" : ""),
  );
}

/** The place in a shard that an error message names. */
export function tensorPlace(path: string, name: string): string {
  return `${path}: tensor "${name}"`;
}

/** A column of one of the given dtypes. `shape` may leave an extent open (undefined). */
export function column<D extends keyof ColumnArrays>(
  columns: ShardColumns,
  name: string,
  dtypes: readonly D[],
  shape: readonly (number | undefined)[],
): ColumnArrays[D] {
  const where = tensorPlace(columns.path, name);
  const tensor = columns.tensors.get(name);
  if (tensor === undefined) throw inputError(where, "is missing");
  if (!dtypes.some((dtype) => dtype === tensor.dtype)) {
    throw inputError(where, `expected dtype ${dtypes.join(" or ")}, found ${tensor.dtype}`);
  }
  const fits =
    tensor.shape.length === shape.length &&
    shape.every((extent, i) => extent === undefined || extent === tensor.shape[i]);
  if (!fits) {
    const expected = shape.map((extent) => extent ?? "any").join(", ");
    throw inputError(where, `expected shape [${expected}], found [${tensor.shape.join(", ")}]`);
  }
  return tensor.data as ColumnArrays[D];
}

/** Extent `axis` of a tensor, 0 where it has none; `column` checks the rest. */
export function extentOf(columns: ShardColumns, name: string, axis: number): number {
  return columns.tensors.get(name)?.shape[axis] ?? 0;
}

/** A text of the metadata. */
export function metadataText(shard: ShardMetadata, key: string): string {
  const value = Object.hasOwn(shard.metadata, key) ? shard.metadata[key] : undefined;
  if (value === undefined || value === "") throw inputError(shard.path, `the metadata has no "${key}"`);
  return value;
}

/** A whole number of 1 to `most` of the metadata. */
export function metadataCount(shard: ShardMetadata, key: string, most: number): number {
  const text = metadataText(shard, key);
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) {
    const found = JSON.stringify(text.slice(0, 40));
    throw inputError(shard.path, `expected a whole number of 1 to ${most} as metadata "${key}", found ${found}`);
  }
  return value;
}

/** `conversation` [N]: indices that ascend. */
export function conversationColumn(columns: ShardColumns): Int32Array {
  const conversation = column(columns, "conversation", ["I32"], [undefined]);
  for (let n = 0; n < conversation.length; n++) {
    const before = n === 0 ? -1 : conversation[n - 1]!;
    if (conversation[n]! <= before) {
      const where = tensorPlace(columns.path, "conversation");
      const place = n === 0 ? "at the beginning" : `after ${before}`;
      throw inputError(where, `expected ascending indices from 0 on, found ${conversation[n]} ${place}`);
    }
  }
  return conversation;
}

/** `row_start` [N+1] as doubles: from 0 to the number of rows, never descending. */
export function rowStartColumn(columns: ShardColumns, conversations: number, rows: number): Float64Array {
  const where = tensorPlace(columns.path, "row_start");
  const rowStart = Float64Array.from(column(columns, "row_start", ["I64"], [conversations + 1]), Number);
  if (rowStart[0] !== 0) throw inputError(where, `expected 0 at its beginning, found ${rowStart[0]}`);
  for (let n = 0; n < conversations; n++) {
    if (rowStart[n + 1]! < rowStart[n]!) {
      throw inputError(where, `descends from ${rowStart[n]} to ${rowStart[n + 1]} at conversation ${n}`);
    }
  }
  if (rowStart[conversations] !== rows) {
    throw inputError(where, `expected ${rows} at its end, as there are rows, found ${rowStart[conversations]}`);
  }
  return rowStart;
}

/** A column of rows of the shard, ascending. */
export function rowsColumn(columns: ShardColumns, name: string, rows: number): Int32Array {
  const values = column(columns, name, ["I32"], [undefined]);
  for (let i = 0; i < values.length; i++) {
    const before = i === 0 ? -1 : values[i - 1]!;
    if (values[i]! > before && values[i]! < rows) continue;
    const where = tensorPlace(columns.path, name);
    throw inputError(where, `expected ascending rows below ${rows}, found ${values[i]} after ${before}`);
  }
  return values;
}

/** A column of non-negative numbers; refuses NaN and infinities too. */
export function nonNegative<T extends Int32Array | Float32Array>(columns: ShardColumns, name: string, values: T): T {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value >= 0 && value < Infinity)) {
      throw inputError(tensorPlace(columns.path, name), `expected numbers of at least 0, found ${value} at ${i}`);
    }
  }
  return values;
}

/**
 * Checks [R, width] most probable tokens: log-probabilities that are no NaN, not positive and descend, masses that
 * add up to no more than one, and different ids below `vocabulary`.
 */
export function checkTop(
  path: string,
  topId: Uint16Array | Uint32Array,
  topLogp: Uint16Array,
  width: number,
  vocabulary: number,
): void {
  const masses = massTable();
  const seenAt = new Int32Array(ID_CLASSES).fill(-1);
  for (let row = 0, at = 0; at < topLogp.length; row++) {
    let sum = 0;
    let before = 0;
    const begin = at;
    for (const end = at + width; at < end; at++) {
      const bits = topLogp[at]!;
      const magnitude = bits & 0x7fff;
      if ((bits < 0x8000 && bits !== 0) || bits > MINUS_INFINITY || magnitude < before) {
        throw badLogp(path, row, bits, before);
      }
      before = magnitude;
      const id = topId[at]!;
      if (id >= vocabulary) {
        throw inputError(
          tensorPlace(path, "top_id"),
          `row ${row} has id ${id}, the vocabulary ends at ${vocabulary - 1}`,
        );
      }
      if (bits === MINUS_INFINITY) continue;
      const idClass = id & (ID_CLASSES - 1);
      if (seenAt[idClass] === row && topId.subarray(begin, at).includes(id)) {
        throw inputError(tensorPlace(path, "top_id"), `row ${row} has id ${id} twice`);
      }
      seenAt[idClass] = row;
      sum += masses[magnitude]!;
    }
    if (sum > LARGEST_MASS) {
      const where = tensorPlace(path, "top_logp");
      throw inputError(where, `the probabilities of row ${row} add up to ${sum.toFixed(3)}, more than one`);
    }
  }
}

function badLogp(path: string, row: number, bits: number, before: number): Error {
  const value = halfToNumber(bits);
  const where = tensorPlace(path, "top_logp");
  if (Number.isNaN(value)) return inputError(where, `row ${row} has a log-probability that is not a number`);
  if (value > 0) return inputError(where, `row ${row} has the log-probability ${value}, a probability above one`);
  return inputError(where, `expected descending values, row ${row} has ${value} after ${-halfToNumber(before)}`);
}

let masses: Float64Array | undefined;

/** exp(-x) of every non-negative float16 pattern x: the mass of a stored log-probability, by its lower 15 bits. */
export function massTable(): Float64Array {
  if (masses === undefined) {
    masses = new Float64Array(0x8000);
    for (let bits = 0; bits < masses.length; bits++) masses[bits] = Math.exp(-halfToNumber(bits));
  }
  return masses;
}
