/** A model under test behind an OpenAI-compatible endpoint: dialogues go over as they are, as many at a time as allowed. */

import type { Turn } from "../../data/conversation.ts";
import type { StageContext } from "../../engine/context.ts";
import { openEndpoint } from "../../engine/endpoint/client.ts";
import type { ChatMessage, ChatRequest } from "../../engine/endpoint/endpoint.ts";
import { askMany, orProblem, type Problem } from "../../engine/http/ask-many.ts";
import { failure } from "../../errors.ts";
import { createRandom } from "../../random.ts";
import type { Answer, AnswerSettings, Dialogue, Subject, SubjectReference } from "./subject.ts";

/** Seeds are drawn below this: some servers keep them in 32 bits with a sign. */
const SEEDS = 2 ** 31;

export function openEndpointSubject(
  { name, endpoint: options }: Extract<SubjectReference, { kind: "endpoint" }>,
  context: StageContext,
): Subject {
  const endpoint = openEndpoint(options);
  const { url, model, concurrency } = options;
  const stage = `answers ${name}`;
  let warned = false;
  return {
    name,
    identity: `endpoint ${JSON.stringify([url, model])}`,
    answer: async (dialogues, settings, signal = context.signal, onAnswer) => {
      const ask = async (index: number, stop: AbortSignal): Promise<Answer | Problem> => {
        const reply = await orProblem(endpoint.chat(requestFor(dialogues[index]!, settings), stop));
        if ("problem" in reply) return reply;
        if (reply.omitted !== undefined && !warned) {
          warned = true;
          const message = `the server takes no ${reply.omitted.join(" and no ")} for ${model}, which used its own`;
          context.reporter.report({ type: "warning", stage, message });
        }
        const answer: Answer = { text: reply.text.trim(), finish: reply.finish === "length" ? "length" : "stop" };
        await onAnswer?.(index, answer);
        return answer;
      };
      const answers: Answer[] = [];
      let [done, failures, last] = [0, 0, ""];
      const total = dialogues.length;
      context.reporter.report({ type: "start", stage, total, unit: "dialogues" });
      for await (const outcome of askMany(dialogues.keys(), { concurrency, where: stage, signal }, ask)) {
        if ("problem" in outcome) {
          failures++;
          last = outcome.problem;
          continue;
        }
        answers[outcome.question] = outcome.reply;
        context.reporter.report({ type: "progress", stage, done: ++done, total, unit: "dialogues" });
      }
      if (failures > 0) throw failure(stage, `${failures} of ${total} dialogues got no answer (${last})`);
      context.reporter.report({ type: "end", stage, summary: `${total} answers` });
      return answers;
    },
    dispose: async () => {},
  };
}

function requestFor({ id, turns }: Dialogue, { temperature, topP, maxTokens, seed }: AnswerSettings): ChatRequest {
  const request: ChatRequest = { messages: turns.map(messageOf), temperature, maxTokens, topLogprobs: 0 };
  if (temperature === 0) return request;
  const nucleus = topP === undefined || topP === 1 ? {} : { topP };
  return { ...request, ...nucleus, seed: createRandom(`${seed}/${id}`).integer(SEEDS) };
}

/** What an assistant thought stays away, as servers ask for it; a mask says nothing about an answer. */
function messageOf({ role, content, toolCalls, toolCallId, name }: Turn): ChatMessage {
  return {
    role,
    content,
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
    ...(name === undefined ? {} : { name }),
  };
}
