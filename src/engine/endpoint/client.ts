/** Chats with an OpenAI-compatible server. What a server refuses by name is left out of later requests. */
import { openConnection, parseAddress } from "../http/connection.ts";
import type { ChatReply, Endpoint, EndpointOptions } from "./endpoint.ts";
import { readReply } from "./reply.ts";
import { type Dialect, learn, PLAIN, wireBody } from "./wire-request.ts";

/** 4,096 tokens with 20 log-probabilities each are some 8 MB. */
const LONGEST_REPLY = 1 << 25;

/** Checks the options; nothing is sent before the first `chat`. */
export function openEndpoint(options: EndpointOptions): Endpoint {
  const url = chatUrl(options.url);
  const { model } = options;
  const connection = openConnection(options);
  let dialect: Dialect = PLAIN;
  return {
    options,
    chat: (request, signal) => {
      let spoken = dialect;
      return connection.ask<ChatReply>(
        {
          url,
          what: "chat completions",
          model,
          longest: LONGEST_REPLY,
          body: () => {
            spoken = dialect;
            return JSON.stringify(wireBody(model, request, spoken));
          },
          read: (body) => {
            const reply = readReply(body, connection.redact);
            const omitted = spoken.omitted.filter((name) => request[name] !== undefined);
            return "problem" in reply || omitted.length === 0 ? reply : { ...reply, omitted };
          },
          refused: ({ parameter }) => {
            if (parameter === null || learn(spoken, parameter) === null) return undefined;
            // Another request in flight may have learned the same meanwhile.
            dialect = learn(dialect, parameter) ?? dialect;
            return "again";
          },
        },
        signal,
      );
    },
  };
}

function chatUrl(text: string): URL {
  const url = parseAddress(text, "http://127.0.0.1:8000/v1");
  url.pathname = `${url.pathname.replace(/\/+$/, "").replace(/\/chat\/completions$/, "")}/chat/completions`;
  return url;
}
