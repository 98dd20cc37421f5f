/** The page of `serve` in a real browser. Screenshots go to the folder that the first line of the output names. */

import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readConversations } from "#src/data/read.js";
import { readVotes } from "#src/evaluate/arena/votes.js";
import { describeInBrowser, eventually, type OpenPage, openPage } from "./browser.ts";

const QUESTION = "What is the capital of Famton?";

describeInBrowser("the page", () => {
  let open: OpenPage;
  let page: Page;
  let folder: string;
  const answers = () => page.locator(".answer");
  const allAnswered = () => page.locator('.answer[aria-busy="false"]');

  beforeAll(async () => {
    const models = ["lab-llama", "lab-mistral", "lab-qwen2"].map((name) => {
      return { name, folder: resolve(import.meta.dirname, "../../lab/models", name) };
    });
    open = await openPage(models, (of) => ({ token: "s3cret", votes: join(of, "votes.jsonl") }), {
      acceptDownloads: true,
    });
    ({ page, folder } = open);
  });
  afterAll(() => open?.close());

  test("asks for the token, then lists the models", async () => {
    await page.getByLabel("This server wants its token").fill("s3cret");
    await page.getByRole("button", { name: "Continue" }).click();
    await eventually(() => page.getByRole("checkbox").count()).toBe(4);
  });

  test("one question to two models: both answer side by side, with their speeds", async () => {
    await page.getByLabel("Temperature").fill("0");
    await page.locator("#question").fill(QUESTION);
    await page.keyboard.press("Control+Enter");
    await eventually(() => allAnswered().count()).toBe(2);
    const boxes = await Promise.all([0, 1].map((at) => answers().nth(at).boundingBox()));
    expect(boxes[0]!.y).toBe(boxes[1]!.y);
    expect(boxes[1]!.x).toBeGreaterThan(boxes[0]!.x + boxes[0]!.width);
    expect(await answers().first().innerText()).toMatch(/^lab-llama\n+\d+ tokens? in [\d.]+ s.*\n+\S/);
    expect(await page.getByRole("status").innerText()).toBe("All have answered.");
    await eventually(() => page.locator("#rounds").innerText()).toMatch(/The answers (part|are the same)/);
    await open.shot("side-by-side");
  });

  test("the question can be changed and asked again, and what came after it is gone", async () => {
    await page.locator("#question").fill("Who visits Famton?");
    await page.getByRole("button", { name: "Send" }).click();
    await eventually(() => allAnswered().count()).toBe(4);
    await page.getByRole("button", { name: "Edit" }).first().click();
    await page.locator("#question").fill("What is 27 plus 35?");
    await page.keyboard.press("Control+Enter");
    await eventually(() => allAnswered().count()).toBe(2);
    expect(await page.getByRole("heading", { level: 2 }).allInnerTexts()).toEqual(["What is 27 plus 35?"]);
    await page.getByRole("button", { name: "Again" }).click();
    await eventually(() => page.getByRole("status").innerText()).toBe("All have answered.");
  });

  test("every token shows its probability and what else might have stood there", async () => {
    await page.getByLabel("Probabilities of tokens").check();
    await page.getByRole("button", { name: "Again" }).click();
    await eventually(() => page.locator(".token").count()).toBeGreaterThan(2);
    await eventually(() => page.getByRole("status").innerText()).toBe("All have answered.");
    await page.locator(".token").first().focus();
    await page.keyboard.press("Enter");
    expect(await page.locator(".alternatives tr").count()).toBe(6);
    await open.shot("probabilities");
    await page.getByLabel("Probabilities of tokens").uncheck();
  });

  test("conversations outlive the page, and are saved as fusechat reads them", async () => {
    await page.reload();
    await page.getByRole("button", { name: "What is 27 plus 35?", exact: true }).click();
    await eventually(() => answers().count()).toBe(2);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save all" }).click(),
    ]);
    const path = join(folder, "conversations.jsonl");
    await download.saveAs(path);
    const { conversations } = await readConversations(path);
    expect(conversations.map(({ turns }) => turns.map(({ role }) => role))).toEqual([
      ["user", "assistant"],
      ["user", "assistant"],
    ]);
  });

  test("Markdown becomes elements, and nothing that a model says becomes markup", async () => {
    const text = [
      "# Title",
      "A **bold** and *slanted* `code`, [link](https://a.example/b) [bad](javascript:alert(1)) <img src=x onerror=alert(1)>",
      "",
      "- one",
      "  1. inner",
      "- two",
      "",
      "> said",
      "",
      "```js",
      "<b>&amp;</b>",
    ].join("\n");
    const found = await page.evaluate(`(async () => {
      const { markdown } = await import("/page/markdown.js");
      const place = document.createElement("div");
      place.append(...markdown(${JSON.stringify(text)}));
      return place.innerHTML;
    })()`);
    expect(found).toBe(
      "<h4>Title</h4><p>A <strong>bold</strong> and <em>slanted</em> <code>code</code>, " +
        '<a href="https://a.example/b" rel="noopener noreferrer" target="_blank">link</a> [bad](javascript:alert(1)) ' +
        "&lt;img src=x onerror=alert(1)&gt;</p>" +
        '<ul><li>one<ol start="1"><li>inner</li></ol></li><li>two</li></ul><blockquote><p>said</p></blockquote>' +
        '<pre tabindex="0"><code>&lt;b&gt;&amp;amp;&lt;/b&gt;</code></pre>',
    );
  });

  test("a vote is blind, shows the names afterwards, and is a line that evaluate arena reads", async () => {
    await page.getByRole("button", { name: "Arena" }).click();
    await page.locator("#question").fill(QUESTION);
    await page.keyboard.press("Control+Enter");
    await eventually(() => page.getByRole("group", { name: "Your vote" }).getByRole("button").count()).toBe(4);
    expect(await page.locator("#rounds").innerText()).not.toMatch(/lab-/);
    await page.getByRole("button", { name: "B is better" }).click();
    await eventually(() => page.getByRole("status").innerText()).toMatch(/^The vote is kept/);
    expect(await page.locator("#rounds").innerText()).toMatch(/A was lab-\w+, B was lab-\w+\./);
    await open.shot("vote");
    const { votes } = await readVotes([join(folder, "votes.jsonl")]);
    expect(votes).toEqual([
      { models: [expect.stringMatching(/^lab-/), expect.stringMatching(/^lab-/)], outcome: "right" },
    ]);
    const [line] = (await readFile(join(folder, "votes.jsonl"), "utf8")).split("\n");
    expect(JSON.parse(line!).states[0].messages[0]).toEqual(["user", QUESTION]);
    await page.getByRole("button", { name: "Chat", exact: true }).click();
  });

  test("a window as wide as a telephone scrolls in one direction only, dark as well as light", async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 360, height: 740 });
    await page.locator("#question").fill(QUESTION);
    await page.keyboard.press("Control+Enter");
    await eventually(() => page.getByRole("status").innerText()).toBe("All have answered.");
    const wide = await page.evaluate("document.documentElement.scrollWidth");
    expect(wide).toBeLessThanOrEqual(360);
    await open.shot("narrow-dark");
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
  });

  test("a connection that breaks is told where the answer would stand, and what came stays", async () => {
    const proxy = await cuttingProxy(Number(new URL(open.server.url).port));
    const broken = await (await open.browser.newContext()).newPage();
    await broken.goto(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    await broken.getByLabel("This server wants its token").fill("s3cret");
    await broken.getByRole("button", { name: "Continue" }).click();
    await broken.locator("#question").fill(QUESTION);
    await broken.keyboard.press("Control+Enter");
    await eventually(() => broken.locator(".answer .error").count()).toBe(2);
    expect(await broken.locator(".answer .error").first().innerText()).toMatch(/^No more came: /);
    expect(await broken.locator(".answer .text").first().innerText()).toMatch(/^\w.*\n+No more came: /);
    expect(await broken.getByRole("status").innerText()).toBe("Not all have answered to the end.");
    await open.shot("broken", broken);
    await broken.close();
    proxy.closeAllConnections();
    proxy.close();
  });

  test("nothing was asked elsewhere, and nothing went wrong", () => {
    expect(open.foreign).toEqual([]);
    expect(open.problems).toEqual([]);
  });
});

/** Passes everything on, and cuts streams after the fourth piece of an answer. */
async function cuttingProxy(port: number): Promise<Server> {
  const proxy = createServer();
  proxy.on("request", (request, response) => {
    const upstream = connect(port, "127.0.0.1");
    const { host: _, connection: __, ...headers } = request.headers;
    const lines = Object.entries({
      ...headers,
      host: `127.0.0.1:${port}`,
      origin: `http://127.0.0.1:${port}`,
      connection: "close",
    });
    upstream.write(
      `${request.method} ${request.url} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
    );
    request.pipe(upstream, { end: false });
    let told = "";
    upstream.on("data", (data: Buffer) => {
      const text = data.toString("latin1");
      const pieces = [...(told + text).matchAll(/"delta":\{"content":.*\n\n/g)];
      const last = pieces[3];
      const end = last === undefined ? -1 : last.index + last[0].length - 2;
      const kept = end < 0 ? text.length : Math.max(0, end + 2 - told.length);
      response.socket?.write(data.subarray(0, kept));
      told += text;
      if (end < 0) return;
      // A browser drops what it has not yet read of a connection that is gone.
      upstream.pause();
      setTimeout(() => upstream.destroy(), 1000);
    });
    upstream.on("close", () => response.socket?.destroy());
  });
  await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
  return proxy;
}
