import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { inspectVerb } from "#src/cli/inspect.js";
import { runCommandLine } from "#src/cli/program.js";
import { writeSafetensors } from "#src/formats/safetensors.js";
import { goldenRows } from "../data/golden-rows.ts";
import { tellMissing } from "../shared.ts";
import { editedFolder } from "../tokenizer/edited-folder.ts";
import { type MemoryStreams, memoryStreams } from "./memory-streams.ts";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const MODELS = ["mistral", "llama", "mixtral", "qwen2", "internlm2", "llama3", "qwen3", "gemma2", "phi3"];
const FURTHER = ["gemma3_text", "mistral3", "qwen3_moe", "phi4-mini", "cohere2"];

async function inspect(...arguments_: string[]) {
  return inspectOn(memoryStreams(), ...arguments_);
}

async function inspectOn(streams: MemoryStreams, ...arguments_: string[]) {
  const exitCode = await runCommandLine(["inspect", ...arguments_], streams, new AbortController().signal, [
    inspectVerb,
  ]);
  return { exitCode, out: streams.stdout.text, error: streams.stderr.text };
}

const model = (name: string) => join(GOLDEN, "models", name);
const temporary = () => mkdtemp(join(tmpdir(), "fusechat-inspect-"));

async function fileWith(name: string, content: string): Promise<string> {
  const path = join(await temporary(), name);
  await writeFile(path, content);
  return path;
}

const jsonLines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("inspect tokens", () => {
  test("gives ids and byte spans of a file", async () => {
    const path = await fileWith("a.txt", "Yes 😊");
    const { out, exitCode } = await inspect("tokens", "--model", model("gemma2"), "--text-file", path, "--json");
    expect(exitCode).toBe(0);
    const document = JSON.parse(out);
    expect(Object.keys(document)).toEqual(["ids", "byte_start", "byte_end"]);
    expect(document.byte_start).toEqual([0, 1, 3, 4, 5, 6, 7]);
    expect(document.byte_end).toEqual([1, 3, 4, 5, 6, 7, 8]);
  });

  test("takes a file as it is, byte order mark and line ends included", async () => {
    const path = await fileWith("a.txt", "\ufeffa\r\n");
    const { out } = await inspect("tokens", "--model", model("qwen2"), "--text-file", path, "--json");
    expect(JSON.parse(out).byte_end.at(-1)).toBe(6);
  });

  test("gives one object a line for a file of JSON strings", async () => {
    const path = await fileWith("a.jsonl", '"Yes"\n""\n"\\u00e9"\n');
    const { out } = await inspect("tokens", "--model", model("qwen2"), "--texts", path, "--json");
    expect(jsonLines(out).map(({ byte_end: ends }) => ends.at(-1))).toEqual([3, undefined, 2]);
  });

  test("shows people a line a token, parts of characters by their bytes", async () => {
    const path = await fileWith("a.txt", "😊");
    const { out } = await inspect("tokens", "--model", model("mistral"), "--text-file", path);
    expect(out.split("\n").slice(0, 3)).toEqual([
      "bytes   id  token   text",
      '  0–0  450  ▁       ""',
      "  0–1  243  <0xF0>  \\xf0",
    ]);
    expect(out).toContain("5 tokens, 4 bytes");
  });

  test.each([
    [["--text-file", "x"], "--model: is needed by inspect tokens\n"],
    [["--model", "x"], "inspect tokens: expected either --text-file or --texts\n"],
    [["--model", "x", "--data", "y"], "--data: does not belong to inspect tokens\n"],
    [["--model", "x", "--text-file", "/nowhere"], "/nowhere: no such file or folder\n"],
  ])("refuses %j", async (arguments_, message) => {
    expect(await inspect("tokens", ...arguments_)).toEqual({ exitCode: 2, out: "", error: message });
  });

  test("refuses a line that is no JSON string", async () => {
    const path = await fileWith("a.jsonl", '"a"\n{}\n');
    const { error } = await inspect("tokens", "--model", model("qwen2"), "--texts", path);
    expect(error).toBe(`${path}:2: expected a JSON string, found {}\n`);
  });
});

describe("inspect render", () => {
  const data = join(GOLDEN, "pipeline/conversations.jsonl");

  test.each(MODELS)("gives the golden rows of %s", async (name) => {
    for (const [folder, length] of [
      ["rows", "2048"],
      ["rows-120", "120"],
    ] as const) {
      const { out } = await inspect("render", "--model", model(name), "--data", data, "--max-length", length, "--json");
      expect(jsonLines(out)).toEqual(await goldenRows(folder, name));
    }
  });

  test("leaves out irregular records where it is told to, and counts them once", async () => {
    const turns = (answer: string) => [
      { role: "user", content: "Is water wet?" },
      { role: "assistant", content: answer },
    ];
    const records = [{ turns: turns("Yes") }, { turns: turns("Yes").reverse() }, { turns: turns("No") }];
    const path = await fileWith("a.jsonl", records.map((record) => JSON.stringify(record)).join("\n"));
    const given = ["render", "--model", model("qwen2"), "--data", path];
    expect((await inspect(...given)).exitCode).toBe(2);
    const { exitCode, out, error } = await inspect(...given, "--irregular", "leave-out", "--json");
    expect([exitCode, jsonLines(out).length]).toEqual([0, 2]);
    const sentence = `1 record is left out: 1 with a turn of the assistant at the start (first: ${path}:2)`;
    expect(error.split(sentence).length).toBe(2);
  });

  test("shows people the text with its rows in brackets, and refusals with their reason", async () => {
    const { out } = await inspect("render", "--model", model("gemma2"), "--data", data);
    expect(out).toContain("conversation 0 (8a746e55e830): 25 tokens, 3 rows, 4 bytes, 2 turns");
    expect(out).toContain("<start_of_turn>model\n‹Y›‹es›‹<end_of_turn>›\n");
    expect(out).toContain("conversation 4 (24276315e74d): refused: System role not supported");
  });

  test("ends with 2 where the template takes no conversation at all", async () => {
    const turns = [
      { role: "system", content: "s" },
      { role: "user", content: "q" },
      { role: "assistant", content: "a" },
    ];
    const path = await fileWith("a.jsonl", JSON.stringify({ turns }));
    const { exitCode, out, error } = await inspect("render", "--model", model("gemma2"), "--data", path);
    expect(out).toContain("refused: System role not supported");
    expect([exitCode, error]).toEqual([
      2,
      `${model("gemma2")}: none of the 1 conversations can be used; the first: System role not supported\n`,
    ]);
  });

  test("takes the template's date and variables, and counts what it leaves out", async () => {
    const template =
      "{{ strftime_now('%Y-%m-%d') }} {{ level }}{% for m in messages %}<|im_start|>{{ m.role }}\n" +
      "{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}" +
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    const folder = await editedFolder("qwen2", (_, config) => {
      config.chat_template = template;
    });
    const turns = [
      { role: "user", content: "q" },
      { role: "assistant", content: "<think>\nsum\n</think>42" },
    ];
    const own = await fileWith("a.jsonl", JSON.stringify({ turns }));
    const { out, error } = await inspect(
      "render",
      "--model",
      folder,
      "--data",
      own,
      "--date",
      "2024-02-29",
      ...["--template-variable", 'level={"a":1}', "--template-variable", "level=high"],
    );
    expect(error).toBe("");
    expect(out).toContain("2 turns, 1 written in part\n2024-02-29 high<|im_start|>user\n");
    const json = await inspect("render", "--model", folder, "--data", own, "--json");
    expect(jsonLines(json.out)[0]).toMatchObject({
      text: expect.stringContaining("2025-01-01 <|im_start|>"),
      left_out_row: [0],
      left_out: [expect.stringMatching(/^-?\d{10,}$/)],
    });
  });

  test.each([
    [["--date", "2025-02-30"], "Expected a day as YYYY-MM-DD"],
    [["--template-variable", "level"], "Expected name=value"],
    [["--template-variable", "messages=[]"], "messages is given by the program itself"],
    [
      ["--template-name", "tool_use"],
      "expected a chat template named tool_use, found default; choose one by template_name",
    ],
  ])("refuses %j", async (arguments_, message) => {
    const { error, exitCode } = await inspect("render", "--model", model("qwen2"), "--data", data, ...arguments_);
    expect([exitCode, error]).toEqual([2, expect.stringContaining(message)]);
  });

  test("shows where a conversation is cut", async () => {
    const { out } = await inspect("render", "--model", model("qwen2"), "--data", data, "--max-length", "51");
    expect(out).toContain("assistant\n‹Y›‹es›, cut here");
  });

  test("can use another model's template", async () => {
    const arguments_ = ["render", "--model", model("qwen2"), "--data", data, "--template", "pivot"];
    const { out } = await inspect(...arguments_, "--template-model", model("mistral"), "--json");
    expect(jsonLines(out)[0].text).toContain("GPT4 Correct Assistant: Yes<|end_of_turn|>");
    expect((await inspect(...arguments_)).error).toBe(
      "--template-model: is needed with --template pivot, and with nothing else\n",
    );
  });

  test("refuses a data file with bad lines, all of them told", async () => {
    const path = await fileWith("a.jsonl", "{\n[]\n");
    const { error, exitCode } = await inspect("render", "--model", model("qwen2"), "--data", path);
    expect(exitCode).toBe(2);
    expect(error.split("\n").map((line) => line.split(";")[0])).toEqual([
      `${path}:1: expected a JSON object, found "{", which ends too early`,
      `${path}:2: expected a JSON object, found a list`,
      "",
    ]);
  });
});

describe("inspect PATH", () => {
  const summary = async (path: string) => JSON.parse((await inspect(path, "--json")).out);

  test("summarises a model", async () => {
    const folder = model("mistral");
    const found = await summary(folder);
    expect(found).toMatchObject({
      kind: "model",
      architecture: "mistral",
      supported: true,
      layers: 2,
      hidden_size: 48,
      heads: 4,
      key_value_heads: 2,
      window: 4096,
      tied_head: false,
      vocabulary: 479,
      max_positions: 4096,
      tensors: 21,
      parameters: 83_088,
      dtypes: { F32: 21 },
      padding_rows: 0,
      tokenizer: {
        size: 479,
        special_tokens: 5,
        bos: 1,
        eos: 477,
        stop_ids: [477],
        spelling: { 1: "<s>", 477: "<|end_of_turn|>" },
        template: {
          from: join(folder, "tokenizer_config.json"),
          renders: true,
          system_turn: true,
          generation_prompt: "GPT4 Correct Assistant:",
        },
      },
      can: {
        embedded_engine: ["teacher passes", "generation", "training"],
        merge: true,
        server: "alpaca-eval, mt-bench and exact-match of its answers, as MODEL@URL",
      },
      limits: [],
    });
    const { memory } = found;
    expect(memory).toMatchObject({ max_length: 2048, teacher_weights: "resident", training_micro_batch_tokens: 2048 });
    expect(memory.training_bytes).toBeGreaterThan(memory.teacher_passes_bytes);
    expect(memory.generation_bytes).toBeGreaterThan(4 * 83_088);
    const { out } = await inspect(folder);
    expect(out).toContain("parameters         83,088\n");
    expect(out).toContain("  special tokens  5\n");
    expect(out).toMatch(/^ {2}training {21}\d+ MB$/m);
    expect(out).toContain("\nlimits             none\n");
  });

  test.each([...MODELS, ...FURTHER])("finds nothing that cannot be done with %s", async (name) => {
    const found = await summary(model(name));
    expect(found).toMatchObject({ supported: true, architecture: expect.any(String), limits: [] });
    expect(found.tokenizer.template.renders).toBe(true);
  });

  test("tells experts, caps, stretched positions, and templates without a system turn", async () => {
    const mixtral = await summary(model("mixtral"));
    // Of four experts a token meets two: of 46,080 parameters in experts half.
    expect(mixtral).toMatchObject({ experts: 4, experts_per_token: 2, parameters: 105_168, active_parameters: 82_128 });
    expect(await summary(model("gemma2"))).toMatchObject({
      attention_cap: 50,
      logit_cap: 30,
      window: 16,
      tied_head: true,
      tokenizer: { pad: 0, template: { system_turn: false, refusal: "System role not supported" } },
    });
    expect((await summary(model("llama3"))).rotary_scaling).toMatchObject({ rope_type: "llama3" });
  });

  test("tells the decoder of a model of several parts, and what is carried along with it", async () => {
    expect(await summary(model("gemma3"))).toMatchObject({
      supported: true,
      layers: 6,
      window: 6,
      rotary_scaling: { rope_type: "linear", factor: 8 },
      tensors: 103,
      parameters: 58_240,
      carried_tensors: 23,
      carried_parameters: 3236,
      can: { embedded_engine: ["teacher passes", "generation", "training"], merge: true },
      limits: [],
    });
  });

  describe("of a model that something is wrong with", () => {
    const copyOf = async (change: (folder: string) => Promise<void>): Promise<string> => {
      const folder = await temporary();
      await cp(model("mistral"), folder, { recursive: true });
      await change(folder);
      return folder;
    };
    const withConfig = (fields: object) =>
      copyOf(async (folder) => {
        const path = join(folder, "config.json");
        await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...fields }));
      });
    const engine = "distributions, fuse, evaluate and chat";

    test("an unknown architecture can still be merged, and the rest is told", async () => {
      const folder = await withConfig({ model_type: "rwkv" });
      const found = await summary(folder);
      expect(found).toMatchObject({ architecture: "rwkv", supported: false, layers: 2, parameters: 83_088 });
      expect(found.tokenizer.size).toBe(479);
      expect(found.can).toMatchObject({ embedded_engine: [], merge: true });
      expect(found.limits).toHaveLength(1);
      expect(found.limits[0].cannot).toBe(`${engine}; it can still be merged`);
      expect(found.limits[0].because).toContain('config.json: model_type: unknown architecture "rwkv"; known are ');
      const { out, exitCode } = await inspect(folder);
      expect(exitCode).toBe(0);
      expect(out).toContain(`\nlimits\n  cannot ${engine}; it can still be merged, because ${folder}/config.json: `);
    });

    test("a config field that is not supported is named", async () => {
      const { limits } = await summary(await withConfig({ hidden_act: "relu" }));
      expect(limits[0].because).toContain('hidden_act: "relu" is not supported (only "silu")');
    });

    test("quantised weights can neither be run nor merged", async () => {
      const folder = await withConfig({ quantization_config: { quant_method: "gptq", bits: 4 } });
      const packed = { dtype: "I32", shape: [2, 3], data: new Int32Array(6) } as const;
      await writeSafetensors(join(folder, "model.safetensors"), [["model.layers.0.mlp.up_proj.qweight", packed]]);
      const { limits, can } = await summary(folder);
      expect(can).toMatchObject({ embedded_engine: [], merge: false });
      expect(limits.map(({ cannot }: { cannot: string }) => cannot)).toEqual([engine, "merge"]);
      expect(limits[0].because).toContain("quantization_config");
      expect(limits[1].because).toBe("it has tensors of I32, and only floating-point ones are merged");
    });

    test("pickled weights are not read", async () => {
      const folder = await copyOf(async (copy) => {
        await rm(join(copy, "model.safetensors"));
        await writeFile(join(copy, "pytorch_model.bin"), "");
      });
      const found = await summary(folder);
      expect(found.parameters).toBe(83_088);
      expect(found.limits).toHaveLength(1);
      expect(found.limits[0].cannot).toBe("anything that reads its weights");
      expect(found.limits[0].because).toContain(
        `${folder}/pytorch_model.bin: pickled weights can run code when loaded and are never opened; convert them to safetensors`,
      );
    });

    test("a tensor of another shape, and a tokenizer wider than the head", async () => {
      const { limits } = await summary(await withConfig({ vocab_size: 400 }));
      expect(limits[0]).toMatchObject({ cannot: engine });
      expect(limits[0].because).toContain(
        '"model.embed_tokens.weight": the config asks for [400, 48], found [479, 48]',
      );
      expect(limits[1]).toEqual({
        cannot: `${engine}, of texts with the ids beyond`,
        because: "the tokenizer has ids up to 478, the head ends at 399",
      });
    });

    test("no tokenizer, no template, a template that fails", async () => {
      const silent = await copyOf((folder) => rm(join(folder, "tokenizer.json")));
      expect((await summary(silent)).limits).toEqual([
        {
          cannot: "align, distributions, fuse, evaluate and chat",
          because: `${silent}: no tokenizer.json or tokenizer.model`,
        },
      ]);
      const withTemplate = (template: string | undefined) =>
        copyOf(async (folder) => {
          const path = join(folder, "tokenizer_config.json");
          const config = JSON.parse(await readFile(path, "utf8"));
          await writeFile(path, JSON.stringify({ ...config, chat_template: template }));
        });
      const none = await summary(await withTemplate(undefined));
      expect(none.limits[0].because).toMatch(/: no chat template: expected chat_template in tokenizer_config\.json/);
      const broken = await summary(await withTemplate("{% for x in %}"));
      expect(broken.limits[0]).toMatchObject({ cannot: engine });
      expect(broken.limits[0].because).toMatch(/tokenizer_config\.json: the chat template /);
    });

    test("a file that is wrong is told on stderr beside the rest, which is no fault of what is not there", async () => {
      const wrong = await withConfig({ num_hidden_layers: 4096 });
      const { out, error, exitCode } = await inspect(wrong, "--json");
      expect([exitCode, error]).toEqual([
        2,
        `${wrong}/config.json: num_hidden_layers: expected at most 1024, found 4096\n`,
      ]);
      expect(JSON.parse(out)).toMatchObject({ tensors: 21, tokenizer: { size: 479 } });
      const torn = await copyOf((folder) => writeFile(join(folder, "tokenizer_config.json"), "{"));
      expect(await inspect(torn)).toMatchObject({ exitCode: 2, out: expect.stringContaining("\nlayers ") });
      const withoutWeights = await copyOf((folder) => rm(join(folder, "model.safetensors")));
      expect(await inspect(withoutWeights)).toMatchObject({ exitCode: 0, error: "" });
    });

    test("more memory than there is", async () => {
      const giant = { hidden_size: 65_536, num_attention_heads: 64, head_dim: 1024, intermediate_size: 262_144 };
      const { limits, memory, can } = await summary(await withConfig(giant));
      expect(memory.training_bytes).toBeGreaterThan(1e12);
      expect(limits.map(({ cannot }: { cannot: string }) => cannot)).toContain("training it here");
      // Its weights are not those that the config asks for.
      expect(can.embedded_engine).toEqual([]);
      expect(limits.at(-1).because).toMatch(/^it needs \d+\.\d GB of memory, and \d+\.\d GB are available$/);
    });
  });

  test("summarises a tokenizer, and says why one cannot be used", async () => {
    const folder = await temporary();
    await writeFile(join(folder, "tokenizer.json"), '{"model": {"type": "WordPiece"}}');
    expect(await summary(folder)).toEqual({
      kind: "tokenizer",
      path: folder,
      refused: `${join(folder, "tokenizer.json")}: a WordPiece model is not supported: only BPE models say which bytes a token stands for`,
      bos: null,
      eos: null,
      stop_ids: [],
      pad: null,
      template: {
        refused: `${folder}: no chat template: expected chat_template in tokenizer_config.json, or chat_template.jinja; add the one that the model was trained with`,
      },
    });
  });

  describe("of published tokenizers", () => {
    const published = resolve(import.meta.dirname, "../../../shared/data/tokenizers");
    const isThere = existsSync(published);
    tellMissing(isThere, "published files were not read");
    test.runIf(isThere)("tells size, special tokens and template of each", async () => {
      const sizes: Record<string, number> = {};
      // One of each kind: all of them are read as folders elsewhere.
      for (const name of ["openchat-3.5", "smollm2"]) {
        const found = await summary(join(published, name));
        expect([name, found.kind, found.refused]).toEqual([name, "tokenizer", undefined]);
        expect([name, found.stop_ids.length > 0]).toEqual([name, true]);
        sizes[name] = found.size;
      }
      expect(sizes).toMatchObject({ "openchat-3.5": 32_002, smollm2: 49_152 });
    });
  });

  test("summarises shards, by file and by folder", async () => {
    const distributions = join(GOLDEN, "pipeline/distributions/mistral/shard-00000.safetensors");
    const { nats_per_byte: rate, ...figures } = await summary(distributions);
    expect(figures).toMatchObject({ kind: "distributions", shards: 1, conversations: 8, rows: 367, bytes: 453 });
    // Held-out figures of the golden data are compared elsewhere; this is the same sum over the training set.
    expect(rate).toBeCloseTo(6.91681, 4);
    expect(await summary(join(GOLDEN, "pipeline/aligned/qwen2"))).toMatchObject({
      kind: "aligned",
      rows: 367,
      shared_rows: 345,
      metadata: { pivot: "mistral", source: "qwen2", vocabulary: "exact" },
    });
  });

  test("refuses a shard of an older version by the sentence of its reader", async () => {
    const path = join(await temporary(), "shard-00000.safetensors");
    await writeSafetensors(path, [], { format: "fusechat-distributions-1" });
    expect(await inspect(path)).toEqual({
      exitCode: 2,
      out: "",
      error:
        `${path}: expected a shard of format "fusechat-distributions-2", found "fusechat-distributions-1"; ` +
        "it was written by another version of fusechat, make it again with this one\n",
    });
  });

  test("lists the tensors of any other safetensors file", async () => {
    const path = join(await temporary(), "a.safetensors");
    const tensor = { dtype: "F32", shape: [2, 3], data: new Float32Array(6) } as const;
    await writeSafetensors(path, [["model.self_attn.weight", tensor]], { origin: "a test" });
    expect(await summary(path)).toEqual({
      kind: "safetensors",
      path,
      tensors: 1,
      parameters: 6,
      bytes: 24,
      dtypes: { F32: 1 },
      metadata: { origin: "a test" },
      list: { "model.self_attn.weight": "F32 [2, 3]" },
    });
    expect((await inspect(path)).out).toContain("model.self_attn.weight  F32 [2, 3]");
  });

  test("summarises a run directory", async () => {
    const run = await temporary();
    await writeFile(join(run, "recipe.yaml"), "pivot: x\n");
    await mkdir(join(run, "distributions/mistral"), { recursive: true });
    await mkdir(join(run, ".units"));
    await writeFile(join(run, ".units/distributions--mistral.json"), "{}");
    await mkdir(join(run, "evaluate/held-out"), { recursive: true });
    await writeFile(join(run, "evaluate/held-out.json"), "{}");
    const gate = { gate: "fused.held_out < 2", met: false, figures: "3 < 2 does not hold" };
    await writeFile(join(run, "evaluate/gates.json"), JSON.stringify({ gates: [gate] }));
    expect(await summary(run)).toMatchObject({
      kind: "run",
      running: false,
      finished_units: ["distributions/mistral"],
      distributions: ["mistral"],
      fused: false,
      evaluations: ["held-out"],
      gates: { "fused.held_out < 2": "not met" },
    });
  });

  test.each([
    ["/nowhere", "/nowhere: no such file or folder\n"],
    [import.meta.filename, `${import.meta.filename}: expected a folder or a .safetensors file\n`],
  ])("refuses %s", async (path, message) => {
    expect(await inspect(path)).toEqual({ exitCode: 2, out: "", error: message });
  });

  test("refuses a folder that holds nothing known, and options of the other forms", async () => {
    const folder = await temporary();
    expect((await inspect(folder)).error).toMatch(/expected a model, tokenizer, run or shard folder/);
    expect((await inspect(folder, "--data", "x")).error).toBe("--data: does not belong to inspect PATH\n");
  });
});

test("a rendering ends where nobody reads it any more", async () => {
  const line = '{"turns": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}\n';
  const data = await fileWith("many.jsonl", line.repeat(200));
  const streams = memoryStreams();
  const { stdout } = streams;
  stdout.isOpen = () => stdout.text === "";
  const { exitCode, out } = await inspectOn(streams, "render", "--model", join(GOLDEN, "models/qwen2"), "--data", data);
  expect(exitCode).toBe(0);
  // One batch is under way when the reader goes.
  expect(out.match(/^conversation /gm)).toHaveLength(64);
});
