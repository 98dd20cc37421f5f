/**
 * Who may ask. With a token, whoever has it. Without one the server listens on the loopback interface alone, and a web page
 * that somebody has open must not reach it through their browser: neither from another origin, nor by a name of its
 * own that leads here (DNS rebinding).
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api-error.ts";

export interface AccessOptions {
  readonly token: string | null;
  /** Origins whose pages may ask, beside the server's own; `*` for all. */
  readonly origins: readonly string[];
  /** Whether the server listens on the loopback interface alone. */
  readonly isLoopback: boolean;
}

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

export function isLoopbackHost(host: string): boolean {
  return ["localhost", "::1", "[::1]"].includes(host) || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Throws 403 for a page of another origin, or a name that is not this machine's. */
export function checkOrigin(headers: Headers, { origins, isLoopback }: AccessOptions): void {
  const host = headers.get("host") ?? "";
  const name = host.replace(/:\d+$/, "");
  if (isLoopback && !LOOPBACK_NAMES.includes(name) && !isLoopbackHost(name)) {
    throw new ApiError(403, `this server is ${LOOPBACK_NAMES[0]} only; it was asked as ${JSON.stringify(name)}`);
  }
  const origin = headers.get("origin");
  if (origin === null || allowedOrigin(origin, origins) !== null) return;
  if (URL.canParse(origin) && new URL(origin).host === host) return;
  throw new ApiError(403, `pages of ${origin} may not ask this server; start it with --cors ${origin}`);
}

/** What `Access-Control-Allow-Origin` says to an origin; null where it may not ask. */
export function allowedOrigin(origin: string, origins: readonly string[]): string | null {
  return origins.includes("*") ? "*" : origins.includes(origin) ? origin : null;
}

/** Throws 401 where the request does not carry the token. */
export function checkToken(headers: Headers, { token }: AccessOptions): void {
  if (token === null) return;
  const given = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? "";
  // Digests are equally long, and what is compared says nothing of the token.
  const digest = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest();
  if (timingSafeEqual(digest(given), digest(token))) return;
  throw new ApiError(401, "expected the server's token as Authorization: Bearer TOKEN", "invalid_api_key");
}
