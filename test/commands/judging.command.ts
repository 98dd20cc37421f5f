/** Ten thousand judgments over loopback from a server that is slow, busy, broken and wrong now and then. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { JudgeQuestion } from "#src/evaluate/judges/judge.js";
import { openJudge } from "#src/evaluate/judges/open.js";
import { silent } from "#src/reporter.js";
import { type Behaviour, startServer } from "../engine/endpoint/server.ts";

const JUDGMENTS = 10_000;
const CONCURRENCY = 32;
/** Characters of a question: all of them together are 20 MB. */
const LONG = 2_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapMegabytes(): number {
  collect();
  return process.memoryUsage().heapUsed / 1e6;
}

function behaviour(index: number): Behaviour {
  const turn = index % 100;
  if (turn < 2) return { text: "slow", delayMs: 50 };
  if (turn < 4) return { status: 429, headers: { "retry-after": "0" }, body: { error: { message: "Slow down" } } };
  if (turn === 4) return index % 400 === 4 ? { broken: "within" } : { text: "fine" };
  if (turn === 5) return { status: 200, body: "<html>Welcome</html>" };
  if (turn === 6) return { status: 200, body: Buffer.from([0x7b, 0xff]) };
  return { text: "fine", delayMs: 2 };
}

test("10,000 judgments keep to the concurrency and do not grow memory", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-load-"));
  const server = await startServer(({ index }) => behaviour(index), { record: false });
  const options = {
    endpoint: { url: server.url, model: "critic", concurrency: CONCURRENCY, timeoutSeconds: 10, attempts: 4 },
  };
  const judge = await openJudge(options, join(folder, "judge.jsonl"));
  try {
    let drawn = 0;
    function* questions(): Generator<JudgeQuestion> {
      for (; drawn < JUDGMENTS; drawn++) {
        const content = `Question ${drawn}: ${String.fromCharCode(97 + (drawn % 26)).repeat(LONG)}`;
        const request = {
          messages: [{ role: "user" as const, content }],
          temperature: 0,
          maxTokens: 5,
          topLogprobs: 0,
        };
        yield { id: String(drawn), request };
      }
    }
    const seen = new Set<string>();
    const heaps: number[] = [];
    let [replies, failures, furthestAhead] = [0, 0, 0];
    for await (const answer of judge.ask(questions(), { reporter: silent })) {
      seen.add(answer.id);
      if ("reply" in answer) replies++;
      else failures++;
      furthestAhead = Math.max(furthestAhead, drawn - seen.size);
      if (seen.size % 2_000 === 0) heaps.push(heapMegabytes());
    }
    expect(seen.size).toBe(JUDGMENTS);
    expect(server.mostInFlight).toBeLessThanOrEqual(CONCURRENCY);
    expect(server.mostInFlight).toBeGreaterThan(CONCURRENCY / 2);
    // Questions are drawn as there is room: twice the concurrency.
    expect(furthestAhead).toBeLessThanOrEqual(2 * CONCURRENCY);
    // Two in a hundred replies are wrong; they are not asked again in this run.
    expect(failures).toBeGreaterThan(150);
    expect(failures).toBeLessThan(250);
    expect(replies).toBe(JUDGMENTS - failures);
    // Of each judgment the key and the place remain, some 300 bytes: 2.4 MB for 8,000.
    expect(heaps.at(-1)! - heaps[0]!).toBeLessThan(8);

    // A second run asks for nothing but the failures.
    const before = server.count;
    drawn = 0;
    let again = 0;
    for await (const answer of judge.ask(questions(), { reporter: silent })) {
      if ("reply" in answer && !answer.fromLedger) again++;
      if ("failure" in answer) again++;
    }
    expect(again).toBe(failures);
    expect(server.count - before).toBeLessThan(1.2 * failures);
  } finally {
    await judge.dispose();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
});
