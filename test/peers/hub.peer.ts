/** One cache for this program and for Python's huggingface_hub: what either has fetched the other finds. */
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseHubId } from "#src/hub/id.js";
import { goldenFiles, openServer, openTestHub, temporaryFolder } from "../hub/models.ts";
import type { HubServer } from "../hub/server.ts";
import { TOKEN } from "../hub/server.ts";
import { describeWithPeers, runScript } from "./python.ts";

const MODEL = parseHubId("org/qwen2")!;
const NEEDED = [
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

interface Scan {
  readonly warnings: readonly string[];
  readonly repos: Readonly<
    Record<string, Readonly<Record<string, { refs: string[]; files: string[]; bytes: number }>>>
  >;
}

describeWithPeers("huggingface_hub", "the cache was not looked at with Python's eyes", () => {
  const python = <Answer>(server: HubServer, home: string, what: string, job: object = {}): Promise<Answer> =>
    runScript<Answer>(
      "hub_cache.py",
      { what, home, endpoint: server.url, repo: "org/qwen2", ...job },
      { packages: "environment" },
    );
  const served = async (): Promise<HubServer> => openServer({ "org/qwen2": await goldenFiles("qwen2") });
  const bodies = (server: HubServer, first = 0): readonly string[] =>
    server.asked.slice(first).flatMap(({ method, path, host }) => {
      const isBody = method === "GET" && (host === "cdn" || path.includes("/resolve/"));
      return isBody ? [path] : [];
    });

  test("finds what this program has fetched, and fetches nothing of it again", async () => {
    const server = await served();
    const { hub, home } = await openTestHub(server);
    const folder = await hub.fetch(MODEL);
    const commit = server.repository("org/qwen2")!.refs.get("main")!;
    const before = server.asked.length;
    let bytes = 0;
    for (const name of NEEDED) bytes += (await stat(join(folder, name))).size;
    expect(await python<Scan>(server, home, "scan")).toEqual({
      warnings: [],
      repos: { "org/qwen2": { [commit]: { refs: ["main"], files: NEEDED, bytes } } },
    });
    expect(await python(server, home, "snapshot", { local: true })).toBe(folder);
    expect(await python(server, home, "snapshot", { offline: true })).toBe(folder);
    expect(await python(server, home, "snapshot", { local: true, revision: commit })).toBe(folder);
    expect(await python(server, home, "files", { local: true, files: NEEDED })).toEqual(
      NEEDED.map((name) => join(folder, name)),
    );
    expect(await python(server, home, "snapshot", { patterns: NEEDED })).toBe(folder);
    expect(bodies(server, before)).toEqual([]);
  });

  test("brings what this program then uses as it is", async () => {
    const server = await served();
    const home = await temporaryFolder();
    const folder = await python<string>(server, home, "snapshot");
    expect(await readdir(folder)).toContain("pytorch_model.bin");
    const before = server.asked.length;
    const { hub } = await openTestHub(server, { home });
    expect(await hub.fetch(MODEL)).toBe(folder);
    expect(bodies(server, before)).toEqual([]);
    expect(await (await openTestHub(server, { home, HF_HUB_OFFLINE: "1" })).hub.fetch(MODEL)).toBe(folder);
    // Of a copy in part, what is missing comes.
    const other = await temporaryFolder();
    await python(server, other, "files", { files: ["config.json", "tokenizer.json"] });
    const later = server.asked.length;
    await (await openTestHub(server, { home: other })).hub.fetch(MODEL);
    const names = bodies(server, later).filter((path) => path.includes("/resolve/"));
    expect(names.map((path) => path.split("/").at(-1)).sort()).toEqual(
      NEEDED.filter((name) => name !== "config.json" && name !== "tokenizer.json"),
    );
    expect((await python<Scan>(server, other, "scan")).warnings).toEqual([]);
  });

  test("takes a cache with unfinished downloads for a sound one", async () => {
    const server = await served();
    const { hub, home } = await openTestHub(server);
    await hub.outline(MODEL);
    server.fail(/^cdn GET/, { kind: "cut", after: 1000 });
    server.fail(/^cdn GET/, { kind: "status", status: 500 }, 100);
    await expect(hub.fetch(MODEL)).rejects.toThrow("does not give it");
    const { warnings, repos } = await python<Scan>(server, home, "scan");
    expect(warnings).toEqual([]);
    expect(Object.values(repos["org/qwen2"]!)[0]!.files).toEqual(
      NEEDED.filter((name) => !name.endsWith(".safetensors")),
    );
  });

  test("waits for a file that this program is fetching, and does not fetch it too", async () => {
    const server = await served();
    const home = await temporaryFolder();
    const weights = /^cdn GET \/f66d5488/;
    server.fail(weights, { kind: "slow", bytesPerSecond: 60_000 });
    const { hub } = await openTestHub(server, { home });
    const ours = hub.fetch(MODEL);
    await expect
      .poll(() => server.asked.filter(({ host, path }) => weights.test(`${host} GET ${path}`)).length, {
        timeout: 20_000,
      })
      .toBe(1);
    const [theirs] = await python<string[]>(server, home, "files", { files: ["model.safetensors"] });
    expect(theirs).toBe(join(await ours, "model.safetensors"));
    expect(bodies(server).filter((path) => path.startsWith("/f66d5488")).length).toBe(1);
  });

  test("logs in where this program finds the token", async () => {
    const server = await served();
    server.protect("org/qwen2", { isPrivate: true });
    const home = await temporaryFolder();
    await writeFile(join(home, "token"), TOKEN);
    expect(await python(server, home, "token")).toBe(TOKEN);
    await (await openTestHub(server, { home })).hub.text(MODEL);
  });
});
