/** What an ensemble will ask of its judge, known before its members have answered: calls and tokens of a plan. */
import { estimatedTokens } from "../judges/budget.ts";
import type { JudgeEstimate } from "../judges/judge.ts";
import { choiceRequest } from "./judge-choice.ts";
import type { Dialogue, SubjectReference } from "./subject.ts";

export const NO_CALLS: JudgeEstimate = { calls: 0, fromLedger: 0, promptTokens: 0, answerTokensAtMost: 0 };

/**
 * At most: as if all members answered every dialogue differently, with `maxTokens` tokens each. No calls where no judge
 * chooses.
 */
export function choiceEstimate(
  reference: SubjectReference | null,
  dialogues: readonly Dialogue[],
  maxTokens: number,
): JudgeEstimate {
  if (reference?.kind !== "ensemble") return NO_CALLS;
  const { members, choice } = reference;
  const inside = members.map((member) => choiceEstimate(member, dialogues, maxTokens)).reduce(together, NO_CALLS);
  if (choice !== "judge") return inside;
  const answers = members.map(() => ({ text: "", finish: "stop" }) as const);
  const requests = dialogues.map((dialogue) => choiceRequest({ dialogue, answers }, [...answers.keys()]));
  const asked = requests.map(({ messages }) => estimatedTokens(messages.map(({ content }) => content)));
  return together(inside, {
    calls: requests.length,
    fromLedger: 0,
    promptTokens: asked.reduce((sum, tokens) => sum + tokens + members.length * maxTokens, 0),
    answerTokensAtMost: requests.reduce((sum, request) => sum + request.maxTokens, 0),
  });
}

export function together(a: JudgeEstimate, b: JudgeEstimate): JudgeEstimate {
  return {
    calls: a.calls + b.calls,
    fromLedger: a.fromLedger + b.fromLedger,
    promptTokens: a.promptTokens + b.promptTokens,
    answerTokensAtMost: a.answerTokensAtMost + b.answerTokensAtMost,
  };
}
