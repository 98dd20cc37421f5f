/**
 * The output's `config.json`: the donor's, with what the merge changed. Models of several parts keep the language
 * model's settings in a section, and there they belong also where the donor's config leaves them out.
 */
import { type JsonObject, jsonNumber } from "../../formats/json-document.ts";
import { languagePath, tiedFlag } from "../inputs/model-config.ts";
import type { MergePlan } from "../plan.ts";
import { outputShape } from "../tensor-plan.ts";
import { setLayers } from "./layer-settings.ts";

export function outputConfig(config: JsonObject, plan: MergePlan): JsonObject {
  const result = new Map(config);
  const sections = [result];
  for (const key of languagePath(config)) {
    const inner = new Map(sections.at(-1)!.get(key) as JsonObject);
    sections.at(-1)!.set(key, inner);
    sections.push(inner);
  }
  const language = sections.at(-1)!;
  const rows = changedRows(plan);
  const isTied = changedTie(plan);
  for (const [depth, section] of sections.entries()) {
    const isLanguage = section === language;
    if (rows !== undefined && (isLanguage || section.has("vocab_size"))) section.set("vocab_size", jsonNumber(rows));
    // Readers ask either the outermost section or that of the language model.
    if (isTied !== undefined && (depth === 0 || isLanguage || section.has(TIED))) section.set(TIED, isTied);
    if (plan.layers !== undefined) setLayers(section, depth, isLanguage, { donor: plan.donor, layers: plan.layers });
  }
  return result;
}

const TIED = "tie_word_embeddings";

/** Rows of embedding and head, where they are not those of the donor's config. */
function changedRows({ vocabulary, donor, tensors }: MergePlan): number | undefined {
  if (vocabulary !== undefined) return vocabulary.rows;
  const { embedding } = donor.anatomy;
  const written = tensors.find(({ name }) => name === embedding);
  const own = embedding === undefined ? undefined : donor.stored.get(embedding);
  const rows = written && outputShape(written)[0];
  return rows === own?.shape[0] ? undefined : rows;
}

/** What the flag has to say, where it is not what the donor's says of the donor's own tensors. */
function changedTie({ head, donor }: MergePlan): boolean | undefined {
  const donorHasHead = donor.anatomy.head !== undefined;
  if (head === undefined) return donorHasHead ? true : undefined;
  return donorHasHead && tiedFlag(donor.config) !== true ? undefined : false;
}
