/** The routes of a server, as OpenAI and vLLM have them. No path of a request touches the disk. */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { z } from "zod";
import { VERSION } from "../version.ts";
import { type AccessOptions, allowedOrigin, checkOrigin, checkToken } from "./access.ts";
import { ApiError, apiErrorOf, errorBody, schemaError } from "./api-error.ts";
import { completeChat } from "./chat.ts";
import { complete } from "./completions.ts";
import type { PageFile } from "./page.ts";
import { chatRequest, completionRequest, detokenizeRequest, tokenizeRequest } from "./requests.ts";
import {
  conversationRequest,
  describeRun,
  listConversations,
  listRequest,
  rowRequest,
  showConversation,
  showRow,
} from "./run/routes.ts";
import type { ServerState } from "./server-state.ts";
import { detokenize, tokenize } from "./tokens.ts";
import { vote, voteRequest } from "./votes.ts";

/** As metrics name them; whatever else is asked for is one. */
const ROUTES = [
  "/health",
  "/version",
  "/metrics",
  "/v1/models",
  "/v1/chat/completions",
  "/v1/completions",
  "/tokenize",
  "/detokenize",
  "/votes",
  "/run",
  "/run/conversations",
  "/run/conversation",
  "/run/row",
];

/** Nobody reads it; metrics count it (nginx's number). */
const CLIENT_GONE = 499;

/** A server's routes, and its page. */
export function createApp(state: ServerState, access: AccessOptions, page: readonly PageFile[]): Hono {
  const { limits, metrics, pool } = state;
  // What is open to whoever reaches the server: nothing of it says anything about the models.
  const open = ["/health", ...page.map(({ route }) => route)];
  const app = new Hono();

  app.use(async (c, next) => {
    const since = performance.now();
    await next();
    const origin = c.req.header("origin");
    const allowed = origin === undefined ? null : allowedOrigin(origin, access.origins);
    if (allowed !== null) c.header("access-control-allow-origin", allowed);
    c.header("x-content-type-options", "nosniff");
    const route = ROUTES.includes(c.req.path) ? c.req.path : "other";
    metrics.answered(route, c.res.status, (performance.now() - since) / 1000);
  });
  app.use(async (c, next) => {
    checkOrigin(c.req.raw.headers, access);
    if (c.req.method === "OPTIONS") {
      return c.body(null, 204, {
        "access-control-allow-headers": "authorization, content-type",
        "access-control-allow-methods": "GET, POST",
      });
    }
    if (!open.includes(c.req.path)) checkToken(c.req.raw.headers, access);
    return next();
  });
  app.use(
    bodyLimit({
      maxSize: limits.bodyBytes,
      onError: () => {
        throw new ApiError(413, `the body of a request may have ${limits.bodyBytes} bytes`);
      },
    }),
  );
  app.onError((error, c) => {
    if (c.req.raw.signal.aborted) return new Response(null, { status: CLIENT_GONE });
    const refusal = apiErrorOf(error);
    if (refusal.status === 500) state.report(error);
    const headers: Record<string, string> =
      refusal.status === 429 || refusal.status === 503 ? { "retry-after": "1" } : {};
    return Response.json(errorBody(refusal), { status: refusal.status, headers });
  });
  app.notFound((c) => {
    const error = new ApiError(404, `there is no ${c.req.method} ${c.req.path.slice(0, 100)} here`, "unknown_url");
    return Response.json(errorBody(error), { status: 404 });
  });

  for (const { route, body, headers } of page) app.get(route, (c) => c.body(body, 200, headers));
  app.get("/health", (c) => c.json({ status: "ok" }));
  app.get("/version", (c) => c.json({ version: VERSION }));
  app.get("/metrics", (c) =>
    c.text(
      metrics.text([
        ["fusechat_requests_in_flight", "Requests that are worked on or wait.", state.inFlight],
        ["fusechat_models_loaded", "Models in memory.", pool.loaded().length],
      ]),
      200,
      { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    ),
  );
  app.get("/v1/models", (c) =>
    c.json({ object: "list", data: pool.references.map(({ name, context }) => modelCard(name, context, state)) }),
  );

  const post = <Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    answer: (state: ServerState, request: z.infer<Schema>, client: AbortSignal) => Promise<Response>,
  ): void => {
    app.post(path, async (c) => answer(state, readBody(schema, await c.req.text()), c.req.raw.signal));
  };
  post("/v1/chat/completions", chatRequest(limits), completeChat);
  post("/v1/completions", completionRequest(limits), complete);
  post("/tokenize", tokenizeRequest, tokenize);
  post("/detokenize", detokenizeRequest, detokenize);
  app.get("/votes", (c) => c.json({ kept: state.votes !== null }));
  post("/votes", voteRequest, vote);

  const get = <Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    answer: (state: ServerState, request: z.infer<Schema>, client: AbortSignal) => Promise<Response>,
  ): void => {
    app.get(path, async (c) => answer(state, checked(schema, c.req.query()), c.req.raw.signal));
  };
  app.get("/run", () => describeRun(state));
  get("/run/conversations", listRequest, listConversations);
  get("/run/conversation", conversationRequest, showConversation);
  get("/run/row", rowRequest, showRow);
  return app;
}

function readBody<Schema extends z.ZodType>(schema: Schema, text: string): z.infer<Schema> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ApiError(400, "the body is not JSON", "invalid_json");
  }
  return checked(schema, json);
}

function checked<Schema extends z.ZodType>(schema: Schema, request: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(request, { reportInput: true });
  if (!parsed.success) throw schemaError(parsed.error);
  return parsed.data;
}

function modelCard(name: string, context: number | null, { started }: ServerState): object {
  // Clients tell servers apart by this; what they may ask of this one is what they may ask of vLLM.
  return { id: name, object: "model", created: started, owned_by: "vllm", root: name, max_model_len: context };
}
