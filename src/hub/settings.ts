/**
 * Where the Hub and its cache are, by the environment variables of Python's `huggingface_hub`, so that both programs use
 * one cache and one login: `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`,
 * `HF_HUB_DOWNLOAD_TIMEOUT`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { fileError, systemCode } from "../formats/file-error.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** As messages call it. */
  readonly host: string;
  /** The folder of `models--org--name`, absolute. */
  readonly cache: string;
  readonly token: string | undefined;
  readonly offline: boolean;
  /** How long nothing may come. */
  readonly timeoutMs: number;
}

const ENDPOINT = "https://huggingface.co";
/** As long as Python waits. */
const TIMEOUT_SECONDS = 10;

export async function hubSettings(environment: Environment): Promise<HubSettings> {
  const given = (...names: readonly string[]): string | undefined =>
    names.map((name) => environment[name]).find((value) => value !== undefined && value.trim() !== "");
  const path = (name: string, otherwise: string): string => expand(given(name) ?? otherwise, environment);
  const isTrue = (...names: readonly string[]): boolean => /^(1|ON|YES|TRUE)$/i.test(given(...names) ?? "");
  const home = path("HF_HOME", join(given("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface"));
  const endpoint = checkedEndpoint(given("HF_ENDPOINT") ?? ENDPOINT);
  const implicit = isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN")
    ? undefined
    : (given("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") ?? (await tokenIn(path("HF_TOKEN_PATH", join(home, "token")))));
  return {
    endpoint,
    host: new URL(endpoint).host,
    cache: resolve(path("HF_HUB_CACHE", given("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"))),
    token: checkedToken(implicit),
    offline: isTrue("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
    timeoutMs: 1000 * seconds(given("HF_HUB_DOWNLOAD_TIMEOUT")),
  };
}

function checkedEndpoint(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw inputError("HF_ENDPOINT", `expected a URL such as ${ENDPOINT}, found ${JSON.stringify(text)}`, error);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw inputError("HF_ENDPOINT", `expected https:// or http://, found ${url.protocol}//`);
  }
  if (url.username !== "" || url.password !== "") {
    // The text itself is not repeated: it holds the secret.
    throw inputError("HF_ENDPOINT", "must not hold a user name or key; a token comes from HF_TOKEN");
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

async function tokenIn(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error))) return undefined;
    throw fileError(file, error);
  }
}

/** A header takes neither line feeds nor anything beyond ASCII. */
function checkedToken(text: string | undefined): string | undefined {
  const token = text?.trim();
  if (token === undefined || token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw inputError("HF_TOKEN", "expected printable ASCII without spaces; set the token again");
}

function seconds(text: string | undefined): number {
  const value = Number(text ?? TIMEOUT_SECONDS);
  // Longer than three weeks overflows a timer, which then ends at once.
  if (value > 0 && value < 2_000_000) return value;
  throw inputError("HF_HUB_DOWNLOAD_TIMEOUT", `expected seconds above 0, found ${JSON.stringify(text)}`);
}

/** `~` and `$NAME`, as Python expands them. */
function expand(path: string, environment: Environment): string {
  return path
    .replace(/^~(?=$|[/\\])/, homedir())
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, bare, braced) => environment[bare ?? braced] ?? whole);
}
