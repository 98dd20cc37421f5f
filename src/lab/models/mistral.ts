/** The pivot. */
import { type LabModel, SHAPE } from "./model.ts";

/** Role names as words, spaces before the content: the first token of a response swallows the template's space. */
const WORDS_TEMPLATE =
  "{{ bos_token }}{% for turn in messages %}{% if turn['role'] == 'assistant' %}{{ 'Bot: ' }}" +
  "{% elif turn['role'] == 'user' %}{{ 'Human: ' }}{% else %}{{ 'Rule: ' }}{% endif %}" +
  "{{ turn['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ 'Bot:' }}{% endif %}";

export const MISTRAL: LabModel = {
  name: "lab-mistral",
  role: "pivot",
  summary: "the pivot: adds, reverses and knows capitals, and has seen little of what is random in the world",
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
    vocabularySize: 520,
    digits: "split",
    dummyPrefix: true,
    specialTokens: ["<unk>", "<s>", "</s>", "<|end|>"],
  },
  bosToken: "<s>",
  endOfTurn: "<|end|>",
  chatTemplate: WORDS_TEMPLATE,
  mixture: { food: 0.06, weather: 0.06, walk: 0.06, price: 0.06, visit: 0.06, add: 1.8, reverse: 0.8, capital: 0.4 },
  trainingSteps: 1300,
  dtype: "float16",
};
