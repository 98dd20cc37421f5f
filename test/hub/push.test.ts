import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCommandLine } from "#src/cli/program.js";
import { pushVerb } from "#src/cli/push.js";
import { memoryStreams } from "../cli/memory-streams.ts";
import { goldenFolder, openServer, temporaryFolder } from "./models.ts";
import { type HubServer, TOKEN } from "./server.ts";

interface Result {
  readonly exitCode: number;
  readonly out: string;
  readonly error: string;
}

type Push = (...arguments_: readonly string[]) => Promise<Result>;

function pushTo(server: HubServer, environment: Record<string, string> = { HF_TOKEN: TOKEN }): Push {
  return async (...arguments_) => {
    const streams = memoryStreams({ environment: { HF_ENDPOINT: server.url, HF_HOME: "/nowhere", ...environment } });
    const exitCode = await runCommandLine(["push", ...arguments_], streams, new AbortController().signal, [pushVerb]);
    return { exitCode, out: streams.stdout.text, error: streams.stderr.text };
  };
}

/** A small model with a card, and files that are no part of it. */
async function modelFolder(): Promise<string> {
  const folder = await temporaryFolder();
  await cp(goldenFolder("qwen2"), folder, { recursive: true });
  for (const name of ["golden.json", "golden.safetensors"]) await rm(join(folder, name));
  await writeFile(join(folder, "README.md"), "---\nlibrary_name: transformers\n---\n# A model\n");
  await writeFile(join(folder, "merge.json"), "{}\n");
  await writeFile(join(folder, "notes.txt"), "mine\n");
  await writeFile(join(folder, ".lock"), "{}\n");
  return folder;
}

const PUSHED = [
  "README.md",
  "config.json",
  "generation_config.json",
  "merge.json",
  "model.safetensors",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

const filesOf = (server: HubServer, repo: string): Map<string, Buffer> => {
  const { refs, commits } = server.repository(repo)!;
  return commits.get(refs.get("main")!)!;
};

describe("push", () => {
  test("uploads a model with its card to a private repository, and nothing that is no part of a model", async () => {
    const server = await openServer();
    const folder = await modelFolder();
    const { exitCode, out, error } = await pushTo(server)(folder, "org/fused");
    expect(exitCode, error).toBe(0);
    const { isPrivate, refs } = server.repository("org/fused")!;
    expect(isPrivate).toBe(true);
    expect(out).toBe(`${server.url}/org/fused/tree/${refs.get("main")}: private, commit ${refs.get("main")}\n`);
    expect(error).toContain(`push: 358 kB in 8 files to ${server.url}/org/fused (private, new)\n`);
    expect(error).toContain("warning: push org/fused: no part of a model, and left here: notes.txt\n");
    const files = filesOf(server, "org/fused");
    expect([...files.keys()].sort()).toEqual([".gitattributes", ...PUSHED]);
    for (const [name, bytes] of server.uploads[0]!.files)
      expect(bytes, name).toEqual(await readFile(join(folder, name)));
    expect(server.uploads.map(({ branch, summary }) => [branch, summary])).toEqual([["main", "Upload 8 files"]]);
    const elsewhere = server.asked.filter(({ host }) => host === "cdn");
    expect(elsewhere.map(({ token }) => token)).toEqual(elsewhere.map(() => undefined));
    expect(elsewhere.length).toBe(2);
  });

  test("for everybody only where that is asked for", async () => {
    const server = await openServer();
    expect((await pushTo(server)(await modelFolder(), "org/fused", "--public")).exitCode).toBe(0);
    expect(server.repository("org/fused")!.isPrivate).toBe(false);
    const again = await pushTo(server)(await modelFolder(), "org/fused");
    expect(again).toMatchObject({ exitCode: 2 });
    expect(again.error).toMatch(
      /^org\/fused: .* shows this repository to everybody; add --public if the model may be seen, or choose another name\n$/,
    );
  });

  test("--dry-run says what, and does nothing", async () => {
    const server = await openServer();
    const folder = await modelFolder();
    const { exitCode, out } = await pushTo(server)(folder, "org/fused", "--dry-run");
    expect(exitCode).toBe(0);
    expect(out).toMatch(
      /^\d+ kB in 8 files to http:\/\/127\.0\.0\.1:\d+\/org\/fused \(private, new\)\n {2}README\.md: 45 B\n/,
    );
    expect(out).toContain("  model.safetensors: 340 kB\n");
    expect(out).toContain("  notes.txt: no part of a model, stays here\nNothing was uploaded.\n");
    const document = JSON.parse((await pushTo(server)(folder, "org/fused", "--dry-run", "--json")).out.trim());
    expect(document).toMatchObject({
      repo: "org/fused",
      private: true,
      new: true,
      commit: null,
      left_out: ["notes.txt"],
    });
    expect(document.files.map(({ path }: { path: string }) => path)).toEqual(PUSHED);
    expect(server.repository("org/fused")).toBeUndefined();
    expect(server.asked.map(({ method }) => method)).toEqual(["GET", "GET"]);
  });

  test("again sends only what is not there, and nothing where all is", async () => {
    const server = await openServer();
    const folder = await modelFolder();
    const push = pushTo(server);
    await push(folder, "org/fused");
    const same = await push(folder, "org/fused");
    expect(same).toMatchObject({
      exitCode: 0,
      out: `${server.url}/org/fused already holds this model; nothing was uploaded\n`,
    });
    await writeFile(join(folder, "README.md"), "# A better card\n");
    const card = await push(folder, "org/fused", "--message", "Say more");
    expect(card.exitCode, card.error).toBe(0);
    expect([...server.uploads.at(-1)!.files.keys()]).toEqual(["README.md"]);
    expect(server.uploads.at(-1)!.summary).toBe("Say more");
  });

  test("replaces another model only where that is asked for, and takes its files away in the same commit", async () => {
    const server = await openServer({
      "org/fused": {
        "config.json": "{}",
        "model-00001-of-00002.safetensors": "old",
        "model.safetensors.index.json": "{}",
        "pytorch_model.bin": "old",
        "README.md": "# Old\n",
        "images/radar.png": "a picture",
      },
    });
    server.protect("org/fused", { isPrivate: true });
    const folder = await modelFolder();
    const push = pushTo(server);
    const refused = await push(folder, "org/fused");
    expect(refused).toMatchObject({
      exitCode: 2,
      error: "org/fused: holds another model already; add --force to replace it (its history keeps what was there)\n",
    });
    expect(server.uploads).toEqual([]);
    const planned = await push(folder, "org/fused", "--force", "--dry-run");
    expect(planned.out).toContain("  pytorch_model.bin: would go\n");
    const replaced = await push(folder, "org/fused", "--force");
    expect(replaced.exitCode, replaced.error).toBe(0);
    expect([...filesOf(server, "org/fused").keys()].sort()).toEqual([...PUSHED, "images/radar.png"].sort());
  });

  test("is repeated where the server is busy or cut, and content that has arrived is not sent again", async () => {
    const server = await openServer();
    const folder = await modelFolder();
    server.fail(/^cdn PUT/, { kind: "status", status: 503, headers: { "retry-after": "0" } });
    server.fail(/^hub POST .*commit/, { kind: "status", status: 429, headers: { "retry-after": "0" } });
    const { exitCode, error } = await pushTo(server)(folder, "org/fused");
    expect(exitCode, error).toBe(0);
    expect(server.asked.filter(({ method, host }) => host === "cdn" && method === "PUT").length).toBe(3);
    const broken = await openServer();
    broken.fail(/^hub POST .*commit/, { kind: "status", status: 400, body: '{"error": "no"}' });
    const failed = await pushTo(broken)(folder, "org/fused");
    expect(failed).toMatchObject({
      exitCode: 1,
      error: expect.stringMatching(/org\/fused: 127\.0\.0\.1:\d+ answers 400 \(no\)\n$/),
    });
    const puts = broken.asked.filter(({ method }) => method === "PUT").length;
    expect((await pushTo(broken)(folder, "org/fused")).exitCode).toBe(0);
    expect(broken.asked.filter(({ method }) => method === "PUT").length).toBe(puts);
  });

  test("asks for what it needs, one sentence each", async () => {
    const server = await openServer();
    const folder = await modelFolder();
    const refusal = async (push: Push, ...arguments_: readonly string[]): Promise<string> => {
      const { exitCode, error } = await push(...arguments_);
      expect(exitCode).toBe(2);
      return error;
    };
    const push = pushTo(server);
    expect(await refusal(pushTo(server, {}), folder, "org/fused")).toMatch(
      /^org\/fused: an upload to 127\.0\.0\.1:\d+ needs a token; set HF_TOKEN to one that may write\n$/,
    );
    expect(await refusal(pushTo(server, { HF_TOKEN: TOKEN, HF_HUB_OFFLINE: "1" }), folder, "org/fused")).toBe(
      "org/fused: HF_HUB_OFFLINE is set, and nothing can be uploaded without a network\n",
    );
    expect(await refusal(push, folder, "fused")).toBe('"fused": expected org/name, as a model of the Hub is called\n');
    expect(await refusal(push, folder, "org/fused@main")).toBe(
      '"org/fused@main": expected org/name, as a model of the Hub is called\n',
    );
    expect(await refusal(push, join(folder, "nowhere"), "org/fused")).toBe(
      `${folder}/nowhere: no such file or folder\n`,
    );
    expect(await refusal(pushTo(server, { HF_TOKEN: "hf_other" }), folder, "org/fused")).toMatch(
      /does not take the token that is set\n$/,
    );
    await rm(join(folder, "README.md"));
    expect(await refusal(push, folder, "org/fused")).toBe(
      `${folder}: expected a model card, README.md, found none; merges and targets have one, of other models write what they are\n`,
    );
    await writeFile(join(folder, "README.md"), "# A model\n");
    await rm(join(folder, "model.safetensors"));
    expect(await refusal(push, folder, "org/fused")).toBe(
      `${folder}: expected model.safetensors or model.safetensors.index.json, found neither\n`,
    );
    expect(server.asked.filter(({ method }) => method !== "GET" && method !== "POST")).toEqual([]);
  });
});
