/**
 * A judge behind an OpenAI-compatible endpoint, with its ledger. A question is answered from the ledger where that has
 * the same request, else asked, written down, and only then given out; a failure is not written, so the next run asks
 * again.
 */
import { openEndpoint } from "../../engine/endpoint/client.ts";
import type { ChatReply, ChatRequest } from "../../engine/endpoint/endpoint.ts";
import { askMany, orProblem, type Problem } from "../../engine/http/ask-many.ts";
import { FusechatError, failure, inputError } from "../../errors.ts";
import type { Reporter } from "../../reporter.ts";
import { openKeptLines } from "../kept-lines.ts";
import { estimatedTokens, openBudget } from "./budget.ts";
import type { Judge, JudgeAnswer, JudgeEstimate, JudgeOptions, JudgeQuestion } from "./judge.ts";
import { ledgerLine, lineOf, requestKey } from "./ledger-line.ts";

/** `ledger`: path of its JSONL file; null keeps nothing. The first reply written locks it until `dispose`. */
export async function openJudge(options: JudgeOptions, ledger: string | null): Promise<Judge> {
  const endpoint = openEndpoint(options.endpoint);
  const { model, url, concurrency } = options.endpoint;
  const where = `judge ${model}`;
  checkLimits(options, where);
  const lines = ledger === null ? null : await openKeptLines(ledger, ledgerLine, "a judgment");
  const kept = (): string =>
    lines === null
      ? "nothing is kept, because no folder was given for it"
      : `${lines.count} judgments are kept in ${lines.path}, and the same command goes on from there`;
  const budget = openBudget(options, where);
  /** Requests under way: of two equal questions only one is asked. */
  const asked = new Map<string, Promise<ChatReply | Problem>>();
  const warned = new Set<string>();
  const warn = (reporter: Reporter, message: string): void => {
    if (!warned.has(message)) reporter.report({ type: "warning", stage: where, message });
    warned.add(message);
  };

  const warnOfOmitted = (reporter: Reporter, { omitted }: ChatReply): void => {
    if (omitted === undefined) return;
    warn(reporter, `the server takes no ${omitted.join(" and no ")} for ${model}, which used its own`);
  };

  /** The reply, written down, or why there is none. */
  const call = async (id: string, request: ChatRequest, signal: AbortSignal): Promise<ChatReply | Problem> => {
    const reservation = await budget.reserve(request);
    let reply: ChatReply | Problem | null = null;
    try {
      reply = await orProblem(endpoint.chat(request, signal));
    } finally {
      reservation.settle(reply === null || "problem" in reply ? null : reply);
    }
    if (!("problem" in reply)) await lines?.append(lineOf(options.endpoint, id, request, reply));
    return reply;
  };

  const answer = async (
    { id, request }: JudgeQuestion,
    reporter: Reporter,
    signal: AbortSignal,
  ): Promise<JudgeAnswer | Problem> => {
    const key = requestKey(model, request);
    const line = (await lines?.get(key)) ?? null;
    if (line !== null) {
      if (line.url !== url) {
        warn(reporter, `the ledger's judgments by ${model} at ${line.url} are taken, though it is now asked at ${url}`);
      }
      warnOfOmitted(reporter, line.reply);
      return { id, reply: line.reply, fromLedger: true };
    }
    const underWay = asked.get(key);
    const asking = underWay ?? call(id, request, signal);
    asked.set(key, asking);
    try {
      const reply = await asking;
      if ("problem" in reply) return reply;
      warnOfOmitted(reporter, reply);
      return { id, reply, fromLedger: underWay !== undefined };
    } finally {
      asked.delete(key);
    }
  };

  return {
    model,
    estimate: (questions) => estimate(questions, model, (key) => lines?.has(key) ?? false),
    ask: async function* (questions, { reporter, signal }) {
      let [replies, failures, last] = [0, 0, ""];
      const ask = (question: JudgeQuestion, stop: AbortSignal): Promise<JudgeAnswer | Problem> =>
        answer(question, reporter, stop);
      try {
        for await (const outcome of askMany(questions, { concurrency, where, signal }, ask)) {
          if ("problem" in outcome) {
            failures++;
            last = outcome.problem;
            yield { id: outcome.question.id, failure: last };
          } else {
            replies++;
            yield outcome.reply;
          }
        }
        if (failures > 0 && replies === 0) throw failure(where, `no question of ${failures} got a reply (${last})`);
      } catch (error) {
        if (!(error instanceof FusechatError) || error.code !== "failed") throw error;
        throw new FusechatError("failed", `${error.message}; ${kept()}`, error);
      }
    },
    dispose: async () => {
      await lines?.close();
    },
  };
}

function estimate(
  questions: Iterable<JudgeQuestion>,
  model: string,
  inLedger: (key: string) => boolean,
): JudgeEstimate {
  const keys = new Set<string>();
  let [fromLedger, promptTokens, answerTokensAtMost] = [0, 0, 0];
  for (const { request } of questions) {
    const key = requestKey(model, request);
    if (inLedger(key) || keys.has(key)) {
      fromLedger++;
      continue;
    }
    keys.add(key);
    promptTokens += estimatedTokens(request.messages.map(({ content }) => content));
    answerTokensAtMost += request.maxTokens;
  }
  return { calls: keys.size, fromLedger, promptTokens, answerTokensAtMost };
}

function checkLimits({ maxCalls, maxTokens }: JudgeOptions, where: string): void {
  for (const [name, value] of [
    ["calls", maxCalls],
    ["tokens", maxTokens],
  ] as const) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue;
    throw inputError(where, `the budget in ${name}: expected a whole number of at least 0, found ${value}`);
  }
}
