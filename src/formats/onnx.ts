/**
 * Writes ONNX models: plain data in, the bytes of a `ModelProto` out. Only what a graph of static shapes needs of the
 * protocol buffer schema is here (onnx/onnx.proto3, IR version 10): nodes with scalar, string and list attributes,
 * initialisers as raw little-endian bytes, typed inputs and outputs.
 */

/** Element types by their number in `TensorProto.DataType`. */
export const ELEMENT_TYPES = { float32: 1, int32: 6, int64: 7, bool: 9, float64: 11 } as const;

export type ElementType = keyof typeof ELEMENT_TYPES;

export interface OnnxValue {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

export interface OnnxInitializer extends OnnxValue {
  /** Little-endian elements, `shape` in row-major order. */
  readonly bytes: Uint8Array;
}

/** `int` and `ints` are 64-bit integers within the safe range, `float` is rounded to single precision. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] };

export interface OnnxNode {
  readonly op: string;
  /** Absent for the standard operators, `com.microsoft` for the runtime's own. */
  readonly domain?: string;
  /** Names; an empty one leaves an optional input out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxModel {
  /** Version of each operator domain; the standard one is the empty string. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly initializers: readonly OnnxInitializer[];
  /** In an order in which every node follows those it reads from. */
  readonly nodes: readonly OnnxNode[];
}

const IR_VERSION = 10;

/** The bytes of a model: the same model gives the same bytes. */
export function encodeOnnx(model: OnnxModel): Uint8Array {
  const graph = message([
    ...model.nodes.map((node) => field(1, encodeNode(node))),
    text(2, "graph"),
    ...model.initializers.map((initializer) => field(5, encodeInitializer(initializer))),
    ...model.inputs.map((value) => field(11, encodeValue(value))),
    ...model.outputs.map((value) => field(12, encodeValue(value))),
  ]);
  return join(
    message([
      integer(1, IR_VERSION),
      text(2, "fusechat"),
      field(7, graph),
      ...Object.entries(model.opsets).map(([domain, version]) =>
        field(8, message([text(1, domain), integer(2, version)])),
      ),
    ]),
  );
}

function encodeNode(node: OnnxNode): Message {
  return message([
    ...node.inputs.map((name) => text(1, name)),
    ...node.outputs.map((name) => text(2, name)),
    text(4, node.op),
    ...Object.entries(node.attributes ?? {}).map(([name, attribute]) => field(5, encodeAttribute(name, attribute))),
    ...(node.domain === undefined ? [] : [text(7, node.domain)]),
  ]);
}

/** The number after the value is `AttributeProto.AttributeType`. */
function encodeAttribute(name: string, attribute: OnnxAttribute): Message {
  if ("int" in attribute) return message([text(1, name), integer(3, attribute.int), integer(20, 2)]);
  if ("float" in attribute) return message([text(1, name), float(2, attribute.float), integer(20, 1)]);
  if ("string" in attribute) return message([text(1, name), text(4, attribute.string), integer(20, 3)]);
  return message([text(1, name), ...attribute.ints.map((value) => integer(8, value)), integer(20, 7)]);
}

function encodeInitializer(initializer: OnnxInitializer): Message {
  return message([
    ...initializer.shape.map((size) => integer(1, size)),
    integer(2, ELEMENT_TYPES[initializer.type]),
    text(8, initializer.name),
    field(9, message([initializer.bytes])),
  ]);
}

function encodeValue(value: OnnxValue): Message {
  const shape = message(value.shape.map((size) => field(1, message([integer(1, size)]))));
  const tensor = message([integer(1, ELEMENT_TYPES[value.type]), field(2, shape)]);
  return message([text(1, value.name), field(2, message([field(1, tensor)]))]);
}

/** Parts of a message in order, and how many bytes they are together: nothing is copied until the end. */
interface Message {
  readonly parts: readonly (Uint8Array | Message)[];
  readonly length: number;
}

function message(parts: readonly (Uint8Array | Message)[]): Message {
  return { parts, length: parts.reduce((sum, part) => sum + part.length, 0) };
}

const WIRE_VARINT = 0;
const WIRE_LENGTH = 2;
const WIRE_FIXED32 = 5;

function field(number: number, value: Message): Message {
  return message([varint(number * 8 + WIRE_LENGTH), varint(value.length), value]);
}

function text(number: number, value: string): Message {
  return field(number, message([new TextEncoder().encode(value)]));
}

function integer(number: number, value: number): Message {
  return message([varint(number * 8 + WIRE_VARINT), varint(value)]);
}

function float(number: number, value: number): Message {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return message([varint(number * 8 + WIRE_FIXED32), bytes]);
}

/** Seven bits a byte, lowest first; a negative number is its 64-bit two's complement, ten bytes long. */
function varint(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 128);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

function join(root: Message): Uint8Array {
  const bytes = new Uint8Array(root.length);
  let position = 0;
  const copy = (part: Uint8Array | Message): void => {
    if (part instanceof Uint8Array) {
      bytes.set(part, position);
      position += part.length;
    } else {
      part.parts.forEach(copy);
    }
  };
  copy(root);
  return bytes;
}
