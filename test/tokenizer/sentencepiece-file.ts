/** Writes small SentencePiece models: the messages of its file format, field by field. */

export interface WrittenPiece {
  readonly text: string | Uint8Array;
  readonly score?: number;
  readonly type?: number;
}

export interface WrittenModel {
  readonly pieces: readonly WrittenPiece[];
  readonly algorithm?: number;
  readonly byteFallback?: boolean;
  readonly spaceBehind?: boolean;
  readonly table?: Uint8Array;
  readonly addDummyPrefix?: boolean;
  readonly removeExtraSpaces?: boolean;
  readonly escapeSpaces?: boolean;
}

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** Three control pieces and all bytes, as every model here begins. */
export const FIRST_PIECES: readonly WrittenPiece[] = [
  { text: "<unk>", type: 2 },
  { text: "<s>", type: 3 },
  { text: "</s>", type: 3 },
  ...BYTES.map((text) => ({ text, type: 6 })),
];

export function sentencePieceFile(model: WrittenModel): Uint8Array {
  const trainer = [
    number(3, model.algorithm ?? 2),
    number(24, Number(model.spaceBehind ?? false)),
    number(35, Number(model.byteFallback ?? true)),
  ];
  const normaliser = [
    bytes(1, Buffer.from("identity")),
    ...(model.table === undefined ? [] : [bytes(2, model.table)]),
    number(3, Number(model.addDummyPrefix ?? true)),
    number(4, Number(model.removeExtraSpaces ?? false)),
    number(5, Number(model.escapeSpaces ?? true)),
  ];
  return Buffer.concat([
    ...model.pieces.map((piece) => bytes(1, pieceOf(piece))),
    bytes(2, Buffer.concat(trainer)),
    bytes(3, Buffer.concat(normaliser)),
  ]);
}

function pieceOf({ text, score = 0, type = 1 }: WrittenPiece): Uint8Array {
  const value = Buffer.alloc(4);
  value.writeFloatLE(score);
  const spelled = typeof text === "string" ? Buffer.from(text, "utf8") : text;
  return Buffer.concat([bytes(1, spelled), Buffer.from([0x15]), value, number(3, type)]);
}

/** A field of bytes, text or another message. */
export function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

export function number(field: number, value: number): Uint8Array {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function varint(value: number): Uint8Array {
  const groups: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) groups.push((rest % 128) + 128);
  return Buffer.from([...groups, rest]);
}
