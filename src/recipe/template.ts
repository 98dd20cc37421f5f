/** The recipe that `fusechat init` writes: the three keys that are needed, and the ones people change, with their defaults. */
export const RECIPE_TEMPLATE: string = `# yaml-language-server: $schema=./node_modules/fusechat/schema/recipe.json
#
# fusechat validate recipe.yaml     finds every mistake at once
# fusechat plan recipe.yaml         steps, tokens, disk, memory and time, before anything is computed
# fusechat run recipe.yaml --out run
#
# Three keys are needed: pivot, sources and data. The others stand here with their defaults, but for what is the better way by
# measurement (docs/experiment.md): the papers' way stands beside it.

# The model that fixes tokenizer, architecture and first weights: a Hugging Face model folder.
pivot: models/openchat_3.5

# The models whose knowledge is wanted, of any architecture, size and tokenizer.
sources:
  - models/Starling-LM-7B-alpha
  - { model: models/Qwen1.5-7B-Chat, name: qwen }

data:
  path: conversations.jsonl     # a file, folder or pattern; docs/data.md lists what is read
  max_length: 2048              # tokens
  held_out: 0.02                # share of the conversations kept out of training, by the hash of their ids

distributions:
  top_k: 10                     # most probable tokens stored for each row
  template: native              # each source in its own chat template; pivot: all in the pivot's, as in the papers

align:
  vocabulary: split             # fusechat list strategies
  unshared: label               # rows that the source does not share: label, pivot or skip

fuse:
  function: min-ce              # whichever model finds the text more probable
  level: group                  # by the record over similar conversations; the papers': conversation
  sources: together             # one target of all sources at once; the papers': pairwise, the default
  emphasis: even                # gain: steps go where the sources know more; for ten thousand conversations and more
  lambda: 0.9                   # weight of the label term
  lr: 5.0e-6
  epochs: 3
  batch: 128                    # conversations of one optimiser step

# Of targets for each source (sources: pairwise); one target of all sources is the fused model as it is.
# merge: { method: sce, select_topk: 0.1 }  # fusechat list methods

# Controls: plain fine-tuning, and the papers' way: a target for each source and their merge by SCE.
# baselines: [sft, pairwise]

evaluate: [held-out]            # fusechat list benchmarks
# evaluate:                     # with a judge, whose key comes from the environment, and with what must hold:
#   benchmarks: [held-out, { benchmark: exact-match, data: questions.jsonl, rule: number }]
#   gates: ["fused.held_out < pivot.held_out, p < 0.01", fused.exact_match >= pivot.exact_match]
seed: 0
`;
