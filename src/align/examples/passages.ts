/**
 * Passages for people: a stretch of a response under both tokenisations, with the names of all tokens. Shards hold no
 * text: it comes from the bytes of the pivot's label tokens, which tile the response.
 */
import type { TokenTable } from "../../tokenizer/tokenizer.ts";
import { bytesName, type TokenMass, tokenName } from "./examples.ts";
import type { LabelRow, Mass, PassageRows } from "./passage-rows.ts";

export interface PassageToken {
  readonly token: number;
  /** What it stands for in the response; a special token, or one with an empty span, by its name. */
  readonly text: string;
  readonly byte_start: number;
  readonly byte_end: number;
}

export interface WentToken extends TokenMass {
  /** Pivot tokens that its mass went to, the largest first; none where it went to the tail. */
  readonly places: readonly TokenMass[];
}

export interface Passage {
  readonly conversation: number;
  readonly turn: number;
  readonly text: string;
  readonly pivot: readonly PassageToken[];
  readonly source: readonly PassageToken[];
  /** The rows that both have (indices into the two lists), and where the source's first tokens went. */
  readonly shared: readonly { readonly pivot: number; readonly source: number; readonly went: readonly WentToken[] }[];
}

export function passageOf(rows: PassageRows, pivot: TokenTable, source: TokenTable): Passage {
  const masses = (held: readonly Mass[]): TokenMass[] =>
    held.map(([token, probability]) => ({ token, text: tokenName(pivot, token), probability }));
  return {
    conversation: rows.conversation,
    turn: rows.turn,
    text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Buffer.concat(rows.pivot.map((row) => covered(row, pivot) ?? new Uint8Array())),
    ),
    pivot: rows.pivot.map((row) => passageToken(row, pivot)),
    source: rows.source.map((row) => passageToken(row, source)),
    shared: rows.shared.map(({ went, ...row }) => ({
      ...row,
      went: went.map(({ token, probability, places }) => ({
        token,
        text: tokenName(source, token),
        probability,
        places: masses(places),
      })),
    })),
  };
}

function passageToken(row: LabelRow, tokenizer: TokenTable): PassageToken {
  const bytes = covered(row, tokenizer);
  return {
    token: row.token,
    text: bytes === null || bytes.length === 0 ? tokenName(tokenizer, row.token) : bytesName(bytes),
    byte_start: row.byteStart,
    byte_end: row.byteEnd,
  };
}

/**
 * The bytes of the response that a label stands for, or null for a special one. Where a normaliser has changed the text
 * the token has other bytes than its span, and they stand for it whole.
 */
function covered({ token, lead, byteStart, byteEnd }: LabelRow, tokenizer: TokenTable): Uint8Array | null {
  const bytes = tokenizer.tokenBytes(token);
  if (bytes === null) return null;
  const length = byteEnd - byteStart;
  if (length === 0) return new Uint8Array();
  return lead + length <= bytes.length ? bytes.subarray(lead, lead + length) : bytes;
}
