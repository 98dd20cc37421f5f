/**
 * A data set of the sources' own answers: every source answers every prompt some times, drawn from its own distribution in
 * its own template; a scorer says what each answer is worth, and the best become conversations. What is paid for, answers
 * and scores, is kept beside the output as it comes, so a killed command goes on where it was.
 */
import { basename, dirname } from "node:path";
import type { StageContext } from "../engine/context.ts";
import { inputError, throwIfInterrupted } from "../errors.ts";
import { afterReasoning } from "../evaluate/reasoning.ts";
import { openSubject } from "../evaluate/subjects/open.ts";
import type { Answer, AnswerSettings, Subject } from "../evaluate/subjects/subject.ts";
import { exists, writeJson } from "../formats/files.ts";
import { makeFolder } from "../formats/folders.ts";
import { removeLeftovers } from "../formats/leftovers.ts";
import { acquireLock } from "../formats/lock.ts";
import type { Candidate, Candidates } from "./candidate.ts";
import { type AnswersCard, countAnswer, countSelected, createCard, type Fate, type SourceFigures } from "./card.ts";
import type { Prompt } from "./prompts.ts";
import { openRecordFile } from "./record-file.ts";
import { findScorer } from "./scorers/index.ts";
import type { Scorer, ScorerOptions } from "./scorers/scorer.ts";
import { type Kept, select } from "./select.ts";

export interface AnswersOptions extends Omit<ScorerOptions, "keep"> {
  readonly prompts: readonly Prompt[];
  readonly leftOut: AnswersCard["left_out"];
  readonly perPrompt: number;
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topP: number;
  readonly maxTokens: number;
  readonly seed: string;
  /** Name of a scorer. */
  readonly selection: string;
  readonly keep: Kept;
  /** JSON Lines; what is kept lies beside it. */
  readonly out: string;
}

/** Prompts whose answers are in memory at a time: at five answers of 2 kB from six sources each, 60 MB. */
const BLOCK = 1024;

/** Writes `out` and `F-card.json`; the same prompts, models and seed give the same bytes. */
export async function writeAnswers(options: AnswersOptions, context: StageContext): Promise<AnswersCard> {
  const { prompts, perPrompt, temperature, topP, seed, selection, out } = options;
  checkOptions(options);
  const beside = out.replace(/\.jsonl$/, "");
  const names = options.sources.map(({ subject }) => subject.name);
  const card = createCard(prompts.length, names, settingsOf(options), options.leftOut);
  await makeFolder(dirname(out));
  const lock = await acquireLock(`${out}.lock`, (holder) =>
    inputError(out, `process ${holder} is writing to it; wait for it, or name another file`),
  );
  const sources: Subject[] = [];
  let scorer: Scorer | undefined;
  try {
    await refuseForeign(out, `${beside}-card.json`);
    for (const file of [out, `${beside}-card.json`]) await removeLeftovers(dirname(out), `${basename(file)}.`);
    for (const [index, file] of answerFiles(names).entries()) {
      const { subject, engine = context.engine } = options.sources[index]!;
      sources.push(await openSubject(subject, { ...context, engine }, null, `${beside}-${file}`));
    }
    scorer = await findScorer(selection).open({ ...options, keep: beside }, context);
    const settings: AnswerSettings = { temperature, topP, maxTokens: options.maxTokens, seed };
    // One source after the other, so that one model is open at a time; then all are read back, a block at a time.
    for (const source of sources) {
      for (const block of blocksOf(prompts)) await draw(source, block, perPrompt, settings, context.signal);
      await source.putAway?.();
    }
    const file = await openRecordFile(out);
    try {
      for (const block of blocksOf(prompts)) {
        throwIfInterrupted(context.signal, "answers");
        const given: Answer[][] = [];
        for (const source of sources) given.push(await draw(source, block, perPrompt, settings, context.signal));
        const candidates = block.map((prompt, index) =>
          candidatesOf(
            prompt,
            given.map((bySource) => bySource.slice(index * perPrompt, (index + 1) * perPrompt)),
            card.sources,
          ),
        );
        const scores = await scorer.score(candidates, context.signal);
        for (const [index, one] of candidates.entries()) {
          const selected = select(one, scores[index]!, options.keep, seed);
          countSelected(card, selected);
          for (const each of selected) await file.write(one.prompt, each, selection);
        }
      }
      if (card.records === 0) throw inputError("answers", nothingSelected(card, selection));
      // Before the data: a kill in between leaves a card without them, and not data that look like somebody else's.
      await writeJson(`${beside}-card.json`, card);
      await file.commit();
    } catch (error) {
      await file.abort();
      throw error;
    }
    return card;
  } finally {
    await scorer?.dispose();
    for (const source of sources) await source.dispose();
    await lock.release();
  }
}

function checkOptions({ prompts, sources, perPrompt, temperature, selection }: AnswersOptions): void {
  if (prompts.length === 0) throw inputError("answers", "there is no prompt to answer");
  if (sources.length === 0) throw inputError("answers", "there is nobody to answer; add --model MODEL");
  if (perPrompt > 1 && temperature === 0) {
    throw inputError(
      "answers",
      `at temperature 0 all ${perPrompt} answers to a prompt are the same; raise it, or ask for one`,
    );
  }
  if (selection === "rule" && prompts.every(({ reference }) => reference === null)) {
    throw inputError("answers", "a rule compares with the answers of the data, and no prompt has one");
  }
}

/** What is there is written anew only where this verb wrote it. */
async function refuseForeign(out: string, card: string): Promise<void> {
  if (!(await exists(out)) || (await exists(card))) return;
  throw inputError(
    out,
    `is there and has no ${basename(card)} beside it, so it is no data set of answers; name another file`,
  );
}

function settingsOf(options: AnswersOptions): Record<string, unknown> {
  const { perPrompt, temperature, topP, maxTokens, seed, selection, keep, rule, pattern } = options;
  return {
    per_prompt: perPrompt,
    temperature,
    top_p: topP,
    max_tokens: maxTokens,
    seed,
    select: selection,
    keep,
    ...(selection === "rule" ? { rule, ...(pattern === undefined ? {} : { pattern }) } : {}),
  };
}

/** A file for each source's answers, named after the last part of its name. */
function answerFiles(names: readonly string[]): string[] {
  const stems = names.map((name) => name.replace(/^.*[/:](?=.)/, "").replace(/[^A-Za-z0-9._-]/g, "_"));
  return stems.map((stem, index) => {
    const before = stems.slice(0, index).filter((other) => other === stem).length;
    return `answers-${stem}${before === 0 ? "" : `-${before + 1}`}.jsonl`;
  });
}

function* blocksOf(prompts: readonly Prompt[]): Iterable<readonly Prompt[]> {
  for (let first = 0; first < prompts.length; first += BLOCK) yield prompts.slice(first, first + BLOCK);
}

/** [prompts * perPrompt] */
function draw(
  source: Subject,
  block: readonly Prompt[],
  perPrompt: number,
  settings: AnswerSettings,
  signal: AbortSignal | undefined,
): Promise<Answer[]> {
  const dialogues = block.flatMap(({ dialogue: { id, turns } }) =>
    Array.from({ length: perPrompt }, (_, sample) => ({ id: `${id}, answer ${sample + 1}`, turns })),
  );
  return source.answer(dialogues, settings, signal);
}

/** `given[source][sample]`: answers to one prompt. */
function candidatesOf(
  prompt: Prompt,
  given: readonly (readonly Answer[])[],
  figures: readonly SourceFigures[],
): Candidates {
  const answers: Candidate[] = [];
  const said = new Set<string>();
  for (const [source, bySource] of given.entries()) {
    for (const [sample, answer] of bySource.entries()) {
      const fate = fateOf(answer, said);
      countAnswer(figures[source]!, answer, fate);
      said.add(answer.text);
      if (fate === "usable") answers.push({ ...answer, source: figures[source]!.name, sample });
    }
  }
  return { prompt, answers };
}

/** An answer that was cut has no end to learn; one whose reasoning never ends says nothing. */
function fateOf({ text, finish }: Answer, said: ReadonlySet<string>): Fate {
  if (finish === "refused") return "refused";
  if (finish === "length") return "cut";
  if (text === "" || !afterReasoning(text)) return "empty";
  return said.has(text) ? "duplicates" : "usable";
}

function nothingSelected({ prompts, sources }: AnswersCard, selection: string): string {
  const sum = (count: (source: SourceFigures) => number): number => sources.reduce((all, one) => all + count(one), 0);
  return (
    `none of ${sum(({ drawn }) => drawn)} answers to ${prompts} prompts can be used: ${sum(({ empty }) => empty)} empty, ` +
    `${sum(({ refused }) => refused)} refused, ${sum(({ cut }) => cut)} cut, the others ruled out by ${selection}`
  );
}
