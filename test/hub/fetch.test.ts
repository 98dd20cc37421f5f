import { lstat, mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sha256OfFile } from "#src/formats/files.js";
import { openWeights } from "#src/formats/weights.js";
import { parseHubId } from "#src/hub/id.js";
import { goldenFiles, goldenFolder, openServer, openTestHub, temporaryFolder } from "./models.ts";
import { TOKEN } from "./server.ts";

const id = (text: string) => parseHubId(text)!;

/** The folder of a model in a home. */
function rootOf(home: string): string {
  return join(home, "hub/models--org--qwen2");
}

describe("a model of the Hub", () => {
  test("comes into the ordinary cache, only what is needed of it, and no pickle", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { hub, home } = await openTestHub(server);
    const folder = await hub.fetch(id("org/qwen2"));
    const commit = server.repository("org/qwen2")!.refs.get("main")!;
    expect(folder).toBe(join(rootOf(home), "snapshots", commit));
    expect(await readFile(join(rootOf(home), "refs/main"), "utf8")).toBe(commit);
    expect((await readdir(folder)).sort()).toEqual([
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    for (const name of await readdir(folder)) {
      const link = await readlink(join(folder, name));
      expect(link).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}([0-9a-f]{24})?$/);
      expect(await sha256OfFile(join(folder, name))).toBe(await sha256OfFile(join(goldenFolder("qwen2"), name)));
    }
    const asked = server.asked.map(({ path }) => path);
    expect(asked.filter((path) => path.includes(".bin") || path.includes("README"))).toEqual([]);
  });

  test("is not fetched again, by whatever revision it is called", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { home, hub } = await openTestHub(server);
    const folder = await hub.fetch(id("org/qwen2"));
    const commit = server.repository("org/qwen2")!.refs.get("main")!;
    const before = server.asked.length;
    for (const text of ["org/qwen2", `org/qwen2@${commit}`]) {
      const again = await openTestHub(server, { home });
      expect(await again.hub.fetch(id(text))).toBe(folder);
    }
    expect(server.asked.slice(before).filter(({ path }) => path.includes("/resolve/"))).toEqual([]);
  });

  test("of a second commit only the files that changed come", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { home, hub } = await openTestHub(server);
    await hub.fetch(id("org/qwen2"));
    const commit = server.add("org/qwen2", { "generation_config.json": "{}" });
    const before = server.asked.length;
    const again = await openTestHub(server, { home });
    expect(await again.hub.fetch(id("org/qwen2"))).toContain(commit);
    const resolved = server.asked.slice(before).filter(({ path }) => path.includes("/resolve/"));
    expect(resolved.map(({ path }) => path.split("/").at(-1))).toEqual(["generation_config.json"]);
    expect(await readFile(join(rootOf(home), "refs/main"), "utf8")).toBe(commit);
  });

  test("tells source and size before anything comes, and the rate on the way", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { hub, events, home } = await openTestHub(server);
    await hub.fetch(id("org/qwen2"));
    const summaries = events.flatMap((event) =>
      event.type === "end" && event.stage === "fetch" ? [event.summary] : [],
    );
    const commit = server.repository("org/qwen2")!.refs.get("main")!.slice(0, 12);
    const host = new URL(server.url).host;
    expect(summaries.at(-1)).toBe(`org/qwen2@${commit}: 341 kB in 1 file (weights) from ${host} into ${home}/hub`);
    const progress = events.filter((event) => event.type === "progress");
    expect(progress.at(-1)).toMatchObject({ stage: "fetch org/qwen2", done: 0.4, total: 0.4, unit: "MB" });
  });

  test("in shards: those that the index names, and not its pickles", async () => {
    const { "model.safetensors": weights, ...files } = await goldenFiles("qwen2");
    const { tensors } = await openWeights(goldenFolder("qwen2"));
    const index = Object.fromEntries([...tensors.keys()].map((name) => [name, "model-00001-of-00001.safetensors"]));
    const server = await openServer({
      "org/qwen2": {
        ...files,
        "model-00001-of-00001.safetensors": weights!,
        "model.safetensors.index.json": JSON.stringify({ weight_map: index }),
        "consolidated.safetensors": "another form of the same",
      },
    });
    const { hub } = await openTestHub(server);
    const folder = await hub.fetch(id("org/qwen2"));
    expect((await readdir(folder)).filter((name) => name.includes("safetensors")).sort()).toEqual([
      "model-00001-of-00001.safetensors",
      "model.safetensors.index.json",
    ]);
    expect((await openWeights(folder)).tensors.size).toBe(tensors.size);
  });

  test("without safetensors is refused before anything is fetched of it but config and tokenizer", async () => {
    const { "model.safetensors": _, ...files } = await goldenFiles("qwen2");
    const server = await openServer({ "org/qwen2": files });
    const { hub } = await openTestHub(server);
    await expect(hub.fetch(id("org/qwen2"))).rejects.toMatchObject({
      code: "input",
      message: expect.stringMatching(/^org\/qwen2\/pytorch_model\.bin: pickled weights can run code/),
    });
  });

  test("has its code beside it where its config names classes of it, since outputs need that", async () => {
    const files = await goldenFiles("internlm2");
    const server = await openServer({
      "org/qwen2": { ...files, "modeling_x.py": "x = 1\n", "sub/evil.py": "x = 2\n" },
    });
    const { hub } = await openTestHub(server);
    const folder = await hub.fetch(id("org/qwen2"));
    const config = JSON.parse(await readFile(join(goldenFolder("internlm2"), "config.json"), "utf8"));
    expect((await readdir(folder)).includes("modeling_x.py")).toBe("auto_map" in config);
    expect((await readdir(folder)).includes("sub")).toBe(false);
  });
});

describe("an outline", () => {
  test("is all that can be known before a byte of weights moves", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { hub, home } = await openTestHub(server);
    const outline = await hub.outline(id("org/qwen2"));
    const path = join(outline.folder, "model.safetensors");
    expect(outline.weights).toEqual({ files: 1, bytes: 340464 });
    expect([...outline.missing.values()]).toEqual([340464]);
    expect(outline.problem).toBeNull();
    await expect(lstat(path)).rejects.toThrow();
    const asked = server.asked.filter(({ path: asked }) => asked.includes("model.safetensors"));
    expect(asked.map(({ range }) => range)).toEqual(["bytes=0-65535"]);
    // The tensors are said to lie where they will be, and once they are there they can be read.
    const { tensors } = await openWeights(outline.folder, outline.headers);
    const local = await openWeights(goldenFolder("qwen2"));
    expect([...tensors.values()].map(({ file: _, ...info }) => info)).toEqual(
      [...local.tensors.values()].map(({ file: _, ...info }) => info),
    );
    expect(new Set([...tensors.values()].map(({ file }) => file))).toEqual(new Set([path]));
    await (await openTestHub(server, { home })).hub.fetch(id("org/qwen2"));
    const [name] = tensors.keys();
    expect(await (await openWeights(outline.folder, outline.headers)).float32(name!)).toEqual(
      await local.float32(name!),
    );
  });

  test("of a model that is here asks for no byte of it", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { hub, home } = await openTestHub(server);
    await hub.fetch(id("org/qwen2"));
    const before = server.asked.length;
    const { weights, missing, headers } = await (await openTestHub(server, { home })).hub.outline(id("org/qwen2"));
    expect(weights).toEqual({ files: 1, bytes: 340464 });
    expect(missing.size).toBe(0);
    expect(headers.size).toBe(0);
    expect(server.asked.slice(before).filter(({ path }) => path.includes("/resolve/"))).toEqual([]);
  });
});

describe("without a network", () => {
  test("what the cache has is used, and told of", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { hub, home } = await openTestHub(server);
    const folder = await hub.fetch(id("org/qwen2"));
    const commit = server.repository("org/qwen2")!.refs.get("main")!;
    await server.close();
    const { hub: later, events } = await openTestHub(server, { home });
    expect(await later.fetch(id("org/qwen2"))).toBe(folder);
    const host = new URL(server.url).host;
    expect(events).toEqual([
      {
        type: "warning",
        stage: "fetch",
        message: `org/qwen2: ${host} cannot be reached (nothing listens there, 4 times in a row); the copy of ${commit.slice(0, 12)} in the cache is used`,
      },
    ]);
  });

  test("HF_HUB_OFFLINE asks nobody, and says what the cache lacks", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const { hub, home } = await openTestHub(server);
    await hub.outline(id("org/qwen2"));
    const before = server.asked.length;
    const offline = await openTestHub(server, { home, HF_HUB_OFFLINE: "1" });
    await expect(offline.hub.fetch(id("org/qwen2"))).rejects.toThrow(
      /^org\/qwen2: HF_HUB_OFFLINE is set, and the copy in the cache is without model\.safetensors: /,
    );
    await expect(offline.hub.fetch(id("org/other"))).rejects.toThrow(
      `org/other: no folder of this name is here, HF_HUB_OFFLINE is set, and ${home}/hub has no copy of it`,
    );
    await hub.fetch(id("org/qwen2"));
    const later = server.asked.length;
    expect(await (await openTestHub(server, { home, HF_HUB_OFFLINE: "1" })).hub.fetch(id("org/qwen2"))).toContain(
      "snapshots",
    );
    expect(before).toBeGreaterThan(0);
    expect(server.asked.length).toBe(later);
  });

  test("one sentence says that there is neither a folder, nor a server, nor a copy", async () => {
    const server = await openServer();
    await server.close();
    const { hub, home, waits } = await openTestHub(server);
    await expect(hub.fetch(id("org/qwen2"))).rejects.toMatchObject({
      code: "failed",
      message: `org/qwen2: ${new URL(server.url).host} cannot be reached: nothing listens there, 4 times in a row; no folder of this name is here, and no copy in ${home}/hub`,
    });
    expect(waits).toEqual([1, 2, 4]);
  });
});

describe("a token", () => {
  test("opens private and gated models, and goes to the endpoint alone", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    server.protect("org/qwen2", { isPrivate: true, isGated: true });
    const { hub } = await openTestHub(server, { HF_TOKEN: TOKEN });
    await hub.fetch(id("org/qwen2"));
    const tokens = (host: string): Set<string | undefined> =>
      new Set(server.asked.filter((asked) => asked.host === host).map(({ token }) => token));
    expect(tokens("hub")).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(tokens("cdn")).toEqual(new Set([undefined]));
  });

  test("is read from the file that a login leaves", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    server.protect("org/qwen2", { isPrivate: true });
    const home = await temporaryFolder();
    await writeFile(join(home, "token"), `${TOKEN}\n`);
    await (await openTestHub(server, { home })).hub.text(id("org/qwen2"));
    const elsewhere = join(await temporaryFolder(), "my-token");
    await writeFile(elsewhere, TOKEN);
    await (await openTestHub(server, { HF_TOKEN_PATH: elsewhere })).hub.text(id("org/qwen2"));
    const kept = await openTestHub(server, { home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" });
    await expect(kept.hub.text(id("org/qwen2"))).rejects.toThrow("has no such model");
  });

  test("a missing, private or gated model is one sentence each", async () => {
    const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
    const host = new URL(server.url).host;
    const refusal = async (text: string, environment = {}): Promise<unknown> =>
      (await openTestHub(server, environment)).hub.fetch(id(text)).catch(({ code, message }) => `${code}: ${message}`);
    expect(await refusal("org/nothing")).toBe(
      `input: org/nothing: no folder of this name is here, and ${host} has no such model; if it is private, set HF_TOKEN to a token that may read it`,
    );
    expect(await refusal("org/nothing", { HF_TOKEN: "hf_other" })).toBe(
      `input: org/nothing: no folder of this name is here, and ${host} has no such model; or it is private and the token that is set may not read it`,
    );
    expect(await refusal("org/qwen2@v9")).toBe(
      `input: org/qwen2@v9: ${host} has no such revision; its branches and tags stand at ${server.url}/org/qwen2`,
    );
    server.protect("org/qwen2", { isGated: true });
    expect(await refusal("org/qwen2")).toMatch(
      `: is gated; ask for access at ${server.url}/org/qwen2 and set HF_TOKEN to a token of yours`,
    );
    expect(await refusal("org/qwen2", { HF_TOKEN: "hf_other" })).toMatch(
      `: is gated, and the token that is set has no access to it; ask for it at ${server.url}/org/qwen2`,
    );
  });
});

test("a snapshot that lost a blob gets it again", async () => {
  const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
  const { hub, home } = await openTestHub(server);
  const folder = await hub.fetch(id("org/qwen2"));
  const blob = join(folder, await readlink(join(folder, "model.safetensors")));
  const { rm } = await import("node:fs/promises");
  await rm(blob);
  await (await openTestHub(server, { home })).hub.fetch(id("org/qwen2"));
  expect(await sha256OfFile(blob)).toBe(await sha256OfFile(join(goldenFolder("qwen2"), "model.safetensors")));
});

test("a file of the right name that somebody put into the snapshot is replaced where its size is another", async () => {
  const server = await openServer({ "org/qwen2": await goldenFiles("qwen2") });
  const { hub, home } = await openTestHub(server);
  const commit = server.repository("org/qwen2")!.refs.get("main")!;
  const folder = join(rootOf(home), "snapshots", commit);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), "{}");
  await hub.fetch(id("org/qwen2"));
  expect(await sha256OfFile(join(folder, "config.json"))).toBe(
    await sha256OfFile(join(goldenFolder("qwen2"), "config.json")),
  );
});
