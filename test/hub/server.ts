/**
 * A server on loopback that speaks the Hub's routes, for tests: revisions, trees in pages, files with ranges and
 * redirects to another host, and what an upload takes. It keeps what it was asked, and can be told to go wrong.
 */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

export type Files = Readonly<Record<string, Uint8Array | string>>;

export interface Asked {
  /** The endpoint itself, or the host that weights lie on. */
  readonly host: "hub" | "cdn";
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly token: string | undefined;
  readonly userAgent: string | undefined;
}

/** What goes wrong with an answer. */
export type Fault =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** The connection breaks after so many bytes of the body. */
  | { readonly kind: "cut"; readonly after: number }
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  /** Nothing comes after so many bytes, and the connection stays. */
  | { readonly kind: "hang"; readonly after: number }
  | { readonly kind: "flip"; readonly at: number }
  /** Bytes without end behind the file's own. */
  | { readonly kind: "endless" }
  /** The whole file, whatever range was asked for. */
  | { readonly kind: "whole" }
  | { readonly kind: "redirect"; readonly to: string };

export interface Uploaded {
  readonly repo: string;
  readonly branch: string;
  readonly summary: string;
  readonly files: Map<string, Buffer>;
  readonly removed: readonly string[];
}

interface Repository {
  readonly refs: Map<string, string>;
  readonly commits: Map<string, Map<string, Buffer>>;
  isPrivate: boolean;
  isGated: boolean;
}

export interface HubServer {
  readonly url: string;
  readonly cdnUrl: string;
  /** In the order they came. */
  readonly asked: Asked[];
  readonly uploads: Uploaded[];
  /** Adds a commit to a branch, or makes the repository; returns the commit. */
  add(repo: string, files: Files, branch?: string): string;
  protect(repo: string, how: { isPrivate?: boolean; isGated?: boolean }): void;
  repository(repo: string): Readonly<Repository> | undefined;
  /** Lets the next answers to requests whose host and path fit go wrong. */
  fail(pattern: RegExp, fault: Fault, times?: number): void;
  /** What the tree says instead of the truth. */
  readonly lies: Map<string, Record<string, unknown>>;
  close(): Promise<void>;
}

export const TOKEN = "hf_test";
/** Files a page of a tree. */
const PAGE = 4;
const LFS = /\.(safetensors|bin|model)$|tokenizer\.json$/;

export async function startHub(): Promise<HubServer> {
  const repositories = new Map<string, Repository>();
  const asked: Asked[] = [];
  const uploads: Uploaded[] = [];
  const faults: { pattern: RegExp; fault: Fault; times: number }[] = [];
  const lies = new Map<string, Record<string, unknown>>();
  const objects = new Map<string, Buffer>();

  const takeFault = (line: string): Fault | undefined => {
    const found = faults.find(({ pattern, times }) => times > 0 && pattern.test(line));
    if (found === undefined) return undefined;
    found.times--;
    return found.fault;
  };

  const note = (host: Asked["host"], request: IncomingMessage): Fault | undefined => {
    const { method = "", url = "", headers } = request;
    asked.push({
      host,
      method,
      path: url,
      range: headers.range,
      token: headers.authorization,
      userAgent: headers["user-agent"],
    });
    return takeFault(`${host} ${method} ${url}`);
  };

  const hub = createServer((request, response) => {
    const fault = note("hub", request);
    void answer(request, response, fault).catch((error: unknown) => {
      response.destroy(error as Error);
    });
  });
  const cdn = createServer((request, response) => {
    const fault = note("cdn", request);
    void answerCdn(request, response, fault).catch((error: unknown) => {
      response.destroy(error as Error);
    });
  });
  const url = await listen(hub);
  const cdnUrl = await listen(cdn);

  async function answer(request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): Promise<void> {
    if (fault?.kind === "status" || fault?.kind === "redirect") return refuseWith(response, fault);
    const { pathname, searchParams } = new URL(request.url!, url);
    const mayRead = (repo: Repository | undefined): repo is Repository =>
      repo !== undefined && (!repo.isPrivate || request.headers.authorization === `Bearer ${TOKEN}`);
    const missing = (): void => errorReply(response, 401, "RepoNotFound", "Repository not found");

    const revision = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(pathname);
    if (revision !== null) {
      const repo = repositories.get(revision[1]!);
      if (!mayRead(repo)) return missing();
      const commit = commitOf(repo, decodeURIComponent(revision[2]!));
      if (commit === undefined) return errorReply(response, 404, "RevisionNotFound", "Invalid rev id");
      return json(response, { _id: "1", id: revision[1], sha: commit, private: repo.isPrivate, gated: repo.isGated });
    }
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)$/.exec(pathname);
    if (tree !== null) {
      const repo = repositories.get(tree[1]!);
      if (!mayRead(repo)) return missing();
      const commit = commitOf(repo, decodeURIComponent(tree[2]!));
      if (commit === undefined) return errorReply(response, 404, "RevisionNotFound", "Invalid rev id");
      const entries = treeOf(repo.commits.get(commit)!);
      const first = Number(searchParams.get("cursor") ?? 0);
      const next = first + PAGE;
      const headers: Record<string, string> = {};
      if (next < entries.length) {
        searchParams.set("cursor", String(next));
        headers.link = `<${url}${pathname}?${searchParams}>; rel="next"`;
      }
      return json(response, entries.slice(first, next), headers, fault);
    }
    const resolve = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    if (resolve !== null && (request.method === "GET" || request.method === "HEAD")) {
      const repo = repositories.get(resolve[1]!);
      if (!mayRead(repo)) return missing();
      const commit = commitOf(repo, decodeURIComponent(resolve[2]!));
      const path = decodeURIComponent(resolve[3]!);
      const bytes = commit === undefined ? undefined : repo.commits.get(commit)!.get(path);
      if (commit === undefined) return errorReply(response, 404, "RevisionNotFound", "Invalid rev id");
      if (repo.isGated && request.headers.authorization !== `Bearer ${TOKEN}`) {
        return errorReply(
          response,
          request.headers.authorization === undefined ? 401 : 403,
          "GatedRepo",
          "Access is restricted",
        );
      }
      if (bytes === undefined) return errorReply(response, 404, "EntryNotFound", "Entry not found");
      response.setHeader("x-repo-commit", commit);
      if (!LFS.test(path)) {
        response.setHeader("etag", `"${gitHash(bytes)}"`);
        return send(request, response, bytes, fault);
      }
      const oid = sha256(bytes);
      objects.set(oid, bytes);
      response.setHeader("x-linked-etag", `"${oid}"`);
      response.setHeader("x-linked-size", String(bytes.byteLength));
      response.writeHead(302, { location: `${cdnUrl}/${oid}?signature=of-this-file` });
      response.end();
      return;
    }
    return answerUpload(request, response, pathname, fault);
  }

  async function answerCdn(
    request: IncomingMessage,
    response: ServerResponse,
    fault: Fault | undefined,
  ): Promise<void> {
    if (fault?.kind === "status" || fault?.kind === "redirect") return refuseWith(response, fault);
    const oid = new URL(request.url!, cdnUrl).pathname.slice(1);
    if (request.method === "PUT") {
      objects.set(oid, await bodyOf(request));
      response.writeHead(200).end();
      return;
    }
    const bytes = objects.get(oid);
    if (bytes === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader("etag", `"${oid}"`);
    return send(request, response, bytes, fault);
  }

  async function answerUpload(
    request: IncomingMessage,
    response: ServerResponse,
    pathname: string,
    _fault: Fault | undefined,
  ): Promise<void> {
    const body = await bodyOf(request);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) {
      return errorReply(response, 401, undefined, "Invalid username or password.");
    }
    if (pathname === "/api/whoami-v2") {
      return json(response, {
        type: "user",
        id: "1",
        name: "tester",
        fullname: "Tester",
        orgs: [{ type: "org", id: "2", name: "org", fullname: "Org", roleInOrg: "write" }],
        auth: { type: "access_token", accessToken: { displayName: "test", role: "write" } },
      });
    }
    if (pathname === "/api/repos/create") {
      const { name, organization, visibility } = JSON.parse(String(body));
      const repo = organization === undefined ? `tester/${name}` : `${organization}/${name}`;
      if (repositories.has(repo)) return errorReply(response, 409, undefined, "You already created this model repo");
      repositories.set(repo, newRepository(visibility === "private"));
      addCommit(repo, { ".gitattributes": "" });
      return json(response, { url: `${url}/${repo}` });
    }
    const preupload = /^\/api\/models\/([^/]+\/[^/]+)\/preupload\/([^/]+)$/.exec(pathname);
    if (preupload !== null) {
      const { files } = JSON.parse(String(body)) as { files: { path: string; size: number }[] };
      return json(response, {
        files: files.map(({ path }) => ({ path, uploadMode: LFS.test(path) ? "lfs" : "regular" })),
      });
    }
    const batch = /^\/([^/]+\/[^/]+)\.git\/info\/lfs\/objects\/batch$/.exec(pathname);
    if (batch !== null) {
      const asks = JSON.parse(String(body)) as { objects: { oid: string; size: number }[] };
      return json(response, {
        transfer: "basic",
        objects: asks.objects.map(({ oid, size }) => ({
          oid,
          size,
          ...(objects.has(oid) ? {} : { actions: { upload: { href: `${cdnUrl}/${oid}?signature=of-this-file` } } }),
        })),
      });
    }
    const commit = /^\/api\/models\/([^/]+\/[^/]+)\/commit\/([^/]+)$/.exec(pathname);
    if (commit !== null) {
      const repo = commit[1]!;
      const lines = String(body)
        .split("\n")
        .map((line) => JSON.parse(line));
      const files = new Map<string, Buffer>();
      const removed: string[] = [];
      let summary = "";
      let parent: string | undefined;
      for (const { key, value } of lines) {
        if (key === "header") {
          summary = value.summary;
          parent = value.parentCommit;
        }
        if (key === "file") files.set(value.path, Buffer.from(value.content, value.encoding ?? "utf8"));
        if (key === "lfsFile") {
          const bytes = objects.get(value.oid);
          if (bytes === undefined)
            return errorReply(response, 400, undefined, "LFS pointer pointed to a file that does not exist");
          files.set(value.path, bytes);
        }
        if (key === "deletedFile") removed.push(value.path);
      }
      const branch = decodeURIComponent(commit[2]!);
      if (parent !== undefined && parent !== repositories.get(repo)?.refs.get(branch)) {
        return errorReply(response, 412, undefined, "A commit has happened since. Please refresh and try again.");
      }
      uploads.push({ repo, branch, summary, files, removed });
      const oid = addCommit(repo, Object.fromEntries(files), branch);
      for (const path of removed) repositories.get(repo)!.commits.get(oid)!.delete(path);
      return json(response, {
        success: true,
        commitOid: oid,
        commitUrl: `${url}/${repo}/commit/${oid}`,
        hookOutput: "",
      });
    }
    errorReply(response, 404, undefined, "Not found");
  }

  function addCommit(name: string, files: Files, branch = "main"): string {
    const repo = repositories.get(name) ?? newRepository(false);
    repositories.set(name, repo);
    const commit = randomBytes(20).toString("hex");
    const before = repo.commits.get(repo.refs.get(branch) ?? repo.refs.get("main") ?? "") ?? new Map<string, Buffer>();
    const now = new Map(before);
    for (const [path, content] of Object.entries(files)) now.set(path, Buffer.from(content as Uint8Array));
    repo.commits.set(commit, now);
    repo.refs.set(branch, commit);
    return commit;
  }

  function treeOf(files: ReadonlyMap<string, Buffer>): unknown[] {
    const entries: unknown[] = [];
    const folders = new Set<string>();
    for (const [path, bytes] of files) {
      const folder = path.split("/").slice(0, -1).join("/");
      if (folder !== "" && !folders.has(folder))
        entries.push({ type: "directory", oid: "0".repeat(40), size: 0, path: folder });
      folders.add(folder);
      const pointer = { type: "file", path, size: bytes.byteLength, oid: gitHash(bytes) };
      const lfs = { oid: sha256(bytes), size: bytes.byteLength, pointerSize: 130 };
      entries.push({ ...pointer, ...(LFS.test(path) ? { lfs } : {}), ...lies.get(path) });
    }
    return entries;
  }

  return {
    url,
    cdnUrl,
    asked,
    uploads,
    lies,
    add: addCommit,
    protect: (name, how) => Object.assign(repositories.get(name)!, how),
    repository: (name) => repositories.get(name),
    fail: (pattern, fault, times = 1) => {
      faults.push({ pattern, fault, times });
    },
    close: async () => {
      for (const server of [hub, cdn]) {
        server.closeAllConnections();
        await new Promise<void>((done) => server.close(() => done()));
      }
    },
  };
}

function newRepository(isPrivate: boolean): Repository {
  return { refs: new Map(), commits: new Map(), isPrivate, isGated: false };
}

function commitOf({ refs, commits }: Repository, revision: string): string | undefined {
  return commits.has(revision) ? revision : refs.get(revision);
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function refuseWith(response: ServerResponse, fault: Extract<Fault, { kind: "status" | "redirect" }>): void {
  if (fault.kind === "redirect") response.writeHead(302, { location: fault.to }).end();
  else response.writeHead(fault.status, fault.headers ?? {}).end(fault.body ?? "");
}

function errorReply(response: ServerResponse, status: number, code: string | undefined, message: string): void {
  const headers = { "content-type": "application/json", "x-error-message": message };
  response.writeHead(status, code === undefined ? headers : { ...headers, "x-error-code": code });
  response.end(JSON.stringify({ error: message }));
}

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}, fault?: Fault): void {
  const text = JSON.stringify(value);
  response.writeHead(200, { "content-type": "application/json", ...headers });
  if (fault?.kind === "cut") {
    response.write(text.slice(0, fault.after), () => response.destroy());
    return;
  }
  response.end(text);
}

/** A file or the part of it that is asked for, as well as the fault lets it. */
async function send(
  request: IncomingMessage,
  response: ServerResponse,
  whole: Buffer,
  fault: Fault | undefined,
): Promise<void> {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  response.setHeader("accept-ranges", "bytes");
  let bytes = whole;
  if (from !== undefined && fault?.kind !== "whole") {
    const begin = Number(from);
    const end = to === "" ? whole.byteLength - 1 : Math.min(Number(to), whole.byteLength - 1);
    if (begin >= whole.byteLength) {
      response.writeHead(416, { "content-range": `bytes */${whole.byteLength}` }).end();
      return;
    }
    bytes = whole.subarray(begin, end + 1);
    response.statusCode = 206;
    response.setHeader("content-range", `bytes ${begin}-${end}/${whole.byteLength}`);
  }
  if (fault?.kind === "flip") {
    bytes = Buffer.from(bytes);
    bytes[fault.at]! ^= 1;
  }
  if (fault?.kind !== "endless") response.setHeader("content-length", bytes.byteLength);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  switch (fault?.kind) {
    case "cut":
      response.write(bytes.subarray(0, fault.after), () => response.destroy());
      return;
    case "hang":
      response.write(bytes.subarray(0, fault.after));
      return;
    case "endless":
      response.write(bytes);
      while (!response.destroyed && !response.closed) {
        response.write(Buffer.alloc(1 << 16));
        await wait(1);
      }
      return;
    case "slow": {
      const piece = Math.max(1, Math.round(fault.bytesPerSecond / 20));
      for (let first = 0; first < bytes.byteLength && !response.destroyed; first += piece) {
        response.write(bytes.subarray(first, first + piece));
        await wait(50);
      }
      response.end();
      return;
    }
    default:
      response.end(bytes);
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function gitHash(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.byteLength}\0`).update(bytes).digest("hex");
}
