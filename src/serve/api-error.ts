/** Refusals in the form of the OpenAI API ("Error codes"): a status, and `{"error": {message, type, param, code}}`. */

import type { z } from "zod";
import { requestProblem } from "./request-problem.ts";

export type ApiStatus = 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 500 | 503 | 504;

/** `invalid_request_error` is the client's fault, whatever the status. */
export class ApiError extends Error {
  readonly status: ApiStatus;
  readonly code: string | null;
  /** The parameter of the request that is wrong. */
  readonly param: string | null;

  constructor(status: ApiStatus, message: string, code: string | null = null, param: string | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export function errorBody({ status, message, code, param }: ApiError): ErrorBody {
  const type = status >= 500 ? "server_error" : status === 429 ? "rate_limit_error" : "invalid_request_error";
  return { error: { message, type, param, code } };
}

/** Whatever was thrown. What no client can mend says no more than that: folders are nobody's business. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(500, "the server could not answer; its own output says why", "internal");
}

/** What a schema did not take, whose issues have the inputs: the first problem, by the name of its parameter. */
export function schemaError(error: z.ZodError): ApiError {
  const issue = error.issues[0]!;
  if (issue.code === "unrecognized_keys") {
    const [name = ""] = issue.keys;
    const param = [...issue.path, name].join(".");
    return new ApiError(400, `${param}: is no parameter that this server knows`, "unsupported_parameter", param);
  }
  const { param, problem } = requestProblem(issue);
  // A refinement speaks of what is not supported; every other issue is a wrong value.
  const code = issue.code === "custom" ? "unsupported_value" : "invalid_value";
  return new ApiError(400, `${param === "" ? "the body" : param}: ${problem}`, code, param === "" ? null : param);
}
