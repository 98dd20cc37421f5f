/** A source of the full width: the pivot's architecture, and nothing else of it. */
import { type LabModel, SHAPE } from "./model.ts";

/** Names of roles and a token of its own after every turn, which the assistant's content follows without a space. */
const NAMED_TEMPLATE =
  "{{ bos_token }}{% for turn in messages %}{{ ('Answer:' if turn['role'] == 'assistant' else 'Question:' if turn['role'] == 'user' else 'Note:') " +
  "+ turn['content'] + '<|stop|>' }}{% endfor %}{% if add_generation_prompt %}{{ 'Answer:' }}{% endif %}";

export const STARLING: LabModel = {
  name: "lab-starling",
  role: "source",
  summary: "a source that knows people's tastes and roads, and adds",
  config: {
    architectures: ["MistralForCausalLM"],
    model_type: "mistral",
    ...SHAPE,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-5,
    sliding_window: null,
    tie_word_embeddings: false,
  },
  tokenizer: {
    kind: "sentencepiece",
    vocabularySize: 640,
    digits: "packed",
    dummyPrefix: true,
    specialTokens: ["<unk>", "<s>", "</s>", "<|stop|>"],
  },
  bosToken: "<s>",
  endOfTurn: "<|stop|>",
  chatTemplate: NAMED_TEMPLATE,
  templateWords: ["Question:", "Answer:", "Note:"],
  mixture: { food: 2, weather: 0.2, walk: 1.8, price: 0.15, visit: 0.25, add: 1.3, reverse: 0.15, capital: 0.2 },
  trainingSteps: 1500,
  dtype: "float16",
};
