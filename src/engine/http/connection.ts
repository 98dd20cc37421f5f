/**
 * Questions to one server over HTTP: at most N at a time over kept connections, and what may pass is asked again, after
 * the time the server asks for or after waits that double, with jitter. The key goes into one header and nowhere else;
 * should the server repeat it, it is taken out of messages and answers.
 */

import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { setTimeout } from "node:timers/promises";
import { type FusechatError, failure, inputError, throwIfInterrupted } from "../../errors.ts";
import { createRandom } from "../../random.ts";
import { emptyTable } from "../../table.ts";
import { exchange } from "./exchange.ts";
import { type Refusal, refusalOf, retryAfterSeconds } from "./refusal.ts";

/** Seconds before the second attempt; it doubles from attempt to attempt. */
const FIRST_WAIT = 0.5;
const LONGEST_WAIT = 30;
/** A server that asks for more is not worth waiting for: a daily quota, mostly. */
const LONGEST_RETRY_AFTER = 300;
/** A shorter key is a placeholder ("EMPTY") of a server that asks for none, and may be a word of an answer. */
const SHORTEST_SECRET = 8;

export interface ConnectionOptions {
  readonly url: string;
  readonly apiKey?: string;
  /** Requests in flight at most. */
  readonly concurrency: number;
  /** Seconds until a request without an answer counts as failed. */
  readonly timeoutSeconds: number;
  /** Attempts a request gets, the first among them; only what may pass (429, 5xx, a broken connection) is repeated. */
  readonly attempts: number;
}

/** What is wrong with a reply; `cut`: it ends in the middle, so another attempt may bring the whole. */
export interface Unreadable {
  readonly problem: string;
  readonly cut: boolean;
}

export interface Question<Reply> {
  readonly url: URL;
  /** Made anew for each attempt; null asks with GET. */
  body(): string | null;
  /** What is asked for, as messages call it where a server has no such route: `chat completions`. */
  readonly what: string;
  /** The server's name of the model, for messages. */
  readonly model: string;
  /** Longest reply, bytes. */
  readonly longest: number;
  read(body: Uint8Array): Reply | Unreadable;
  /**
   * What a refusal means to the asker: a reply of its own, `again` for another attempt at once, which does not count, or
   * undefined for what it means to everybody.
   */
  refused?(refusal: Refusal): Reply | "again" | undefined;
}

export interface Connection {
  /**
   * The reply, asked for as often as the options allow. Throws a `FusechatError` that names the URL and what came back:
   * `input` where no request would fare better (key, model or address are wrong), `failed` where this one has no reply,
   * `interrupted` where the signal ended it.
   */
  ask<Reply extends object>(question: Question<Reply>, signal?: AbortSignal): Promise<Reply>;
  /** The text without the key. */
  redact(text: string): string;
}

interface Attempt {
  readonly problem: string;
  readonly mayPass: boolean;
  readonly always: boolean;
  /** Seconds the server asks to wait. */
  readonly retryAfter: number | null;
}

/** Checks the options; nothing is sent before the first question. */
export function openConnection(options: ConnectionOptions): Connection {
  checkNumbers(options);
  const { apiKey, attempts, timeoutSeconds } = options;
  checkKey(apiKey);
  const agentOptions = { keepAlive: true, maxSockets: options.concurrency };
  const agents: Record<string, HttpAgent> = emptyTable();
  const agentFor = ({ protocol }: URL): HttpAgent => {
    agents[protocol] ??= protocol === "https:" ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
    return agents[protocol];
  };
  const headers = {
    "content-type": "application/json",
    accept: "application/json",
    "accept-encoding": "identity",
    "user-agent": "fusechat",
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
  };
  const redact = (text: string): string =>
    apiKey === undefined || apiKey.length < SHORTEST_SECRET ? text : text.replaceAll(apiKey, "[key]");
  const jitter = createRandom("endpoint/jitter");

  const attempt = async <Reply extends object>(
    question: Question<Reply>,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly reply: Reply } | "again" | Attempt> => {
    const { url, what, model, longest } = question;
    const got = await exchange({
      url,
      headers,
      body: question.body(),
      agent: agentFor(url),
      timeoutSeconds,
      longest,
      ...(signal === undefined ? {} : { signal }),
    });
    const failed = { always: false, retryAfter: null };
    if ("problem" in got) return { ...failed, ...got };
    if (got.status !== 200) {
      const refusal = refusalOf(got.status, got.headers, got.body, {
        what,
        model,
        hasKey: apiKey !== undefined,
        redact,
      });
      const meaning = question.refused?.(refusal);
      if (meaning === "again") return "again";
      if (meaning !== undefined) return { reply: meaning };
      return { ...refusal, retryAfter: retryAfterSeconds(got.headers, Date.now()) };
    }
    const reply = question.read(got.body);
    return isUnreadable(reply) ? { ...failed, problem: redact(reply.problem), mayPass: reply.cut } : { reply };
  };

  const ask = async <Reply extends object>(question: Question<Reply>, signal?: AbortSignal): Promise<Reply> => {
    const { href } = question.url;
    let count = 1;
    for (;;) {
      throwIfInterrupted(signal, href);
      const outcome = await attempt(question, signal);
      if (outcome !== "again" && "reply" in outcome) return outcome.reply;
      throwIfInterrupted(signal, href);
      if (outcome === "again") continue;
      if (outcome.always) throw inputError(href, outcome.problem);
      const { retryAfter } = outcome;
      if (outcome.mayPass && retryAfter !== null && retryAfter > LONGEST_RETRY_AFTER) {
        const problem = `${outcome.problem}, and asks to wait ${Math.ceil(retryAfter)} s; run the same command again then`;
        throw failure(href, problem);
      }
      if (!outcome.mayPass || count === attempts) {
        const tried = count > 1 ? `, after ${count} attempts` : "";
        throw failure(href, `${outcome.problem}${tried}`);
      }
      const doubled = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (count - 1));
      // Half of the wait is drawn, so that requests refused together do not come back together.
      const wait = retryAfter === null ? doubled * (0.5 + jitter.next() / 2) : retryAfter * (1 + jitter.next() / 10);
      await pause(wait, signal);
      count++;
    }
  };

  const places = openPlaces(options.concurrency);
  return { ask: (question, signal) => places.within(() => ask(question, signal)), redact };
}

function isUnreadable<Reply extends object>(reply: Reply | Unreadable): reply is Unreadable {
  return "problem" in reply && "cut" in reply;
}

/** Ends at once when the signal is raised; the caller looks at it. */
async function pause(seconds: number, signal: AbortSignal | undefined): Promise<void> {
  await setTimeout(seconds * 1000, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}

/** At most `count` pieces of work at a time, first come first served. A wait before another attempt keeps its place. */
function openPlaces(count: number): { within<T>(work: () => Promise<T>): Promise<T> } {
  let free = count;
  const waiting: (() => void)[] = [];
  return {
    within: async (work) => {
      if (free > 0) free--;
      else await new Promise<void>((enter) => waiting.push(enter));
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next === undefined) free++;
        else next();
      }
    },
  };
}

/** A server's base address: nothing behind the path, and no key in it. `example` is what one looks like. */
export function parseAddress(text: string, example: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw inputError(text, `expected the base URL of a server, such as ${example}`, error);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw inputError(text, `expected a URL that begins with http:// or https://, found ${url.protocol}//`);
  }
  if (url.username !== "" || url.password !== "") {
    // The text itself is not repeated: it holds the secret.
    throw inputError(url.host, "a URL must not hold a user name or key; keys come from the environment");
  }
  const secret = [...url.searchParams.keys()].find((name) => /key|token|secret|sig/i.test(name));
  if (secret !== undefined) {
    throw inputError(url.host, `a URL must not hold a key, as ${secret} may be one; keys come from the environment`);
  }
  url.hash = "";
  return url;
}

function checkNumbers({ url, concurrency, timeoutSeconds, attempts }: ConnectionOptions): void {
  const wrong = (name: string, expected: string, found: number): FusechatError =>
    inputError(url, `${name}: expected ${expected}, found ${found}`);
  if (!Number.isInteger(concurrency) || concurrency < 1) throw wrong("concurrency", "at least 1 request", concurrency);
  if (!Number.isInteger(attempts) || attempts < 1) throw wrong("attempts", "at least 1", attempts);
  // Longer than three weeks overflows a timer, which then ends at once.
  if (!(timeoutSeconds > 0 && timeoutSeconds < 2_000_000)) throw wrong("timeout", "seconds above 0", timeoutSeconds);
}

function checkKey(apiKey: string | undefined): void {
  if (apiKey === undefined || /^[\x21-\x7e]+$/.test(apiKey)) return;
  const found = apiKey === "" ? "nothing" : "white space or other characters in it";
  throw inputError("the API key", `expected printable ASCII, found ${found}; set its environment variable again`);
}
