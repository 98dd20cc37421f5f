/** What is told of a data set of answers: how many, whose, how long, and what was left out and why. */
import type { LeftOut } from "../data/irregular.ts";
import type { Answer } from "../evaluate/subjects/subject.ts";
import type { Selected } from "./select.ts";

export interface SourceFigures {
  readonly name: string;
  /** Answers drawn, and of them: without text, refused by template or context, cut at the length, said before. */
  drawn: number;
  empty: number;
  refused: number;
  cut: number;
  duplicates: number;
  /** Answers that went into the data set, and prompts of which one of them is the best. */
  selected: number;
  wins: number;
  /** Mean length of the answers drawn, UTF-8 bytes. */
  mean_bytes: number;
}

export interface AnswersCard {
  readonly format: "fusechat-answers-1";
  readonly prompts: number;
  /** Prompts to which no answer was selected. */
  unanswered: number;
  records: number;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly sources: readonly SourceFigures[];
  readonly left_out: readonly LeftOut[];
}

export function createCard(
  prompts: number,
  sources: readonly string[],
  settings: Readonly<Record<string, unknown>>,
  leftOut: readonly LeftOut[],
): AnswersCard {
  const figures = sources.map((name) => ({
    name,
    drawn: 0,
    empty: 0,
    refused: 0,
    cut: 0,
    duplicates: 0,
    selected: 0,
    wins: 0,
    mean_bytes: 0,
  }));
  return {
    format: "fusechat-answers-1",
    prompts,
    unanswered: 0,
    records: 0,
    settings,
    sources: figures,
    left_out: leftOut,
  };
}

/** How an answer is counted; only `usable` ones can be selected. */
export type Fate = "usable" | "empty" | "refused" | "cut" | "duplicates";

export function countAnswer(source: SourceFigures, { text }: Answer, fate: Fate): void {
  source.mean_bytes += (Buffer.byteLength(text, "utf8") - source.mean_bytes) / (source.drawn + 1);
  source.drawn++;
  if (fate !== "usable") source[fate]++;
}

export function countSelected(card: AnswersCard, selected: readonly Selected[]): void {
  if (selected.length === 0) card.unanswered++;
  card.records += selected.length;
  const best = Math.max(...selected.map(({ score }) => score));
  const winners = new Set(selected.filter(({ score }) => score === best).map(({ candidate }) => candidate.source));
  for (const source of card.sources) {
    source.selected += selected.filter(({ candidate }) => candidate.source === source.name).length;
    if (winners.has(source.name)) source.wins++;
  }
}
