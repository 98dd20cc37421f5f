/**
 * Which model is behind a server, as far as it is known from here: the kind of the server, its name of the model, and the
 * revision of the files that tokenizer and config were taken from. It stands where the hash of the weights stands for a
 * folder.
 */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { sha256OfFile } from "../../formats/files.ts";
import { hubNameOf } from "../../hub/id.ts";

export interface ServedModel {
  readonly kind: string;
  /** The server's name of the model. */
  readonly model: string;
}

/** `org/name@commit` of a model of the Hub; of any other folder `config` and the hash of its config. */
export async function revisionOf(folder: string): Promise<string> {
  return hubNameOf(resolve(folder)) ?? `config ${await sha256OfFile(join(folder, "config.json"))}`;
}

/** `vllm org/name of org/name@commit`: all that is known, in a line. */
export function servedText({ kind, model }: ServedModel, revision: string): string {
  return `${kind} ${model} of ${revision}`;
}

/** Whether a text of `servedText` speaks of this revision. */
export function isOfRevision(served: string, revision: string): boolean {
  return served.endsWith(` of ${revision}`);
}

/** Stands for the hash of weights that are not here. */
export function servedSha256(served: string, tokenizerSha256: string): string {
  return createHash("sha256").update(`${served}\n${tokenizerSha256}\n`).digest("hex");
}
