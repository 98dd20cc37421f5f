/**
 * The first walk over an alignment, before any map exists: it aligns the rows, counts which tokens begin together,
 * and adds up the mass that each source token has in the shared rows, so that maps are built for the tokens that
 * occur and every strategy can be judged by the mass that it places. Units may be surveyed in any order by any number
 * of surveyors: everything that is added up is added up exactly.
 */
import { MINUS_INFINITY } from "../distributions/shard-columns.ts";
import { type CoStarts, type CountedPairs, createCoStartCounter } from "./co-starts.ts";
import { createLeadSwaps } from "./leads.ts";
import { addMass, addSum, addSums, createMassSums, grownSums, type MassSums, massParts, sumsOf } from "./mass-sums.ts";
import { alignParts, checkSameConversation, type Part, part, type Side } from "./paired-conversations.ts";
import type { SequenceAlignment } from "./sequence.ts";
import type { JoinedReader } from "./spaces/joined-reader.ts";
import { alignLeads } from "./spaces/lone-space.ts";
import { createSpaceSurvey } from "./spaces/survey-spaces.ts";
import type { TokenText } from "./strategies/strategy.ts";
import type { TokenBytes } from "./units/shared-vocabulary.ts";
import type { OpenedUnit } from "./units/units.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { bytesRead, findWithinRows, isWhole, type Within } from "./within/within.ts";

export interface SurveyFigures {
  /** Conversations of the pivot, and how many of them the source has too. */
  readonly conversations: number;
  readonly sharedConversations: number;
  /** Rows of the pivot, and how many of them are aligned with a row of the source. */
  readonly rows: number;
  readonly sharedRows: number;
  /** Shared rows whose labels have different leads. */
  readonly differentLeads: number;
}

export interface Survey extends SurveyFigures {
  /** By source token, and after all of them by text. */
  readonly counts: CoStarts;
  /** [source vocabulary] summed mass in shared rows with equal leads. */
  readonly tokenMass: Float64Array;
  /** The texts that tokens become in rows with different leads, and the summed mass of each. */
  readonly texts: readonly TokenText[];
  readonly textMass: Float64Array;
  /** Summed mass of all shared rows. */
  readonly storedMass: number;
  /** The label of end-of-turn rows: the most frequent one of the pivot (-1: none), and all of the source. */
  readonly pivotEndOfTurn: number;
  readonly sourceEndOfTurn: readonly number[];
  /** Spaces that the pivot writes before other tokens, ascending; with `within`. */
  readonly pivotSpaces: readonly number[];
}

/** What one surveyor has seen; crosses between threads. */
export interface SurveyPart {
  readonly figures: SurveyFigures;
  readonly pairs: CountedPairs;
  /** Of the texts, by their place in the list. */
  readonly textPairs: CountedPairs;
  readonly tokenMass: MassSums;
  readonly texts: readonly Uint8Array[];
  readonly textMass: MassSums;
  readonly storedMass: MassSums;
  /** How often each label ends a turn. */
  readonly pivotLabels: ReadonlyMap<number, number>;
  readonly sourceLabels: ReadonlyMap<number, number>;
  readonly pivotSpaces: readonly number[];
}

export interface Surveyor {
  /** Returns how many rows of the unit are shared. */
  add(unit: OpenedUnit): Promise<number>;
  part(): SurveyPart;
}

export function createSurveyor(
  pivotVocabulary: TokenBytes,
  sourceVocabulary: TokenBytes,
  sequence: SequenceAlignment,
  within: Within,
): Surveyor {
  const parts = massParts();
  const counter = createCoStartCounter();
  /** Of texts, by their index here, and the pivot's tokens. */
  const textCounter = createCoStartCounter();
  const swaps = createLeadSwaps(pivotVocabulary, sourceVocabulary);
  const spaces =
    within === "conditional" ? createSpaceSurvey(pivotVocabulary, sourceVocabulary, swaps, textCounter) : null;
  const tokenMass = createMassSums(sourceVocabulary.size);
  const storedMass = createMassSums(1);
  let textMass = createMassSums(64);
  const pivotLabels = new Map<number, number>();
  const sourceLabels = new Map<number, number>();
  const figures = { conversations: 0, sharedConversations: 0, rows: 0, sharedRows: 0, differentLeads: 0 };
  let aligned = new Int32Array(0);
  let withinRow = new Int32Array(0);

  /** The texts of rows within tokens of the source, and how often each begins with which token of the pivot. */
  const addWithin = (pivot: Part, source: Part): void => {
    findWithinRows(pivot, source, sourceVocabulary, aligned, withinRow);
    const { topId, topLogp, token, metadata } = source.side.shard;
    for (let row = pivot.from; row < pivot.to; row++) {
      if (withinRow[row] === -1) continue;
      const there = source.from + withinRow[row]!;
      const swap = swaps.after(source.side, there, bytesRead(pivot, row, source, there));
      const label = swap.textOf(token[there]!);
      if (isWhole(pivot, row, pivotVocabulary)) textCounter.add(label, pivot.side.shard.token[row]!);
      const at = there * metadata.topK;
      for (let k = at; k < at + metadata.topK && topLogp[k] !== MINUS_INFINITY; k++) swap.textOf(topId[k]!);
    }
    textMass = grownSums(textMass, swaps.texts.length);
  };

  /** Adds the first entries of a reader, by what the map is to know them by. */
  const addEntries = ({ sources, logp }: JoinedReader, length: number): void => {
    textMass = grownSums(textMass, swaps.texts.length);
    for (let k = 0; k < length; k++) {
      const bits = logp[k]! & 0x7fff;
      addMass(storedMass, 0, bits);
      const source = sources[k]!;
      if (source >= sourceVocabulary.size) addMass(textMass, source - sourceVocabulary.size, bits);
      else if (source >= 0) addMass(tokenMass, source, bits);
    }
  };

  const addPart = (pivot: Part, source: Part): number => {
    let shared = alignParts(sequence, pivot, source, aligned);
    if (spaces !== null) shared += alignLeads(pivot, source, spaces, aligned);
    const joined = spaces?.begin(pivot, source);
    const { topId, topLogp, token, metadata } = source.side.shard;
    let [high, low] = [0, 0];
    for (let row = pivot.from; row < pivot.to; row++) {
      if (aligned[row] === -1) continue;
      const sourceRow = source.from + aligned[row]!;
      if (coversItself(pivot.side, row, pivotVocabulary) && coversItself(source.side, sourceRow, sourceVocabulary)) {
        counter.add(token[sourceRow]!, pivot.side.shard.token[row]!);
      }
      const entries = joined === undefined ? 0 : spaces!.read(joined, pivot, row, source, sourceRow);
      if (entries > 0) {
        addEntries(joined!, entries);
        continue;
      }
      const swap = swaps.between(pivot.side, row, source.side, sourceRow);
      if (swap !== null) {
        figures.differentLeads++;
        const text = sourceVocabulary.special[token[sourceRow]!] === 1 ? -1 : swap.textOf(token[sourceRow]!);
        if (text >= 0 && isWhole(pivot, row, pivotVocabulary)) {
          textCounter.add(text, pivot.side.shard.token[row]!);
        }
      }
      // Where leads are the same, a space of the source is all of its lead (`row-reader.ts`).
      const isLabelSpace = spaces?.source[token[sourceRow]!] === 1;
      const lead = spaces === null || isLabelSpace ? null : swaps.beginning(pivot.side, row, source.side, sourceRow);
      const at = sourceRow * metadata.topK;
      for (let k = at; k < at + metadata.topK; k++) {
        const bits = topLogp[k]! & 0x7fff;
        const massHigh = parts[2 * bits]!;
        const massLow = parts[2 * bits + 1]!;
        if (massHigh + massLow === 0) break;
        high += massHigh;
        low += massLow;
        const id = topId[k]!;
        const renamed = swap ?? (lead !== null && spaces!.source[id] === 1 ? lead : null);
        if (renamed === null || sourceVocabulary.special[id] === 1) {
          tokenMass[2 * id]! += massHigh;
          tokenMass[2 * id + 1]! += massLow;
          continue;
        }
        const text = renamed.textOf(id);
        if (text < 0) continue;
        textMass = grownSums(textMass, swaps.texts.length);
        addMass(textMass, text, bits);
      }
    }
    storedMass[0]! += high;
    storedMass[1]! += low;
    if (spaces !== null) addWithin(pivot, source);
    return shared;
  };

  return {
    add: async ({ pivot, find }) => {
      const { conversation, token } = pivot.shard;
      if (aligned.length < token.length) {
        aligned = new Int32Array(token.length);
        withinRow = new Int32Array(token.length);
      }
      figures.rows += token.length;
      const before = figures.sharedRows;
      for (let n = 0; n < conversation.length; n++) {
        figures.conversations++;
        const here = part(pivot, n);
        countEndOfTurn(here, pivotLabels);
        const there = await find(conversation[n]!);
        if (there === null) continue;
        figures.sharedConversations++;
        countEndOfTurn(there, sourceLabels);
        checkSameConversation(here, there);
        figures.sharedRows += addPart(here, there);
      }
      return figures.sharedRows - before;
    },
    part: () => ({
      figures,
      pairs: counter.pairs(),
      textPairs: textCounter.pairs(),
      tokenMass,
      texts: swaps.texts,
      textMass,
      storedMass,
      pivotLabels,
      sourceLabels,
      pivotSpaces: [...(spaces?.written ?? [])],
    }),
  };
}

/** What all surveyors have seen together; the texts are put in the order of their bytes. */
export function mergeSurveys(parts: readonly SurveyPart[], source: Vocabulary): Survey {
  const figures = { conversations: 0, sharedConversations: 0, rows: 0, sharedRows: 0, differentLeads: 0 };
  const counter = createCoStartCounter();
  const tokenMass = createMassSums(source.size);
  const storedMass = createMassSums(1);
  const pivotLabels = new Map<number, number>();
  const sourceLabels = new Map<number, number>();
  const texts = [...new Map(parts.flatMap((each) => each.texts.map((bytes) => [hex(bytes), bytes]))).values()].sort(
    Buffer.compare,
  );
  const indexOfText = new Map(texts.map((bytes, index) => [hex(bytes), index]));
  const textMass = createMassSums(texts.length);
  for (const each of parts) {
    for (const key of Object.keys(figures) as (keyof SurveyFigures)[]) figures[key] += each.figures[key];
    counter.addAll(each.pairs);
    const placed = each.texts.map((bytes) => source.size + indexOfText.get(hex(bytes))!);
    const { source: texted, ...counted } = each.textPairs;
    counter.addAll({ ...counted, source: texted.map((text) => placed[text]!) });
    addSums(tokenMass, each.tokenMass);
    addSums(storedMass, each.storedMass);
    each.texts.forEach((bytes, from) => {
      const index = indexOfText.get(hex(bytes))!;
      addSum(textMass, index, each.textMass, from);
    });
    addCounts(pivotLabels, each.pivotLabels);
    addCounts(sourceLabels, each.sourceLabels);
  }
  const counts = counter.counts(source.size + texts.length);
  const isCounted = (row: number): boolean => counts.start[row + 1]! > counts.start[row]!;
  return {
    ...figures,
    counts,
    tokenMass: sumsOf(tokenMass),
    texts: texts.map((bytes, index) => {
      const row = source.size + index;
      return { bytes, source: isCounted(row) ? row : source.find(bytes) };
    }),
    textMass: sumsOf(textMass),
    storedMass: sumsOf(storedMass)[0]!,
    pivotEndOfTurn: mostFrequent(pivotLabels),
    sourceEndOfTurn: [...sourceLabels.keys()].sort((a, b) => a - b),
    pivotSpaces: [...new Set(parts.flatMap((each) => each.pivotSpaces))].sort((a, b) => a - b),
  };
}

/** True where a row's span is exactly its label's own bytes: no lead, no special token, nothing cut off. */
function coversItself(side: Side, row: number, vocabulary: TokenBytes): boolean {
  return side.shard.lead[row] === 0 && isWhole({ side }, row, vocabulary);
}

function countEndOfTurn({ side, from, to }: Part, labels: Map<number, number>): void {
  for (let row = from; row < to; row++) {
    if (side.spans.endOfTurn[row] === 0) continue;
    const label = side.shard.token[row]!;
    labels.set(label, (labels.get(label) ?? 0) + 1);
  }
}

function addCounts(into: Map<number, number>, from: ReadonlyMap<number, number>): void {
  for (const [label, count] of from) into.set(label, (into.get(label) ?? 0) + count);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** Ties go to the lowest id. */
function mostFrequent(labels: ReadonlyMap<number, number>): number {
  let best = -1;
  for (const [label, count] of labels) {
    const lead = best === -1 ? 1 : count - labels.get(best)!;
    if (lead > 0 || (lead === 0 && label < best)) best = label;
  }
  return best;
}
