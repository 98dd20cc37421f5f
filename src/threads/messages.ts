/** What passes between a thread and whoever called it. */
import type { ErrorCode } from "../errors.ts";

/** Functions of at most one value; it and what it is answered with cross between threads. */
export type Callable<Work> = { readonly [Name in keyof Work]: (input: never) => Promise<unknown> };

export interface Request {
  readonly call: string;
  readonly input: unknown;
}

export type Answer =
  | { readonly output: unknown }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } };

/** News is told while a call is under way, as often as there is some. */
export type Reply = Answer | { readonly news: unknown };
