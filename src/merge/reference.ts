/** `docs/merge.md`, the page of the verb `merge`: every method with its options, from the methods themselves. */
import { z } from "zod";
import { CHAT_TEMPLATES } from "./chat-templates.ts";
import type { BaseRole, MergeMethod } from "./method.ts";
import { METHODS } from "./methods/index.ts";

const BASES: Readonly<Record<BaseRole, string>> = {
  origin: "needed; the model that the others differ from",
  optional: "the model that the others differ from; without it weights are merged as they are",
  first: "needed; one of the two models",
  model: "one more model",
};

export function mergeReference(): string {
  const lines = [
    ...INTRODUCTION,
    "",
    "## Methods",
    "",
    "| method | what it does | source |",
    "|---|---|---|",
    ...METHODS.map(({ name, summary, paper }) => `| [\`${name}\`](#${name}) | ${cell(summary)} | ${cell(paper)} |`),
    "",
    ...METHODS.flatMap(methodLines),
    ...DIFFERENCES,
    ...METHODS.filter(({ differs }) => differs !== undefined).map(
      ({ name, differs }) => `| \`${name}\` | ${cell(differs!)} |`,
    ),
    ...LIKE_MERGEKIT,
  ];
  return `${lines.join("\n")}\n`;
}

function methodLines({ name, summary, paper, base, inputs, options, modelOptions }: MergeMethod): string[] {
  const rows = [...optionRows(modelOptions, "model"), ...optionRows(options, "merge")];
  const { least, most = Number.POSITIVE_INFINITY } = inputs ?? { least: 1 };
  const count = least === most ? `${least}` : Number.isFinite(most) ? `${least} to ${most}` : `${least} or more`;
  const beside = base === "origin" ? " besides `base_model`" : "";
  return [
    `### ${name}`,
    "",
    `${summary[0]!.toUpperCase()}${summary.slice(1)}. ${paper}.`,
    "",
    `Models: ${count}${beside}. \`base_model\`: ${BASES[base]}.`,
    "",
    ...(rows.length === 0
      ? []
      : ["| parameter | of | values | default | meaning |", "|---|---|---|---|---|", ...rows, ""]),
  ];
}

function optionRows(schema: z.ZodObject, scope: "model" | "merge"): string[] {
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([key, field]) => {
    const description = descriptionOf(field);
    return `| \`${key}\` | ${scope} | ${valuesOf(field)} | ${defaultOf(field)} | ${cell(description)} |`;
  });
}

function descriptionOf(field: z.ZodType): string {
  if (field.description !== undefined) return field.description;
  return isWrapped(field) ? descriptionOf(field.unwrap() as z.ZodType) : "";
}

function isWrapped(field: z.ZodType): field is z.ZodDefault | z.ZodOptional {
  return field instanceof z.ZodDefault || field instanceof z.ZodOptional;
}

function valuesOf(field: z.ZodType): string {
  if (isWrapped(field)) return valuesOf(field.unwrap() as z.ZodType);
  if (field instanceof z.ZodEnum) return field.options.map((option) => `\`${option}\``).join(", ");
  if (field instanceof z.ZodBoolean) return "`true`, `false`";
  return field instanceof z.ZodNumber && field.format === "safeint" ? "whole number" : "number";
}

function defaultOf(field: z.ZodType): string {
  const result = field.safeParse(undefined);
  if (!result.success) return "needed";
  return result.data === undefined ? "none" : `\`${String(result.data)}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

const INTRODUCTION = `# Merging

\`fusechat merge config.yaml --out DIR\` reads mergekit's configuration as it is and writes a model folder: weights in
safetensors files (with an index where there are several), config, generation config, tokenizer and chat template, a
model card, and \`merge.json\`, which says of every tensor what the card says. This page is made from \`src/merge\`.

Models are folders with safetensors files, of any architecture: tensors are known by their names and shapes alone, so
mixture-of-experts, vision-language and encoder models merge as any other. A relative path is looked up beside the
configuration, then from the current folder; what is no folder there and reads \`org/name\` or \`org/name@revision\` is a
model of the [Hub](hub.md).

A model may be \`base+adapter\`, the folders of a model and of a LoRA adapter in peft's form, or an adapter's folder alone
where its \`base_model_name_or_path\` is a folder here (of the Hub's names the last part, beside the adapter) or a model
of the Hub. Each tensor is \`W + scale B A\`, computed in double precision as it is read and rounded with the result;
nothing is written in
between. The two matrices are held while their tensor is merged, and multiplied again at every reading of a method that
reads its tensors several times. rsLoRA, DoRA, \`rank_pattern\`, \`alpha_pattern\` with names, \`modules_to_save\`, biases,
embeddings and layers stored the other way round are what peft makes of them; other adapters, and LoRA that starts by
changing its base, are refused by name. Where head and embedding are tied, each is changed by its own matrices alone, as
in the adapter's own forward pass: the result then has a head of its own. An adapter that replaces the embedding brings
its tokenizer.

What is no weight is not merged: causal masks, rotary tables and other tensors that follow from the config are left out,
whole numbers (a routing table) are taken from the model whose config is taken. A model that was saved without the
prefix of its class (\`layers.0\` for \`model.layers.0\`) has the names of the one whose config is taken. Quantised
weights and pointers of git-lfs are refused as what they are. Settings in which configs differ and that change what the
weights compute (\`rope_theta\`, heads, activation, epsilons) are warned of, as are filters that fit no tensor.

A head that is tied to the embedding is that embedding where other models have a head of their own, and
\`tie_word_embeddings\` says what is written. Numbers in the config files stay as they are spelled (\`30.0\`, \`1e-05\`,
\`Infinity\`).

Tensors are read in blocks and shared by one thread a core, at most eight; the bytes of the result do not depend on
their number, and memory not on the size of the model. \`--shard-size 2GB\` sets the size of the files. A merge that was
stopped or killed goes on from its finished tensors when the same command is run again, unless an input's size or time
of change is another.

\`fusechat merge config.yaml --plan\` (or \`fusechat plan config.yaml\`) says what would be read, written and needed, and
writes nothing. What cannot work is refused by it, and before a merge writes anything: tensors that are missing, shapes
and tokenizers that differ, an output folder that holds something else, too little disk. NaN and infinite entries are
found on the way; \`--repair\` takes them from the base instead, without one as the mean of the other models, and says so
in the model card. \`fusechat report DIR\` draws the coefficients of \`sce\` and \`varm\` as maps by layer and matrix.

### Adapters out of models

\`fusechat merge extract-lora --base B --model M --rank r --out DIR\` writes the LoRA adapter of rank r that is nearest to what M
differs from B by, for peft and for \`B+DIR\` in merges: every matrix's update is cut to its largest singular values.
The factors of a matrix with fewer rows or columns than r are filled up with zeros, so that all have one rank and one
scale; an r above what any matrix of B can have becomes the highest that one can. Norms, and vocabularies of other
sizes, are saved whole; biases of layers, and experts that are packed in one three-dimensional tensor, are left out and
named (experts of a matrix each are extracted like any other). The error of every matrix, the length of what is left
out over that of the update, stands in \`DIR/README.md\`, the largest ones and that of all together are printed. Up to
128 rows or columns the decomposition is exact; above, a random subspace is turned towards the largest values until it
gains less than a billionth of the update's energy; of large matrices six times at most (4096 by 4096 at rank 16: some
40 s). A matrix is held whole while it is cut.

## The configuration

| key | meaning |
|---|---|
| \`name\` | what later merges of the same file call the result |
| \`merge_method\` | one of the methods below |
| \`models\` | a list of \`{ model, parameters }\`: whole models, merged tensor by tensor of equal names |
| \`slices\` | instead of \`models\`: a list of \`{ sources: [{ model, layer_range: [first, end], parameters }], base_model, parameters }\`. The slices' layers are stacked and numbered anew; what comes before the layers follows the first slice, final norm and head the last. An empty range, \`[0, 0]\` as the first slice or any as the last, gives these alone |
| \`base_model\` | what it means depends on the method; it also gives config, tokenizer and chat template, which without it the first model gives |
| \`parameters\` | settings for all models |
| \`dtype\` | inputs are rounded to it when read, the result when merged; all arithmetic is in double precision |
| \`out_dtype\` | a second rounding, when written |
| \`tokenizer\` | the vocabulary that all models are brought to: \`{ source: union, base or a model, tokens: { TOKEN: { source, force } }, pad_to_multiple_of }\` |
| \`tokenizer_source\` | the same as \`tokenizer: { source }\` |
| \`chat_template\` | ${["auto", ...Object.keys(CHAT_TEMPLATES)].map((name) => `\`${name}\``).join(", ")}, or a Jinja template; \`auto\` is what most of the models have |

Several merges may stand in one file, as YAML documents with \`---\` between them. Each has a \`name\`, under which those that
follow it take its result as a model; only the last may do without, and is then called \`result\`. They are made in their
order into folders of \`--out\` that bear their names. All are checked before the first begins, and the same command goes on
where it was stopped: what is done is recognised, what was interrupted continues from its finished tensors.

A parameter is a value, a gradient (a list of values at evenly spaced depths of its slice, or of the model's stack of
layers: numbers are interpolated, all else takes the value below), or a list of \`{ filter, value }\`, of which the first
holds whose filter is a part of the tensor's name. Embeddings, final norm and head take the first value of a gradient.
A model's own parameters come before those of its slice, and these before those of the merge.

The layer of a tensor is the first number between dots in its name; what precedes it names a stack of layers. Slices
cut the stack that holds most of the weights, and every layer must be like one of the model's whose config is taken, in
its tensors and their shapes. The config counts the layers under whatever name it did, and lists with an entry for every
layer have one from each layer's own model; settings that say by arithmetic which layer is of which kind
(\`sliding_window_pattern\`) cannot follow, and are warned of where layers move. Tensors with a row for every token are
known by their number of rows, final norm and head by their place and rows.

### Vocabularies

Rows of embeddings and heads are matched by token. A model without a token takes the row of the token's only owner,
else that of \`base_model\`, else the mean of the owners' rows; where nobody has it, zeros. \`tokens\` says otherwise:
a model's row of that token, \`{ kind: zero }\`, or \`{ kind: model_token, model, token or token_id }\`, with \`force: true\`
also in models that have it. Rows without a token are left out; \`pad_to_multiple_of\` adds rows, the mean of all others.
\`union\` begins with the tokens of \`base_model\` (or of the first model) and goes on in the order of the models. Ordinary
tokens stay ordinary: pieces go into the vocabulary and their merges behind those that are there, so that texts are cut
as before and then further put together. A model without \`tokenizer.json\` has the one that its \`tokenizer.model\` implies.
Token ids in config and generation config follow the tokenizer; those that begin, end and pad texts are its own model's.

### Chance

\`dare_*\` and \`della*\` draw from xoshiro128**, seeded by \`seed\`, the tensor's name, the model's place in the list and
the place in the tensor. The result depends on nothing else.

Their \`rescale\` multiplies what is left of an update by one number a tensor, so that the sum of magnitudes is what it was.
With \`dare_*\` that is about 1/density: at density 0.1 every entry that stays is ten times as large and the update 3.2 times
as long, which only small updates bear. \`della*\` prefers large entries, so that what is left has more than its share of
the sum, and the update along itself comes out 1% to 13% larger on average (normally distributed entries; 6% at density
0.5 and epsilon 0.15, 13% at 0.2 and 0.15). Both are warned of, \`dare_*\` up to density 0.1. \`model_stock\` divides by how
much the updates agree: where they are opposed on average its factor is negative, and the result lies beyond
\`base_model\`, away from the models (two models with a cosine of -0.5: a factor of -2). The tensors are told.`.split(
  "\n",
);

const DIFFERENCES = `## Differences to mergekit

Held against version 0.1.5. Where a result differs, \`--like mergekit\` gives mergekit's, unless the table says otherwise.

| where | difference |
|---|---|
| arithmetic | double precision, rounded once (twice with \`out_dtype\`); mergekit computes in \`dtype\`. In bfloat16 its rounding is 3% to 70% of the update, depending on the method. Not repeated by \`--like mergekit\` |
| tensors | every tensor of every model is merged, and one that a model lacks is refused by name (but a tied head is the embedding, and tables that follow from the config are left out); mergekit merges those that it knows of the architecture. Not repeated |
| donor without \`base_model\` | the first model; mergekit takes any. Not repeated |
| order of a \`union\` | that of the models; mergekit's is by chance. Not repeated |
| final norm and head of slices | merged from all sources of the last slice; mergekit takes as many as the first slice has, and may stop |
| unknown keys and parameters | refused, with the nearest known name; mergekit ignores them. \`--like mergekit\` warns |
| different tokenizers without \`tokenizer\` | refused by token; mergekit merges row by row where sizes are equal |
| different padding without \`tokenizer\` | common rows are merged, the others are those of \`base_model\`; mergekit refuses |
| NaN and infinities | refused by tensor and place, or replaced with \`--repair\`. Not repeated |
| weights that cancel where they are divided by their sum | refused; mergekit writes NaN. Not repeated |
| reversed \`layer_range\`, and empty ones between others | refused. Not repeated |
| slices that do not fit on one another | refused by tensor; mergekit writes them. Not repeated |
| ordinary tokens of a \`union\` | pieces of the vocabulary, with their merges; mergekit makes them added tokens, which are cut out of every text first. Not repeated |
| unknown \`chat_template\` | refused; mergekit writes a model without tokenizer. Not repeated |
| \`tokens\` with a new token, models with more tokens than rows | work; mergekit stops. Not repeated |
| \`rescale\` | sums of magnitudes of any size are restored; mergekit leaves those below 1e-7 |
| equal magnitudes at the edge of what \`ties\` keeps | those that come first in the tensor; mergekit keeps what PyTorch's quickselect happens to find, which \`--like mergekit\` repeats for tensors of up to 4 million entries |`.split(
  "\n",
);

const LIKE_MERGEKIT = `
A file that names no \`variant\` of \`sce\` gets mergekit's algorithm; its threshold comes with \`--like mergekit\` or with
\`variant: mergekit\`. \`modules\` and \`residual_weight\` are not supported.`.split("\n");
