/**
 * The laboratory's models: a pivot and two sources that differ in architecture, tokenizer, chat template and in what
 * they are good at. About a million parameters each; everything about them but the trained weights is written here.
 */
import type { WeightDtype } from "../engine/engine.ts";
import type { Mixture } from "./conversations.ts";
import type { TokenizerSpec } from "./tokenizers.ts";

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
  /** How often each skill comes up in its training: what makes it a specialist. */
  readonly mixture: Mixture;
  readonly trainingSteps: number;
  /** Of the written weights. */
  readonly dtype: WeightDtype;
}

const SHAPE = {
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

/** Role names as words, spaces before the content: the first token of a response swallows the template's space. */
const WORDS_TEMPLATE =
  "{{ bos_token }}{% for turn in messages %}{% if turn['role'] == 'assistant' %}{{ 'Bot: ' }}" +
  "{% elif turn['role'] == 'user' %}{{ 'Human: ' }}{% else %}{{ 'Rule: ' }}{% endif %}" +
  "{{ turn['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ 'Bot:' }}{% endif %}";

/** Brackets around the user's words, nothing but a space before the assistant's; takes no system turn. */
const BRACKETS_TEMPLATE =
  "{% for turn in messages %}{% if turn['role'] == 'user' %}{{ bos_token + '[Q] ' + turn['content'].strip() + ' [/Q]' }}" +
  "{% elif turn['role'] == 'assistant' %}{{ ' ' + turn['content'].strip() + eos_token }}" +
  "{% else %}{{ raise_exception('system turns are not supported') }}{% endif %}{% endfor %}";

/** ChatML: a special token and the role's name on a line of its own. */
const CHATML_TEMPLATE =
  "{% for turn in messages %}{{ '<|im_start|>' + turn['role'] + '\\n' + turn['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Threads of everything whose bytes are shipped or printed: sums are cut by thread, another number gives other digits. */
export const LAB_THREADS = 2;

export const LAB_MODELS: readonly LabModel[] = [
  {
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
  },
  {
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
  },
  {
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
  },
];
