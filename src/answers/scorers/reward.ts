/**
 * A reward model behind a server. The request is a POST of `{"model", "messages"}` to the address as it is given, the
 * conversation with the answer as its last turn. The reply is `{"score": number}`, or what vLLM answers on `/pooling` for a
 * model with one output: `{"data": [{"data": [number]}]}`. Rewards are kept on the disk and not asked for twice.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { EndpointOptions } from "../../engine/endpoint/endpoint.ts";
import { askMany, orProblem, type Problem } from "../../engine/http/ask-many.ts";
import { openConnection, parseAddress, type Unreadable } from "../../engine/http/connection.ts";
import { failure, inputError } from "../../errors.ts";
import { openKeptLines } from "../../evaluate/kept-lines.ts";
import { answerIn } from "../../evaluate/reasoning.ts";
import type { ScorerKind } from "./scorer.ts";

interface Reward {
  readonly key: string;
  readonly id: string;
  readonly url: string;
  readonly score: number;
}

const reward = z.object({ key: z.string(), id: z.string(), url: z.string(), score: z.number() });

const replyForms = z.union([
  z.object({ score: z.number() }).transform(({ score }) => score),
  z
    .object({ data: z.tuple([z.object({ data: z.union([z.tuple([z.number()]), z.tuple([z.tuple([z.number()])])]) })]) })
    .transform(({ data: [{ data }] }) => data.flat()[0]!),
]);

/** A score is a few bytes; whatever is longer is no score. */
const LONGEST_REPLY = 1 << 16;

export const rewardModel: ScorerKind = {
  name: "reward",
  summary: "a reward model behind a server (--reward-url)",
  open: async ({ reward: options, reasoning, keep }, { reporter, signal: outer }) => {
    if (options === null) throw inputError("answers", "rewards need a server; add --reward-url URL");
    const ask = openAsker(options);
    const lines = await openKeptLines<Reward>(`${keep}-rewards.jsonl`, reward, "a reward");
    const stage = `reward ${options.model}`;
    return {
      score: async (candidates, signal = outer) => {
        const asked = candidates.flatMap(({ prompt, answers }, place) =>
          answers.map((candidate, answer) => {
            const text = answerIn(candidate.text, reasoning);
            const messages = [...prompt.dialogue.turns, { role: "assistant", content: text }].map((turn) => ({
              role: turn.role,
              content: turn.content,
            }));
            const body = JSON.stringify({ model: options.model, messages });
            const key = createHash("sha256").update(body, "utf8").digest("hex");
            const id = `${prompt.dialogue.id}, ${candidate.source} ${candidate.sample}`;
            return { place, answer, body, key, id };
          }),
        );
        const total = asked.length;
        let [done, failures, last] = [0, 0, ""];
        reporter.report({ type: "start", stage, total, unit: "answers" });
        const rewardOf = async (
          { key, id, body }: (typeof asked)[number],
          stop: AbortSignal,
        ): Promise<{ score: number } | Problem> => {
          const kept = await lines.get(key);
          if (kept !== null) return kept;
          const reply = await orProblem(ask(body, stop));
          if (!("problem" in reply)) await lines.append({ key, id, url: options.url, score: reply.score });
          return reply;
        };
        const scores = candidates.map(({ answers }) => answers.map((): number | null => null));
        const { concurrency } = options;
        for await (const outcome of askMany(asked, { concurrency, where: stage, signal }, rewardOf)) {
          if ("problem" in outcome) {
            failures++;
            last = outcome.problem;
            continue;
          }
          const { place, answer } = outcome.question;
          scores[place]![answer] = outcome.reply.score;
          reporter.report({ type: "progress", stage, done: ++done, total, unit: "answers" });
        }
        if (failures > 0) {
          const kept = `${lines.count} rewards are kept in ${lines.path}, and the same command goes on from there`;
          throw failure(stage, `${failures} of ${total} answers got no reward (${last}); ${kept}`);
        }
        reporter.report({ type: "end", stage, summary: `${total} rewards` });
        return scores;
      },
      dispose: () => lines.close(),
    };
  },
};

function openAsker(options: EndpointOptions): (body: string, signal: AbortSignal) => Promise<{ score: number }> {
  const connection = openConnection(options);
  const url = parseAddress(options.url, "http://127.0.0.1:8000/pooling");
  return (body, signal) =>
    connection.ask(
      {
        url,
        what: "rewards",
        model: options.model,
        longest: LONGEST_REPLY,
        body: () => body,
        read: (bytes) => readReward(bytes),
      },
      signal,
    );
}

export function readReward(bytes: Uint8Array): { score: number } | Unreadable {
  const text = Buffer.from(bytes).toString("utf8");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: "expected JSON, found something else", cut: !text.trimEnd().endsWith("}") };
  }
  const parsed = replyForms.safeParse(json);
  // JSON knows no NaN, but 1e999 reads as infinity.
  if (parsed.success && Number.isFinite(parsed.data)) return { score: parsed.data };
  return { problem: 'expected {"score": number} or {"data": [{"data": [number]}]}, found something else', cut: false };
}
