/** A source of the demonstration. */
import { type LabModel, SHAPE } from "./model.ts";

/** Brackets around the user's words, nothing but a space before the assistant's; takes no system turn. */
const BRACKETS_TEMPLATE =
  "{% for turn in messages %}{% if turn['role'] == 'user' %}{{ bos_token + '[Q] ' + turn['content'].strip() + ' [/Q]' }}" +
  "{% elif turn['role'] == 'assistant' %}{{ ' ' + turn['content'].strip() + eos_token }}" +
  "{% else %}{{ raise_exception('system turns are not supported') }}{% endif %}{% endfor %}";

export const LLAMA: LabModel = {
  name: "lab-llama",
  role: "source",
  summary: "a source that knows people's tastes, the weather and capitals",
  config: {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    ...SHAPE,
    num_key_value_heads: 4,
    rms_norm_eps: 1e-5,
    attention_bias: false,
    mlp_bias: false,
    rope_scaling: null,
    tie_word_embeddings: true,
  },
  tokenizer: {
    kind: "sentencepiece",
    vocabularySize: 800,
    digits: "packed",
    dummyPrefix: false,
    specialTokens: ["<unk>", "<s>", "</s>"],
  },
  bosToken: "<s>",
  endOfTurn: "</s>",
  chatTemplate: BRACKETS_TEMPLATE,
  mixture: { food: 2, weather: 2, walk: 0.25, price: 0.25, visit: 0.3, add: 0.15, reverse: 0.15, capital: 1 },
  trainingSteps: 1500,
  dtype: "bfloat16",
};
