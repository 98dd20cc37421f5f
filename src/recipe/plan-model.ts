/** What a model will read: tokens and rows of the training data in its own chat template, by those of a sample. */
import { requestsOf } from "../engine/server/rows.ts";
import type { OpenedModel } from "./open-inputs.ts";

export interface PlannedModel {
  readonly name: string;
  readonly role: "pivot" | "source";
  readonly architecture: string;
  /** Null where a server has the weights. */
  readonly parameters: number | null;
  readonly max_length: number;
  /** Conversations that its template refuses, of the training data. */
  readonly refused_conversations: number;
  readonly train_tokens: number;
  readonly train_rows: number;
  /** What the server is asked that has it; null where it is computed here. */
  readonly server: { readonly kind: string; readonly url: string; readonly requests: number } | null;
}

/** Of all `conversations`, from those of the sample. */
export function planModel(
  { name, role, facts, server, maxLength, sample }: OpenedModel,
  conversations: number,
): PlannedModel {
  const scale = sample.conversations === 0 ? 0 : conversations / sample.conversations;
  const lengths = sample.extents.map(({ length }) => length);
  return {
    name,
    role,
    architecture: facts.architecture,
    parameters: facts.parameters,
    max_length: maxLength,
    refused_conversations: Math.round(sample.refused * scale),
    train_tokens: Math.round(sample.tokens * scale),
    train_rows: Math.round(sample.rows * scale),
    server: server === null ? null : { ...server, requests: Math.ceil(requestsOf(lengths) * scale) },
  };
}
