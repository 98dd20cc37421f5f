/** The server that this page comes from: its models, answers as they come, votes. */

let token = sessionStorage.getItem("token") ?? "";

/** For as long as the tab is open. @param {string} given */
export function setToken(given) {
  token = given;
  sessionStorage.setItem("token", given);
}

/** The server wants its token, or another one. */
export class TokenWanted extends Error {}

async function ask(
  /** @type {string} */ path,
  /** @type {unknown} */ body,
  /** @type {AbortSignal | undefined} */ signal,
) {
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (response.status === 401) throw new TokenWanted();
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: undefined }));
  throw new Error(error?.message ?? `the server answered with ${response.status}`);
}

/** @returns {Promise<string[]>} */
export async function modelNames() {
  const { data } = await (await ask("/v1/models", undefined, undefined)).json();
  return data.map((/** @type {{ id: string }} */ { id }) => id);
}

/** @returns {Promise<boolean>} */
export async function keepsVotes() {
  return (await (await ask("/votes", undefined, undefined)).json()).kept;
}

/** @param {object} vote */
export async function sendVote(vote) {
  await ask("/votes", vote, undefined);
}

/**
 * What the server shows of its run: null where it has none.
 * @returns {Promise<{ pivot: string, sources: string[], models: { name: string, asked: boolean, loaded: boolean }[] } | null>}
 */
export async function describeRun() {
  return (await (await ask("/run", undefined, undefined)).json()).run;
}

/**
 * `conversations`, `conversation` or `row` of the run.
 * @param {string} what
 * @param {Record<string, string | number | undefined>} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function ofRun(what, query, signal) {
  const given = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]));
  return (await ask(`/run/${what}?${new URLSearchParams(given)}`, undefined, signal)).json();
}

/**
 * An answer as it comes; `onPiece` hears text and, where they are asked for, tokens. Gives the number of tokens and why
 * the answer ended.
 * @param {object} request
 * @param {AbortSignal} signal
 * @param {(text: string, tokens: any[]) => void} onPiece
 */
export async function streamAnswer(request, signal, onPiece) {
  const body = { ...request, stream: true, stream_options: { include_usage: true } };
  const response = await ask("/v1/chat/completions", body, signal);
  let [tokens, finish, isWhole] = [0, "", false];
  for await (const data of events(/** @type {ReadableStream<Uint8Array>} */ (response.body))) {
    if (data === "[DONE]") {
      isWhole = true;
      continue;
    }
    const { error, choices = [], usage } = JSON.parse(data);
    if (error) throw new Error(error.message);
    tokens = usage?.completion_tokens ?? tokens;
    const [choice] = choices;
    finish = choice?.finish_reason ?? finish;
    const found = choice?.logprobs?.content ?? [];
    if (choice?.delta?.content || found.length > 0) onPiece(choice.delta.content ?? "", found);
  }
  if (!isWhole) throw new Error("the connection broke off");
  return { tokens, finish };
}

/** The data of server-sent events. @param {ReadableStream<Uint8Array>} body */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) yield part.replace(/^data: /, "");
  }
}
