/**
 * Fields that say what is trained: masks of turns, verdicts on whole records, and wishes that cannot be granted. A mask
 * makes a turn context. Whatever cannot be read as yes or no is refused: read wrongly it would train what its author
 * has taken out.
 */
import { Irregular } from "../irregular.ts";
import { describe, type Foreign, isFilled, isGiven } from "./values.ts";

/** 1 or true: trained (OpenAI, axolotl, ms-swift, XTuner and others). */
const TRAINED_KEYS = [
  "weight",
  "train",
  "training",
  "trainable",
  "loss",
  "loss_mask",
  "loss_weight",
  "loss_scale",
  "train_mask",
  "compute_loss",
  "output_with_loss",
] as const;

/** 1 or true: context (torchtune and others). */
const MASKED_KEYS = ["masked", "is_masked", "ignore_loss"] as const;

/** Good or bad: KTO and other judged answers. */
const GOOD_KEYS = ["label", "kto_tag", "desirable", "is_desirable", "desired"] as const;
const BAD_KEYS = ["undesirable", "is_rejected"] as const;

/** Per turn, for whole records alone. */
const LIST_KEYS = [
  "loss_mask",
  "train_mask",
  "weights",
  "train",
  "loss",
  "weight",
  "loss_weight",
  "loss_scale",
] as const;

/** Wishes of a record for its own training, and the value that asks for nothing. */
const WISHES: readonly { readonly key: string; readonly harmless: boolean }[] = [
  { key: "train_on_input", harmless: false },
  { key: "train_on_inputs", harmless: false },
  { key: "train_on_prompt", harmless: false },
  { key: "mask_history", harmless: false },
  { key: "train_on_responses_only", harmless: true },
];

/** Every field that says whether something is trained. */
export const FLAG_KEYS: readonly string[] = [
  ...[...TRAINED_KEYS, ...MASKED_KEYS, ...GOOD_KEYS, ...BAD_KEYS, ...LIST_KEYS],
  ...WISHES.map(({ key }) => key),
];

const NEITHER = "with a mask that is neither 0 nor 1";

/** What a turn's own fields say: trained, masked, or nothing. */
export function maskOf(entry: Foreign, where: string): boolean | undefined {
  if (isGiven(entry.mask)) {
    throw new Irregular(
      "with a mask that can mean both",
      `expected train or masked in ${where}, found mask, which some read as "trained" and some as "left out"; rename it`,
    );
  }
  for (const key of ["train_detail", "training_detail"]) {
    if (isFilled(entry[key])) throw partly(`${where}.${key}`);
  }
  let said: { readonly key: string; readonly trained: boolean } | undefined;
  const keys = [...TRAINED_KEYS.map((key) => [key, true] as const), ...MASKED_KEYS.map((key) => [key, false] as const)];
  for (const [key, means] of keys) {
    if (!isGiven(entry[key])) continue;
    const trained = (yesOrNo(entry[key], `${where}.${key}`) === true) === means;
    if (said !== undefined && said.trained !== trained) {
      throw new Irregular("with masks that disagree", `${where}.${said.key} and ${key} disagree; keep one of them`);
    }
    said = { key, trained };
  }
  return said?.trained;
}

/** Of parts of one turn: a mask there would train a part of it. */
export function refuseMaskedParts(parts: readonly unknown[], where: string): void {
  for (const [index, part] of parts.entries()) {
    if (typeof part === "object" && part !== null && maskOf(part as Foreign, `${where}[${index}]`) === false) {
      throw partly(`${where}[${index}]`);
    }
  }
}

function partly(where: string): Irregular {
  return new Irregular(
    "with a turn that is masked in part",
    `${where} masks a part of a turn; a turn is trained whole or not at all`,
  );
}

/** Refuses records that say of themselves that they are not to be trained on, or how in a way that there is not. */
export function checkVerdicts(record: Foreign): void {
  for (const [key, value] of verdicts(record)) {
    if (value) continue;
    throw new Irregular(
      "that say they are not to be trained on",
      `${key} is ${describe(record[key])}: the record says that it is not to be trained on`,
    );
  }
  for (const { key, harmless } of WISHES) {
    if (!isGiven(record[key]) || yesOrNo(record[key], key, true) === harmless) continue;
    throw new Irregular(
      "that ask for a training of their own",
      `${key} is ${describe(record[key])}, which there is not`,
    );
  }
}

function* verdicts(record: Foreign): Generator<readonly [string, boolean]> {
  for (const key of GOOD_KEYS) if (isGiven(record[key])) yield [key, verdict(record[key], key)];
  for (const key of BAD_KEYS) if (isGiven(record[key])) yield [key, !verdict(record[key], key)];
  // Halves of a pair are texts or turns; as yes or no the same words are verdicts.
  if (typeof record.chosen === "boolean") yield ["chosen", record.chosen];
  if (typeof record.rejected === "boolean") yield ["rejected", !record.rejected];
  for (const key of TRAINED_KEYS) {
    const value = record[key];
    if (!isGiven(value) || Array.isArray(value)) continue;
    // A measured loss is a figure of the record, like its score.
    if (key === "loss" && typeof value === "number" && value !== 0 && value !== 1) continue;
    yield [key, yesOrNo(value, key, true)];
  }
  for (const key of MASKED_KEYS) {
    if (isGiven(record[key]) && !Array.isArray(record[key])) yield [key, !yesOrNo(record[key], key, true)];
  }
}

function verdict(value: unknown, where: string): boolean {
  const read = readYesOrNo(value, true);
  if (read !== undefined) return read;
  throw new Irregular(
    "with a label that is neither true nor false",
    `expected ${where} to be true or false, a verdict on the answer, found ${describe(value)}; rename it where it is none`,
  );
}

/** Masks of a whole record, one for each entry of its list of turns. */
export function listedMasks(record: Foreign, entries: number): readonly boolean[] | undefined {
  let masks: { readonly key: string; readonly list: readonly boolean[] } | undefined;
  const keys = [...LIST_KEYS.map((key) => [key, true] as const), ...MASKED_KEYS.map((key) => [key, false] as const)];
  for (const [key, means] of keys) {
    const value = record[key];
    if (!Array.isArray(value)) continue;
    if (value.length !== entries) {
      throw new Irregular(
        "with masks that are not one a turn",
        `expected ${key} to have one value for each of the ${entries} turns, found ${value.length}`,
      );
    }
    const list = value.map((one, index) => yesOrNo(one, `${key}[${index}]`) === means);
    if (masks !== undefined && list.some((trained, index) => trained !== masks?.list[index])) {
      throw new Irregular("with masks that disagree", `${masks.key} and ${key} disagree; keep one of them`);
    }
    masks = { key, list };
  }
  return masks?.list;
}

function yesOrNo(value: unknown, where: string, texts = false): boolean {
  const read = readYesOrNo(value, texts);
  if (read !== undefined) return read;
  throw new Irregular(NEITHER, `expected ${where} to be 0 or 1, true or false, found ${describe(value)}`);
}

/** Columns of a CSV file hold yes and no as texts. */
function readYesOrNo(value: unknown, texts: boolean): boolean | undefined {
  const plain = texts && typeof value === "string" ? value.trim().toLowerCase() : value;
  if (plain === true || plain === 1 || (texts && (plain === "true" || plain === "1"))) return true;
  if (plain === false || plain === 0 || (texts && (plain === "false" || plain === "0"))) return false;
  return undefined;
}
