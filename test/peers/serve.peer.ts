/** Other people's clients against `serve`: OpenAI's Python package, and lm-evaluation-harness, whose log-likelihoods are ours. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine, EngineModel } from "#src/engine/engine.js";
import { createEngine } from "#src/engine/index.js";
import { type RunningServer, startServer } from "#src/serve/serve.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { describeWithPeers, runModule, runScript } from "./python.ts";

const LAB = resolve(import.meta.dirname, "../../lab/models/lab-llama");

const DOCUMENTS = [
  { question: "one two three", choices: ["four", "one", "Grüße, 你好"], answer: 0 },
  { question: "What is 27 plus 35?", choices: ["27 plus 35 is 62.", "It is hot.", "27 plus 35 is 43."], answer: 0 },
];

interface OpenaiAnswers {
  readonly models: readonly string[];
  readonly whole: string;
  readonly logprobs: readonly number[];
  readonly streamed: string;
  readonly tokens: number;
  readonly echoed: readonly (number | null)[];
  readonly refusal: string | null;
}

/** Of lm-eval's samples: what each choice was asked as, and its log-likelihood. */
interface Sample {
  readonly arguments: Readonly<Record<string, { readonly arg_0: string; readonly arg_1: string }>>;
  readonly resps: readonly (readonly [readonly [string | number, unknown]])[];
}

describeWithPeers("a server of the laboratory's model", "no other client asked the server", () => {
  let folder: string;
  let engine: Engine;
  let model: EngineModel;
  let tokenizer: Tokenizer;
  let server: RunningServer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-clients-"));
    engine = await createEngine({ kind: "onnx", threads: 1 });
    model = await engine.open(LAB);
    tokenizer = await loadTokenizer(LAB);
    server = await startServer({
      models: [{ name: "lab", folder: LAB, context: 2048 }],
      engine,
      host: "127.0.0.1",
      port: 0,
      token: null,
      mostBytes: 1e9,
      neededBytes: async () => 1e8,
      report: (error) => {
        throw error;
      },
    });
  });
  afterAll(async () => {
    await server?.close();
    await model?.dispose();
    await engine?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  /** Natural logarithm of the probability of what follows the first `from` tokens. */
  async function logLikelihoods(ids: Int32Array, from: number): Promise<number[]> {
    const positions = Int32Array.from({ length: ids.length - from }, (_, index) => from + index);
    return [...(await model.rows([{ ids, positions }], 1)).labelLogp];
  }

  test("OpenAI's package gets answers whole and in pieces, log-probabilities and refusals", async () => {
    const question = "What is 27 plus 35?";
    const job = { url: server.url, model: "lab", question };
    const answers = await runScript<OpenaiAnswers>("openai_client.py", job, { packages: "harness" });
    expect(answers.models).toEqual(["lab"]);
    expect(answers.whole.trim()).toMatch(/^27 plus 35 is \d+\.$/);
    expect(answers.streamed).toBe(answers.whole);
    expect(answers.tokens).toBe(answers.logprobs.length);
    expect(answers.refusal).toBe("model_not_found");
    const own = await logLikelihoods((await tokenizer.encode(question)).ids, 1);
    expect(answers.echoed[0]).toBeNull();
    own.forEach((logp, at) => {
      expect(answers.echoed[at + 1]).toBeCloseTo(logp, 5);
    });
  });

  // It imports for a minute where nothing is compiled yet.
  test("lm-evaluation-harness reads every choice as likely as the engine does", async () => {
    const data = join(folder, "documents.jsonl");
    await writeFile(data, DOCUMENTS.map((document) => `${JSON.stringify(document)}\n`).join(""));
    const task = {
      task: "served",
      dataset_path: "json",
      dataset_kwargs: { data_files: { test: data }, cache_dir: join(folder, "cache") },
      test_split: "test",
      output_type: "multiple_choice",
      doc_to_text: "{{question}}",
      doc_to_target: "{{answer}}",
      doc_to_choice: "{{choices}}",
      metric_list: [{ metric: "acc" }],
    };
    // YAML takes JSON as it is.
    await writeFile(join(folder, "served.yaml"), JSON.stringify(task));
    const served = {
      model: "lab",
      base_url: `${server.url}/v1/completions`,
      tokenizer_backend: "huggingface",
      tokenizer: LAB,
      num_concurrent: "2",
      max_retries: "1",
    };
    const out = join(folder, "out");
    const settings = Object.entries(served).map(([name, value]) => `${name}=${value}`);
    await runModule(
      "lm_eval",
      ["run", "--model", "local-completions", "--model_args", settings.join(), "--tasks", "served"].concat([
        "--include_path",
        folder,
        "--output_path",
        out,
        "--log_samples",
      ]),
      { packages: "harness", cwd: folder },
    );
    const samples = (await readdir(out, { recursive: true })).find((name) => /samples_served.*\.jsonl$/.test(name));
    const lines = (await readFile(join(out, samples!), "utf8")).trim().split("\n");
    expect(lines).toHaveLength(DOCUMENTS.length);
    for (const line of lines) {
      const { arguments: asked, resps } = JSON.parse(line) as Sample;
      for (const [choice, [[logLikelihood]]] of resps.entries()) {
        const { arg_0: context, arg_1: continuation } = asked[`gen_args_${choice}`]!;
        const { ids } = await tokenizer.encode(context + continuation);
        const own = await logLikelihoods(ids, (await tokenizer.encode(context)).ids.length);
        expect(Number(logLikelihood)).toBeCloseTo(
          own.reduce((sum, logp) => sum + logp),
          4,
        );
      }
    }
  }, 600_000);
});
