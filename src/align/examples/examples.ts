/**
 * Worked examples for people: shared rows with both label tokens, the source's most probable tokens and what became of
 * them in the pivot's vocabulary. They lie evenly over the shared rows of the whole corpus.
 */
import { halfToNumber } from "../../formats/float.ts";
import type { TokenTable } from "../../tokenizer/tokenizer.ts";

export interface TokenMass {
  readonly token: number;
  readonly text: string;
  readonly probability: number;
}

export interface WorkedExample {
  readonly conversation: number;
  readonly turn: number;
  readonly byte_start: number;
  /** The label tokens of the two models. */
  readonly pivot: { readonly token: number; readonly text: string };
  readonly source: { readonly token: number; readonly text: string };
  /** The source's distribution as stored, and as mapped. */
  readonly stored: readonly TokenMass[];
  readonly mapped: readonly TokenMass[];
}

/** Numbers of the shared rows (counted over the corpus) that become examples: at most `count`, evenly spread. */
export function exampleRows(sharedRows: number, count: number): readonly number[] {
  const taken = Math.min(sharedRows, count);
  return Array.from({ length: taken }, (_, i) => Math.floor(((i + 0.5) * sharedRows) / taken));
}

/** A token as people read it: special tokens by their name, bytes that are no UTF-8 as `<0xNN>`. */
export function tokenName(tokenizer: TokenTable, id: number): string {
  const bytes = tokenizer.tokenBytes(id);
  return bytes === null ? (tokenizer.tokenText(id) ?? `<no token ${id}>`) : bytesName(bytes);
}

export function bytesName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`).join("");
  }
}

/** An example before its tokens have names: what the row itself tells. */
export interface ExampleRow {
  readonly conversation: number;
  readonly turn: number;
  readonly byteStart: number;
  /** The label tokens of the two models. */
  readonly pivotToken: number;
  readonly sourceToken: number;
  readonly stored: readonly [token: number, probability: number][];
  readonly mapped: readonly [token: number, probability: number][];
}

/** The places `at .. at+width-1` that hold mass. */
export function heldMasses(
  ids: Uint16Array | Uint32Array,
  logp: Uint16Array,
  at: number,
  width: number,
): [number, number][] {
  const result: [number, number][] = [];
  for (let k = at; k < at + width; k++) {
    const probability = Math.exp(halfToNumber(logp[k]!));
    if (probability === 0) break;
    result.push([ids[k]!, Number(probability.toFixed(6))]);
  }
  return result;
}

export function workedExample(row: ExampleRow, pivot: TokenTable, source: TokenTable): WorkedExample {
  const named = (tokenizer: TokenTable, token: number): { token: number; text: string } => ({
    token,
    text: tokenName(tokenizer, token),
  });
  return {
    conversation: row.conversation,
    turn: row.turn,
    byte_start: row.byteStart,
    pivot: named(pivot, row.pivotToken),
    source: named(source, row.sourceToken),
    stored: row.stored.map(([token, probability]) => ({ ...named(source, token), probability })),
    mapped: row.mapped.map(([token, probability]) => ({ ...named(pivot, token), probability })),
  };
}
