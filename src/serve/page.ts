/** The page at `/`: its files, read once when the server starts, and what a browser may do with them. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type Table, tableOf } from "../table.ts";

const FOLDER = new URL("../../page/", import.meta.url);

/** By their routes. */
const FILES: Table<string> = tableOf({
  "/": "index.html",
  "/page/style.css": "style.css",
  "/page/main.js": "main.js",
  "/page/chat.js": "chat.js",
  "/page/arena.js": "arena.js",
  "/page/answer.js": "answer.js",
  "/page/server.js": "server.js",
  "/page/markdown.js": "markdown.js",
  "/page/elements.js": "elements.js",
  "/page/conversations.js": "conversations.js",
  "/page/tokens.js": "tokens.js",
  "/page/parting.js": "parting.js",
  "/page/run.js": "run.js",
});

const TYPES: Table<string> = tableOf({
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
});

/** Nothing but the server's own files runs, and nothing is asked elsewhere. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export interface PageFile {
  readonly route: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export async function readPage(): Promise<readonly PageFile[]> {
  return Promise.all(
    Object.entries(FILES).map(async ([route, name]) => ({
      route,
      body: await readFile(fileURLToPath(new URL(name, FOLDER)), "utf8"),
      headers: {
        "content-type": TYPES[name.slice(name.lastIndexOf(".") + 1)]!,
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
      },
    })),
  );
}
