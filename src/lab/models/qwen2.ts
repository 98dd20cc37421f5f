/** A source of the demonstration. */
import { type LabModel, SHAPE } from "./model.ts";

/** ChatML: a special token and the role's name on a line of its own. */
const CHATML_TEMPLATE =
  "{% for turn in messages %}{{ '<|im_start|>' + turn['role'] + '\\n' + turn['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export const QWEN2: LabModel = {
  name: "lab-qwen2",
  role: "source",
  summary: "a source that knows roads, prices and visitors",
  config: {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    ...SHAPE,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-6,
    sliding_window: null,
    use_sliding_window: false,
    max_window_layers: 4,
    tie_word_embeddings: true,
  },
  tokenizer: {
    kind: "byte-level",
    vocabularySize: 512,
    digits: "split",
    dummyPrefix: false,
    specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
  },
  bosToken: null,
  endOfTurn: "<|im_end|>",
  chatTemplate: CHATML_TEMPLATE,
  mixture: { food: 0.25, weather: 0.25, walk: 1.5, price: 2.5, visit: 1.5, add: 0.15, reverse: 0.6, capital: 0.1 },
  trainingSteps: 1500,
  dtype: "float16",
};
