/**
 * WebAssembly modules from functions written as nested expressions, so that their source can be read and needs no
 * compiler: `f64x2.add(x.get, f64x2.mul(a.get, v128.load(p.get, 16)))`. An expression is the list of its bytes in the
 * binary format (WebAssembly Core Specification 2.0, chapter 5): operands first, then the instruction. Only what merging
 * and training use is here.
 */

/** Bytes of instructions. */
export type Code = readonly number[];

const VALUE_TYPES = { i32: 0x7f, f64: 0x7c, v128: 0x7b } as const;
export type ValueType = keyof typeof VALUE_TYPES;

/** A parameter or local variable of a function. */
export interface Local {
  readonly get: Code;
  set(value: Code): Code;
}

export interface FunctionSource<Names extends string = string> {
  /** In the order in which callers give them. */
  readonly parameters: Readonly<Partial<Record<Names, ValueType>>>;
  readonly locals?: Readonly<Partial<Record<Names, ValueType>>>;
  readonly result?: ValueType;
  body(locals: Readonly<Record<Names, Local>>): readonly Code[];
}

/** Type inference for one function's names of locals. */
export function define<Names extends string>(source: FunctionSource<Names>): FunctionSource {
  return source as unknown as FunctionSource;
}

/** The module's bytes. It exports the functions by name, and works on the memory that it imports as `env.memory`. */
export function assemble(functions: Readonly<Record<string, FunctionSource>>): Uint8Array<ArrayBuffer> {
  const sources = Object.entries(functions);
  const section = (id: number, items: readonly Code[]): Code => [
    id,
    ...vector([...unsigned(items.length), ...items.flat()]),
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(
      1,
      sources.map(([, source]) => signatureOf(source)),
    ),
    ...section(2, [[...text("env"), ...text("memory"), 0x02, 0x00, ...unsigned(1)]]),
    ...section(
      3,
      sources.map((_, index) => unsigned(index)),
    ),
    ...section(
      7,
      sources.map(([name], index) => [...text(name), 0x00, ...unsigned(index)]),
    ),
    ...section(
      10,
      sources.map(([, source]) => bodyOf(source)),
    ),
  ]);
}

function signatureOf({ parameters, result }: FunctionSource): Code {
  const types = Object.values(parameters).map((type) => VALUE_TYPES[type!]);
  return [0x60, ...vector(types), ...vector(result === undefined ? [] : [VALUE_TYPES[result]])];
}

function bodyOf({ parameters, locals = {}, body }: FunctionSource): Code {
  const names = [...Object.keys(parameters), ...Object.keys(locals)];
  const places = Object.fromEntries(names.map((name, index) => [name, localAt(index)]));
  const declared = Object.values(locals).map((type) => [1, VALUE_TYPES[type!]]);
  return vector([...unsigned(declared.length), ...declared.flat(), ...body(places).flat(), 0x0b]);
}

function localAt(index: number): Local {
  return { get: [0x20, ...unsigned(index)], set: (value) => [...value, 0x21, ...unsigned(index)] };
}

/** Bytes with their number before them. */
function vector(bytes: Code): Code {
  return [...unsigned(bytes.length), ...bytes];
}

function text(name: string): Code {
  return vector([...Buffer.from(name, "utf8")]);
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): Code {
  const low = value & 0x7f;
  const rest = value >> 7;
  const done = (rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40);
  return done ? [low] : [low | 0x80, ...signed(rest)];
}

type Unary = (a: Code) => Code;
type Binary = (a: Code, b: Code) => Code;
/** By a number of bits that is known beforehand. */
type Shift = (a: Code, bits: number) => Code;
type Load = (address: Code, offset?: number) => Code;
type Store = (address: Code, value: Code, offset?: number) => Code;
type Instructions<Names extends string, Kind> = Readonly<Record<Names, Kind>>;

const binary =
  (...code: number[]): Binary =>
  (a, b) => [...a, ...b, ...code];
const load =
  (align: number, ...code: number[]): Load =>
  (address, offset = 0) => [...address, ...code, align, ...unsigned(offset)];
const store =
  (align: number, ...code: number[]): Store =>
  (address, value, offset = 0) => [...address, ...value, ...code, align, ...unsigned(offset)];
/** Vector instructions have a prefix and a number. */
const vectorCode = (code: number): number[] => [0xfd, ...unsigned(code)];
const unaryVector =
  (code: number): Unary =>
  (a) => [...a, ...vectorCode(code)];
const binaryVector = (code: number): Binary => binary(...vectorCode(code));
const shiftVector =
  (code: number): Shift =>
  (a, bits) => [...a, ...i32.const(bits), ...vectorCode(code)];

export const i32: Instructions<"add" | "sub" | "and" | "or" | "shl" | "shrU" | "ltU" | "geU", Binary> & {
  const(value: number): Code;
  readonly load: Load;
  readonly store: Store;
} = {
  const: (value) => [0x41, ...signed(value)],
  load: load(2, 0x28),
  store: store(2, 0x36),
  add: binary(0x6a),
  sub: binary(0x6b),
  and: binary(0x71),
  or: binary(0x72),
  shl: binary(0x74),
  shrU: binary(0x76),
  ltU: binary(0x49),
  geU: binary(0x4f),
};

/** Comparisons give an i32, 1 or 0. */
export const f64: Instructions<"lt" | "ge" | "add", Binary> & { readonly load: Load; readonly store: Store } = {
  load: load(3, 0x2b),
  store: store(3, 0x39),
  lt: binary(0x63),
  ge: binary(0x66),
  add: binary(0xa0),
};

export const v128: Instructions<"and" | "or" | "xor", Binary> & {
  readonly load: Load;
  readonly store: Store;
  /** One double in both lanes. */
  readonly loadSplat64: Load;
  /** Eight bytes, and zeros above them. */
  readonly loadLow64: Load;
  const(bytes: Uint8Array): Code;
  /** Sixteen bytes out of the thirty-two of both. */
  shuffle(a: Code, b: Code, bytes: readonly number[]): Code;
  /** Bits of a where those of `mask` are set, else of b. */
  select(a: Code, b: Code, mask: Code): Code;
  /** An i32, 1 or 0. */
  readonly anyTrue: Unary;
} = {
  load: load(0, ...vectorCode(0x00)),
  loadSplat64: load(0, ...vectorCode(0x0a)),
  loadLow64: load(0, ...vectorCode(0x5d)),
  store: store(0, ...vectorCode(0x0b)),
  const: (bytes) => [...vectorCode(0x0c), ...bytes],
  shuffle: (a, b, bytes) => [...a, ...b, ...vectorCode(0x0d), ...bytes],
  and: binaryVector(0x4e),
  or: binaryVector(0x50),
  xor: binaryVector(0x51),
  select: (a, b, mask) => [...a, ...b, ...mask, ...vectorCode(0x52)],
  anyTrue: unaryVector(0x53),
};

/** `narrow` takes eight words that fit into 16 bits. */
export const i16x8: Instructions<"narrow" | "add", Binary> = { narrow: binaryVector(0x86), add: binaryVector(0x8e) };

export const i32x4: Instructions<"eq" | "add" | "sub", Binary> & { readonly splat: Unary; readonly shrU: Shift } = {
  splat: unaryVector(0x11),
  eq: binaryVector(0x37),
  shrU: shiftVector(0xad),
  add: binaryVector(0xae),
  sub: binaryVector(0xb1),
};

/** `extractWord` is the lower half of a lane, an i32. */
export const i64x2: Instructions<"eq", Binary> & { extractWord(a: Code, lane: number): Code } = {
  eq: binaryVector(0xd6),
  extractWord: (a, lane) => [...a, ...vectorCode(0x1b), 2 * lane],
};

/** `demote` rounds two doubles to the first two floats; the others are 0. */
export const f32x4: Instructions<"add" | "mul", Binary> & { readonly demote: Unary } = {
  add: binaryVector(0xe4),
  mul: binaryVector(0xe6),
  demote: unaryVector(0x5e),
};

/** Comparisons give all bits of a lane. `max` is `a < b ? b : a`; `promoteLow` takes the first two floats. */
export const f64x2: Instructions<"eq" | "lt" | "gt" | "ge" | "add" | "sub" | "mul" | "div" | "max", Binary> &
  Instructions<"splat" | "abs" | "sqrt" | "promoteLow", Unary> & { extract(a: Code, lane: number): Code } = {
  splat: unaryVector(0x14),
  extract: (a, lane) => [...a, ...vectorCode(0x21), lane],
  promoteLow: unaryVector(0x5f),
  eq: binaryVector(0x47),
  lt: binaryVector(0x49),
  gt: binaryVector(0x4a),
  ge: binaryVector(0x4c),
  abs: unaryVector(0xec),
  sqrt: unaryVector(0xef),
  add: binaryVector(0xf0),
  sub: binaryVector(0xf1),
  mul: binaryVector(0xf2),
  div: binaryVector(0xf3),
  max: binaryVector(0xf7),
};

/** Repeats `body` with `counter` from what it is, by `step`, while it is below `end`. */
export function repeat(counter: Local, end: Code, step: number, body: readonly Code[]): Code {
  const next = counter.set(i32.add(counter.get, i32.const(step)));
  // A block, left at once where there is nothing to do, around a loop, gone back to while the end is not reached.
  const leave = [...i32.geU(counter.get, end), 0x0d, 0];
  return [0x02, 0x40, ...leave, 0x03, 0x40, ...body.flat(), ...next, ...i32.ltU(counter.get, end), 0x0d, 0, 0x0b, 0x0b];
}

/** Runs `body` where `condition` is not 0. */
export function when(condition: Code, body: readonly Code[]): Code {
  return [...condition, 0x04, 0x40, ...body.flat(), 0x0b];
}
