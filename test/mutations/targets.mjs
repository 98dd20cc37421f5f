/**
 * Everything that is read from outside, a target each: seeds that are read well, and how one file is read. A target gives
 * whatever it has made of the file, and throws only errors that are meant for the user.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readAlignedShard } from "#src/align/shard-file.js";
import { readConversations } from "#src/data/read.js";
import { openRenderer } from "#src/data/template.js";
import { readTemplates } from "#src/data/template-files.js";
import { checkSettings, readSettings } from "#src/distributions/folder.js";
import { readDistributionsShard } from "#src/distributions/shard-file.js";
import { readReply } from "#src/engine/endpoint/reply.js";
import { openCandidates } from "#src/engine/server/candidates.js";
import { JsonCursor, JsonProblem } from "#src/engine/server/json-cursor.js";
import { readAnnotations } from "#src/evaluate/benchmarks/alpaca-eval/annotations.js";
import { readJudgePrompt } from "#src/evaluate/benchmarks/alpaca-eval/judge-prompt.js";
import { readLengthTables } from "#src/evaluate/benchmarks/alpaca-eval/length-tables.js";
import { readModelOutputs } from "#src/evaluate/benchmarks/alpaca-eval/model-outputs.js";
import { RULE_NAMES, ruleOf } from "#src/evaluate/benchmarks/exact-match/rules.js";
import { readModelAnswers } from "#src/evaluate/benchmarks/mt-bench/answers.js";
import { readJudgments } from "#src/evaluate/benchmarks/mt-bench/judgments.js";
import { readJudgePrompts } from "#src/evaluate/benchmarks/mt-bench/prompts.js";
import { byId, readQuestions } from "#src/evaluate/benchmarks/mt-bench/questions.js";
import { parseRating } from "#src/evaluate/benchmarks/mt-bench/rating.js";
import { ledgerLine } from "#src/evaluate/judges/ledger-line.js";
import { openKeptLines } from "#src/evaluate/kept-lines.js";
import { answerIn } from "#src/evaluate/reasoning.js";
import { parseJsonDocument, plainJson, printJson } from "#src/formats/json-document.js";
import { readSafetensorsHeader } from "#src/formats/safetensors.js";
import { openWeights } from "#src/formats/weights.js";
import { parseYaml } from "#src/formats/yaml.js";
import { readRecord } from "#src/fuse/record.js";
import { readAdapterConfig } from "#src/merge/adapters/adapter-config.js";
import { openAdapter } from "#src/merge/adapters/open-adapter.js";
import { readMergeConfigs } from "#src/merge/read-config.js";
import { openModel } from "#src/models/index.js";
import { attemptRecipe } from "#src/recipe/parse.js";
import { readRunData } from "#src/report/run-data.js";
import { readManifest } from "#src/run/manifest.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { readSentencePieceModel } from "#src/tokenizer/sentencepiece-model.js";
import { readSpecialTokens } from "#src/tokenizer/special.js";

const root = resolve(import.meta.dirname, "../..");
const file = (path) => readFileSync(join(root, path));
const text = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value), "utf8");
const lines = (...records) => text(records.map((record) => `${JSON.stringify(record)}\n`).join(""));

const MODELS =
  "cohere2 gemma2 gemma3_text glm4 granite internlm2 llama llama-yarn mistral mixtral olmo2 phi3 phi4-mini qwen2 qwen3_moe smollm3".split(
    " ",
  );
const LAB = "lab/models/lab-llama";

const question = { question_id: 81, category: "writing", turns: ["Write a poem.", "Now another."] };
const questions = lines(question, { ...question, question_id: 101, category: "math" });
const judgment = {
  question_id: 81,
  model: "a",
  judge: ["gpt-4", "single-v1"],
  user_prompt: "u",
  judgment: "Good. [[8]]",
  score: 8,
  turn: 1,
  tstamp: 1.5,
};
const answer = {
  question_id: 81,
  answer_id: "x",
  model_id: "a",
  choices: [{ index: 0, turns: ["One.", "Two."] }],
  tstamp: 1.5,
};
const prompt = (name, fields) => ({
  name,
  type: "single",
  system_prompt: "",
  prompt_template: fields.map((field) => `{${field}}`).join(" "),
  description: "",
  category: "general",
  output_format: "[[rating]]",
});
const prompts = lines(
  prompt("single-v1", ["question", "answer"]),
  prompt("single-math-v1", ["question", "answer", "ref_answer_1", "ref_answer_2"]),
  prompt("single-v1-multi-turn", ["question_1", "question_2", "answer_1", "answer_2"]),
  prompt("single-math-v1-multi-turn", [
    "question_1",
    "question_2",
    "answer_1",
    "answer_2",
    "ref_answer_1",
    "ref_answer_2",
  ]),
);
const outputs = [
  { instruction: "Say hello.", output: "Hello.", generator: "a", dataset: "d" },
  { instruction: "Say no.", output: "No.", generator: "a", dataset: "d" },
];
const annotations = outputs.map(({ instruction, output }) => ({
  instruction,
  output_1: "Hi.",
  generator_1: "gpt4_1106_preview",
  output_2: output,
  generator_2: "a",
  preference: 1.6,
  annotator: "weighted",
}));
const judgePrompt =
  "<|im_start|>system\nBe fair.\n<|im_end|>\n<|im_start|>user\n{instruction}\n{output_1}\n{output_2}\n<|im_end|>\n";
const recipe = text(file("examples/laboratory/recipe.yaml").toString("utf8"));
const ledger = {
  key: "k",
  id: "1",
  url: "http://a/v1",
  model: "m",
  request: { messages: [{ role: "user", content: "Hi" }], temperature: 0, maxTokens: 5, topLogprobs: 0 },
  reply: { text: "Yes", finish: "stop", topLogprobs: null, promptTokens: 3, answerTokens: 1 },
};
const completion = {
  id: "1",
  object: "chat.completion",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: "Yes." },
      finish_reason: "stop",
      logprobs: {
        content: [
          {
            token: "Yes",
            logprob: -0.1,
            top_logprobs: [
              { token: "Yes", logprob: -0.1 },
              { token: "No", logprob: -2 },
            ],
          },
        ],
      },
    },
  ],
  usage: { prompt_tokens: 3, completion_tokens: 2 },
};
const rows = {
  choices: [
    {
      prompt_logprobs: [
        null,
        { 5: { logprob: -0.5, rank: 1 }, 7: { logprob: -1.5, rank: 2 } },
        { 7: { logprob: -0.25, rank: 1 } },
      ],
    },
  ],
};
const metric = { value: 1, low: 0.5, high: 1.5, unit: "%", prompts: 10 };
const comparison = {
  benchmark: "held-out",
  name: "held-out",
  metric: "nats",
  better: "less",
  reference: "pivot",
  models: [
    {
      name: "pivot",
      role: "pivot",
      prompts: 10,
      refused: 0,
      unparsed: 0,
      empty: 0,
      cut: 0,
      metrics: { nats: metric, "nats/skill": metric },
    },
    { name: "fused", role: "fused", prompts: 10, refused: 0, unparsed: 0, empty: 0, cut: 0, metrics: { nats: metric } },
  ],
  comparisons: [{ model: "fused", against: "pivot", metrics: { nats: { ...metric, p: 0.01, verdict: "better" } } }],
};
const target = {
  format: "fusechat-target-1",
  program: { version: "0.1.0", revision: 1 },
  pivot: "p",
  source: "s",
  settings: { lr: 0.1, shuffle: true },
  inputs: { weights: "0".repeat(64) },
};
const chat = {
  messages: [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello" },
  ],
};
const TEMPLATE =
  "{% for message in messages %}{{ '<' + message['role'] + '>' + message.content | trim }}{% if loop.last and add_generation_prompt %}{{ bos_token }}{% endif %}{% endfor %}";
const TURNS = [{ role: "user", content: "How do you do? A hundred times 100." }];

/** Reads as a server's reply to a request for rows. */
async function readRows(bytes) {
  const { serverKind } = await import("#src/engine/server/kinds/index.js");
  const candidates = openCandidates(2, 16);
  const request = { model: "m", sequences: [{ ids: Int32Array.of(3, 5, 7), positions: Int32Array.of(1, 2) }], topK: 2 };
  const views = {
    token: new Uint16Array(2),
    labelLogp: new Float32Array(2),
    topId: new Uint16Array(4),
    topLogp: new Uint16Array(4),
  };
  try {
    serverKind("vllm").read(
      new JsonCursor(bytes),
      request,
      { views: () => views, candidates },
      { sequence: 0, position: 0 },
    );
  } catch (error) {
    if (!(error instanceof JsonProblem) && error.constructor.name !== "RowProblem") throw error;
  }
}

/** Text of which the platform makes another value is a mistake of ours. Of what is too deep for it only our part is read. */
function readDocument(bytes) {
  const source = bytes.toString("utf8");
  const parsed = parseJsonDocument(source);
  let expected;
  try {
    expected = JSON.stringify(JSON.parse(source));
  } catch (error) {
    const isPython = /NaN|Infinity/.test(source);
    if (error instanceof SyntaxError && !("errorAt" in parsed) && !isPython)
      throw new TypeError("no JSON to the platform");
    return;
  }
  if ("errorAt" in parsed) throw new TypeError("JSON to the platform, and none to us");
  printJson(parsed.value);
  if (printedBySelf(plainJson(parsed.value)) !== expected) throw new TypeError("another value than the platform's");

  /** The platform prints plain objects some thousand levels deeper than others. @param {unknown} value */
  function printedBySelf(value) {
    try {
      return JSON.stringify(value);
    } catch (error) {
      if (error instanceof RangeError) return expected;
      throw error;
    }
  }
}

/** @type {readonly { name: string, kind: "bytes" | "text" | "json" | "json-lines", seeds: readonly Uint8Array[], file: string, beside?: Readonly<Record<string, Uint8Array>>, share?: number, read(path: string, folder: string, bytes: Buffer): unknown }[]} */
export const TARGETS = [
  {
    name: "config.json of a model",
    kind: "json",
    seeds: MODELS.map((name) => file(`test/golden/models/${name}/config.json`)),
    file: "config.json",
    read: (_, folder) => openModel(folder),
  },
  {
    name: "header of safetensors",
    kind: "bytes",
    seeds: [file(`test/golden/merge/models/base/model.safetensors`)],
    file: "model.safetensors",
    read: (path) => readSafetensorsHeader(path),
  },
  {
    name: "index of shards",
    kind: "json",
    seeds: [
      text({
        metadata: { total_size: 12 },
        weight_map: { a: "model-00001-of-00001.safetensors", b: "model-00001-of-00001.safetensors" },
      }),
    ],
    file: "model.safetensors.index.json",
    beside: { "model-00001-of-00001.safetensors": shard() },
    read: (_, folder) => openWeights(folder),
  },
  {
    name: "tokenizer.json",
    kind: "json",
    share: 0.3,
    seeds: [
      file(`${LAB}/tokenizer.json`),

      file("lab/models/lab-mistral/tokenizer.json"),
    ],
    file: "tokenizer.json",
    beside: { "tokenizer_config.json": file(`${LAB}/tokenizer_config.json`) },
    read: async (_, folder) => {
      const tokenizer = await loadTokenizer(folder);
      try {
        await tokenizer.encode("Well, 1234 é\u0301 aaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
      } finally {
        await tokenizer.release();
      }
    },
  },
  {
    name: "tokenizer_config.json",
    kind: "json",
    seeds: [file(`${LAB}/tokenizer_config.json`), file("lab/models/lab-qwen2/tokenizer_config.json")],
    file: "tokenizer_config.json",
    beside: { "tokenizer.json": file(`${LAB}/tokenizer.json`) },
    read: async (_, folder) => [await readSpecialTokens(folder), await readTemplates(folder)],
  },
  {
    name: "text through a tokenizer",
    kind: "text",
    share: 0.3,
    seeds: [text("Well, 1234 e\u0301 \u1100\u1161\u11a8 <|im_start|>user\nHow do you do?<|im_end|>\n \u{1f600}  x")],
    file: "text",
    read: async (_, __, bytes) => {
      for (const tokenizer of await openTokenizers()) {
        await tokenizer.encode(bytes.toString("utf8", 0, TOKENIZED_BYTES));
      }
    },
  },
  {
    name: "SentencePiece model",
    kind: "bytes",
    seeds: [sentencePiece()],
    file: "tokenizer.model",
    read: (path) => readSentencePieceModel(path),
  },
  {
    name: "chat template",
    kind: "text",
    share: 0.3,
    seeds: [
      text(TEMPLATE),
      text(
        "{%- set ns = namespace(n=0) -%}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ m.content[:3] ~ ns.n }}{% endfor %}{{ range(3) | list | tojson }}",
      ),
    ],
    file: "chat_template.jinja",
    read: (path, _, bytes) =>
      openRenderer({ path, source: bytes.toString("utf8"), specialTokens: {} }).render([
        { turns: TURNS, generationPrompt: true },
      ]),
  },
  {
    name: "conversations as JSON Lines",
    kind: "json-lines",
    seeds: [file("test/golden/datasets/chats.jsonl").subarray(0, 4000), lines(chat, chat)],
    file: "data.jsonl",
    read: (path) => readConversations(path),
  },
  {
    name: "conversations as JSON",
    kind: "json",
    seeds: [
      text([
        chat,
        {
          conversations: [
            { from: "human", value: "a" },
            { from: "gpt", value: "b" },
          ],
        },
      ]),
      text({ version: 1, data: [chat] }),
    ],
    file: "data.json",
    read: (path) => readConversations(path, "leave-out"),
  },
  {
    name: "conversations as CSV",
    kind: "text",
    seeds: [text('instruction,input,output\nSay no,,No\n"a, b","c\nd",e\n')],
    file: "data.csv",
    read: (path) => readConversations(path),
  },
  {
    name: "conversations as Parquet",
    kind: "bytes",
    share: 0.3,
    seeds: [file("test/golden/datasets/chats.parquet")],
    file: "data.parquet",
    read: (path) => readConversations(path),
  },
  {
    name: "conversations as Arrow",
    kind: "bytes",
    share: 0.3,
    seeds: [file("test/golden/datasets/chats.arrow")],
    file: "data.arrow",
    read: (path) => readConversations(path),
  },
  {
    name: "zstd",
    kind: "bytes",
    seeds: [file("test/golden/datasets/chats.jsonl.zst")],
    file: "data.jsonl.zst",
    read: (path) => readConversations(path),
  },
  {
    name: "recipe",
    kind: "text",
    seeds: [recipe, text(file("examples/paper/recipe.yaml").toString("utf8"))],
    file: "recipe.yaml",
    read: (path, _, bytes) => mustTell(attemptRecipe(bytes.toString("utf8"), path)),
  },
  {
    name: "merge configuration",
    kind: "text",
    seeds: [
      file("examples/laboratory/merge.yaml"),
      text(
        "merge_method: ties\nbase_model: a\nmodels:\n  - {model: b, parameters: {weight: [0, 0.5], density: 0.5}}\n  - model: c\n    parameters:\n      weight:\n        - {filter: mlp, value: 1}\n        - value: 0\ntokenizer: {source: union, pad_to_multiple_of: 8}\n",
      ),
    ],
    file: "merge.yaml",
    read: (path) => readMergeConfigs(path),
  },
  {
    name: "YAML",
    kind: "text",
    seeds: [text("a: &x {b: [1, 2]}\nc: *x\nd: |\n  text\n  more\ne: - f\n"), recipe],
    file: "any.yaml",
    read: (_, __, bytes) => void parseYaml(bytes.toString("utf8"), "1.1"),
  },
  {
    name: "shard of distributions",
    kind: "bytes",
    seeds: [file("test/golden/pipeline/distributions/mistral/shard-00000.safetensors")],
    file: "shard-00000.safetensors",
    read: (path) => readDistributionsShard(path),
  },
  {
    name: "aligned shard",
    kind: "bytes",
    seeds: [file("test/golden/pipeline/aligned/qwen2/shard-00000.safetensors")],
    file: "shard-00000.safetensors",
    read: (path) => readAlignedShard(path),
  },
  {
    name: "settings of a folder",
    kind: "json",
    seeds: [text({ program: { version: "0.1.0", revision: 1 }, model: "m", top_k: 10, hub: "org/name@0123" })],
    file: "settings.json",
    read: async (_, folder) => [await readSettings(folder), await checkSettings(folder, { model: "m", top_k: 10 })],
  },
  {
    name: "record of a target",
    kind: "json",
    seeds: [text(target)],
    file: "fuse.json",
    read: (path) => readRecord(path),
  },
  {
    name: "manifest of a unit",
    kind: "json",
    seeds: [text({ unit: "u", inputs: { a: "0" }, outputs: { x: { bytes: 1, sha256: "0" } } })],
    file: ".units/u.json",
    read: (_, folder) => readManifest(folder, "u"),
  },
  {
    name: "comparison of a run",
    kind: "json",
    seeds: [text(comparison)],
    file: "evaluate/held-out.json",
    read: (_, folder) => readRunData(folder),
  },
  {
    name: "log of a run",
    kind: "json-lines",
    seeds: [lines({ step: 1, loss: 1, label_loss: 1, fusion_loss: 1, lr: 0.1, grad_norm: 1, rows: 3 })],
    file: "targets/a/log.jsonl",
    read: (_, folder) => readRunData(folder),
  },
  {
    name: "ledger of a judge",
    kind: "json-lines",
    seeds: [lines(ledger, { ...ledger, key: "l" })],
    file: "ledger.jsonl",
    read: readLedger,
  },
  {
    name: "reply of an endpoint",
    kind: "json",
    seeds: [text(completion)],
    file: "reply",
    read: (_, __, bytes) => void readReply(bytes, (said) => said),
  },
  {
    name: "rows of a server",
    kind: "json",
    seeds: [text(rows)],
    file: "reply",
    read: (_, __, bytes) => readRows(bytes),
  },
  {
    name: "MT-Bench questions",
    kind: "json-lines",
    seeds: [questions],
    file: "q.jsonl",
    read: (path) => readQuestions(path),
  },
  {
    name: "MT-Bench prompts",
    kind: "json-lines",
    seeds: [prompts],
    file: "p.jsonl",
    read: (path) => readJudgePrompts(path),
  },
  {
    name: "MT-Bench judgments",
    kind: "json-lines",
    seeds: [lines(judgment, { ...judgment, turn: 2, judge: ["gpt-4", "single-v1-multi-turn"] })],
    file: "j.jsonl",
    read: (path) => readJudgments(path, undefined, [...QUESTIONS.values()].slice(0, 1)),
  },
  {
    name: "MT-Bench answers",
    kind: "json-lines",
    seeds: [lines(answer)],
    file: "a.jsonl",
    read: (path) => readModelAnswers(path, undefined, [...QUESTIONS.values()].slice(0, 1)),
  },
  {
    name: "AlpacaEval outputs",
    kind: "json",
    seeds: [text(outputs)],
    file: "o.json",
    read: (path) => readModelOutputs(path, "outputs"),
  },
  {
    name: "AlpacaEval annotations",
    kind: "json",
    seeds: [text(annotations)],
    file: "a.json",
    read: (path) => readAnnotations(path, "gpt4_1106_preview", ORDER),
  },
  {
    name: "AlpacaEval judge prompt",
    kind: "text",
    seeds: [text(judgePrompt)],
    file: "p.txt",
    read: (path) => readJudgePrompt(path),
  },
  {
    name: "AlpacaEval length tables",
    kind: "text",
    seeds: [
      text(
        "index,instruction_difficulty,preference,std_delta_len,not_gamed_baseline,model\n0,0.5,0.25,-1.5,False,a\n1,-0.25,1,0,False,a\n",
      ),
    ],
    file: "t.csv",
    read: (path) => readLengthTables(path, path),
  },
  {
    name: "answers to questions",
    kind: "text",
    seeds: [text('So \\boxed{\\frac{1}{2}} and #### 1,234.5; Answer: (B). [[8.5]] <think>no</think> {"a": [1]}')],
    file: "answer",
    read: (_, __, bytes) => void readAnswer(bytes.toString("utf8")),
  },
  {
    name: "JSON of Python",
    kind: "json",
    seeds: [file(`${LAB}/config.json`), text([1e-5, 30.0, "a\\u00e9", null])],
    file: "any.json",
    read: (_, __, bytes) => void readDocument(bytes),
  },
  {
    name: "configuration of an adapter",
    kind: "json",
    seeds: [
      file("test/golden/adapters/plain/adapter/adapter_config.json"),
      file("test/golden/adapters/patterns/adapter/adapter_config.json"),
    ],
    file: "adapter_config.json",
    read: (_, folder) => readAdapterConfig(folder),
  },
  {
    name: "weights of an adapter",
    kind: "bytes",
    seeds: [file("test/golden/adapters/plain/adapter/adapter_model.safetensors")],
    file: "adapter_model.safetensors",
    beside: { "adapter_config.json": file("test/golden/adapters/plain/adapter/adapter_config.json") },
    read: (_, folder) => openAdapter(folder),
  },
];

/** One with a normaliser (NFC), one of bytes, one of SentencePiece's kind. */
const TOKENIZERS = ["test/golden/models/qwen2", LAB, "lab/models/lab-mistral"];
let opened;

/** The library takes seconds for a megabyte, in a process with limits of its own; our part grows with the length, or shows here. */
const TOKENIZED_BYTES = 1 << 17;

/** They are opened once. */
function openTokenizers() {
  opened ??= Promise.all(TOKENIZERS.map((folder) => loadTokenizer(join(root, folder))));
  return opened;
}

const ORDER = { list: null, incomplete: true };

const QUESTIONS = byId([
  { id: 81, category: "writing", turns: ["a", "b"], temperature: 0.7 },
  { id: 101, category: "math", turns: ["a", "b"], temperature: 0 },
]);

function readAnswer(said) {
  parseRating(said);
  answerIn(said, "drop");
  for (const name of RULE_NAMES) if (name !== "regex") ruleOf(name, undefined).extract(said);
}

async function readLedger(path) {
  const kept = await openKeptLines(path, ledgerLine, "a ledger");
  try {
    if (kept.has("k")) await kept.get("k");
  } finally {
    await kept.close();
  }
}

function mustTell({ parsed, problems }) {
  if (parsed === null && problems.length === 0) throw new TypeError("neither a recipe nor a problem");
}

/** Two tensors of a value each. */
function shard() {
  const header = JSON.stringify({
    a: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
    b: { dtype: "F32", shape: [1], data_offsets: [4, 8] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(8)]);
}

/** A model of five pieces: the messages of its format, field by field. */
function sentencePiece() {
  const varint = (value) => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]);
  const bytes = (field, value) => [...varint(field * 8 + 2), ...varint(value.length), ...value];
  const number = (field, value) => [...varint(field * 8), ...varint(value)];
  const piece = (spelled, type) => bytes(1, [...bytes(1, Buffer.from(spelled)), 0x15, 0, 0, 0, 0, ...number(3, type)]);
  const all = Array.from({ length: 256 }, (_, byte) =>
    piece(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, 6),
  );
  return Buffer.from([
    ...piece("<unk>", 2),
    ...piece("<s>", 3),
    ...piece("</s>", 3),
    ...all.flat(),
    ...piece("\u2581a", 1),
    ...bytes(2, [...number(3, 2), ...number(24, 0), ...number(35, 1)]),
    ...bytes(3, [...bytes(1, Buffer.from("identity")), ...number(3, 1), ...number(4, 0), ...number(5, 1)]),
  ]);
}
