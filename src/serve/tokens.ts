/** `/tokenize` and `/detokenize`, as vLLM has them. */
import { ApiError } from "./api-error.ts";
import { type DetokenizeRequest, type TokenizeRequest, turnsOf } from "./requests.ts";
import { beginWork, type ServerState } from "./server-state.ts";

/** Ids of a text as it stands, or of a conversation in the model's template, up to where the answer begins. */
export async function tokenize(state: ServerState, request: TokenizeRequest, client: AbortSignal): Promise<Response> {
  const { prompt, messages } = request;
  if ((typeof prompt === "string") === Array.isArray(messages)) {
    throw new ApiError(400, "expected either prompt or messages", "invalid_value", "prompt");
  }
  const { model, done } = await beginWork(state, request.model, client);
  try {
    const { tokenizer } = model.tokeniser;
    let ids: Int32Array;
    if (typeof prompt === "string") ids = (await tokenizer.encode(prompt)).ids;
    else {
      const [rendered] = await model.tokeniser.prompts([turnsOf(messages ?? [])]);
      if (rendered === undefined || "refused" in rendered) {
        throw new ApiError(
          400,
          `the chat template does not take these messages: ${rendered?.refused}`,
          null,
          "messages",
        );
      }
      ids = rendered.ids;
    }
    const strings = request.return_token_strs === true ? Array.from(ids, (id) => tokenizer.tokenText(id) ?? "") : null;
    return Response.json({ count: ids.length, max_model_len: model.context, tokens: [...ids], token_strs: strings });
  } finally {
    done();
  }
}

/** The text of tokens; special ones have none. */
export async function detokenize(
  state: ServerState,
  request: DetokenizeRequest,
  client: AbortSignal,
): Promise<Response> {
  const { model, done } = await beginWork(state, request.model, client);
  try {
    return Response.json({ prompt: model.tokeniser.tokenizer.decode(request.tokens) });
  } finally {
    done();
  }
}
