/**
 * Reading and writing of safetensors files: whole small ones (shards of distributions, golden data), single tensors by
 * positioned reads, and large ones as a stream. Numbers are little-endian, as on every machine Node runs on today.
 */
import { type FileHandle, open } from "node:fs/promises";
import { inputError, internalError } from "../errors.ts";
import { type AtomicFile, fileError, openAtomic, readFully, refuseSpecial } from "./files.ts";
import {
  DTYPE_BYTES,
  type Dtype,
  MAX_HEADER_BYTES,
  readSafetensorsHeader,
  type SafetensorsHeader,
  type TensorInfo,
} from "./safetensors-header.ts";

export {
  DTYPE_BYTES,
  type Dtype,
  readSafetensorsHeader,
  type SafetensorsHeader,
  type TensorInfo,
} from "./safetensors-header.ts";

/** The array a dtype is held in; F16 and BF16 as bit patterns (`float.ts` widens them), BOOL and eight bits of any kind as bytes. */
export type TensorData =
  | Float64Array
  | Float32Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | BigUint64Array
  | Uint32Array
  | Uint8Array;

export interface Tensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** One tensor's bytes, in a buffer of their own. */
export async function readTensorBytes(info: TensorInfo): Promise<Uint8Array> {
  const bytes = new Uint8Array(info.byteLength);
  await withTensorFile(info, (read) => read(bytes, 0));
  return bytes;
}

/**
 * Opens the file of a tensor for as long as `work` takes. `read` fills `bytes` with the tensor's own from `begin` on;
 * several reads may be under way.
 */
export async function withTensorFile(
  info: TensorInfo,
  work: (read: (bytes: Uint8Array, begin: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  await withFile(info.file, (handle) => work((bytes, begin) => readTensorAt(handle, info, bytes, begin)));
}

/** Rows `first .. first+count-1` of tensors of one file, in the order of their names. */
export type RowReader = (
  path: string,
  names: readonly string[],
  first: number,
  count: number,
) => Promise<readonly TensorData[]>;

/** Reads rows here and there; the header of a file is read once. */
export function createRowReader(): RowReader {
  const headers = new Map<string, Promise<SafetensorsHeader>>();
  return async (path, names, first, count) => {
    const header = headers.get(path) ?? readSafetensorsHeader(path);
    headers.set(path, header);
    const { tensors } = await header;
    const data: TensorData[] = [];
    await withFile(path, async (handle) => {
      for (const name of names) {
        const info = tensors.get(name);
        const rows = info?.shape[0];
        if (info === undefined || rows === undefined || first + count > rows) {
          throw inputError(
            `${path}: tensor "${name}"`,
            `expected rows up to ${first + count}, found ${rows ?? "none"}`,
          );
        }
        const width = info.shape.slice(1).reduce((product, extent) => product * extent, DTYPE_BYTES[info.dtype]);
        const bytes = new Uint8Array(count * width);
        await readTensorAt(handle, info, bytes, first * width);
        data.push(asArray(info.dtype, bytes));
      }
    });
    return data;
  };
}

async function withFile(path: string, work: (handle: FileHandle) => Promise<void>): Promise<void> {
  try {
    await refuseSpecial(path);
    const handle = await open(path, "r");
    try {
      await work(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Fills `bytes` with the tensor's own from `begin` on. */
async function readTensorAt(handle: FileHandle, info: TensorInfo, bytes: Uint8Array, begin: number): Promise<void> {
  const count = await readFully(handle, bytes, info.offset + begin);
  if (count === bytes.byteLength) return;
  const end = info.offset + begin + bytes.byteLength;
  throw inputError(
    `${info.file}: ${JSON.stringify(info.name)}`,
    `the file ends before byte ${end}; it was cut after it was opened`,
  );
}

/** Where a tensor's bytes are read to, aligned to eight; the memory may have been another tensor's before. */
export type TensorMemory = (name: string, byteLength: number) => Uint8Array<ArrayBuffer>;

const newMemory: TensorMemory = (_, byteLength) => new Uint8Array(byteLength);

/** A whole file. Meant for files that fit in memory; use the header and `readTensorBytes` for models. */
export async function readSafetensors(
  path: string,
  memory: TensorMemory = newMemory,
): Promise<{ tensors: ReadonlyMap<string, Tensor>; metadata: Readonly<Record<string, string>> }> {
  const header = await readSafetensorsHeader(path);
  const tensors = new Map<string, Tensor>();
  await withFile(path, async (handle) => {
    for (const info of header.tensors.values()) {
      const bytes = memory(info.name, info.byteLength);
      await readTensorAt(handle, info, bytes, 0);
      tensors.set(info.name, { dtype: info.dtype, shape: info.shape, data: asArray(info.dtype, bytes) });
    }
  });
  return { tensors, metadata: header.metadata };
}

/** Name, dtype and shape of a tensor that will be written. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** Takes the bytes of the announced tensors one after the other, in pieces of any size. */
export interface SafetensorsWriter {
  write(chunk: Uint8Array): Promise<void>;
  /** Flushes and renames; throws where bytes are missing. */
  commit(): Promise<void>;
  /** Leaves nothing behind. */
  abort(): Promise<void>;
}

/**
 * Opens a file whose header is known before its data, so that memory holds one chunk only. The header lists tensors in
 * the given order; the data of wider dtypes comes first, so that every tensor is aligned to its element.
 */
export async function openSafetensorsWriter(
  path: string,
  entries: readonly TensorEntry[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<SafetensorsWriter> {
  const { header, places } = safetensorsLayout(entries, metadata);
  const file: AtomicFile = await openAtomic(path);
  await file.write(header);
  let entry = 0;
  let within = 0;
  const skipFull = (): void => {
    while (entry < places.length && within === places[entry]!.byteLength) {
      entry++;
      within = 0;
    }
  };
  return {
    write: async (chunk) => {
      let done = 0;
      while (done < chunk.byteLength) {
        skipFull();
        const place = places[entry];
        if (place === undefined) {
          await file.abort();
          throw internalError(`${path} was given more bytes than its tensors have`);
        }
        const count = Math.min(chunk.byteLength - done, place.byteLength - within);
        await file.writeAt(chunk.subarray(done, done + count), header.byteLength + place.begin + within);
        done += count;
        within += count;
      }
    },
    commit: async () => {
      skipFull();
      if (entry < places.length) {
        await file.abort();
        throw internalError(`${path} lacks bytes of ${JSON.stringify(entries[entry]!.name)}`);
      }
      await file.commit();
    },
    abort: () => file.abort(),
  };
}

/** Writes a whole file or nothing; tensors are listed in the given order. The same tensors give the same bytes. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor> | Iterable<readonly [string, Tensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const list = [...tensors];
  const entries = list.map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const writer = await openSafetensorsWriter(path, entries, metadata);
  try {
    for (const [, { data }] of list) {
      await writer.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Header bytes, padded with spaces to a multiple of 8, and the places of the entries in the data that follows it. */
export function safetensorsLayout(
  entries: readonly TensorEntry[],
  metadata: Readonly<Record<string, string>>,
): { header: Uint8Array; places: { begin: number; byteLength: number }[] } {
  const places = entries.map(({ dtype, shape }) => ({
    begin: 0,
    byteLength: shape.reduce((product, extent) => product * extent, DTYPE_BYTES[dtype]),
  }));
  const order = entries.map((_, index) => index);
  order.sort((a, b) => DTYPE_BYTES[entries[b]!.dtype] - DTYPE_BYTES[entries[a]!.dtype] || a - b);
  let end = 0;
  for (const index of order) {
    places[index]!.begin = end;
    end += places[index]!.byteLength;
  }
  const seen = new Set<string>();
  const members: string[] = [];
  if (Object.keys(metadata).length > 0) members.push(`"__metadata__":${JSON.stringify(metadata)}`);
  entries.forEach(({ name, dtype, shape }, index) => {
    if (seen.has(name) || name === "__metadata__") throw internalError(`the tensor name ${name} cannot be written`);
    seen.add(name);
    const { begin, byteLength } = places[index]!;
    const value = { dtype, shape, data_offsets: [begin, begin + byteLength] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`);
  });
  const json = Buffer.from(`{${members.join(",")}}`, "utf8");
  const padded = Math.ceil(json.byteLength / 8) * 8;
  if (padded > MAX_HEADER_BYTES) throw internalError(`a header of ${padded} bytes is too large for safetensors`);
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return { header, places };
}

function asArray(dtype: Dtype, { buffer, byteOffset, byteLength }: Uint8Array): TensorData {
  const length = byteLength / DTYPE_BYTES[dtype];
  switch (dtype) {
    case "F64":
      return new Float64Array(buffer, byteOffset, length);
    case "F32":
      return new Float32Array(buffer, byteOffset, length);
    case "F16":
    case "BF16":
    case "U16":
      return new Uint16Array(buffer, byteOffset, length);
    case "I64":
      return new BigInt64Array(buffer, byteOffset, length);
    case "I32":
      return new Int32Array(buffer, byteOffset, length);
    case "I16":
      return new Int16Array(buffer, byteOffset, length);
    case "I8":
      return new Int8Array(buffer, byteOffset, length);
    case "U64":
      return new BigUint64Array(buffer, byteOffset, length);
    case "U32":
      return new Uint32Array(buffer, byteOffset, length);
    case "U8":
    case "F8_E4M3":
    case "F8_E5M2":
    case "F8_E8M0":
    case "BOOL":
      return new Uint8Array(buffer, byteOffset, length);
  }
}
