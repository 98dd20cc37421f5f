/** `evaluate --plan`: prompts, calls and tokens, told before the first call; and the same in a line where it is made. */
import type { Benchmark, BenchmarkRequest, EvaluationEstimate } from "../evaluate/benchmarks/benchmark.ts";
import type { JudgeEstimate, JudgeOptions } from "../evaluate/judges/judge.ts";
import { columns } from "../run/result-table.ts";
import { formatCount } from "./figures.ts";
import type { Invocation } from "./verb.ts";

/** Prints what each of the requests would take. */
export async function printPlan(
  benchmark: Benchmark,
  judge: JudgeOptions | null,
  requests: readonly BenchmarkRequest[],
  invocation: Invocation,
): Promise<void> {
  const planned: (EvaluationEstimate & { model: string })[] = [];
  for (const request of requests) {
    const model = request.subject?.name ?? "finished work";
    planned.push({ model, ...(await benchmark.estimate(request)) });
  }
  const rows = planned.map(({ model, prompts, judge: asked }) => [
    model,
    formatCount(prompts),
    ...[asked?.calls, asked?.fromLedger, asked?.promptTokens, asked?.answerTokensAtMost].map((value) =>
      formatCount(value ?? 0),
    ),
  ]);
  const judging = judge === null ? "nobody judges" : `${judge.endpoint.model} at ${judge.endpoint.url} judges`;
  invocation.print(
    [
      ...columns([
        ["model", "prompts", "calls", "kept already", "tokens asked (about)", "answered (at most)"],
        ...rows,
      ]),
      "",
      ...(judge === null
        ? []
        : budgetWarnings(
            planned.flatMap((one) => one.judge ?? []),
            judge,
          )),
      `Nothing was asked; ${judging}.`,
    ].join("\n"),
  );
  invocation.document({
    benchmark: benchmark.name,
    judge: judge === null ? null : { model: judge.endpoint.model, url: judge.endpoint.url },
    models: planned,
  });
}

/** A budget that will not do is told before anything is spent of it. */
export function budgetWarnings(
  estimates: readonly JudgeEstimate[],
  { maxCalls, maxTokens }: { readonly maxCalls?: number | undefined; readonly maxTokens?: number | undefined },
): string[] {
  const calls = estimates.reduce((sum, one) => sum + one.calls, 0);
  const tokens = estimates.reduce((sum, one) => sum + one.promptTokens + one.answerTokensAtMost, 0);
  const warnings: string[] = [];
  if (maxCalls !== undefined && calls > maxCalls) {
    const needed = `${formatCount(calls)} are needed`;
    warnings.push(`The judge's budget of ${formatCount(maxCalls)} calls will not do: ${needed}.`);
  }
  if (maxTokens !== undefined && tokens > maxTokens) {
    const needed = `up to about ${formatCount(tokens)} are needed`;
    warnings.push(`The judge's budget of ${formatCount(maxTokens)} tokens may not do: ${needed}.`);
  }
  return warnings;
}

/** `80 prompts, 160 calls of gpt-4 (12 are kept already), about … tokens asked and at most … answered`. */
export function costsInWords(
  { prompts, judge: asked }: EvaluationEstimate,
  { endpoint: { model } }: JudgeOptions,
): string {
  if (asked === null) return `${formatCount(prompts)} prompts, no call`;
  const { calls, fromLedger, promptTokens, answerTokensAtMost } = asked;
  const kept = fromLedger === 0 ? "" : ` (${formatCount(fromLedger)} are kept already)`;
  const tokens = `about ${formatCount(promptTokens)} tokens asked and at most ${formatCount(answerTokensAtMost)} answered`;
  return `${formatCount(prompts)} prompts, ${formatCount(calls)} calls of ${model}${kept}, ${tokens}`;
}
