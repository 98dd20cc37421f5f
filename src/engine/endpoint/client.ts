/**
 * Chats with an OpenAI-compatible server: at most N requests at a time over kept connections, and what may pass is
 * tried again, after the time the server asks for or after waits that double, with jitter. The key goes into one
 * header and nowhere else; should the server repeat it, it is taken out of messages and answers.
 */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { setTimeout } from "node:timers/promises";
import { type FusechatError, failure, inputError, throwIfInterrupted } from "../../errors.ts";
import { createRandom } from "../../random.ts";
import type { ChatReply, ChatRequest, Endpoint, EndpointOptions } from "./endpoint.ts";
import { type HttpReply, type NoReply, post } from "./http-post.ts";
import { type Refusal, refusalOf, retryAfterSeconds } from "./refusal.ts";
import { readReply } from "./reply.ts";
import { type Dialect, learn, PLAIN, wireBody } from "./wire-request.ts";

/** Seconds before the second attempt; it doubles from attempt to attempt. */
const FIRST_WAIT = 0.5;
const LONGEST_WAIT = 30;
/** A server that asks for more is not worth waiting for: a daily quota, mostly. */
const LONGEST_RETRY_AFTER = 300;
/** 4,096 tokens with 20 log-probabilities each are some 8 MB. */
const LONGEST_REPLY = 1 << 25;
/** A shorter key is a placeholder ("EMPTY") of a server that asks for none, and may be a word of an answer. */
const SHORTEST_SECRET = 8;

interface Attempt {
  readonly problem: string;
  readonly mayPass: boolean;
  readonly always: boolean;
  readonly parameter: string | null;
  /** Seconds the server asks to wait. */
  readonly retryAfter: number | null;
}

/** Checks the options; nothing is sent before the first `chat`. */
export function openEndpoint(options: EndpointOptions): Endpoint {
  const url = chatUrl(options.url);
  checkNumbers(options);
  const { model, apiKey, attempts, timeoutSeconds } = options;
  checkKey(apiKey);
  const agentOptions = { keepAlive: true, maxSockets: options.concurrency };
  const agent = url.protocol === "https:" ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
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
  let dialect: Dialect = PLAIN;

  const attempt = async (
    request: ChatRequest,
    spoken: Dialect,
    signal: AbortSignal | undefined,
  ): Promise<ChatReply | Attempt> => {
    const got: HttpReply | NoReply = await post({
      url,
      headers,
      body: JSON.stringify(wireBody(model, request, spoken)),
      agent,
      timeoutSeconds,
      longest: LONGEST_REPLY,
      ...(signal === undefined ? {} : { signal }),
    });
    const failed = { always: false, parameter: null, retryAfter: null };
    if ("problem" in got) return { ...failed, ...got };
    if (got.status !== 200) {
      const refusal: Refusal = refusalOf(got.status, got.headers, got.body, {
        model,
        hasKey: apiKey !== undefined,
        redact,
      });
      return { ...refusal, retryAfter: retryAfterSeconds(got.headers, Date.now()) };
    }
    const reply = readReply(got.body, redact);
    if ("problem" in reply) return { ...failed, problem: reply.problem, mayPass: reply.cut };
    const omitted = spoken.omitted.filter((name) => request[name] !== undefined);
    return omitted.length === 0 ? reply : { ...reply, omitted };
  };

  const chat = async (request: ChatRequest, signal: AbortSignal | undefined): Promise<ChatReply> => {
    let count = 1;
    for (;;) {
      throwIfInterrupted(signal, url.href);
      const spoken = dialect;
      const outcome = await attempt(request, spoken, signal);
      if ("text" in outcome) return outcome;
      throwIfInterrupted(signal, url.href);
      if (outcome.parameter !== null && learn(spoken, outcome.parameter) !== null) {
        // Another request in flight may have learned the same meanwhile.
        dialect = learn(dialect, outcome.parameter) ?? dialect;
        continue;
      }
      if (outcome.always) throw inputError(url.href, outcome.problem);
      const { retryAfter } = outcome;
      if (outcome.mayPass && retryAfter !== null && retryAfter > LONGEST_RETRY_AFTER) {
        const problem = `${outcome.problem}, and asks to wait ${Math.ceil(retryAfter)} s; run the same command again then`;
        throw failure(url.href, problem);
      }
      if (!outcome.mayPass || count === attempts) {
        const tried = count > 1 ? `, after ${count} attempts` : "";
        throw failure(url.href, `${outcome.problem}${tried}`);
      }
      const doubled = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (count - 1));
      // Half of the wait is drawn, so that requests refused together do not come back together.
      const wait = retryAfter === null ? doubled * (0.5 + jitter.next() / 2) : retryAfter * (1 + jitter.next() / 10);
      await pause(wait, signal);
      count++;
    }
  };

  const places = openPlaces(options.concurrency);
  return {
    options,
    chat: (request, signal) => places.within(() => chat(request, signal)),
  };
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

function chatUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw inputError(text, "expected the base URL of a server, such as http://127.0.0.1:8000/v1", error);
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
  url.pathname = `${url.pathname.replace(/\/+$/, "").replace(/\/chat\/completions$/, "")}/chat/completions`;
  return url;
}

function checkNumbers({ url, concurrency, timeoutSeconds, attempts }: EndpointOptions): void {
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
