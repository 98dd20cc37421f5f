/** Distributions from servers by whole processes: killed at any moment, a server that goes away, and a source of a run. */
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine } from "#src/engine/index.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { madeUpRows, promptRows, type StandIn, type StandInOptions, startStandIn } from "../engine/server/stand-in.ts";
import {
  CONVERSATIONS,
  type Command,
  fusechat,
  HELD_OUT,
  hashesOf,
  MISTRAL,
  QWEN2,
  temporaryFolder,
} from "../run/fixtures.ts";

const VOCABULARY = 418;

let root: string;
/** Config, tokenizer and template of the golden qwen2: no weights. */
let text: string;
const closing: (() => Promise<unknown>)[] = [];
let standIn: (more?: Partial<StandInOptions>) => Promise<StandIn>;
/** Of another model than the golden qwen2. */
let standInFor: (folder: string) => Promise<StandIn>;
beforeAll(async () => {
  root = await temporaryFolder();
  text = join(root, "qwen2");
  const weights = /safetensors$|golden\.json$/;
  await cp(QWEN2, text, { recursive: true, filter: (path) => !weights.test(path) });
  const engine = await createEngine({ kind: "onnx", threads: 1 });
  const model = await engine.open(QWEN2);
  const rows = promptRows(model);
  const tokenizer = await loadTokenizer(QWEN2);
  standIn = async (more = {}) => {
    const server = await startStandIn({ kind: "vllm", rows, tokenizer, vocabulary: VOCABULARY, ...more });
    closing.push(() => server.close());
    return server;
  };
  standInFor = async (folder) => {
    const other = await engine.open(folder);
    closing.push(() => other.dispose());
    return standIn({ rows: promptRows(other), tokenizer: await loadTokenizer(folder), vocabulary: other.vocabulary });
  };
  closing.push(
    () => engine.dispose(),
    () => model.dispose(),
  );
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
  await rm(root, { recursive: true });
});

describe("fusechat distributions from a server", () => {
  const collect = (url: string, data: string, out: string, ...more: string[]): Command =>
    fusechat([
      ...["distributions", "--model", text, "--server", url, "--engine", "vllm", "--data", data, "--out", out],
      ...["--shard-conversations", "64", "--top-k", "3", "--concurrency", "2", ...more],
    ]);

  test("killed again and again, it goes on from the last conversation and ends with the same bytes", async () => {
    const lines = (await readFile(CONVERSATIONS, "utf8")).trim().split("\n");
    const data = join(root, "many.jsonl");
    // Short conversations, some twenty to a request, no two the same: what is kept is not asked again.
    const many = Array.from({ length: 30 }, (_, n) =>
      lines.map((line) => line.replace('"content": "', `"content": "${n} `)),
    );
    await writeFile(data, `${many.flat().join("\n")}\n`);
    const whole = join(root, "whole");
    const rows = madeUpRows(VOCABULARY);
    const first = await standIn({ rows });
    expect(await collect(first.url, data, whole).finished).toMatchObject({ exitCode: 0 });

    const out = join(root, "killed");
    let running: Command | undefined;
    let rowRequests = 0;
    const second = await standIn({
      rows,
      fault: ({ prompts, topK }) => {
        // The first question has another K.
        if (prompts !== null && topK === 3 && ++rowRequests % 2 === 0) running?.kill("SIGKILL");
        return undefined;
      },
    });
    let kills = 0;
    for (;;) {
      running = collect(second.url, data, out, "--concurrency", "1");
      const { exitCode, stderr } = await running.finished;
      if (exitCode === 0) break;
      expect([exitCode, stderr]).toEqual([null, expect.any(String)]);
      kills++;
    }
    expect(kills).toBeGreaterThan(2);
    expect(await hashesOf(out)).toEqual(await hashesOf(whole));
    const promptsOf = ({ asked }: StandIn) =>
      asked.filter(({ topK }) => topK === 3).reduce((sum, { prompts }) => sum + (prompts?.length ?? 0), 0);
    const largest = Math.max(...second.asked.map(({ prompts }) => prompts?.length ?? 0));
    // A kill loses what was in flight: one request.
    expect(promptsOf(second)).toBeLessThanOrEqual(promptsOf(first) + kills * largest);
  });

  test("a server that goes away ends it with exit code 1, and what came before is kept", async () => {
    const out = join(root, "away");
    const rows = madeUpRows(VOCABULARY);
    const gone = await standIn({
      rows,
      fault: ({ prompts, topK, index }) =>
        prompts !== null && topK === 3 && index > 2
          ? { status: 402, body: { error: { message: "closed for today" } } }
          : undefined,
    });
    const data = join(root, "many.jsonl");
    const run = await collect(gone.url, data, out).finished;
    expect(run.exitCode).toBe(1);
    expect(run.stderr).toContain(`${gone.url}/v1/completions: `);
    expect(run.stderr).toContain("what came before is kept, and the same command goes on from there");
    const other = await standIn({ rows, name: "another" });
    const refused = await collect(other.url, data, out).finished;
    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toMatch(/"served" is "vllm stand-in of config [0-9a-f]+\.\.\. there and "vllm another of/);
    const back = await standIn({ rows });
    expect(await collect(back.url, data, out).finished).toMatchObject({ exitCode: 0 });
  });

  test("wrong flags are told before anything is asked", async () => {
    const data = CONVERSATIONS;
    const run = async (...more: string[]) =>
      fusechat(["distributions", "--model", text, "--data", data, "--out", join(root, "none"), ...more]).finished;
    expect(await run("--engine", "vllm")).toMatchObject({
      exitCode: 2,
      stderr: "--engine: vllm needs the address of the server; add --server URL\n",
    });
    expect(await run("--server", "http://127.0.0.1:9")).toMatchObject({
      exitCode: 2,
      stderr: "--server: is a setting of --engine vllm or --engine sglang; add the one that the server is\n",
    });
    expect(await run("--engine", "vllm", "--server", "gpu:8000")).toMatchObject({ exitCode: 2 });
  });
});

test("a run whose source is behind a server needs no weights of it, plans it, and goes on where the server moves", async () => {
  const folder = await temporaryFolder();
  const write = async (url: string): Promise<string> => {
    const path = join(folder, "recipe.yaml");
    await writeFile(
      path,
      `pivot: ${MISTRAL}\nsources: [{ model: ${text}, engine: { kind: vllm, url: "${url}" } }]\n` +
        `data: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT}, max_length: 512 }\nfuse: { lr: 1.0e-3, epochs: 1, batch: 2 }\n`,
    );
    return path;
  };
  const out = join(folder, "run");
  const first = await standIn({
    fault: ({ prompts, topK }) =>
      prompts !== null && topK === 10 ? { status: 402, body: { error: { message: "no" } } } : undefined,
  });
  const planned = await fusechat(["plan", await write(first.url), "--no-trial"]).finished;
  expect(planned.stderr).toBe("");
  expect(planned.stdout).toMatch(
    new RegExp(
      `distributions qwen2: [\\d,]+ tokens in about 1 requests to ${first.url} \\(vllm\\), 10 candidates a row`,
    ),
  );
  const stopped = await fusechat(["run", await write(first.url), "--out", out]).finished;
  expect(stopped.exitCode).toBe(1);
  const second = await standIn();
  const done = await fusechat(["run", await write(second.url), "--out", out, "--json"]).finished;
  expect([done.exitCode, done.stderr]).toEqual([0, ""]);
  // The numbers of the same source from its weights.
  type Result = { readonly metrics: { readonly nats_per_byte: { readonly value: number } } };
  const file = await readFile(join(out, "evaluate/held-out/qwen2.json"), "utf8");
  const served = (JSON.parse(file) as Result).metrics.nats_per_byte.value;
  const own = await fusechat([
    "evaluate",
    "held-out",
    "--model",
    QWEN2,
    "--data",
    HELD_OUT,
    "--max-length",
    "512",
    "--json",
  ]).finished;
  const lines = own.stdout.trim().split("\n");
  const result = JSON.parse(lines.at(-1)!) as Result;
  expect(served).toBeCloseTo(result.metrics.nats_per_byte.value, 4);
  await rm(folder, { recursive: true });
});

test("a run whose pivot's rows and whose source's answers come from servers ends where one of folders does", async () => {
  const folder = await temporaryFolder();
  const prompts = (await readFile(CONVERSATIONS, "utf8")).trim().split("\n").slice(0, 4);
  await writeFile(join(folder, "prompts.jsonl"), `${prompts.join("\n")}\n`);
  let said = 0;
  const source = await standIn({
    fault: ({ path }) => {
      if (!path.endsWith("/chat/completions")) return undefined;
      const message = { role: "assistant", content: `Answer ${said++ % 4}.` };
      const choices = [{ index: 0, message, finish_reason: "stop" }];
      return { json: { choices, usage: { prompt_tokens: 5, completion_tokens: 3 } } };
    },
  });
  const pivot = await standInFor(MISTRAL);
  const served = (url: string): string => `engine: { kind: vllm, url: "${url}", model: stand-in, concurrency: 1 }`;
  const fuse = "fuse: { lr: 1.0e-3, epochs: 1, batch: 2 }\nevaluate: [held-out]\n";
  const run = async (name: string, recipe: string): Promise<string> => {
    const [path, out] = [join(folder, `${name}.yaml`), join(folder, name)];
    await writeFile(path, recipe);
    const { exitCode, stderr } = await fusechat(["run", path, "--out", out, "--json"]).finished;
    expect([exitCode, stderr]).toEqual([0, ""]);
    return out;
  };
  const behind = await run(
    "behind",
    `pivot: { model: ${MISTRAL}, name: pivot, ${served(pivot.url)} }\nsources: [{ model: ${text}, name: qwen2, ${served(source.url)} }]\n` +
      `data: { path: prompts.jsonl, held_out_path: ${HELD_OUT}, max_length: 512, answers: { per_prompt: 1 } }\n${fuse}`,
  );
  expect(said).toBe(4);
  const answered = join(behind, "data/train.jsonl");
  expect((await readFile(answered, "utf8")).match(/"Answer \d\."/g)).toHaveLength(4);
  const here = await run(
    "here",
    `pivot: { model: ${MISTRAL}, name: pivot }\nsources: [{ model: ${QWEN2}, name: qwen2 }]\n` +
      `data: { path: ${answered}, held_out_path: ${HELD_OUT}, max_length: 512 }\n${fuse}`,
  );
  for (const model of ["pivot", "qwen2", "target-qwen2", "fused"]) {
    const [one, other] = await Promise.all(
      [behind, here].map(async (out) => {
        const result = JSON.parse(await readFile(join(out, `evaluate/held-out/${model}.json`), "utf8"));
        return result.metrics.nats_per_byte.value as number;
      }),
    );
    expect(one, model).toBeCloseTo(other!, 4);
  }
  const page = await readFile(join(behind, "report.html"), "utf8");
  expect(page).toContain("4 prompts gave 4 conversations, 0 prompts none");
  await rm(folder, { recursive: true });
}, 300_000);
