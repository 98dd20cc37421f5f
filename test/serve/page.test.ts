/** What the server gives a browser, and where votes go; the page itself is looked at in `test/commands/page.command.ts`. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "#src/engine/engine.js";
import { createEngine } from "#src/engine/index.js";
import { readVotes } from "#src/evaluate/arena/votes.js";
import { serveGolden, type TestServer } from "./server.ts";

let folder: string;
let engine: Engine;
let server: TestServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-page-"));
  engine = await createEngine({ kind: "onnx", threads: 1 });
  server = await serveGolden(engine, ["mistral", "qwen2"], { token: "s3cret", votes: join(folder, "votes.jsonl") });
});
afterAll(async () => {
  await server.close();
  await engine.dispose();
  await rm(folder, { recursive: true });
});

test("every file of the page is served, also to whoever has no token yet, and may ask nothing but this server", async () => {
  const page = resolve(import.meta.dirname, "../../page");
  for (const name of await readdir(page)) {
    const response = await server.get(name === "index.html" ? "/" : `/page/${name}`);
    expect(response.status, name).toBe(200);
    expect(await response.text()).toBe(await readFile(join(page, name), "utf8"));
    expect(response.headers.get("content-security-policy")).toMatch(
      /default-src 'none'; script-src 'self';.*connect-src 'self'/,
    );
  }
  const html = await readFile(join(page, "index.html"), "utf8");
  expect([...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, address]) => address)).toEqual([
    "data:,",
    "/page/style.css",
    "/page/main.js",
  ]);
  expect((await server.get("/page/../package.json")).status).toBe(401);
});

test("a vote is one line on the disk once it is answered; what is none of this server's models is refused", async () => {
  const headers = { authorization: "Bearer s3cret" };
  const conversations = [0, 1].map((side) => [
    { role: "user", content: "Hello" },
    { role: "assistant", content: `Answer ${side}` },
  ]);
  const vote = { type: "bothbad_vote", models: ["qwen2", "mistral"], conversations };
  const replies = await Promise.all(
    [vote, { ...vote, type: "leftvote" }].map((one) => server.post("/votes", one, headers)),
  );
  expect(replies.map(({ status }) => status)).toEqual([200, 200]);
  const { votes } = await readVotes([join(folder, "votes.jsonl")]);
  expect(votes.map(({ outcome }) => outcome).sort()).toEqual(["both bad", "left"]);
  expect((await server.post("/votes", { ...vote, models: ["qwen2", "gpt"] }, headers)).status).toBe(400);
  expect((await server.post("/votes", { ...vote, type: "upvote" }, headers)).status).toBe(400);
  expect((await server.post("/votes", vote)).status).toBe(401);
  expect((await readFile(join(folder, "votes.jsonl"), "utf8")).split("\n")).toHaveLength(3);
});
