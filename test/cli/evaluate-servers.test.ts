/** `evaluate` of models behind servers and of ensembles, through the command line; the server is on the loopback interface. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { evaluateVerb } from "#src/cli/evaluate.js";
import { runCommandLine } from "#src/cli/program.js";
import { startServer, type TestServer } from "../engine/endpoint/server.ts";
import { MISTRAL, QWEN2 } from "../run/fixtures.ts";
import { memoryStreams } from "./memory-streams.ts";

let folder: string;
let data: string;
let server: TestServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-cli-servers-"));
  data = join(folder, "sums.jsonl");
  const sums = [1, 2, 3, 4].map((n) => ({
    turns: [
      { role: "user", content: `1 + ${n}` },
      { role: "assistant", content: `#### ${1 + n}` },
    ],
    skill: n < 3 ? "small" : "large",
  }));
  await writeFile(data, `${sums.map((one) => JSON.stringify(one)).join("\n")}\n`);
  // "exact" adds, "lazy" says 2 whatever is asked, "judge" prefers the answer that it finds first.
  server = await startServer(({ model, messages }) => {
    const question = messages.at(-1)!.content;
    if (model === "exact") return { text: `#### ${1 + Number(question.split("+")[1])}` };
    return { text: model === "lazy" ? "#### 2" : "1" };
  });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function evaluate(arguments_: readonly string[], environment: Record<string, string> = {}) {
  const streams = memoryStreams({ environment });
  const signal = new AbortController().signal;
  const exitCode = await runCommandLine(["evaluate", ...arguments_], streams, signal, [evaluateVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

describe("models behind servers", () => {
  test("are measured like any other, compared, and asked with the key of the environment", async () => {
    const models = ["--model", `lazy@${server.url}`, "--model", `exact@${server.url}`];
    const { exitCode, stdout, stderr } = await evaluate(["exact-match", ...models, "--data", data], {
      OPENAI_API_KEY: "a-key-for-tests",
    });
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toMatch(/^lazy +25\.00 \[\S+, \S+\]$/m);
    expect(stdout).toMatch(/^exact +100\.00 \[\S+, \S+\] +\+75\.00 \[\S+, \S+\] within noise$/m);
    expect(server.requests).toHaveLength(8);
    expect(server.requests.every(({ headers }) => headers.authorization === "Bearer a-key-for-tests")).toBe(true);
  });

  test("with --out nothing is asked twice, and another key may be named", async () => {
    const out = join(folder, "out");
    const arguments_ = ["exact-match", "--model", `exact@${server.url}`, "--data", data, "--out", out, "--json"];
    const first = await evaluate([...arguments_, "--model-key-env", "MY_KEY"], { MY_KEY: "mine" });
    expect(first.exitCode, first.stderr).toBe(0);
    expect(server.requests[0]!.headers.authorization).toBe("Bearer mine");
    expect(JSON.parse(first.stdout).metrics["accuracy/small"]).toMatchObject({ value: 100, prompts: 2 });
    const again = await evaluate(arguments_);
    expect(again.stdout).toBe(first.stdout);
    expect(server.requests).toHaveLength(4);
    for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) expect(await readFile(join(entry.parentPath, entry.name), "utf8")).not.toContain("mine");
    }
  });

  test("write to a folder that nobody else writes to, and to none for --plan", async () => {
    const out = join(folder, "locked");
    const arguments_ = ["exact-match", "--model", `exact@${server.url}`, "--data", data, "--out", out];
    expect((await evaluate([...arguments_, "--plan"])).exitCode).toBe(0);
    expect(existsSync(out)).toBe(false);
    await mkdir(out);
    await writeFile(join(out, ".lock"), JSON.stringify({ pid: 1, started: "then", host: "elsewhere", space: "" }));
    const { exitCode, stderr } = await evaluate(arguments_);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${out}: process 1 of host "elsewhere" is writing to this folder; wait for it`);
    expect(server.requests).toHaveLength(0);
  });

  test("cannot be read for probabilities", async () => {
    const { exitCode, stderr } = await evaluate(["held-out", "--model", `exact@${server.url}`, "--data", data]);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(
      /^held-out: reads probabilities, so it needs a model folder; an endpoint gives answers only$/m,
    );
  });
});

describe("ensembles", () => {
  test("of the lowest perplexity read every member's answers", async () => {
    const models = ["--model", MISTRAL, "--model", QWEN2, "--ensemble", "lowest-perplexity"];
    const { exitCode, stdout, stderr } = await evaluate([
      ...["exact-match", ...models, "--data", data, "--max-tokens", "4", "--json"],
    ]);
    expect(exitCode, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ model: `lowest-perplexity of ${MISTRAL}, ${QWEN2}`, prompts: 4 });
  });

  test("of a judge's choice ask the judge", async () => {
    const models = ["--model", `lazy@${server.url}`, "--model", `exact@${server.url}`, "--ensemble", "judge"];
    const judge = ["--judge", "referee", "--judge-url", server.url];
    const { exitCode, stderr } = await evaluate(["exact-match", ...models, ...judge, "--data", data, "--json"]);
    expect(exitCode, stderr).toBe(0);
    expect(server.requests.filter(({ model }) => model === "referee").length).toBeGreaterThan(0);
  });
});
