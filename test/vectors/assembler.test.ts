/** Modules built from expressions do what the expressions say. */
import { expect, test } from "vitest";
import { assemble, define, f64, i32, repeat, when } from "#src/vectors/assembler.js";

declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
  Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: Record<string, (...values: number[]) => number> };
};

function run(functions: Parameters<typeof assemble>[0]) {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble(functions)), { env: { memory } });
  return { exports, memory };
}

const sum = define({
  parameters: { from: "i32", count: "i32" },
  locals: { at: "i32", total: "f64" },
  result: "f64",
  body: ({ from, count, at, total }) => [
    repeat(at, count.get, 1, [
      total.set(f64.add(total.get, f64.load(i32.add(from.get, i32.shl(at.get, i32.const(3)))))),
    ]),
    total.get,
  ],
});

const atLeast = define({
  parameters: { value: "i32", least: "i32" },
  result: "i32",
  body: ({ value, least }) => [when(i32.ltU(value.get, least.get), [value.set(least.get)]), value.get],
});

test("loops run as often as they are told, and not at all for nothing", () => {
  const { exports, memory } = run({ sum, atLeast });
  new Float64Array(memory.buffer).set([1, 2, 4, 8, 16]);
  expect([0, 1, 3, 5].map((count) => exports.sum!(0, count))).toEqual([0, 1, 7, 31]);
  expect(exports.sum!(8, 2)).toBe(6);
  expect([exports.atLeast!(3, 5), exports.atLeast!(7, 5)]).toEqual([5, 7]);
});

test.each([0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8193, 2 ** 31 - 1, -(2 ** 31)])(
  "the constant %i is written and read",
  (value) => {
    const { exports } = run({ constant: define({ parameters: {}, result: "i32", body: () => [i32.const(value)] }) });
    expect(exports.constant!()).toBe(value);
  },
);

test("bodies, offsets and names may be longer than a byte tells", () => {
  const long = Array.from({ length: 300 }, () => i32.const(1)).reduce((total, one) => i32.add(total, one));
  const name = "n".repeat(200);
  const { exports, memory } = run({
    [name]: define({ parameters: {}, result: "i32", body: () => [i32.add(long, i32.load(i32.const(0), 1000))] }),
  });
  new Int32Array(memory.buffer)[250] = 42;
  expect(exports[name]!()).toBe(342);
});
