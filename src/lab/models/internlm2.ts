/** A source of the full width: one matrix for queries, keys and values. */
import { type LabModel, SHAPE } from "./model.ts";

/** A heading a turn, and a line's end behind it. */
const HEADINGS_TEMPLATE =
  "{{ bos_token }}{% for turn in messages %}{{ '# ' + turn['role'] + '\\n' + turn['content'] + ('</s>' if turn['role'] == 'assistant' else '') + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '# assistant\\n' }}{% endif %}";

export const INTERNLM2: LabModel = {
  name: "lab-internlm2",
  role: "source",
  summary: "a source that knows the weather and prices, and reverses",
  config: {
    architectures: ["InternLM2ForCausalLM"],
    model_type: "internlm2",
    ...SHAPE,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-5,
    bias: false,
    rope_scaling: null,
    tie_word_embeddings: false,
  },
  tokenizer: {
    kind: "sentencepiece",
    vocabularySize: 720,
    digits: "split",
    dummyPrefix: false,
    specialTokens: ["<unk>", "<s>", "</s>"],
  },
  bosToken: "<s>",
  endOfTurn: "</s>",
  chatTemplate: HEADINGS_TEMPLATE,
  templateWords: ["# user\n", "# assistant\n", "# system\n"],
  mixture: { food: 0.25, weather: 1.8, walk: 0.2, price: 2.5, visit: 0.25, add: 0.15, reverse: 1, capital: 0.15 },
  trainingSteps: 1500,
  dtype: "float16",
};
