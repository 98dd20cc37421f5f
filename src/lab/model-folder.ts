/** A laboratory model's folder without its weights: config, generation config, tokenizer, template and special tokens. */
import { join } from "node:path";
import { writeFileAtomic, writeJson } from "../formats/files.ts";
import { drawConversations } from "./conversations.ts";
import type { LabModel } from "./models/index.ts";
import { createTokenizer, type TokenizerDocument } from "./tokenizers.ts";

/** Conversations that the merges are learned from, about 270 kB. */
const TOKENIZER_CONVERSATIONS = 4000;

/** The words that the demonstration's templates put around contents; each is common enough to deserve a token. */
const DEMO_TEMPLATE_WORDS = ["Human: ", "Bot: ", "[Q] ", " [/Q]", "user\n", "assistant\n"];

/** Learns the tokenizer of a model from a draw of its own, the same for every model: all skills in equal parts. */
export function labTokenizer(model: LabModel): TokenizerDocument {
  const texts = drawConversations("tokenizer", TOKENIZER_CONVERSATIONS).flatMap((conversation) => [
    ...conversation.turns.map((turn) => turn.content),
    ...(model.templateWords ?? DEMO_TEMPLATE_WORDS),
  ]);
  return createTokenizer(model.tokenizer, texts);
}

/** Writes everything but `model.safetensors` and the card. */
export async function writeModelFiles(model: LabModel, folder: string): Promise<void> {
  const tokenizer = labTokenizer(model);
  const idOf = (content: string | null): number | undefined =>
    tokenizer.added_tokens.find((token) => token.content === content)?.id;
  const vocabularySize = Math.max(
    ...Object.values(tokenizer.model.vocab).map((id) => id + 1),
    ...tokenizer.added_tokens.map((token) => token.id + 1),
  );
  const ids = {
    ...(model.bosToken === null ? {} : { bos_token_id: idOf(model.bosToken) }),
    eos_token_id: idOf(model.endOfTurn),
  };
  const specials = {
    ...(model.bosToken === null ? {} : { bos_token: model.bosToken }),
    eos_token: model.endOfTurn,
    ...(model.tokenizer.kind === "sentencepiece" ? { unk_token: model.tokenizer.specialTokens[0] } : {}),
  };
  await writeFileAtomic(join(folder, "tokenizer.json"), `${JSON.stringify(tokenizer, null, 1)}\n`);
  await writeJson(join(folder, "tokenizer_config.json"), {
    added_tokens_decoder: Object.fromEntries(tokenizer.added_tokens.map(({ id, ...token }) => [String(id), token])),
    ...specials,
    chat_template: model.chatTemplate,
    clean_up_tokenization_spaces: false,
    model_max_length: model.config.max_position_embeddings,
    tokenizer_class: "PreTrainedTokenizerFast",
  });
  await writeJson(join(folder, "special_tokens_map.json"), specials);
  await writeJson(join(folder, "generation_config.json"), { ...ids, _from_model_config: true });
  await writeJson(join(folder, "config.json"), {
    ...model.config,
    vocab_size: vocabularySize,
    ...ids,
    torch_dtype: model.dtype,
  });
}
