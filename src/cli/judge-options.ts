/**
 * Who judges, from the command line and the environment. Keys come from the environment alone; one that is meant for
 * another address is not sent: OPENAI_API_KEY belongs to OPENAI_BASE_URL, or to OpenAI itself, unless the command line
 * or FUSECHAT_JUDGE_URL names the address.
 */
import type { Command } from "commander";
import { inputError } from "../errors.ts";
import type { JudgeOptions } from "../evaluate/judges/judge.ts";
import type { JudgeAccess } from "../recipe/judge.ts";
import { integer, number } from "./option-values.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface JudgeFlags {
  readonly judge?: string;
  readonly judgeUrl?: string;
  readonly judgeKeyEnv?: string;
  readonly judgeMaxCalls?: number;
  readonly judgeMaxTokens?: number;
}

export interface RequestFlags {
  readonly concurrency: number;
  readonly timeout: number;
  readonly retries: number;
}

const OPENAI = "https://api.openai.com/v1";
const KEY = "OPENAI_API_KEY";

const GROUP = "Judge:";

/** Model, address and key. */
export function declareJudge(command: Command): void {
  for (const [flags, description] of [
    ["--judge <model>", "the judging model, as its server calls it (default: $FUSECHAT_JUDGE_MODEL)"],
    ["--judge-url <url>", "its OpenAI-compatible server (default: $FUSECHAT_JUDGE_URL, $OPENAI_BASE_URL)"],
    ["--judge-key-env <name>", `environment variable that holds its key (default: ${KEY})`],
  ] as const) {
    command.addOption(command.createOption(flags, description).helpGroup(GROUP));
  }
}

/** What it may cost. */
export function declareJudgeBudget(command: Command): void {
  for (const [flags, description] of [
    ["--judge-max-calls <n>", "most calls; what is kept below --out is no call (default: no limit)"],
    ["--judge-max-tokens <n>", "most tokens, questions and answers together (default: no limit)"],
  ] as const) {
    command.addOption(
      command
        .createOption(flags, description)
        .argParser(integer({ min: 1 }))
        .helpGroup(GROUP),
    );
  }
}

/** How servers are asked, judges and models under test alike. */
export function declareRequests(command: Command): void {
  const group = "Requests to servers:";
  const add = (flags: string, description: string, parse: (text: string) => number, otherwise: number): void => {
    command.addOption(command.createOption(flags, description).argParser(parse).default(otherwise).helpGroup(group));
  };
  add("--concurrency <n>", "requests in flight at most", integer({ min: 1, max: 1024 }), 8);
  add("--timeout <seconds>", "until a request without an answer counts as failed", number({ min: 0.001 }), 120);
  add("--retries <n>", "further attempts after one that failed", integer({ min: 0, max: 100 }), 5);
}

/** What command line and environment say of a judge. */
export function judgeAccess(flags: JudgeFlags, environment: Environment): JudgeAccess {
  const url = flags.judgeUrl === undefined ? undefined : checkedUrl(flags.judgeUrl, "--judge-url");
  const own = textIn(environment, "FUSECHAT_JUDGE_URL");
  const openAi = textIn(environment, "OPENAI_BASE_URL");
  return {
    chosen: defined({ model: flags.judge, url }),
    otherwise: defined({ model: textIn(environment, "FUSECHAT_JUDGE_MODEL"), url: own ?? openAi }),
    keyFor: (address) => {
      if (flags.judgeKeyEnv !== undefined) return keyIn(environment, flags.judgeKeyEnv, "--judge-key-env");
      const owner = url ?? own ?? openAi ?? OPENAI;
      return sameServer(address, owner) ? textIn(environment, KEY) : undefined;
    },
  };
}

/** Says so where a key that is there does not go to the judge's address, and that server is not on this machine. */
export function withheldKey(recipeUrl: string | null, access: JudgeAccess, environment: Environment): string | null {
  const url = access.chosen.url ?? recipeUrl ?? access.otherwise.url;
  if (url === undefined || access.keyFor(url) !== undefined || textIn(environment, KEY) === undefined) return null;
  if (/^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname)) return null;
  return `${KEY} is not sent to ${url}, which only the recipe names; --judge-key-env ${KEY} sends it`;
}

/** The judge that the command line and the environment name; null where they name none. */
export function judgeOf(flags: JudgeFlags & RequestFlags, environment: Environment): JudgeOptions | null {
  const { chosen, otherwise, keyFor } = judgeAccess(flags, environment);
  const { model, url } = { ...otherwise, ...chosen };
  if (model === undefined && chosen.url === undefined) return null;
  if (model === undefined) throw inputError("--judge-url", "names no model; add --judge MODEL");
  if (url === undefined) {
    throw inputError(
      "--judge",
      `${model} needs the address of its server; add --judge-url URL (OpenAI's is ${OPENAI})`,
    );
  }
  const apiKey = keyFor(url);
  return {
    endpoint: { url, model, ...(apiKey === undefined ? {} : { apiKey }), ...requests(flags) },
    spent: { calls: 0, tokens: 0 },
    ...(flags.judgeMaxCalls === undefined ? {} : { maxCalls: flags.judgeMaxCalls }),
    ...(flags.judgeMaxTokens === undefined ? {} : { maxTokens: flags.judgeMaxTokens }),
  };
}

export function requests({ concurrency, timeout, retries }: RequestFlags): {
  concurrency: number;
  timeoutSeconds: number;
  attempts: number;
} {
  return { concurrency, timeoutSeconds: timeout, attempts: retries + 1 };
}

/** The key in a variable that the user has named. */
export function keyIn(environment: Environment, variable: string, flag: string): string {
  const key = textIn(environment, variable);
  if (key === undefined) throw inputError(flag, `the environment variable ${variable} is not set`);
  return key;
}

/** A variable that is set and not empty. */
export function textIn(environment: Environment, variable: string): string | undefined {
  const value = environment[variable]?.trim();
  return value === "" ? undefined : value;
}

export function checkedUrl(url: string, where: string): string {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    throw inputError(where, `expected an address such as http://127.0.0.1:8000/v1, found ${JSON.stringify(url)}`);
  }
  return url;
}

/** Without what is undefined. */
function defined(named: { model: string | undefined; url: string | undefined }): { model?: string; url?: string } {
  const { model, url } = named;
  return { ...(model === undefined ? {} : { model }), ...(url === undefined ? {} : { url }) };
}

function sameServer(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin;
}
