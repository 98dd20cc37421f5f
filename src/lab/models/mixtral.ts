/** A source of the full width: four experts a layer, two of them for every token. */
import { type LabModel, SHAPE } from "./model.ts";

/** Tags around both sides; the assistant's tag ends its turn. */
const TAGS_TEMPLATE =
  "{{ bos_token }}{% for turn in messages %}{% if turn['role'] == 'assistant' %}{{ '<bot> ' + turn['content'] + eos_token }}" +
  "{% elif turn['role'] == 'user' %}{{ '<you> ' + turn['content'] + '\\n' }}{% else %}{{ '<all> ' + turn['content'] + '\\n' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<bot>' }}{% endif %}";

export const MIXTRAL: LabModel = {
  name: "lab-mixtral",
  role: "source",
  summary: "a source that knows visitors, prices and capitals",
  config: {
    architectures: ["MixtralForCausalLM"],
    model_type: "mixtral",
    ...SHAPE,
    intermediate_size: 160,
    num_key_value_heads: 2,
    num_local_experts: 4,
    num_experts_per_tok: 2,
    rms_norm_eps: 1e-5,
    sliding_window: null,
    tie_word_embeddings: false,
  },
  tokenizer: {
    kind: "byte-level",
    vocabularySize: 600,
    digits: "packed",
    dummyPrefix: false,
    specialTokens: ["<|begin|>", "<|end|>"],
  },
  bosToken: "<|begin|>",
  endOfTurn: "<|end|>",
  chatTemplate: TAGS_TEMPLATE,
  templateWords: ["<you> ", "<bot> ", "<all> "],
  mixture: { food: 0.25, weather: 0.25, walk: 0.25, price: 1.5, visit: 2, add: 1, reverse: 0.15, capital: 1 },
  trainingSteps: 1500,
  dtype: "float16",
};
