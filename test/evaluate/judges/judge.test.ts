import { spawn } from "node:child_process";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Judge, JudgeAnswer, JudgeOptions, JudgeQuestion } from "#src/evaluate/judges/judge.js";
import { openJudge } from "#src/evaluate/judges/open.js";
import { type ReporterEvent, silent } from "#src/reporter.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "../../engine/endpoint/server.ts";

let folder: string;
let ledger: string;
const servers: TestServer[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-judge-"));
  ledger = join(folder, "judge.jsonl");
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await rm(folder, { recursive: true, force: true });
});

async function serve(answer: (request: ServedRequest) => Behaviour | Promise<Behaviour>): Promise<TestServer> {
  const server = await startServer(answer);
  servers.push(server);
  return server;
}

function options({ url }: { url: string }, more: Partial<JudgeOptions> = {}, concurrency = 4): JudgeOptions {
  return { endpoint: { url, model: "critic", concurrency, timeoutSeconds: 5, attempts: 2 }, ...more };
}

function questions(count: number): JudgeQuestion[] {
  return Array.from({ length: count }, (_, index) => question(index));
}

function question(index: number): JudgeQuestion {
  const content = `Is answer ${index} good?`;
  return {
    id: `question ${index}`,
    request: { messages: [{ role: "user", content }], temperature: 0, maxTokens: 5, topLogprobs: 0 },
  };
}

async function askAll(judge: Judge, asked: Iterable<JudgeQuestion>): Promise<JudgeAnswer[]> {
  const answers: JudgeAnswer[] = [];
  for await (const answer of judge.ask(asked, { reporter: silent })) answers.push(answer);
  return answers.sort((a, b) => Number(a.id.split(" ")[1]) - Number(b.id.split(" ")[1]));
}

async function judged(given: JudgeOptions, asked: Iterable<JudgeQuestion>): Promise<JudgeAnswer[]> {
  const judge = await openJudge(given, ledger);
  try {
    return await askAll(judge, asked);
  } finally {
    await judge.dispose();
  }
}

const ledgerLines = async (): Promise<Record<string, unknown>[]> =>
  (await readFile(ledger, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

const text = (answer: JudgeAnswer): string => ("reply" in answer ? answer.reply.text : answer.failure);

test("every judgment is written with its request and never asked for again", async () => {
  const server = await serve(({ messages }) => ({ text: `Yes to ${messages[0]!.content}` }));
  const first = await judged(options(server), questions(10));
  expect(first.map(text)).toEqual(questions(10).map(({ request }) => `Yes to ${request.messages[0]!.content}`));
  const lines = await ledgerLines();
  expect(lines).toHaveLength(10);
  expect(Object.keys(lines[0]!)).toEqual(["key", "id", "url", "model", "request", "reply"]);
  expect(lines.find(({ id }) => id === "question 3")).toMatchObject({
    model: "critic",
    request: question(3).request,
    reply: { text: "Yes to Is answer 3 good?", finish: "stop", topLogprobs: null, answerTokens: 6 },
  });
  const again = await judged(options(server), questions(12));
  expect(server.count).toBe(12);
  expect(again.map((answer) => "fromLedger" in answer && answer.fromLedger)).toEqual([
    ...Array(10).fill(true),
    false,
    false,
  ]);
  expect(again.slice(0, 10).map(text)).toEqual(first.map(text));
});

test("the key is the whole request: another temperature, another model and another prefix are asked anew", async () => {
  const server = await serve(() => ({ text: "fine" }));
  await judged(options(server), [question(0)]);
  const { id, request } = question(0);
  await judged(options(server), [{ id, request: { ...request, temperature: 1 } }]);
  await judged(options(server), [{ id, request: { ...request, topLogprobs: 5 } }]);
  await judged(options(server), [{ id, request: { ...request, messages: [{ role: "system", content: "Hm" }] } }]);
  const other = options(server);
  await judged({ endpoint: { ...other.endpoint, model: "other" } }, [question(0)]);
  expect(server.count).toBe(5);
});

test("a judge that moved to another address is not asked again, and a warning says so", async () => {
  const [old, moved] = [await serve(() => ({ text: "old" })), await serve(() => ({ text: "new" }))];
  await judged(options(old), questions(3));
  const judge = await openJudge(options(moved), ledger);
  const events: ReporterEvent[] = [];
  const texts: string[] = [];
  for await (const answer of judge.ask(questions(3), { reporter: { report: (event) => events.push(event) } })) {
    texts.push(text(answer));
  }
  await judge.dispose();
  expect(texts).toEqual(["old", "old", "old"]);
  expect(moved.count).toBe(0);
  const message = `the ledger's judgments by critic at ${old.url} are taken, though it is now asked at ${moved.url}`;
  expect(events).toEqual([{ type: "warning", stage: "judge critic", message }]);
});

test("of equal questions one is asked", async () => {
  const server = await serve(() => ({ text: "the same", delayMs: 20 }));
  const twins = ["question 1", "question 2", "question 3"].map((id) => ({ id, request: question(0).request }));
  expect((await judged(options(server), twins)).map(text)).toEqual(Array(3).fill("the same"));
  expect(server.count).toBe(1);
});

test("the estimate counts what the ledger lacks, at four bytes a token", async () => {
  const server = await serve(() => ({ text: "fine" }));
  await judged(options(server), questions(4));
  const judge = await openJudge(options(server), ledger);
  // "Is answer 5 good?" is 17 bytes: 5 tokens.
  expect(judge.estimate([...questions(6), question(5)])).toEqual({
    calls: 2,
    fromLedger: 5,
    promptTokens: 10,
    answerTokensAtMost: 10,
  });
  await judge.dispose();
  expect(server.count).toBe(4);
});

test("a question without a reply is told, the others go on, and it is asked again next time", async () => {
  let well = false;
  const server = await serve(({ messages }) =>
    messages[0]!.content.includes("2") && !well
      ? { status: 400, body: { error: { message: "The content is filtered" } } }
      : { text: "fine" },
  );
  const answers = await judged(options(server), questions(4));
  expect(answers.map(text)).toEqual([
    "fine",
    "fine",
    `${server.url}/chat/completions: the server refuses the request (HTTP 400: The content is filtered)`,
    "fine",
  ]);
  expect(await ledgerLines()).toHaveLength(3);
  well = true;
  expect((await judged(options(server), questions(4))).map(text)).toEqual(Array(4).fill("fine"));
  expect(server.count).toBe(5);
});

test("the budget in calls stops before it is exceeded, and what was judged is kept", async () => {
  const server = await serve(() => ({ text: "fine" }));
  await expect(judged(options(server, { maxCalls: 7 }), questions(20))).rejects.toMatchObject({
    exitCode: 1,
    message:
      `judge critic: the budget of 7 calls is spent; 7 judgments are kept in ${ledger}, ` +
      "and the same command goes on from there",
  });
  expect(server.count).toBe(7);
  expect(await ledgerLines()).toHaveLength(7);
  expect(await judged(options(server, { maxCalls: 13 }), questions(20))).toHaveLength(20);
});

test("the budget in tokens counts what the server counts, and no call that might exceed it is made", async () => {
  const usage = { prompt_tokens: 10, completion_tokens: 2 };
  const server = await serve(() => ({ text: "fine", usage }));
  // A call takes 12, and at most 17 bytes + 16 around them + 5 of the answer = 38: after 6 calls 28 of 100 are left.
  await expect(judged(options(server, { maxTokens: 100 }), questions(20))).rejects.toMatchObject({
    exitCode: 1,
    message: expect.stringContaining(
      "of the budget of 100 tokens 28 are left, and the next call may take 38; 6 judgments",
    ),
  });
  expect(server.count).toBe(6);
  const none = options(server, { maxTokens: 0 });
  await expect(judged(none, [question(30)])).rejects.toThrow("of the budget of 0 tokens 0 are left");
  await expect(openJudge(options(server, { maxCalls: 1.5 }), null)).rejects.toThrow(
    "judge critic: the budget in calls: expected a whole number of at least 0, found 1.5",
  );
});

test("a server that hangs ends the judging with one sentence, and finished judgments are kept", async () => {
  const server = await serve(({ index }) => (index < 6 ? { text: "fine" } : { hang: true }));
  const hasty: JudgeOptions = { endpoint: { ...options(server).endpoint, timeoutSeconds: 0.05, attempts: 1 } };
  await expect(judged(hasty, questions(100))).rejects.toMatchObject({
    exitCode: 1,
    message:
      `judge critic: 8 requests in a row got no reply (${server.url}/chat/completions: no reply within 0.05 s); ` +
      `6 judgments are kept in ${ledger}, and the same command goes on from there`,
  });
  expect(await ledgerLines()).toHaveLength(6);
  expect(server.count).toBeLessThan(30);
});

test("where no question gets a reply the judging fails, however few they are", async () => {
  const server = await serve(() => ({ hang: true }));
  const hasty: JudgeOptions = { endpoint: { ...options(server).endpoint, timeoutSeconds: 0.05, attempts: 1 } };
  await expect(judged(hasty, questions(2))).rejects.toMatchObject({
    exitCode: 1,
    message: expect.stringContaining("judge critic: no question of 2 got a reply ("),
  });
});

test("a refused key ends the judging at once with exit code 2, and finished judgments are kept", async () => {
  const server = await serve(({ index }) => (index < 5 ? { text: "fine" } : { status: 401, body: "Expired" }));
  await expect(judged(options(server, {}, 1), questions(100))).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringContaining("wants a key, and none was given (HTTP 401: Expired)"),
  });
  expect(await ledgerLines()).toHaveLength(5);
});

test("an interruption ends what is in flight at once and keeps what is finished", async () => {
  const server = await serve(({ index }) => (index < 6 ? { text: "fine" } : { hang: true }));
  const judge = await openJudge(options(server), ledger);
  const controller = new AbortController();
  const started = performance.now();
  const asking = (async () => {
    let count = 0;
    for await (const _ of judge.ask(questions(50), { reporter: silent, signal: controller.signal })) {
      if (++count === 6) controller.abort();
    }
  })();
  await expect(asking).rejects.toMatchObject({ exitCode: 130 });
  await judge.dispose();
  // The hanging requests have five seconds.
  expect(performance.now() - started).toBeLessThan(2000);
  expect(await ledgerLines()).toHaveLength(6);
});

test("a consumer that stops early leaves nothing in flight and the ledger whole", async () => {
  const server = await serve(() => ({ text: "fine", delayMs: 5 }));
  const judge = await openJudge(options(server), ledger);
  for await (const _ of judge.ask(questions(1000), { reporter: silent })) break;
  await judge.dispose();
  const { count } = server;
  expect(count).toBeLessThan(20);
  await setTimeout(50);
  expect(server.count).toBe(count);
  expect((await judged(options(server), questions(3))).map(text)).toEqual(Array(3).fill("fine"));
});

test("two processes do not write to one ledger; reading it and estimating are free", async () => {
  const server = await serve(() => ({ text: "fine" }));
  const first = await openJudge(options(server), ledger);
  await askAll(first, questions(2));
  const second = await openJudge(options(server), ledger);
  expect(second.estimate(questions(3)).calls).toBe(1);
  await expect(askAll(second, questions(3))).rejects.toMatchObject({
    exitCode: 2,
    message: `${ledger}: process ${process.pid} is writing to it; wait for it, or use another folder`,
  });
  await second.dispose();
  await first.dispose();
  expect(await judged(options(server), questions(3))).toHaveLength(3);
});

test("a torn last line is dropped, and a broken one within is refused by its number", async () => {
  const server = await serve(() => ({ text: "fine" }));
  await judged(options(server), questions(3));
  await appendFile(ledger, '{"key": "abc", "id": "question 3", "repl');
  expect((await judged(options(server), questions(4))).map(text)).toEqual(Array(4).fill("fine"));
  expect(server.count).toBe(4);
  expect(await ledgerLines()).toHaveLength(4);
  await writeFile(ledger, `${await readFile(ledger, "utf8")}not json\n${await readFile(ledger, "utf8")}`);
  await expect(openJudge(options(server), ledger)).rejects.toMatchObject({
    exitCode: 2,
    message: `${ledger}:5: expected a judgment in JSON and UTF-8, found something else; remove this line`,
  });
  await writeFile(ledger, Buffer.from([0x7b, 0xff, 0x7d, 0x0a]));
  await expect(openJudge(options(server), ledger)).rejects.toThrow(
    `${ledger}:1: expected a judgment in JSON and UTF-8`,
  );
});

test("the key of the API is in no file and no message", async () => {
  const apiKey = "sk-secret-0123456789";
  const server = await serve(({ headers, index }) =>
    index < 3
      ? { text: `You sent ${headers.authorization}` }
      : { status: 400, body: { error: { message: `Bad: ${headers.authorization}` } } },
  );
  const endpoint = { ...options(server).endpoint, apiKey };
  const answers = await judged({ endpoint }, questions(6));
  expect(server.requests[0]!.headers.authorization).toBe(`Bearer ${apiKey}`);
  expect(JSON.stringify(answers)).not.toContain(apiKey);
  expect(answers.map(text).filter((said) => said.includes("Bearer [key]"))).toHaveLength(6);
  expect(await readFile(ledger, "utf8")).not.toContain(apiKey);
});

test("a judge that takes no temperature is asked without it, with a warning", async () => {
  const server = await serve(({ temperature }) =>
    temperature === undefined
      ? { text: "fine" }
      : {
          status: 400,
          body: { error: { message: "Unsupported value", param: "temperature", code: "unsupported_value" } },
        },
  );
  const judge = await openJudge(options(server), ledger);
  const messages: string[] = [];
  const reporter = { report: (event: ReporterEvent) => messages.push("message" in event ? event.message : "") };
  for await (const answer of judge.ask(questions(8), { reporter })) expect(text(answer)).toBe("fine");
  await judge.dispose();
  expect(messages).toEqual(["the server takes no temperature for critic, which used its own"]);
  expect((await ledgerLines())[0]!.reply).toMatchObject({ omitted: ["temperature"] });
});

test("killed at any moment, the judging goes on where it was: nothing twice, nothing lost but what was in flight", async () => {
  const asked = new Map<string, number>();
  const server = await serve(async ({ messages }) => {
    const { content } = messages[0]!;
    asked.set(content, (asked.get(content) ?? 0) + 1);
    await setTimeout(3);
    return { text: `on ${content}` };
  });
  const total = 300;
  const concurrency = 8;
  const program = `
    import { openJudge } from "#src/evaluate/judges/open.js";
    const judge = await openJudge(${JSON.stringify(options(server, {}, concurrency))}, ${JSON.stringify(ledger)});
    const questions = Array.from({ length: ${total} }, (_, index) => ({
      id: "question " + index,
      request: { messages: [{ role: "user", content: "Is answer " + index + " good?" }], temperature: 0, maxTokens: 5, topLogprobs: 0 },
    }));
    let given = 0;
    for await (const answer of judge.ask(questions, { reporter: { report() {} } })) process.stdout.write(++given + "\\n");
    await judge.dispose();
  `;
  let given = 0;
  let last = 0;
  for (const killAfter of [20, 45, 70, Number.POSITIVE_INFINITY]) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      cwd: resolve(import.meta.dirname, "../../.."),
      stdio: ["ignore", "pipe", "inherit"],
    });
    last = 0;
    child.stdout.setEncoding("utf8").on("data", (piece: string) => {
      last += piece.split("\n").length - 1;
      if (last >= killAfter) child.kill("SIGKILL");
    });
    await new Promise((closed) => child.once("close", closed));
    const known = existingKeys(await readFile(ledger, "utf8"));
    // What was given out is in the ledger.
    expect(known).toBeGreaterThanOrEqual(last);
    given = Math.max(given, last);
  }
  expect(last).toBe(total);
  expect(await ledgerLines()).toHaveLength(total);
  expect(asked.size).toBe(total);
  const repeated = [...asked.values()].reduce((sum, count) => sum + count - 1, 0);
  // Three kills; at each at most the requests in flight, and replies on their way to the disk, are lost.
  expect(repeated).toBeLessThanOrEqual(3 * 2 * concurrency);
});

function existingKeys(content: string): number {
  return content.split("\n").slice(0, -1).length;
}
