/**
 * Votes that are given on the page, a line each as FastChat's server writes blind ones (`evaluate/arena/votes.ts` reads them, and so
 * do FastChat's own tools), flushed one by one. Nothing is kept of who has voted.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type GrowingFile, openGrowing } from "../formats/growing-file.ts";
import { ApiError } from "./api-error.ts";
import type { ModelPool } from "./model-pool.ts";

export interface VoteRequest {
  readonly type: string;
  readonly models: readonly string[];
  readonly conversations: readonly (readonly { readonly role: string; readonly content: string }[])[];
}

const message = z.strictObject({ role: z.enum(["system", "user", "assistant"]), content: z.string() });

export const voteRequest: z.ZodType<VoteRequest> = z.strictObject({
  type: z.enum(["leftvote", "rightvote", "tievote", "bothbad_vote"]),
  models: z.array(z.string()).length(2),
  conversations: z.array(z.array(message).min(1)).length(2),
});

export interface VoteFile {
  write(vote: VoteRequest): Promise<void>;
  close(): Promise<void>;
}

export async function openVoteFile(path: string): Promise<VoteFile> {
  const file: GrowingFile = await openGrowing(path);
  let turn: Promise<void> = Promise.resolve();
  return {
    write: ({ type, models, conversations }) => {
      const states = models.map((model, side) => stateOf(model, conversations[side]!));
      // What stood above the answers: no names.
      const shown = ["", ""];
      const line = `${JSON.stringify({ tstamp: Date.now() / 1000, type, models: shown, states, ip: "" })}\n`;
      const written = turn.then(async () => {
        await file.append(line);
        await file.sync();
      });
      turn = written.catch(() => {});
      return written;
    },
    close: async () => {
      await turn;
      await file.close();
    },
  };
}

/** A conversation as FastChat's `Conversation.dict` has it, as far as its tools look at it. */
function stateOf(model: string, conversation: VoteRequest["conversations"][number]): object {
  const system = conversation.filter(({ role }) => role === "system").map(({ content }) => content);
  const said = conversation.filter(({ role }) => role !== "system");
  return {
    system_message: system.join("\n"),
    roles: ["user", "assistant"],
    messages: said.map(({ role, content }) => [role, content]),
    offset: 0,
    conv_id: randomUUID(),
    model_name: model,
  };
}

export async function vote(
  { votes, pool }: { readonly votes: VoteFile | null; readonly pool: Pick<ModelPool, "references"> },
  request: VoteRequest,
): Promise<Response> {
  if (votes === null) {
    throw new ApiError(404, "this server keeps no votes; start it with --votes FILE", "no_votes");
  }
  const served = pool.references.map(({ name }) => name);
  const unknown = request.models.find((name) => !served.includes(name));
  if (unknown !== undefined || request.models[0] === request.models[1]) {
    throw new ApiError(400, "models: expected two models of this server", "invalid_value", "models");
  }
  await votes.write(request);
  return Response.json({ kept: true });
}
