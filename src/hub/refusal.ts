/** What the Hub's refusals mean, as one sentence each. */
import { FusechatError, failure, inputError } from "../errors.ts";
import type { HubSettings } from "./settings.ts";

/** There is no model of that name, or none that may be seen. */
export class NoSuchModel extends FusechatError {}

/** The model is there, a branch, tag or commit of that name is not. */
export class NoSuchRevision extends FusechatError {}

export interface Refusal {
  readonly status: number;
  /** `X-Error-Code` */
  readonly code: string | null;
  /** What the server says, which may be anything. */
  readonly text: string;
}

/** `what` names the model, and a file of it where one was asked for. */
export function refusalOf({ status, code, text }: Refusal, what: string, settings: HubSettings): FusechatError {
  const { host, endpoint, token } = settings;
  const [repo] = what.split(/[@:]/);
  const page = `${endpoint}/${repo}`;
  switch (code) {
    case "GatedRepo":
      return token === undefined
        ? inputError(what, `is gated; ask for access at ${page} and set HF_TOKEN to a token of yours`)
        : inputError(what, `is gated, and the token that is set has no access to it; ask for it at ${page}`);
    case "RevisionNotFound":
      return new NoSuchRevision(
        "input",
        `${what}: ${host} has no such revision; its branches and tags stand at ${page}`,
      );
    case "EntryNotFound":
      return inputError(what, `${host} has no such file`);
    case "RepoNotFound":
      return missing(what, host, token);
  }
  if (status === 404) return missing(what, host, token);
  if (status === 401) {
    return token === undefined
      ? missing(what, host, token)
      : inputError(what, `${host} does not take the token that is set`);
  }
  if (status === 416) return failure(what, `${host} has less of it than it lists`);
  if (status === 403) return inputError(what, `${host} refuses access${said(text)}`);
  return failure(what, `${host} answers ${status}${said(text)}`);
}

function missing(what: string, host: string, token: string | undefined): FusechatError {
  const advice =
    token === undefined
      ? "if it is private, set HF_TOKEN to a token that may read it"
      : "or it is private and the token that is set may not read it";
  return new NoSuchModel("input", `${what}: no folder of this name is here, and ${host} has no such model; ${advice}`);
}

/** Longest part of a server's message that is shown. */
const SHOWN = 200;

/** The message of a JSON reply, or a short text, without anything that could move the cursor. */
function said(text: string): string {
  let message = text;
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    message = typeof error === "string" ? error : "";
  } catch {
    if (text.trimStart().startsWith("<")) return "";
  }
  const clean = message.replace(/[\s\p{Cc}\p{Cf}]+/gu, " ").trim();
  return clean === "" ? "" : ` (${clean.slice(0, SHOWN)})`;
}
