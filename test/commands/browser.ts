/** Debian's Chromium, which CI installs, and the page of a server in it. Where there is none, a test says that nothing was looked at. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import type { Engine } from "#src/engine/engine.js";
import { createEngine, modelFacts } from "#src/engine/index.js";
import { type RunningServer, type ServeOptions, startServer } from "#src/serve/serve.js";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
/** Not among the temporary files, which go when the tests end: somebody is to look at them. */
const SHOTS = resolve(import.meta.dirname, "../../out/page");

/** Models are loaded when they are first asked. */
export const eventually = <T>(what: () => T | Promise<T>) => expect.poll(what, { timeout: 60_000 });

export function describeInBrowser(name: string, tests: () => void): void {
  if (CHROMIUM === undefined) {
    console.log(`SKIPPED: there is no Chromium, so nobody looked at ${name}.`);
    test.skip(`${name}, in a browser: there is no Chromium`, () => {});
  }
  describe.runIf(CHROMIUM !== undefined)(name, tests);
}

export interface OpenPage {
  /** Removed at the end. */
  readonly folder: string;
  readonly server: RunningServer;
  readonly browser: Browser;
  readonly page: Page;
  /** Addresses elsewhere that were asked for. */
  readonly foreign: string[];
  /** Errors of the page and of the server. */
  readonly problems: string[];
  /** A screenshot of that name, in the folder that the output names. */
  shot(name: string, page?: Page, options?: { readonly fullPage: boolean }): Promise<unknown>;
  close(): Promise<void>;
}

/** A server of some models, by their names, and its page at the width of a desk. */
export async function openPage(
  models: readonly { readonly name: string; readonly folder: string }[],
  more: (folder: string) => Partial<ServeOptions>,
  context: BrowserContextOptions = {},
): Promise<OpenPage> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-page-test-"));
  await mkdir(SHOTS, { recursive: true });
  console.log(`Screenshots: ${SHOTS}`);
  const problems: string[] = [];
  const foreign: string[] = [];
  const engine: Engine = await createEngine({ kind: "onnx", threads: null });
  const server = await startServer({
    models: await Promise.all(
      models.map(async ({ name, folder: of }) => {
        return { name, folder: of, context: (await modelFacts("onnx", of)).maxPositions };
      }),
    ),
    engine,
    host: "127.0.0.1",
    port: 0,
    token: null,
    mostBytes: 4e9,
    neededBytes: async () => 1e8,
    report: (error) => problems.push(String(error)),
    ...more(folder),
  });
  const browser = await chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox"] });
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 }, ...context })).newPage();
  page.on("request", (request) => {
    if (!request.url().startsWith(server.url) && !/^(data|blob):/.test(request.url())) foreign.push(request.url());
  });
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/401/.test(message.text())) problems.push(message.text());
  });
  await page.goto(server.url);
  return {
    folder,
    server,
    browser,
    page,
    foreign,
    problems,
    shot: (name, of = page, options = { fullPage: true }) =>
      of.screenshot({ path: join(SHOTS, `${name}.png`), ...options }),
    close: async () => {
      await browser.close();
      await server.close();
      await engine.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
