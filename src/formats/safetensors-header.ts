/**
 * The header of a safetensors file: eight bytes of length, little-endian, then a JSON object from tensor names to
 * dtype, shape and place in the data that follows (https://github.com/huggingface/safetensors, "Format"). Headers come
 * from strangers, so every number is checked before anything is believed: the tensors must fill the data exactly,
 * without overlap, hole or rest, and no name may come twice.
 */

import { open } from "node:fs/promises";
import { type FusechatError, inputError } from "../errors.ts";
import { excerptOf } from "../excerpt.ts";
import { fileError, readFully, refuseSpecial } from "./files.ts";
import { isLfsPointer, LFS_PREFIX_BYTES, LFS_PROBLEM } from "./git-lfs.ts";
import { duplicateKey } from "./json-text.ts";

export type Dtype =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "F8_E4M3"
  | "F8_E5M2"
  | "F8_E8M0"
  | "BOOL";

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  BOOL: 1,
};

/** Where a tensor lies. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly file: string;
  /** First byte, counted from the beginning of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What the reference implementation allows; a real header takes about 100 bytes a tensor. */
export const MAX_HEADER_BYTES = 100_000_000;

const LENGTH_BYTES = 8;

/** Reads and checks the header only, whatever the size of the file. Throws an input error with the byte offset. */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  try {
    await refuseSpecial(path);
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      const prefix = new Uint8Array(LENGTH_BYTES);
      if ((await readFully(handle, prefix, 0)) < LENGTH_BYTES) {
        throw inputError(path, `expected a safetensors file, found only ${size} bytes; the download is incomplete`);
      }
      const length = new DataView(prefix.buffer).getBigUint64(0, true);
      if (length > BigInt(MAX_HEADER_BYTES)) {
        const beginning = new Uint8Array(LFS_PREFIX_BYTES);
        await readFully(handle, beginning, 0);
        if (isLfsPointer(new TextDecoder().decode(beginning))) throw inputError(path, LFS_PROBLEM);
        throw inputError(
          path,
          `the header at byte 0 claims ${length} bytes, more than the ${MAX_HEADER_BYTES} allowed`,
        );
      }
      if (length > BigInt(size - LENGTH_BYTES)) {
        const end = BigInt(LENGTH_BYTES) + length;
        throw inputError(path, `the header ends at byte ${end} but the file has ${size}; the download is incomplete`);
      }
      const bytes = new Uint8Array(Number(length));
      if ((await readFully(handle, bytes, LENGTH_BYTES)) < bytes.byteLength) {
        throw inputError(path, "the file became shorter while it was read");
      }
      return parseHeader(path, bytes, size);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Checks the JSON `bytes` that stand at byte 8 of a file of `size` bytes. */
export function parseHeader(path: string, bytes: Uint8Array, size: number): SafetensorsHeader {
  const root = parseObject(path, bytes);
  const dataStart = LENGTH_BYTES + bytes.byteLength;
  const tensors: TensorInfo[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(root)) {
    if (name === "__metadata__") metadata = checkMetadata(path, value);
    else tensors.push(checkEntry(path, name, value, dataStart));
  }
  // A stable sort: tensors without elements share their place and keep the order of the header.
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkPlaces(path, tensors, dataStart, size);
  return { tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata };
}

function parseObject(path: string, bytes: Uint8Array): Record<string, unknown> {
  const where = `${path}: header at byte ${LENGTH_BYTES}`;
  let root: unknown;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    root = JSON.parse(text);
  } catch (error) {
    throw inputError(where, "expected JSON, found something else; this is no safetensors file", error);
  }
  if (!isObject(root)) throw inputError(where, "expected a JSON object from tensor names to their places");
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) {
    const place = LENGTH_BYTES + Buffer.byteLength(text.slice(0, duplicate.position), "utf8");
    throw inputError(where, `the name ${JSON.stringify(duplicate.key)} comes a second time, at byte ${place}`);
  }
  return root;
}

function checkMetadata(path: string, value: unknown): Readonly<Record<string, string>> {
  const where = `${path}: "__metadata__"`;
  if (!isObject(value)) throw inputError(where, "expected an object of strings");
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw inputError(where, `expected a string at ${JSON.stringify(key)}`);
  }
  return value as Record<string, string>;
}

function checkEntry(path: string, name: string, value: unknown, dataStart: number): TensorInfo {
  const fail = (problem: string): FusechatError => inputError(`${path}: ${JSON.stringify(name)}`, problem);
  if (!isObject(value)) throw fail("expected an object with dtype, shape and data_offsets");
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw fail(`dtype ${excerptOf(dtype)} is none of ${Object.keys(DTYPE_BYTES).join(", ")}`);
  }
  if (!isCounts(shape)) throw fail(`the shape ${excerptOf(shape)} is no list of non-negative integers`);
  const elements = shape.reduce((product, extent) => product * extent, 1);
  const expected = elements * DTYPE_BYTES[dtype as Dtype];
  // Products are checked one by one: a zero at the end must not hide an overflow before it.
  if (!isSafeProduct(shape) || !Number.isSafeInteger(expected)) throw fail(`the shape ${excerptOf(shape)} overflows`);
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw fail(`data_offsets ${excerptOf(offsets)} is no pair of non-negative integers`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw fail(`data_offsets ${excerptOf(offsets)} end before they begin`);
  if (end - begin !== expected) {
    throw fail(
      `${dtype} ${excerptOf(shape)} takes ${expected} bytes, but ${end - begin} lie at byte ${dataStart + begin} of the file`,
    );
  }
  return { name, dtype: dtype as Dtype, shape, file: path, offset: dataStart + begin, byteLength: end - begin };
}

/** The tensors, sorted by place, must cover the data from its first byte to its last. */
function checkPlaces(path: string, tensors: readonly TensorInfo[], dataStart: number, size: number): void {
  let covered = dataStart;
  let previous = "";
  for (const { name, offset, byteLength } of tensors) {
    const where = `${path}: ${JSON.stringify(name)}`;
    if (offset + byteLength > size) {
      throw inputError(
        where,
        `ends at byte ${offset + byteLength} but the file has ${size}; the download is incomplete`,
      );
    }
    if (offset < covered)
      throw inputError(where, `at byte ${offset} overlaps ${previous}, which ends at byte ${covered}`);
    if (offset > covered) throw inputError(where, `begins at byte ${offset}, but no tensor covers byte ${covered}`);
    covered = offset + byteLength;
    previous = JSON.stringify(name);
  }
  if (covered !== size) {
    throw inputError(path, `the tensors end at byte ${covered} but the file has ${size}; it is damaged`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

function isSafeProduct(shape: readonly number[]): boolean {
  let product = 1;
  for (const extent of shape) {
    product *= Math.max(extent, 1);
    if (!Number.isSafeInteger(product)) return false;
  }
  return true;
}
