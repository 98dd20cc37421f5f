/** What is written of a laboratory model: everything but its trained weights. */
import type { WeightDtype } from "../../engine/engine.ts";
import type { Mixture } from "../conversations.ts";
import type { TokenizerSpec } from "../tokenizers.ts";

export interface LabModel {
  readonly name: string;
  readonly role: "pivot" | "source";
  /** One line for its model card. */
  readonly summary: string;
  /** Of `config.json`, without vocabulary size and token ids. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokenizer: TokenizerSpec;
  readonly bosToken: string | null;
  readonly endOfTurn: string;
  readonly chatTemplate: string;
  /** What its template puts around contents; the demonstration's models have the words of all three of them. */
  readonly templateWords?: readonly string[];
  /** How often each skill comes up in its training: what makes it a specialist. */
  readonly mixture: Mixture;
  readonly trainingSteps: number;
  /** Of the written weights. */
  readonly dtype: WeightDtype;
}

/** Of `config.json`, alike in all. */
export const SHAPE = {
  hidden_size: 128,
  intermediate_size: 336,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  hidden_act: "silu",
  rope_theta: 10000,
  max_position_embeddings: 256,
  initializer_range: 0.02,
  use_cache: true,
} as const;
