/**
 * FastChat's judgment file, `model_judgment/<judge>_single.jsonl`: what the judge was asked and said, and the score
 * read out of it, -1 where there is none. `tstamp` is written as 0: the clock is no part of a result.
 */
import { z } from "zod";
import { inputError } from "../../../errors.ts";
import { oneName } from "./answers.ts";
import { jsonLines, readRecords } from "./json-lines.ts";
import { byId, type GradedQuestion, questionOf, TURNS, type Turn } from "./questions.ts";
import { isRating, NO_RATING } from "./rating.ts";

const JUDGMENTS = "FastChat's judgments of single answers (model_judgment/<judge>_single.jsonl)";

export interface Judgment {
  readonly question: number;
  readonly turn: Turn;
  readonly model: string;
  /** Name of the judge's model. */
  readonly judge: string;
  /** Name of the prompt. */
  readonly prompt: string;
  readonly userPrompt: string;
  readonly text: string;
  /** null where the judge gave none. */
  readonly score: number | null;
}

const judgmentRecord = z.object({
  question_id: z.number().int(),
  model: z.string().min(1),
  judge: z.tuple([z.string().min(1), z.string()]),
  user_prompt: z.string(),
  judgment: z.string(),
  score: z.number(),
  turn: z.union([z.literal(1), z.literal(2)]),
});

/**
 * All judgments of one model by one judge, question by question, turn by turn; each turn must be there. A run that was
 * repeated appends to the file, so a turn may be judged several times; its judgments then stand one after the other.
 */
export async function readJudgments(
  path: string,
  name: string | undefined,
  questions: readonly GradedQuestion[],
): Promise<Judgment[]> {
  const records = await readRecords(path, judgmentRecord, JUDGMENTS);
  const model = oneName(
    path,
    name,
    records.map(({ record }) => record.model),
    "judgments",
  );
  const own = records.filter(({ record }) => record.model === model);
  const judges = [...new Set(own.map(({ record }) => record.judge[0]))];
  if (judges.length > 1) {
    throw inputError(
      path,
      `holds judgments of ${model} by several judges (${judges.join(", ")}); expected a file a judge`,
    );
  }
  const known = byId(questions);
  const found = new Map<string, Judgment[]>();
  for (const { where, record } of own) {
    const key = `${questionOf(known, record.question_id, where).id}/${record.turn}`;
    const judgment = judgmentOf(record, where);
    const before = found.get(key);
    if (before === undefined) found.set(key, [judgment]);
    else before.push(judgment);
  }
  return questions.flatMap(({ id }) =>
    TURNS.flatMap((turn) => {
      const judgments = found.get(`${id}/${turn}`);
      if (judgments !== undefined) return judgments;
      const missing = questions.length * TURNS.length - found.size;
      throw inputError(
        path,
        `has no judgment of turn ${turn} of question ${id}, one of ${missing} that ${model} lacks`,
      );
    }),
  );
}

function judgmentOf(record: z.output<typeof judgmentRecord>, where: string): Judgment {
  const { question_id: question, model, judge, user_prompt: userPrompt, judgment: text, score, turn } = record;
  if (score !== NO_RATING && !isRating(score)) {
    throw inputError(
      where,
      `score ${score} is not between 1 and 10; a judgment without a rating has the score ${NO_RATING}`,
    );
  }
  return {
    question,
    turn,
    model,
    judge: judge[0],
    prompt: judge[1],
    userPrompt,
    text,
    score: score === NO_RATING ? null : score,
  };
}

/** The text of a judgment file. */
export function formatJudgments(judgments: readonly Judgment[]): string {
  return jsonLines(
    judgments.map(({ question, model, judge, prompt, userPrompt, text, score, turn }) => ({
      question_id: question,
      model,
      judge: [judge, prompt],
      user_prompt: userPrompt,
      judgment: text,
      score: score ?? NO_RATING,
      turn,
      tstamp: 0,
    })),
  );
}
