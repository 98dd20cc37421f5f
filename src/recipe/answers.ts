/** What a recipe's own answers mean: who answers, what contradicts itself, and how many conversations come of it. */
import { promptsOf } from "../answers/prompts.ts";
import type { AnswerSource } from "../answers/scorers/scorer.ts";
import type { Conversation } from "../data/conversation.ts";
import type { EndpointOptions } from "../engine/endpoint/endpoint.ts";
import type { KeyFor } from "../engine/server/settings.ts";
import type { RecipeAnswers } from "./answers-schema.ts";
import { templateOf } from "./layout.ts";
import type { RecipeProblem } from "./problems.ts";
import { isServed, type Recipe, type RecipeModel } from "./recipe.ts";

/** Requests to servers of models that write answers. */
const REQUESTS = { timeoutSeconds: 600, attempts: 6 };

/** The models that answer, in the order of the recipe. */
export function answeringModels({ pivot, sources, data }: Recipe): RecipeModel[] {
  const { answers } = data;
  return answers === null ? [] : [pivot, ...sources].filter(({ name }) => answers.from.includes(name));
}

/** A model as somebody who answers: a folder, or the chats of the server that has it. */
export function answerSource(recipe: Recipe, model: RecipeModel, keyFor: KeyFor): AnswerSource["subject"] {
  const { name, engine } = model;
  if (engine === null || !("url" in engine)) {
    return { kind: "folder", name, folder: model.model, template: templateOf(recipe, model) };
  }
  const url = `${engine.url.replace(/\/+$/, "").replace(/\/v1$/, "")}/v1`;
  const apiKey = keyFor(engine.url);
  const endpoint = { url, model: engine.model ?? name, concurrency: engine.concurrency, ...REQUESTS };
  return { kind: "endpoint", name, endpoint: { ...endpoint, ...(apiKey === undefined ? {} : { apiKey }) } };
}

export function rewardServer(
  { reward_url: url, reward_model: model }: RecipeAnswers,
  keyFor: KeyFor,
): EndpointOptions | null {
  if (url === null) return null;
  const apiKey = keyFor(url);
  return { url, model, concurrency: 8, ...REQUESTS, ...(apiKey === undefined ? {} : { apiKey }) };
}

export function answersProblems(recipe: Recipe): RecipeProblem[] {
  const { pivot, sources, data } = recipe;
  if (data.answers === null) return [];
  const { from, select, per_prompt: perPrompt, temperature, rule, pattern, reward_url: url } = data.answers;
  const problems: RecipeProblem[] = [];
  const tell = (key: string, message: string): void => void problems.push({ path: ["data", "answers", key], message });
  const names = [pivot, ...sources].map(({ name }) => name);
  for (const name of from)
    if (!names.includes(name))
      tell("from", `no model is called ${JSON.stringify(name)}; there are ${names.join(", ")}`);
  if (perPrompt > 1 && temperature === 0)
    tell("per_prompt", `at temperature 0 all ${perPrompt} answers are the same; set 1`);
  if (select === "reward" && url === null) tell("select", "reward needs the server of a reward model; set reward_url");
  if (select !== "reward" && url !== null) tell("reward_url", "belongs to select: reward; set that, or leave it out");
  if (select === "rule" && (rule === "regex") !== (pattern !== null)) {
    tell("rule", "the rule regex and a pattern belong together; set both or neither");
  }
  const unnamed = answeringModels(recipe).find(
    ({ engine }) => engine !== null && "url" in engine && engine.model === null,
  );
  if (unnamed !== undefined)
    tell("from", `${unnamed.name} is asked for answers by its server's name of it; set model in its engine`);
  const readers = answeringModels(recipe).filter(isServed);
  if (select === "nats" && readers.length > 0) {
    tell(
      "select",
      `nats need every source to read the others' answers, and ${readers[0]!.name} is a server's; choose another`,
    );
  }
  return problems;
}

/**
 * What the data of a plan will be, as far as it is known before anybody has answered: as many conversations as there can be
 * at most, each as long as the answer that the data has, or with a quarter of the longest answer, of four bytes a token.
 */
export function plannedConversations(recipe: Recipe, asked: readonly Conversation[]): Conversation[] {
  const { keep, per_prompt: perPrompt, max_tokens: maxTokens } = recipe.data.answers!;
  const models = answeringModels(recipe).length;
  const each = { best: 1, "best-of-each": models, all: models * perPrompt }[keep];
  const { prompts } = promptsOf(asked, "data");
  return prompts.flatMap(({ dialogue, reference }) => {
    const content = reference ?? "word".repeat(Math.ceil(maxTokens / 4));
    const conversation = { id: dialogue.id, turns: [...dialogue.turns, { role: "assistant", content } as const] };
    return Array.from({ length: each }, () => conversation);
  });
}
