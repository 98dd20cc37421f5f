/** An AlpacaEval result for people: figures with their intervals, and everything that a sceptic would ask about them. */
import type { AlpacaEvalResult } from "./result.ts";

/** Answers of the judge that are shown; the document has all. */
const SHOWN = 5;
const EXCERPT_CHARACTERS = 60;

export function describeAlpacaEval(result: AlpacaEvalResult): string[] {
  const { model, baseline, judge, prompts, metrics, unparsed, leaderboard, length_model: fitted, orders } = result;
  const lines = [
    `${model} against ${baseline}, judged by ${judge}: ${leaderboard.n_total} of ${prompts} instructions have a preference ` +
      `(${leaderboard.n_wins} won, ${leaderboard.n_wins_base} lost, ${leaderboard.n_draws} drawn)`,
  ];
  const width = Math.max(...Object.keys(metrics).map((name) => name.length));
  for (const [name, { value, low, high, unit }] of Object.entries(metrics)) {
    lines.push(`  ${name.padEnd(width)}  ${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}] ${unit}`);
  }
  lines.push(`  standard error of the win rate ${leaderboard.standard_error.toFixed(2)}; ${answersLine(result)}`);
  if (fitted !== undefined) {
    const { cost, at_optimum } = fitted;
    lines.push(
      `  length control: C ${cost.toPrecision(3)}; at the optimum of its logistic model ${at_optimum.length_controlled_win_rate.toFixed(2)} %`,
    );
  }
  if (orders !== undefined) {
    lines.push(
      `  both orders: ${orders.disagree} of ${orders.prompts} instructions have another winner in the other order; ` +
        `the answer that stands first wins ${orders.first_wins.toFixed(1)} %`,
    );
  }
  if (result.judge_tokens !== undefined) {
    const { questions, prompt, answer } = result.judge_tokens;
    lines.push(`  judge: ${questions} questions, ${prompt} tokens read, ${answer} written`);
  }
  for (const { id, answer } of unparsed.slice(0, SHOWN)) {
    const text = answer.replace(/\s+/g, " ").trim();
    const excerpt = text.length > EXCERPT_CHARACTERS ? `${text.slice(0, EXCERPT_CHARACTERS)}…` : text;
    lines.push(`  instruction ${id}, no preference in: ${JSON.stringify(excerpt)}`);
  }
  if (unparsed.length > SHOWN) lines.push(`  and ${unparsed.length - SHOWN} more without a preference`);
  return lines;
}

function answersLine(result: AlpacaEvalResult): string {
  const { unparsed, empty_outputs: empty, cut_outputs: cut = 0, refused = 0, leaderboard } = result;
  return [
    `answers of ${leaderboard.avg_length} characters on average`,
    ...(empty > 0 ? [`${empty} empty`] : []),
    ...(cut > 0 ? [`${cut} cut at the limit of tokens`] : []),
    ...(refused > 0 ? [`${refused} refused by the model's template`] : []),
    ...(unparsed.length > 0 ? [`${unparsed.length} judgments could not be read and count nowhere`] : []),
  ].join("; ");
}
