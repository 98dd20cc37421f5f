/** `data.answers` of a recipe: the sources' own answers to the prompts of the data, in place of the answers given there. */
import { z } from "zod";
import { SCORERS } from "../answers/scorers/index.ts";
import { KEPT, type Kept } from "../answers/select.ts";
import { RULE_NAMES } from "../evaluate/benchmarks/exact-match/rules.ts";

const names = (list: readonly string[]) => z.enum(list as [string, ...string[]]);

export const answersSchema = (): z.ZodType<AnswersFile, unknown> =>
  z.strictObject({
    from: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Who answers, by name: sources, and the pivot if it is named. (list of names; default all sources)"),
    per_prompt: z
      .int()
      .min(1)
      .max(1000)
      .default(5)
      .describe("Answers of each model to each prompt. (answers; default 5)"),
    temperature: z
      .number()
      .min(0)
      .max(10)
      .default(0.8)
      .describe("Of sampling; 0 takes the most probable token. (number; default 0.8)"),
    top_p: z
      .number()
      .gt(0)
      .max(1)
      .default(0.95)
      .describe("Answers are drawn from the most probable tokens with this mass. (fraction; default 0.95)"),
    max_tokens: z
      .int()
      .min(1)
      .default(1024)
      .describe("Tokens an answer is cut at; cut answers are left out. (tokens; default 1024)"),
    select: names(SCORERS.map(({ name }) => name))
      .default("none")
      .describe(
        "What says how good an answer is, as in `fusechat answers`; a judge is that of `evaluate`. (name; default none)",
      ),
    keep: z
      .enum(KEPT)
      .optional()
      .describe("The best answer of all models, the best of each, or all. (name; default all for `none`, else best)"),
    rule: names(RULE_NAMES)
      .default("number")
      .describe("Of `select: rule`: what of an answer counts. (name; default number)"),
    pattern: z
      .string()
      .min(1)
      .optional()
      .describe("Of the rule regex: its first group, or its match. (text; default none)"),
    reward_url: z
      .string()
      .regex(/^https?:\/\//i, "an address such as http://127.0.0.1:8000/pooling")
      .optional()
      .describe(
        "Of `select: reward`: the reward model's server, with the route. (address; default none, required there)",
      ),
    reward_model: z
      .string()
      .min(1)
      .default("reward")
      .describe("Of `select: reward`: the server's name of the model. (text; default reward)"),
  });

/** As the file says it, with defaults filled in. */
export interface AnswersFile {
  from?: string[] | undefined;
  per_prompt: number;
  temperature: number;
  top_p: number;
  max_tokens: number;
  select: string;
  keep?: Kept | undefined;
  rule: string;
  pattern?: string | undefined;
  reward_url?: string | undefined;
  reward_model: string;
}

export interface RecipeAnswers extends Readonly<Omit<AnswersFile, "from" | "keep" | "pattern" | "reward_url">> {
  /** Names of models. */
  readonly from: readonly string[];
  readonly keep: Kept;
  readonly pattern: string | null;
  readonly reward_url: string | null;
}

/** Every default written out; `sources` answer where nobody is named. */
export function writeOutAnswers(file: AnswersFile, sources: readonly string[]): RecipeAnswers {
  return {
    ...file,
    from: file.from ?? sources,
    keep: file.keep ?? (file.select === "none" ? "all" : "best"),
    pattern: file.pattern ?? null,
    reward_url: file.reward_url ?? null,
  };
}
