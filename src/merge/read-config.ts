/**
 * mergekit's configuration file, read as it is: what to merge, how, and into which dtype. Everything that can be known
 * to be wrong without looking at a model is told at once, by line and column. mergekit passes over keys and parameters
 * it does not know, so that a misspelt `select_top_k` quietly merges something else; here they are errors, and with
 * `--like mergekit` warnings.
 */
import { FusechatError, inputError, inputErrors, suggestion } from "../errors.ts";
import { readText } from "../formats/files.ts";
import { type KeyPath, parseYamlDocuments } from "../formats/yaml.ts";
import { checkInputs } from "./check-inputs.ts";
import { type Complaints, createComplaints, isRecord, isUnset, type PathPart, show } from "./complaints.ts";
import type { MergeConfig } from "./config.ts";
import { MERGE_DTYPES, type MergeDtype } from "./dtypes.ts";
import type { MergeMethod } from "./method.ts";
import { METHODS } from "./methods/index.ts";
import { readParameters } from "./options.ts";
import { readFolder, readModels, readSlices, refuseUnknown } from "./read-sources.ts";
import { readChatTemplate, readTokenizer } from "./read-tokenizer.ts";

export interface ReadOptions {
  /** `--like mergekit`: unknown keys and parameters are warnings. */
  readonly likeMergekit?: boolean;
}

const KEYS =
  "name models slices merge_method base_model parameters dtype out_dtype tokenizer tokenizer_source chat_template".split(
    " ",
  );

/** A merge of a file, which may hold several. */
export interface NamedMerge {
  /** For later merges of the file; only the last may have none. */
  readonly name: string | undefined;
  /** Its place in the file. */
  readonly where: string;
  readonly config: MergeConfig;
}

/** Reads and checks a file with one merge; throws one input error with a line for every problem in it. */
export async function readMergeConfig(path: string, options: ReadOptions = {}): Promise<MergeConfig> {
  const [first, second] = await readMergeConfigs(path, options);
  if (second === undefined) return first!.config;
  throw inputError(second.where, "expected one merge, found several; fusechat merge makes them one after the other");
}

/** Reads and checks a file whose documents (`---` between them) are a merge each. */
export async function readMergeConfigs(path: string, options: ReadOptions = {}): Promise<readonly NamedMerge[]> {
  const documents = parseYamlDocuments(await readText(path), "1.1");
  const problems = documents.flatMap((document) => document.problems);
  if (problems.length > 0) throw inputErrors(problems.map(({ place, message }) => `${path}:${place}: ${message}`));
  const merges: NamedMerge[] = [];
  const errors: string[] = [];
  const names = new Set<string>();
  for (const [index, document] of documents.entries()) {
    const place = (at: KeyPath, part: PathPart): string => `${path}:${document.place(at, part)}`;
    try {
      const config = check(document.value, place, options);
      const name = nameOf(document.value, index === documents.length - 1, names);
      if ("problem" in name) errors.push(`${place(["name"], "value")}: ${name.problem}`);
      else merges.push({ name: name.name, where: place([], "value"), config });
    } catch (error) {
      if (!(error instanceof FusechatError)) throw error;
      errors.push(error.message);
    }
  }
  if (errors.length > 0) throw inputErrors(errors);
  return merges;
}

/** What may be a folder's name and is no word with another meaning. */
const NAME = /^(?!(union|base|result)$)[A-Za-z0-9][\w.-]*$/;

function nameOf(
  document: unknown,
  isLast: boolean,
  names: Set<string>,
): { readonly name: string | undefined } | { readonly problem: string } {
  const name = isRecord(document) ? document.name : undefined;
  if (isUnset(name)) {
    return isLast
      ? { name: undefined }
      : { problem: "expected a name of this merge, for those that follow it; found none" };
  }
  if (typeof name !== "string" || !NAME.test(name)) {
    return {
      problem: `name: expected letters, digits, ".", "_" and "-", and neither union, base nor result; found ${show(name)}`,
    };
  }
  if (names.has(name)) return { problem: `name: expected each name once, found ${JSON.stringify(name)} twice` };
  names.add(name);
  return { name };
}

/** Checks a configuration that did not come from a file; `where` stands for it in messages. */
export function checkMergeConfig(value: unknown, where = "merge config", options: ReadOptions = {}): MergeConfig {
  return check(value, () => where, options);
}

function check(
  value: unknown,
  place: (path: KeyPath, part: PathPart) => string,
  { likeMergekit = false }: ReadOptions,
): MergeConfig {
  const complaints = createComplaints(place, likeMergekit);
  const config = readDocument(value, complaints);
  if (config === undefined || complaints.errors.length > 0) throw inputErrors(complaints.errors);
  return complaints.warnings.length === 0 ? config : { ...config, warnings: complaints.warnings };
}

function readDocument(document: unknown, complaints: Complaints): MergeConfig | undefined {
  if (!isRecord(document)) {
    complaints.error([], `expected a mapping with the keys merge_method and models, found ${show(document)}`);
    return undefined;
  }
  const { modules, ...known } = document;
  if (!isUnset(modules)) {
    const message = "models of several modules merge whole, by the names of their tensors; list them under models";
    complaints.error(["modules"], message, "key");
  }
  refuseUnknown(known, [], KEYS, complaints);
  const method = methodOf(document.merge_method, complaints);
  const baseModel = isUnset(document.base_model)
    ? undefined
    : readFolder(document.base_model, ["base_model"], complaints);
  const { models, slices } = readInputs(document, method, complaints);
  const parameters = readParameters(document.parameters, ["parameters"], method, "merge", complaints);
  const dtype = dtypeOf(document.dtype, "dtype", complaints);
  const outDtype = dtypeOf(document.out_dtype, "out_dtype", complaints);
  const tokenizer = readTokenizer(document, complaints);
  const chatTemplate = readChatTemplate(document.chat_template, complaints);
  if (method === undefined) return undefined;
  const config: MergeConfig = {
    merge_method: method.name,
    models,
    ...(slices !== undefined && { slices }),
    ...(baseModel !== undefined && { base_model: baseModel }),
    ...(parameters !== undefined && { parameters }),
    ...(dtype !== undefined && { dtype }),
    ...(outDtype !== undefined && { out_dtype: outDtype }),
    ...(tokenizer !== undefined && { tokenizer }),
    ...(chatTemplate !== undefined && { chat_template: chatTemplate }),
  };
  checkInputs(config, method, complaints);
  return config;
}

/** Exactly one of `models` and `slices`. */
function readInputs(
  document: Record<string, unknown>,
  method: MergeMethod | undefined,
  complaints: Complaints,
): Pick<MergeConfig, "models" | "slices"> {
  const { models, slices, modules } = document;
  if (isUnset(slices)) {
    // Modules have been refused already; models are not missed then.
    return { models: isUnset(models) && !isUnset(modules) ? [] : readModels(models, method, complaints) };
  }
  if (!isUnset(models)) complaints.error(["slices"], "expected either models or slices, found both", "key");
  return { models: [], slices: readSlices(slices, method, complaints) };
}

function methodOf(value: unknown, complaints: Complaints): MergeMethod | undefined {
  const names = METHODS.map(({ name }) => name);
  const method = METHODS.find(({ name }) => name === value);
  if (method !== undefined) return method;
  const found = typeof value === "string" ? `${show(value)}${suggestion(value, names)}` : show(value);
  complaints.error(["merge_method"], `expected one of ${names.join(", ")}, found ${found}`);
  return undefined;
}

function dtypeOf(value: unknown, key: string, complaints: Complaints): MergeDtype | undefined {
  if (isUnset(value)) return undefined;
  const dtype = MERGE_DTYPES.find((name) => name === value);
  if (dtype === undefined) {
    const hint = typeof value === "string" ? suggestion(value, MERGE_DTYPES) : "";
    complaints.error([key], `expected one of ${MERGE_DTYPES.join(", ")}, found ${show(value)}${hint}`);
  }
  return dtype;
}
