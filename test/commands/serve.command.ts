/** `fusechat serve` as a process that is told to end: once, what runs is answered; twice, at once. */
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { type Command, fusechat, MISTRAL } from "../run/fixtures.ts";

const PATIENCE_MS = 180_000;

/** What a process has printed, once it matches. */
async function printed(command: Command, stream: "stdout" | "stderr", pattern: RegExp): Promise<RegExpExecArray> {
  for (;;) {
    const found = pattern.exec(command.printed()[stream]);
    if (found !== null) return found;
    await setTimeout(20);
  }
}

/** Stops a process where it stands, and ends when it stands still (proc(5), "stat"). */
async function hold(command: Command): Promise<void> {
  command.kill("SIGSTOP");
  const state = async (): Promise<string> =>
    / ([A-Z]) /.exec(await readFile(`/proc/${command.pid}/stat`, "latin1"))![1]!;
  while ((await state()) !== "T") await setTimeout(5);
}

interface Stream {
  /** What has come so far. */
  text(): string;
  /** Whether it came to its own end. */
  readonly ended: Promise<boolean>;
}

/** Asks for `n` answers of `tokens` tokens, and ends when the first piece is there. */
async function ask(url: string, n: number, tokens: number): Promise<Stream> {
  const messages = [{ role: "user", content: "Hello" }];
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: MISTRAL, messages, n, max_tokens: tokens, ignore_eos: true, stream: true }),
  });
  expect(response.status).toBe(200);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const read = async (): Promise<boolean> => {
    const { done, value } = await reader.read();
    text += value ?? "";
    return !done;
  };
  while (!/"content":"[^"]/.test(text)) await read();
  const ended = (async () => {
    while (await read());
    return true;
  })().catch(() => false);
  return { text: () => text, ended };
}

async function serve(): Promise<{ server: Command; url: string }> {
  const server = fusechat(["serve", MISTRAL, "--port", "0", "--threads", "1"]);
  const [, url] = await printed(server, "stdout", /Talk to them at (http\S+)\n/);
  return { server, url: url! };
}

test.skipIf(process.platform !== "linux")(
  "Ctrl-C ends it when what runs is answered to its last token, and nothing new is taken",
  async () => {
    const { server, url } = await serve();
    const answer = await ask(url, 1, 2000);
    await hold(server);
    // What had been said when it was told: all that is still on the way arrives while it stands still.
    for (let before = -1; before !== answer.text().length; await setTimeout(200)) before = answer.text().length;
    expect(answer.text()).not.toContain("[DONE]");
    server.kill("SIGINT");
    server.kill("SIGCONT");
    await printed(server, "stderr", /finishing 1 request, and taking no other; Ctrl-C again stops at once\n/);
    const later = await fetch(`${url}/health`).then(
      ({ status }) => status,
      () => "refused",
    );
    expect(later).toBe("refused");
    expect(await answer.ended).toBe(true);
    expect(answer.text()).toContain('"finish_reason":"length"');
    expect(answer.text().trimEnd().endsWith("data: [DONE]")).toBe(true);
    expect(await server.finished).toMatchObject({ exitCode: 130 });
  },
  PATIENCE_MS,
);

test(
  "Ctrl-C twice ends it at once, whatever runs",
  async () => {
    const { server, url } = await serve();
    // Some 400,000 tokens: hours.
    const answers = await ask(url, 128, 3000);
    server.kill("SIGINT");
    await printed(server, "stderr", /finishing 1 request, and taking no other; Ctrl-C again stops at once\n/);
    server.kill("SIGINT");
    expect(await server.finished).toMatchObject({ exitCode: 130 });
    expect(await answers.ended).toBe(false);
    expect(answers.text()).not.toContain("[DONE]");
  },
  PATIENCE_MS,
);
