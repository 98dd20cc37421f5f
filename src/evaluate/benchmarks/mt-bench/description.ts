/** An MT-Bench result for people. */
import type { MtBenchResult, UnratedJudgment } from "./result.ts";

/** Judgments without a rating that are shown with their words; the others are in the document. */
const SHOWN = 5;
const EXCERPT_CHARACTERS = 80;

export function describeMtBench(result: MtBenchResult): string[] {
  const { model, judge, questions, judgments, unrated, metrics } = result;
  const { empty_answers: empty = 0, cut_answers: cut = 0, refused = 0, repeated_judgments: repeated = 0 } = result;
  const lines = [
    `${model}: ${questions} questions, ${judgments} judgments by ${judge}` +
      (repeated > 0 ? ` (${repeated} of turns that were judged before, which all count)` : "") +
      (unrated.length > 0 ? `, ${unrated.length} of them without a rating, which count nowhere` : "") +
      (cut > 0 ? `; ${cut} answers cut at the limit of tokens` : "") +
      (empty > 0 ? `; ${empty} answers empty` : "") +
      (refused > 0 ? `; ${refused} questions could not be asked` : ""),
  ];
  const width = Math.max(...Object.keys(metrics).map((name) => name.length));
  for (const [name, { value, low, high, unit, prompts }] of Object.entries(metrics)) {
    const figure = `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
    lines.push(`  ${name.padEnd(width)}  ${figure} ${unit}, ${prompts} questions`);
  }
  for (const judgment of unrated.slice(0, SHOWN)) lines.push(`  ${excerpt(judgment)}`);
  if (unrated.length > SHOWN) lines.push(`  and ${unrated.length - SHOWN} more without a rating`);
  return lines;
}

/** The end of what the judge said: that is where a rating would be. */
function excerpt({ id, turn, judgment }: UnratedJudgment): string {
  const text = judgment.replace(/\s+/g, " ").trim();
  const end = text.length > EXCERPT_CHARACTERS ? `…${text.slice(-EXCERPT_CHARACTERS)}` : text;
  return `question ${id}, turn ${turn}, no rating in: ${JSON.stringify(end)}`;
}
