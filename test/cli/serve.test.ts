import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { runCommandLine } from "#src/cli/program.js";
import { serveVerb } from "#src/cli/serve.js";
import { memoryStreams } from "./memory-streams.ts";

const mistral = join(resolve(import.meta.dirname, "../golden/models"), "mistral");

/** Serves until `use` has ended, then stops as Ctrl-C does. */
async function serve(arguments_: readonly string[], use: (url: string) => Promise<void>) {
  const streams = memoryStreams();
  const stop = new AbortController();
  const ended = runCommandLine(["serve", ...arguments_], streams, stop.signal, [serveVerb]);
  let url: string | undefined;
  while (url === undefined && (await Promise.race([ended, wait(20, null)])) === null) {
    url = /http:\/\/[\w.:]+\d/.exec(streams.stdout.text)?.[0];
  }
  if (url !== undefined) await use(url);
  stop.abort();
  return { exitCode: await ended, out: streams.stdout.text, error: streams.stderr.text };
}

test("a folder is served where the command says, until Ctrl-C", async () => {
  const { exitCode, out } = await serve([mistral, "--port", "0"], async (url) => {
    const body = { model: mistral, messages: [{ role: "user", content: "Is water wet?" }], max_tokens: 6 };
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });
    // The rendering with the generation prompt is 45 tokens (golden rows: the first row is at 45).
    expect(await response.json()).toMatchObject({ usage: { prompt_tokens: 45 } });
  });
  expect(exitCode).toBe(130);
  expect(out).toMatch(/^Serving .*mistral at http:\/\/127\.0\.0\.1:\d+\/v1; Ctrl-C ends it/);
});

test("what cannot be served is told before anything listens", async () => {
  const refusal = async (...arguments_: string[]) => {
    const { exitCode, error } = await serve(arguments_, async () => {});
    return [exitCode, error];
  };
  expect(await refusal()).toEqual([2, "fusechat serve: expected a model to serve; give a folder, or --run RUN\n"]);
  expect(await refusal("/nowhere")).toEqual([2, expect.stringMatching(/^\/nowhere/)]);
  expect(await refusal("gpt@http://127.0.0.1:1")).toEqual([2, "gpt: is behind a server already; give a folder\n"]);
  expect(await refusal(mistral, "--host", "0.0.0.0")).toEqual([
    2,
    "--host: 0.0.0.0 can be reached by others; add --token TOKEN, or leave --host out\n",
  ]);
});
