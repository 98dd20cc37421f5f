/**
 * The models that an evaluation is of: folders, models of a run, models behind servers, and the ensemble of all of
 * them. `--model` takes each in one word: FOLDER, ORG/NAME[@REVISION], RUN:NAME or MODEL@URL.
 */
import { join, resolve } from "node:path";
import type { Command, Option } from "commander";
import { inputError, suggestion } from "../errors.ts";
import type { SubjectReference } from "../evaluate/subjects/subject.ts";
import { exists } from "../formats/files.ts";
import type { HubFolder } from "../models/reference.ts";
import { modelsNamed, modelWords, RUN_FILES, type RunModelRole } from "../recipe/layout.ts";
import { readRunModels } from "../run/run-models.ts";
import { checkedUrl, keyIn, type RequestFlags, requests, textIn } from "./judge-options.ts";
import { modelFolder } from "./model-option.ts";
import { declareTemplate, type TemplateFlags, templateGiven } from "./template-options.ts";
import type { Invocation } from "./verb.ts";

export interface ModelFlags extends RequestFlags, TemplateFlags {
  readonly model?: readonly string[];
  readonly run?: string;
  readonly models?: readonly string[];
  readonly against?: string;
  readonly ensemble?: "lowest-perplexity" | "judge";
  readonly modelKeyEnv?: string;
}

/** A model under test, and what it is to the run that it comes from. */
export interface NamedSubject {
  readonly subject: SubjectReference;
  readonly role: RunModelRole | "model";
}

/** Where keys and models come from. */
export interface ModelAccess extends Pick<Invocation, "environment" | "hub"> {
  /** How much of a model of the Hub has to come. */
  readonly part?: (hub: Invocation["hub"]) => HubFolder;
}

const GROUP = "Models under test:";

export function declareModels(command: Command): void {
  const add = (flags: string, description: string): Option => command.createOption(flags, description).helpGroup(GROUP);
  command
    .addOption(
      add("--model <model>", "a folder, org/name of the Hub, RUN:NAME or MODEL@URL; may come several times").argParser(
        (text: string, before: readonly string[] | undefined) => [...(before ?? []), text],
      ),
    )
    .addOption(add("--run <run>", "the models of a run directory; held-out conversations then come from there too"))
    .addOption(
      add("--models <names>", "of --run only these, by name or role: pivot,sources,targets,fused").argParser((text) =>
        text.split(",").map((word) => word.trim()),
      ),
    )
    .addOption(add("--against <model>", "compare with this one; of finished judgments another model's"))
    .addOption(
      add("--ensemble <choice>", "all models as one, which gives the best answer of its members").choices([
        "lowest-perplexity",
        "judge",
      ]),
    )
    .addOption(
      add("--model-key-env <name>", "variable with the key of models behind servers (default: OPENAI_API_KEY)"),
    );
  declareTemplate(command, "folders: ", GROUP);
}

/** The conversations that the run of `--run`, or of a `RUN:NAME`, has held out; null where no run is named. */
export async function heldOutOf({ run, model }: ModelFlags): Promise<string | null> {
  const runs = run === undefined ? (model ?? []).map((text) => splitAtLast(text, ":")[0]) : [run];
  for (const folder of runs) {
    const path = join(folder, RUN_FILES.heldOut);
    if ((await exists(join(folder, RUN_FILES.recipe))) && (await exists(path))) return resolve(path);
  }
  return null;
}

/** All models that the flags name, in their order; several of one name are refused. */
export async function subjectsOf(flags: ModelFlags, access: ModelAccess): Promise<NamedSubject[]> {
  const found: NamedSubject[] = [];
  for (const text of flags.model ?? []) found.push(await subjectOf(text, flags, access));
  if (flags.run !== undefined) found.push(...(await runSubjects(flags.run, flags.models, flags, access)));
  else if (flags.models !== undefined) throw inputError("--models", "chooses among the models of a run; add --run RUN");
  for (const [index, { subject }] of found.entries()) {
    if (found.findIndex((other) => other.subject.name === subject.name) < index) {
      throw inputError(subject.name, "is there twice; leave one of them out");
    }
  }
  if (flags.ensemble === undefined) return found;
  if (found.length < 2) throw inputError("--ensemble", `expected at least two models, found ${found.length}`);
  const members = found.map(({ subject }) => subject);
  const name = `${flags.ensemble} of ${members.map((member) => member.name).join(", ")}`;
  return [{ subject: { kind: "ensemble", name, choice: flags.ensemble, members }, role: "model" }];
}

/** `gpt-4o@https://…`, `out/run:fused`, or a folder. */
export async function subjectOf(text: string, flags: ModelFlags, access: ModelAccess): Promise<NamedSubject> {
  const { environment } = access;
  const server = /^(.+?)@(https?:\/\/.+)$/i.exec(text);
  if (server !== null) {
    const [, model, url] = server;
    const variable = flags.modelKeyEnv;
    const apiKey =
      variable === undefined ? textIn(environment, "OPENAI_API_KEY") : keyIn(environment, variable, "--model-key-env");
    const endpoint = {
      url: checkedUrl(url!, "--model"),
      model: model!,
      ...(apiKey === undefined ? {} : { apiKey }),
      ...requests(flags),
    };
    return { subject: { kind: "endpoint", name: model!, endpoint }, role: "model" };
  }
  const [run, name] = splitAtLast(text, ":");
  if (name !== null && !(await exists(text)) && (await exists(join(run, RUN_FILES.recipe)))) {
    return single(await runSubjects(run, [name], flags, access), text);
  }
  const template = templateGiven(flags);
  const subject = {
    kind: "folder",
    name: text,
    folder: await modelFolder(access, text, access.part),
    ...(template === undefined ? {} : { template }),
  } as const;
  return { subject, role: "model" };
}

function single(found: readonly NamedSubject[], text: string): NamedSubject {
  if (found.length === 1) return found[0]!;
  const names = found.map(({ subject }) => subject.name).join(", ");
  throw inputError(text, `expected one model, found several (${names}); name one of them`);
}

/** The models of a run directory, or those of them that `words` name; prompted as in the run where no flag says otherwise. */
async function runSubjects(
  run: string,
  words: readonly string[] | undefined,
  flags: TemplateFlags,
  access: ModelAccess,
): Promise<NamedSubject[]> {
  const all = await readRunModels(run);
  const chosen = (words ?? []).flatMap((word) => {
    const named = modelsNamed(word, all);
    if (named.length > 0) return named;
    const known = modelWords(all);
    throw inputError(
      run,
      `the run has no model ${JSON.stringify(word)}${suggestion(word, known)} (there is: ${known.join(", ")})`,
    );
  });
  const subjects: NamedSubject[] = [];
  for (const model of all) {
    if (words !== undefined && !chosen.includes(model)) continue;
    const { name, role } = model;
    const folder = await modelFolder(access, model.folder, access.part);
    const template = templateGiven(flags) ?? model.template;
    subjects.push({ subject: { kind: "folder", name, folder, template }, role });
  }
  return subjects;
}

function splitAtLast(text: string, mark: string): [string, string | null] {
  const at = text.lastIndexOf(mark);
  return at < 1 || at === text.length - 1 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}
