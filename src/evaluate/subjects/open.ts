/** Opens a model under test, whichever kind it is. */
import type { StageContext } from "../../engine/context.ts";
import { inputError } from "../../errors.ts";
import type { JudgeOptions } from "../judges/judge.ts";
import { openEndpointSubject } from "./endpoint.ts";
import { openEnsemble } from "./ensemble.ts";
import { type FolderSubject, openFolder } from "./folder.ts";
import { openJudgeChoice } from "./judge-choice.ts";
import { keepAnswers } from "./kept-answers.ts";
import { openLowestPerplexity } from "./lowest-perplexity.ts";
import type { Subject, SubjectReference } from "./subject.ts";

/**
 * `judge` is needed by an ensemble that a judge chooses for. `keep` is the path of a JSONL file in which answers are
 * kept and taken from; an ensemble keeps its members' answers and the judge's choices in files beside it.
 */
export async function openSubject(
  reference: SubjectReference,
  context: StageContext,
  judge: JudgeOptions | null = null,
  keep: string | null = null,
): Promise<Subject> {
  const subject = await open(reference, context, judge, keep);
  if (keep === null) return subject;
  try {
    return await keepAnswers(subject, keep);
  } catch (error) {
    await subject.dispose();
    throw error;
  }
}

async function open(
  reference: SubjectReference,
  context: StageContext,
  judge: JudgeOptions | null,
  keep: string | null,
): Promise<Subject> {
  if (reference.kind === "folder") return openFolder(reference, context);
  if (reference.kind === "endpoint") return openEndpointSubject(reference, context);
  const { name, choice, members } = reference;
  if (members.length < 2) {
    throw inputError(name, `an ensemble chooses among the answers of at least two models, found ${members.length}`);
  }
  const beside = (suffix: string): string | null =>
    keep === null ? null : `${keep.replace(/\.jsonl$/, "")}-${suffix}.jsonl`;
  const opened: Subject[] = [];
  try {
    if (choice === "judge") {
      if (judge === null) throw inputError(name, "an ensemble by a judge's choice needs a judge, and none was given");
      for (const [index, member] of members.entries()) {
        opened.push(await openSubject(member, context, judge, beside(`member-${index + 1}`)));
      }
      return openEnsemble(name, opened, await openJudgeChoice(judge, beside("choices"), context));
    }
    const readers: FolderSubject[] = [];
    for (const [index, member] of members.entries()) {
      if (member.kind !== "folder") {
        throw inputError(
          name,
          `an ensemble by lowest perplexity has every member read the others' answers, and ${member.name} gives answers ` +
            "only; take model folders, or the judge's choice",
        );
      }
      const reader = await openFolder(member, context);
      opened.push(reader);
      readers.push(reader);
      const file = beside(`member-${index + 1}`);
      if (file !== null) opened[index] = await keepAnswers(reader, file);
    }
    return openEnsemble(name, opened, openLowestPerplexity(readers, context));
  } catch (error) {
    for (const subject of opened) await subject.dispose();
    throw error;
  }
}
