/**
 * What a server means by a status other than 200: whether another attempt may pass, whether every request of this kind
 * is refused, which parameter it does not take, and how long it asks to be left alone.
 */
import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { excerpt } from "./excerpt.ts";

export interface Refusal {
  readonly status: number;
  /** What the server says, without secrets. */
  readonly message: string;
  readonly problem: string;
  readonly mayPass: boolean;
  /** Another request would fare no better: key, model or address are wrong. */
  readonly always: boolean;
  /** The parameter that the server does not take, by its name in the request. */
  readonly parameter: string | null;
}

/** What messages need to know of the request; `redact` takes secrets out of what the server says. */
interface Asked {
  /** What is asked for: `chat completions`. */
  readonly what: string;
  readonly model: string;
  readonly hasKey: boolean;
  readonly redact: (text: string) => string;
}

const errorBody = z.looseObject({
  error: z
    .union([
      z.string(),
      z.looseObject({ message: z.string().nullish(), param: z.string().nullish(), code: z.unknown().optional() }),
    ])
    .nullish(),
  message: z.string().nullish(),
  /** Pydantic's list of what is wrong with a body. */
  detail: z
    .array(z.looseObject({ type: z.string(), loc: z.array(z.union([z.string(), z.number()])), msg: z.string() }))
    .nullish()
    .catch(null),
});

export function refusalOf(
  status: number,
  headers: IncomingHttpHeaders,
  body: Uint8Array,
  { what, model, hasKey, redact }: Asked,
): Refusal {
  const { message, parameter, code } = readError(body, redact);
  const said = message === "" ? `HTTP ${status}` : `HTTP ${status}: ${message}`;
  const refusal = { status, message, mayPass: false, always: false, parameter: null };
  if (status >= 300 && status < 400) {
    const problem = `redirects to ${hostOf(headers.location)}, where no key is sent; give that address if it is the right one`;
    return { ...refusal, problem, always: true };
  }
  if (status === 401 || status === 403) {
    const key = hasKey ? "refuses the key" : "wants a key, and none was given";
    return {
      ...refusal,
      problem: `the server ${key} (${said}); set the environment variable that holds it`,
      always: true,
    };
  }
  if (status === 404) {
    const problem = `the server knows no model ${JSON.stringify(model)} or no ${what} (${said}); check URL and model`;
    return { ...refusal, problem, always: true };
  }
  if (code === "insufficient_quota" || status === 402) {
    return { ...refusal, problem: `the account's quota is used up (${said})` };
  }
  const mayPass = [408, 409, 425, 429].includes(status) || status >= 500;
  const problem = mayPass ? `the server is not able to answer (${said})` : `the server refuses the request (${said})`;
  return { ...refusal, problem, mayPass, parameter };
}

/** Seconds that `Retry-After` asks for, as a number or a date; null where it says nothing sensible. */
export function retryAfterSeconds(headers: IncomingHttpHeaders, now: number): number | null {
  const milliseconds = headers["retry-after-ms"];
  if (typeof milliseconds === "string" && /^\d+(\.\d+)?$/.test(milliseconds)) return Number(milliseconds) / 1000;
  const value = headers["retry-after"]?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return /[A-Za-z]/.test(value) && Number.isFinite(date) ? Math.max(0, (date - now) / 1000) : null;
}

function readError(
  body: Uint8Array,
  redact: Asked["redact"],
): { message: string; parameter: string | null; code: string } {
  const text = new TextDecoder().decode(body.subarray(0, 1 << 16));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { message: excerpt(redact(text)), parameter: null, code: "" };
  }
  const parsed = errorBody.safeParse(json);
  if (!parsed.success) return { message: excerpt(redact(text)), parameter: null, code: "" };
  const { error, message, detail } = parsed.data;
  const forbidden = detail?.find(({ type }) => type === "extra_forbidden");
  if (typeof error !== "object" || error === null) {
    const said = error ?? message ?? detail?.[0]?.msg ?? text;
    return { message: excerpt(redact(said)), parameter: String(forbidden?.loc.at(-1) ?? "") || null, code: "" };
  }
  const code = typeof error.code === "string" ? error.code : "";
  const parameter = code.startsWith("unsupported_") ? (error.param ?? null) : null;
  return { message: excerpt(redact(error.message ?? text)), parameter, code };
}

/** Only the host: an address may carry secrets. */
function hostOf(location: string | undefined): string {
  try {
    return new URL(location ?? "").origin;
  } catch {
    return "another place";
  }
}
