/**
 * Rows whose two label tokens begin with different leads (bytes before the response: a space, a dummy prefix). There
 * the source's lead is taken off every token of its distribution and the pivot's put on: what the source says after
 * `\n` the pivot says after `:`. Rows that begin within a token of the source (`within.ts`) are alike: what of it has been
 * read is taken off, and nothing put on. The texts that arise are collected one by one and placed by the strategy like
 * any token.
 */

import { tensorPlace } from "../distributions/shard-columns.ts";
import { inputError } from "../errors.ts";
import type { Side } from "./paired-conversations.ts";
import type { TokenBytes } from "./units/shared-vocabulary.ts";

export interface LeadSwap {
  /** Index of the text that a source token becomes, or -1 where it does not begin with the lead or nothing is left. */
  textOf(id: number): number;
}

export interface LeadSwaps {
  /** All texts so far. */
  readonly texts: readonly Uint8Array[];
  /** The swap of two rows, or null where their leads are the same. */
  between(pivot: Side, row: number, source: Side, sourceRow: number): LeadSwap | null;
  /** That of two rows whose leads may be the same; null where one has none. */
  beginning(pivot: Side, row: number, source: Side, sourceRow: number): LeadSwap | null;
  /** That of a row whose label's first `length` bytes have been read. */
  after(source: Side, sourceRow: number, length: number): LeadSwap;
  /** That of the row `behind` so many rows of spaces from `sourceRow` on; null where its tokens stand for themselves. */
  behind(pivot: Side, row: number, source: Side, sourceRow: number, behind: number): LeadSwap | null;
}

/** Texts that are `known` have their indices there; others come after them, as they arise. */
export function createLeadSwaps(pivot: TokenBytes, source: TokenBytes, known: readonly Uint8Array[] = []): LeadSwaps {
  const texts: Uint8Array[] = [...known];
  const indexOfText = new Map<string, number>(known.map((bytes, index) => [hex(bytes), index]));
  const swaps = new Map<string, LeadSwap>();

  const indexOf = (bytes: Uint8Array): number => {
    const key = hex(bytes);
    let index = indexOfText.get(key);
    if (index === undefined) {
      index = texts.length;
      indexOfText.set(key, index);
      texts.push(bytes);
    }
    return index;
  };
  const createSwap = (pivotLead: Uint8Array, sourceLead: Uint8Array): LeadSwap => {
    const known = new Map<number, number>();
    return {
      textOf: (id) => {
        let index = known.get(id);
        if (index === undefined) {
          const bytes = source.bytes(id);
          const begins = bytes.length > 0 && sourceLead.every((byte, i) => bytes[i] === byte);
          const rest = bytes.subarray(sourceLead.length);
          index = begins && pivotLead.length + rest.length > 0 ? indexOf(concatenate(pivotLead, rest)) : -1;
          known.set(id, index);
        }
        return index;
      },
    };
  };
  const swapOf = (pivotLead: Uint8Array, sourceLead: Uint8Array): LeadSwap => {
    const key = `${hex(pivotLead)} ${hex(sourceLead)}`;
    let swap = swaps.get(key);
    if (swap === undefined) {
      swap = createSwap(pivotLead, sourceLead);
      swaps.set(key, swap);
    }
    return swap;
  };
  /** The swaps of texts that begin with a token, by it; and of what is left of one, by it and the bytes read. */
  const swapsBehind = new Map<number, LeadSwap>();
  const swapsAfter = new Map<number, LeadSwap>();
  const behindToken = (token: number): LeadSwap => {
    const swap = swapsBehind.get(token) ?? swapOf(source.bytes(token), NO_LEAD);
    swapsBehind.set(token, swap);
    return swap;
  };
  return {
    texts,
    beginning: (pivotSide, row, sourceSide, sourceRow) => {
      if (begins(sourceSide, sourceRow)) return null;
      const pivotLead = leadFrom(pivotSide, row, pivot);
      const sourceLead = leadFrom(sourceSide, sourceRow, source);
      return pivotLead.length === 0 || sourceLead.length === 0 ? null : swapOf(pivotLead, sourceLead);
    },
    behind: (pivotSide, row, sourceSide, sourceRow, behind) => {
      const isText = begins(pivotSide, row) && begins(sourceSide, sourceRow);
      if (isText && behind === 0) return null;
      if (isText && behind === 1) return behindToken(sourceSide.shard.token[sourceRow]!);
      const sourceLead = leadFrom(sourceSide, sourceRow, source);
      let read = NO_LEAD;
      for (let j = sourceRow; j < sourceRow + behind; j++) {
        read = concatenate(read, source.bytes(sourceSide.shard.token[j]!));
      }
      const put = concatenate(leadFrom(pivotSide, row, pivot), read.subarray(sourceLead.length));
      const taken = sourceLead.subarray(read.length);
      return hex(put) === hex(taken) ? null : swapOf(put, taken);
    },
    after: ({ shard }, row, length) => {
      const token = shard.token[row]!;
      const known = token + source.size * length;
      let swap = swapsAfter.get(known);
      if (swap === undefined) {
        swap = swapOf(NO_LEAD, source.bytes(token).subarray(0, length));
        swapsAfter.set(known, swap);
      }
      return swap;
    },
    between: (pivotSide, row, sourceSide, sourceRow) => {
      if (begins(pivotSide, row) && begins(sourceSide, sourceRow)) return null;
      const pivotLead = leadFrom(pivotSide, row, pivot);
      const sourceLead = leadFrom(sourceSide, sourceRow, source);
      return hex(pivotLead) === hex(sourceLead) ? null : swapOf(pivotLead, sourceLead);
    },
  };
}

const NO_LEAD: Uint8Array = new Uint8Array(0);

/** True where a row has bytes of the response and none before it: nearly always. */
function begins({ shard, spans }: Side, row: number): boolean {
  return shard.lead[row] === 0 && spans.byteEnd[row]! > spans.byteStart[row]!;
}

/** What is written before the response from a row on: of tokens that lie before it all, then the lead of the next. */
function leadFrom(side: Side, row: number, vocabulary: TokenBytes): Uint8Array {
  const { shard, spans } = side;
  let lead = NO_LEAD;
  for (let j = row; j < spans.turn.length && spans.turn[j] === spans.turn[row]; j++) {
    if (spans.byteEnd[j]! > spans.byteStart[j]! || spans.endOfTurn[j] === 1) {
      return shard.lead[j] === 0 ? lead : concatenate(lead, leadOf(side, j, vocabulary));
    }
    lead = concatenate(lead, vocabulary.bytes(shard.token[j]!));
  }
  return lead;
}

/** The bytes of a row's label token that lie before its span. */
function leadOf({ path, shard }: Side, row: number, vocabulary: TokenBytes): Uint8Array {
  const length = shard.lead[row]!;
  const bytes = vocabulary.bytes(shard.token[row]!);
  if (length > bytes.length) {
    throw inputError(
      tensorPlace(path, "lead"),
      `row ${row} has a lead of ${length} bytes, its token ${shard.token[row]} has ${bytes.length}`,
    );
  }
  return bytes.subarray(0, length);
}

function concatenate(a: Uint8Array, b: Uint8Array): Uint8Array {
  const result = new Uint8Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
