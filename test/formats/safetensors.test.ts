import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  DTYPE_BYTES,
  openSafetensorsWriter,
  readSafetensors,
  readSafetensorsHeader,
  readTensorBytes,
  writeSafetensors,
} from "#src/formats/safetensors.js";

let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-safetensors-"));
  path = join(folder, "model.safetensors");
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A file of a header text, whatever it says, and so many zero bytes of data. */
async function forge(header: string | Uint8Array, dataBytes: number, claimedLength?: bigint): Promise<number> {
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimedLength ?? BigInt(text.byteLength));
  await writeFile(path, Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
  return 8 + text.byteLength;
}

const refusal = async (): Promise<string> => {
  try {
    await readSafetensorsHeader(path);
  } catch (error) {
    expect(error).toMatchObject({ code: "input" });
    return (error as Error).message.replace(path, "FILE");
  }
  throw new Error("was not refused");
};

const entry = (dtype: string, shape: unknown, offsets: unknown): unknown => ({ dtype, shape, data_offsets: offsets });

test("every dtype is read back as written, in the order of the header", async () => {
  const tensors = new Map([
    ["flags", { dtype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ["f64", { dtype: "F64", shape: [2], data: Float64Array.of(Math.PI, -0) }],
    ["f32", { dtype: "F32", shape: [2, 1], data: Float32Array.of(1.5, Number.NEGATIVE_INFINITY) }],
    ["f16", { dtype: "F16", shape: [1], data: Uint16Array.of(0x3c00) }],
    ["bf16", { dtype: "BF16", shape: [1], data: Uint16Array.of(0x3f80) }],
    ["i64", { dtype: "I64", shape: [1], data: BigInt64Array.of(-(2n ** 62n)) }],
    ["i32", { dtype: "I32", shape: [1], data: Int32Array.of(-5) }],
    ["i16", { dtype: "I16", shape: [1], data: Int16Array.of(-6) }],
    ["i8", { dtype: "I8", shape: [1], data: Int8Array.of(-7) }],
    ["u64", { dtype: "U64", shape: [1], data: BigUint64Array.of(2n ** 63n) }],
    ["u32", { dtype: "U32", shape: [], data: Uint32Array.of(4_000_000_000) }],
    ["u16", { dtype: "U16", shape: [1], data: Uint16Array.of(65535) }],
    ["u8", { dtype: "U8", shape: [1], data: Uint8Array.of(255) }],
    ["empty", { dtype: "F32", shape: [0, 4], data: new Float32Array(0) }],
  ] as const);
  await writeSafetensors(path, tensors, { format: "test", ü: "1" });
  const read = await readSafetensors(path);
  expect(new Map([...read.tensors].sort())).toEqual(new Map([...tensors].sort()));
  expect(read.metadata).toEqual({ format: "test", ü: "1" });
  const header = await readSafetensorsHeader(path);
  for (const info of header.tensors.values()) expect(info.offset % DTYPE_BYTES[info.dtype]).toBe(0);
  const text = (await readFile(path)).subarray(8).toString("utf8");
  expect(text.indexOf('"flags"')).toBeLessThan(text.indexOf('"f64"'));
});

test("the same tensors give the same bytes", async () => {
  const tensors = [["a", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }]] as const;
  await writeSafetensors(path, tensors);
  const once = await readFile(path);
  await writeSafetensors(path, tensors);
  expect(await readFile(path)).toEqual(once);
  const header = JSON.stringify({ a: entry("F32", [2], [0, 8]) });
  expect(once.subarray(8).toString("latin1").startsWith(header)).toBe(true);
  expect(Number(once.readBigUInt64LE(0)) % 8).toBe(0);
});

test("a reference file is read with names, shapes and metadata", async () => {
  const file = resolve("test/golden/models/mistral/model.safetensors");
  const { tensors, metadata } = await readSafetensorsHeader(file);
  expect(metadata).toEqual({ format: "pt" });
  const embedding = tensors.get("model.embed_tokens.weight")!;
  expect(embedding.dtype).toBe("F32");
  expect((await readTensorBytes(embedding)).byteLength).toBe(embedding.byteLength);
  expect([...tensors.values()].reduce((sum, info) => sum + info.byteLength, 0)).toBeLessThan(
    (await readFile(file)).byteLength,
  );
});

test("random tables of tensors survive the round trip", async () => {
  const tensor = fc.tuple(fc.constantFrom("F32", "U8", "BF16", "F64"), fc.array(fc.nat(4), { maxLength: 3 }));
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string({ minLength: 1 }), tensor, { maxKeys: 6 }), async (table) => {
      const names = Object.keys(table).filter((name) => name !== "__metadata__");
      const entries = names.map((name) => ({ name, dtype: table[name]![0], shape: table[name]![1] }) as const);
      const writer = await openSafetensorsWriter(path, entries);
      const sizes = entries.map(({ dtype, shape }) => shape.reduce((a, b) => a * b, DTYPE_BYTES[dtype]));
      const bytes = new Uint8Array(sizes.reduce((a, b) => a + b, 0)).map((_, index) => index);
      // In pieces that do not end where tensors end.
      for (let at = 0; at < bytes.byteLength; at += 5) await writer.write(bytes.subarray(at, at + 5));
      await writer.commit();
      const { tensors } = await readSafetensorsHeader(path);
      let start = 0;
      for (const [index, { name, shape }] of entries.entries()) {
        const info = tensors.get(name)!;
        expect(info.shape).toEqual(shape);
        expect(await readTensorBytes(info)).toEqual(bytes.slice(start, start + sizes[index]!));
        start += sizes[index]!;
      }
      expect(tensors.size).toBe(entries.length);
    }),
    { numRuns: 30 },
  );
});

test("a writer that is given too few or too many bytes leaves nothing", async () => {
  await rm(path, { force: true });
  const short = await openSafetensorsWriter(path, [{ name: "a", dtype: "U8", shape: [2] }]);
  await short.write(Uint8Array.of(1));
  await expect(short.commit()).rejects.toThrow('lacks bytes of "a"');
  const long = await openSafetensorsWriter(path, [{ name: "a", dtype: "U8", shape: [2] }]);
  await expect(long.write(Uint8Array.of(1, 2, 3))).rejects.toThrow("more bytes than its tensors have");
  await expect(
    openSafetensorsWriter(path, [
      { name: "a", dtype: "U8", shape: [0] },
      { name: "a", dtype: "U8", shape: [0] },
    ]),
  ).rejects.toThrow("the tensor name a cannot be written");
  expect(await readdir(folder)).toEqual([]);
});

test("a truncated file is refused with the byte where it should have ended", async () => {
  const start = await forge(JSON.stringify({ "lm_head.weight": entry("F32", [4], [0, 16]) }), 10);
  expect(await refusal()).toBe(
    `FILE: "lm_head.weight": ends at byte ${start + 16} but the file has ${start + 10}; the download is incomplete`,
  );
  await writeFile(path, Buffer.alloc(5));
  expect(await refusal()).toBe("FILE: expected a safetensors file, found only 5 bytes; the download is incomplete");
  await forge("{}", 0, 100n);
  expect(await refusal()).toBe("FILE: the header ends at byte 108 but the file has 10; the download is incomplete");
});

test("a header length beyond all reason is refused before anything is allocated", async () => {
  await forge("{}", 0, 2n ** 63n);
  expect(await refusal()).toBe(
    "FILE: the header at byte 0 claims 9223372036854775808 bytes, more than the 100000000 allowed",
  );
});

test("a header that is no JSON object of tensors is refused", async () => {
  const damaged = "FILE: header at byte 8: expected JSON, found something else; this is no safetensors file";
  await forge("{]", 0);
  expect(await refusal()).toBe(damaged);
  await forge(Buffer.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 0);
  expect(await refusal()).toBe(damaged);
  await forge("[1]", 0);
  expect(await refusal()).toBe("FILE: header at byte 8: expected a JSON object from tensor names to their places");
  await forge('{"a": 5}', 0);
  expect(await refusal()).toBe('FILE: "a": expected an object with dtype, shape and data_offsets');
  await forge('{"__metadata__": {"format": 1}}', 0);
  expect(await refusal()).toBe('FILE: "__metadata__": expected a string at "format"');
  await forge('{"__metadata__": "x"}', 0);
  expect(await refusal()).toBe('FILE: "__metadata__": expected an object of strings');
});

test("a name that comes twice is refused, however it is spelled", async () => {
  const one = JSON.stringify(entry("U8", [1], [0, 1]));
  await forge(`{"a":${one},"\\u0061":${one}}`, 1);
  expect(await refusal()).toMatch(/^FILE: header at byte 8: the name "a" comes a second time, at byte \d+$/);
  await forge('{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', 1);
  expect(await refusal()).toContain('the name "shape" comes a second time');
});

test("entries that say the impossible are refused by name", async () => {
  const cases: [unknown, string][] = [
    [entry("F4", [1], [0, 1]), 'dtype "F4" is none of F64, F32'],
    [entry("toString", [1], [0, 1]), 'dtype "toString" is none of'],
    [entry("U8", [-1], [0, 1]), "the shape [-1] is no list of non-negative integers"],
    [entry("U8", [1.5], [0, 1]), "the shape [1.5] is no list"],
    [entry("U8", "1", [0, 1]), 'the shape "1" is no list'],
    [entry("U8", [2 ** 30, 2 ** 30], [0, 1]), "the shape [1073741824,1073741824] overflows"],
    [entry("U8", [2 ** 30, 2 ** 30, 0], [0, 0]), "overflows"],
    [entry("F64", [2 ** 52], [0, 1]), "the shape [4503599627370496] overflows"],
    [entry("U8", [1], [1, 0]), "data_offsets [1,0] end before they begin"],
    [entry("U8", [1], [0, 2 ** 60]), "data_offsets [0,1152921504606847000] is no pair"],
    [entry("U8", [1], [0]), "data_offsets [0] is no pair of non-negative integers"],
    [entry("F32", [1], [0, 3]), "F32 [1] takes 4 bytes, but 3 lie at byte"],
  ];
  for (const [value, problem] of cases) {
    await forge(JSON.stringify({ bad: value }), 8);
    const message = await refusal();
    expect(message).toContain('FILE: "bad": ');
    expect(message).toContain(problem);
  }
});

test("overlaps, holes and rests are refused with their byte", async () => {
  let start = await forge(JSON.stringify({ a: entry("U8", [4], [0, 4]), b: entry("U8", [4], [2, 6]) }), 6);
  expect(await refusal()).toBe(`FILE: "b": at byte ${start + 2} overlaps "a", which ends at byte ${start + 4}`);
  start = await forge(JSON.stringify({ a: entry("U8", [4], [0, 4]), b: entry("U8", [1], [5, 6]) }), 6);
  expect(await refusal()).toBe(`FILE: "b": begins at byte ${start + 5}, but no tensor covers byte ${start + 4}`);
  start = await forge(JSON.stringify({ a: entry("U8", [4], [0, 4]) }), 6);
  expect(await refusal()).toBe(
    `FILE: the tensors end at byte ${start + 4} but the file has ${start + 6}; it is damaged`,
  );
});

test("headers with any byte changed are either read or refused as wrong input", async () => {
  const header = JSON.stringify({ a: entry("U8", [4], [0, 4]), b: entry("F16", [1, 2], [4, 8]) });
  await fc.assert(
    fc.asyncProperty(fc.nat(header.length + 7), fc.nat(255), async (at, byte) => {
      await forge(header, 8);
      const bytes = await readFile(path);
      bytes[at] = byte;
      await writeFile(path, bytes);
      try {
        const { tensors } = await readSafetensorsHeader(path);
        for (const info of tensors.values())
          expect(info.offset + info.byteLength).toBeLessThanOrEqual(bytes.byteLength);
      } catch (error) {
        expect(error).toMatchObject({ code: "input" });
      }
    }),
    { numRuns: 300 },
  );
});
