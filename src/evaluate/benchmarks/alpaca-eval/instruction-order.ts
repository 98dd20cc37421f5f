/**
 * Records put into the benchmark's order. An instruction's difficulty is known by its place alone, so records that are
 * missing, twice or elsewhere are refused, or with a list at hand put where they belong.
 */
import { inputError } from "../../../errors.ts";
import { ALPACA_EVAL_INSTRUCTIONS, placeInAlpacaEval } from "./fingerprints.ts";

interface WithInstruction {
  readonly instruction: string;
}

export interface OrderOptions {
  /** The instructions in order; null where only the fingerprints of AlpacaEval 2.0's can tell. */
  readonly list: readonly string[] | null;
  /** Take records of fewer instructions. */
  readonly incomplete: boolean;
}

/** The records in the order of the list; `file` is where they come from. */
export function inOrder<R extends WithInstruction>(
  file: string,
  records: readonly R[],
  { list, incomplete }: OrderOptions,
): R[] {
  refuseDuplicates(file, records);
  const places = list === null ? null : new Map(list.map((instruction, place) => [instruction, place]));
  const placeOf = (instruction: string): number | undefined =>
    places === null ? placeInAlpacaEval(instruction) : places.get(instruction);
  const total = list?.length ?? ALPACA_EVAL_INSTRUCTIONS;
  const found = records.map(({ instruction }) => placeOf(instruction));
  const known = found.filter((place) => place !== undefined).length;
  // A list of somebody's own: its order is its own, too.
  if (list === null && known < records.length / 2) return [...records];

  const stranger = found.indexOf(undefined);
  if (stranger >= 0) {
    const whose = list === null ? "AlpacaEval 2.0's" : "the list's";
    throw inputError(
      `${file}: record ${stranger + 1}`,
      `${excerpt(records[stranger]!.instruction)} is none of ${whose} ${total} instructions`,
    );
  }
  const placed = found.map((place, at) => ({ place: place!, record: records[at]! }));
  const disorder = placed.findIndex(({ place }, at) => at > 0 && place < placed[at - 1]!.place);
  if (list === null && disorder >= 0) {
    throw inputError(
      `${file}: record ${disorder + 1}`,
      `instruction ${placed[disorder]!.place + 1} of AlpacaEval 2.0 stands after instruction ${placed[disorder - 1]!.place + 1}; ` +
        "expected the benchmark's order, which --baseline gpt4_1106_preview.json restores",
    );
  }
  if (records.length < total && !incomplete) {
    const there = new Set(found);
    const missing = Array.from({ length: total }, (_, place) => place).find((place) => !there.has(place))!;
    const which = list === null ? "" : ` (${excerpt(list[missing]!)})`;
    throw inputError(
      file,
      `expected ${total} instructions, found ${records.length}: instruction ${missing + 1}${which} is missing; ` +
        "add --incomplete to score what is there",
    );
  }
  return placed.sort((a, b) => a.place - b.place).map(({ record }) => record);
}

/**
 * Row of each instruction in the table of difficulties: its place in AlpacaEval 2.0, whatever is missing before it; of
 * other instructions (`known` false), which nothing is known of, the row that it stands in.
 */
export function placesOf(records: readonly WithInstruction[]): { known: boolean; places: number[] } {
  const places = records.map(({ instruction }) => placeInAlpacaEval(instruction));
  const known = places.every((place) => place !== undefined);
  return { known, places: known ? places : places.map((_, row) => row) };
}

function refuseDuplicates(file: string, records: readonly WithInstruction[]): void {
  const first = new Map<string, number>();
  for (const [at, { instruction }] of records.entries()) {
    const before = first.get(instruction);
    if (before !== undefined) {
      throw inputError(
        `${file}: record ${at + 1}`,
        `${excerpt(instruction)} was record ${before + 1} already; expected every instruction once`,
      );
    }
    first.set(instruction, at);
  }
}

const EXCERPT_CHARACTERS = 50;

/** The beginning of an instruction, in quotes. */
export function excerpt(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return JSON.stringify(line.length > EXCERPT_CHARACTERS ? `${line.slice(0, EXCERPT_CHARACTERS)}…` : line);
}
