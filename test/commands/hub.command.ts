/** Every verb that takes a model, given one of the Hub. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCommandLine } from "#src/cli/program.js";
import { loadVerbs } from "#src/cli/verbs.js";
import { memoryStreams } from "../cli/memory-streams.ts";
import { goldenFiles, goldenFolder, openServer, temporaryFolder } from "../hub/models.ts";
import type { HubServer } from "../hub/server.ts";
import { CONVERSATIONS, HELD_OUT } from "../run/fixtures.ts";

interface Result {
  readonly exitCode: number;
  readonly out: string;
  readonly error: string;
}

type Command = (...arguments_: readonly string[]) => Promise<Result>;

/** The command with this server for its Hub, and a cache of its own. */
async function commandWith(server: HubServer, home?: string): Promise<Command> {
  const environment = { HF_ENDPOINT: server.url, HF_HOME: home ?? (await temporaryFolder()) };
  return async (...arguments_) => {
    const streams = memoryStreams({ environment });
    const signal = new AbortController().signal;
    const exitCode = await runCommandLine(arguments_, streams, signal, await loadVerbs(arguments_[0]));
    return { exitCode, out: streams.stdout.text, error: streams.stderr.text };
  };
}

const models = async (...names: readonly string[]) =>
  Object.fromEntries(await Promise.all(names.map(async (name) => [`org/${name}`, await goldenFiles(name)] as const)));

function commitOf(server: HubServer, repo: string): string {
  return server.repository(repo)!.refs.get("main")!;
}

/** Files of weights that were asked for whole. */
function weightsFetched(server: HubServer): readonly string[] {
  return server.asked
    .filter(({ host, path, range }) => host === "hub" && path.endsWith(".safetensors") && range === undefined)
    .map(({ path }) => path);
}

describe("inspect", () => {
  test("says what a model of the Hub is and what is to be fetched, and fetches no weights", async () => {
    const server = await openServer(await models("qwen2"));
    const fusechat = await commandWith(server);
    const { exitCode, out, error } = await fusechat("inspect", "org/qwen2", "--json");
    expect(exitCode, error).toBe(0);
    const there = JSON.parse((await fusechat("inspect", goldenFolder("qwen2"), "--json")).out);
    const { path, folder, fetch, tokenizer, ...rest } = JSON.parse(out);
    expect(path).toBe(`org/qwen2@${commitOf(server, "org/qwen2")}`);
    expect(fetch).toMatchObject({ from: new URL(server.url).host, missing_bytes: 340464, rate: "assumed 12.5 MB/s" });
    expect(fetch.seconds).toBeCloseTo(340464 / 12.5e6, 6);
    for (const key of ["architecture", "parameters", "tensors", "bytes", "dtypes", "limits", "layers", "files"]) {
      expect(rest[key], key).toEqual(there[key]);
    }
    expect(tokenizer.sha256).toBe(there.tokenizer.sha256);
    expect(folder).toContain("snapshots");
    expect(weightsFetched(server)).toEqual([]);
  });

  test("tokens and render bring the tokenizer alone", async () => {
    const server = await openServer(await models("qwen2"));
    const fusechat = await commandWith(server);
    for (const [model, text] of [
      ["org/qwen2", "--text-file"],
      ["org/qwen2@main", "--text-file"],
    ] as const) {
      const { exitCode, out, error } = await fusechat(
        "inspect",
        "tokens",
        "--model",
        model,
        text,
        CONVERSATIONS,
        "--json",
      );
      expect(exitCode, error).toBe(0);
      const local = await fusechat(
        "inspect",
        "tokens",
        "--model",
        goldenFolder("qwen2"),
        text,
        CONVERSATIONS,
        "--json",
      );
      expect(out).toBe(local.out);
    }
    const rendered = await fusechat("inspect", "render", "--model", "org/qwen2", "--data", CONVERSATIONS, "--json");
    const local = await fusechat(
      "inspect",
      "render",
      "--model",
      goldenFolder("qwen2"),
      "--data",
      CONVERSATIONS,
      "--json",
    );
    expect(rendered.out).toBe(local.out);
    expect(server.asked.filter(({ path }) => path.includes("safetensors"))).toEqual([]);
  });

  test("a folder of the name comes first", async () => {
    const server = await openServer(await models("qwen2"));
    const fusechat = await commandWith(server);
    const folder = await temporaryFolder();
    await cp(goldenFolder("llama"), join(folder, "org/qwen2"), { recursive: true });
    const before = process.cwd();
    process.chdir(folder);
    try {
      const { out } = await fusechat("inspect", "org/qwen2", "--json");
      expect(JSON.parse(out)).toMatchObject({ path: "org/qwen2", architecture: "llama" });
    } finally {
      process.chdir(before);
    }
    expect(server.asked).toEqual([]);
  });

  test("what is neither a folder nor on the Hub is one sentence, exit code 2", async () => {
    const server = await openServer();
    const fusechat = await commandWith(server);
    const { exitCode, error, out } = await fusechat("inspect", "org/nothing", "--json");
    expect(exitCode).toBe(2);
    expect(error).toMatch(/^org\/nothing: no folder of this name is here, and .* has no such model; .*\n$/);
    expect(JSON.parse(out)).toMatchObject({ type: "error", code: "input", exit_code: 2 });
    const plain = await fusechat("inspect", "nothing");
    expect(plain).toMatchObject({ exitCode: 2, error: "nothing: no such file or folder\n" });
  });
});

describe("merge", () => {
  const config = (first: string, second: string): string =>
    `merge_method: linear\nmodels:\n  - { model: ${first}, parameters: { weight: 0.25 } }\n  - { model: ${second}, parameters: { weight: 0.75 } }\ndtype: float32\n`;

  test("takes models of the Hub, gives the bytes of the same folders, and records commits", async () => {
    const server = await openServer(await models("qwen2"));
    server.add("org/qwen2", { "generation_config.json": "{}" }, "other");
    const fusechat = await commandWith(server);
    const folder = await temporaryFolder();
    await writeFile(join(folder, "hub.yaml"), config("org/qwen2", "org/qwen2@other"));
    await writeFile(join(folder, "local.yaml"), config(goldenFolder("qwen2"), `${goldenFolder("qwen2")}/`));
    const merged = await fusechat("merge", join(folder, "hub.yaml"), "--out", join(folder, "hub"));
    expect(merged.exitCode, merged.error).toBe(0);
    expect((await fusechat("merge", join(folder, "local.yaml"), "--out", join(folder, "local"))).exitCode).toBe(0);
    expect(await readFile(join(folder, "hub/model.safetensors"))).toEqual(
      await readFile(join(folder, "local/model.safetensors")),
    );
    const names = [commitOf(server, "org/qwen2"), server.repository("org/qwen2")!.refs.get("other")!].map(
      (commit) => `org/qwen2@${commit}`,
    );
    const record = JSON.parse(await readFile(join(folder, "hub/merge.json"), "utf8"));
    expect(record.models.map(({ model }: { model: string }) => model)).toEqual(names);
    expect(record.config.models.map(({ model }: { model: string }) => model)).toEqual(names);
    expect(record.donor).toBe(names[0]);
    const card = await readFile(join(folder, "hub/README.md"), "utf8");
    for (const name of names) expect(card).toContain(`\`${name}\``);
    expect(card).not.toContain("snapshots");
    // Asked for again, it is known; after the branch has moved on, it is another merge.
    const again = await fusechat("merge", join(folder, "hub.yaml"), "--out", join(folder, "hub"));
    expect(again.out).toContain("already holds this merge");
    server.add("org/qwen2", await goldenFiles("qwen2"));
    const moved = await fusechat("merge", join(folder, "hub.yaml"), "--out", join(folder, "hub"));
    expect(moved).toMatchObject({ exitCode: 2 });
    expect(moved.error).toContain("holds another merge");
  });

  test("--plan, and plan, read headers alone and say what is to be fetched", async () => {
    const server = await openServer(await models("qwen2"));
    server.add("org/qwen2", {}, "other");
    const fusechat = await commandWith(server);
    const folder = await temporaryFolder();
    const file = join(folder, "hub.yaml");
    await writeFile(file, config("org/qwen2", "org/qwen2@other"));
    const { exitCode, out, error } = await fusechat("merge", file, "--plan", "--json");
    expect(exitCode, error).toBe(0);
    const { fetch, ...preview } = JSON.parse(out.trim().split("\n").at(-1)!);
    expect(fetch.missing_bytes).toBe(340464);
    expect(preview).toMatchObject({ method: "linear", tensors: 27, parameters: 84432 });
    const planned = await fusechat("plan", file);
    expect(planned.out).toMatch(/to fetch from 127\.0\.0\.1:\d+: 340 kB, about 0\.0 s \(assumed 12\.5 MB\/s\)\n$/);
    expect(weightsFetched(server)).toEqual([]);
  });

  test("takes an adapter of the Hub on a base of the Hub, and an adapter that names its base", async () => {
    const server = await openServer(await models("qwen2"));
    const fusechat = await commandWith(server);
    const folder = await temporaryFolder();
    server.add("org/tuned", { ...(await goldenFiles("qwen2")), "model.safetensors": await nudged() });
    const extracted = await fusechat(
      ...[
        "merge",
        "extract-lora",
        "--base",
        "org/qwen2",
        "--model",
        "org/tuned",
        "--rank",
        "2",
        "--out",
        join(folder, "lora"),
      ],
    );
    expect(extracted.exitCode, extracted.error).toBe(0);
    const adapter = JSON.parse(await readFile(join(folder, "lora/adapter_config.json"), "utf8"));
    expect(adapter).toMatchObject({
      base_model_name_or_path: "org/qwen2",
      revision: commitOf(server, "org/qwen2"),
    });
    const files: Record<string, Uint8Array> = {};
    for (const name of await readdir(join(folder, "lora"))) files[name] = await readFile(join(folder, "lora", name));
    server.add("org/lora", files);
    const merge = async (name: string, model: string): Promise<Buffer> => {
      await writeFile(
        join(folder, `${name}.yaml`),
        `merge_method: linear\nmodels: [{ model: "${model}", parameters: { weight: 1 } }]\n`,
      );
      const planned = await fusechat("merge", join(folder, `${name}.yaml`), "--plan");
      expect(planned.exitCode, planned.error).toBe(0);
      const { exitCode, error } = await fusechat("merge", join(folder, `${name}.yaml`), "--out", join(folder, name));
      expect(exitCode, error).toBe(0);
      return readFile(join(folder, name, "model.safetensors"));
    };
    const both = await merge("both", "org/qwen2+org/lora");
    expect(await merge("alone", "org/lora")).toEqual(both);
    expect(await merge("folder", `${goldenFolder("qwen2")}+${join(folder, "lora")}`)).toEqual(both);
    const card = await readFile(join(folder, "alone/README.md"), "utf8");
    expect(card).toContain(`\`org/qwen2@${commitOf(server, "org/qwen2")}+org/lora@${commitOf(server, "org/lora")}\``);
  });
});

/** The weights of the small Qwen 2 with one matrix changed. */
async function nudged(): Promise<Buffer> {
  const bytes = await readFile(join(goldenFolder("qwen2"), "model.safetensors"));
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  const [begin, end] = header["model.layers.0.mlp.up_proj.weight"].data_offsets as [number, number];
  const data = bytes.subarray(8 + length);
  for (let at = begin; at < end; at += 4) data.writeFloatLE(data.readFloatLE(at) * 1.5, at);
  return bytes;
}

test("distributions of a model of the Hub are those of its folder, under its own name, with its commit beside them", async () => {
  const server = await openServer(await models("qwen2"));
  const fusechat = await commandWith(server);
  const folder = await temporaryFolder();
  for (const [name, model] of [
    ["hub", "org/qwen2"],
    ["local", goldenFolder("qwen2")],
  ] as const) {
    const out = join(folder, name);
    const { exitCode, error } = await fusechat("distributions", "--model", model, "--data", HELD_OUT, "--out", out);
    expect(exitCode, error).toBe(0);
  }
  expect(await readFile(join(folder, "hub/shard-00000.safetensors"))).toEqual(
    await readFile(join(folder, "local/shard-00000.safetensors")),
  );
  const settings = JSON.parse(await readFile(join(folder, "hub/settings.json"), "utf8"));
  expect(settings.model).toBe("qwen2");
  expect(settings.hub).toBe(`org/qwen2@${commitOf(server, "org/qwen2")}`);
  // Where a model was had from decides nothing.
  const again = await fusechat(
    ...["distributions", "--model", goldenFolder("qwen2"), "--data", HELD_OUT, "--out", join(folder, "hub")],
  );
  expect(again.exitCode, again.error).toBe(0);
});

test("evaluate and chat take a model of the Hub, and --plan brings no weights", async () => {
  const server = await openServer(await models("qwen2"));
  const fusechat = await commandWith(server);
  const planned = await fusechat("evaluate", "held-out", "--model", "org/qwen2@main", "--data", HELD_OUT, "--plan");
  expect(planned.exitCode, planned.error).toBe(0);
  expect(weightsFetched(server)).toEqual([]);
  const measured = await fusechat("evaluate", "held-out", "--model", "org/qwen2", "--data", HELD_OUT, "--json");
  const local = await fusechat("evaluate", "held-out", "--model", goldenFolder("qwen2"), "--data", HELD_OUT, "--json");
  expect(measured.exitCode, measured.error).toBe(0);
  expect(JSON.parse(measured.out)).toMatchObject({ model: "org/qwen2" });
  expect(JSON.parse(measured.out).metrics).toEqual(JSON.parse(local.out).metrics);
  const chat = ["--prompt", "Hello", "--max-tokens", "4", "--json"];
  const answered = await fusechat("chat", "org/qwen2", ...chat);
  expect(answered.exitCode, answered.error).toBe(0);
  const { model, ...answer } = JSON.parse(answered.out);
  expect(model).toBe("org/qwen2");
  expect(answer).toEqual({
    ...JSON.parse((await fusechat("chat", goldenFolder("qwen2"), ...chat)).out),
    model: undefined,
  });
});

describe("a recipe", () => {
  const recipe = (pivot: string, source: string): string =>
    `pivot: ${pivot}\nsources: [${source}]\ndata: { path: ${CONVERSATIONS}, held_out_path: ${HELD_OUT}, max_length: 512 }\n`;

  test("of models of the Hub is validated and planned as one of their folders, without their weights", async () => {
    const server = await openServer(await models("mistral", "qwen2"));
    const fusechat = await commandWith(server);
    const folder = await temporaryFolder();
    const hub = join(folder, "hub.yaml");
    const local = join(folder, "local.yaml");
    await writeFile(hub, recipe("org/mistral", "{ model: org/qwen2@main, name: the-source }"));
    await writeFile(local, recipe(goldenFolder("mistral"), `{ model: ${goldenFolder("qwen2")}, name: the-source }`));
    const valid = await fusechat("validate", hub);
    expect(valid.exitCode, valid.error).toBe(0);
    expect(valid.out).toBe((await fusechat("validate", local)).out.replace(local, hub));
    const planned = await fusechat("plan", hub, "--json");
    expect(planned.exitCode, planned.error).toBe(0);
    const { recipe: asked, fetch, available_memory_bytes: _, ...plan } = JSON.parse(planned.out);
    const there = JSON.parse((await fusechat("plan", local, "--no-trial", "--json")).out);
    for (const key of ["models", "training", "conversations", "evaluations", "total"])
      expect(plan[key], key).toEqual(there[key]);
    expect(asked.pivot.hub).toBe(`org/mistral@${commitOf(server, "org/mistral")}`);
    expect(asked.sources[0].hub).toBe(`org/qwen2@${commitOf(server, "org/qwen2")}`);
    expect(fetch.models.map(({ model }: { model: string }) => model)).toEqual([asked.pivot.hub, asked.sources[0].hub]);
    expect(fetch.missing_bytes).toBe(fetch.models[0].bytes + fetch.models[1].bytes);
    expect((await fusechat("plan", hub)).out).toMatch(/to fetch from 127\.0\.0\.1:\d+: /);
    expect(weightsFetched(server)).toEqual([]);
  });

  test("tells all models that are wrong together, by their places", async () => {
    const server = await openServer(await models("qwen2"));
    server.protect("org/qwen2", { isGated: true });
    const fusechat = await commandWith(server);
    const file = join(await temporaryFolder(), "recipe.yaml");
    await writeFile(file, recipe("org/nothing", "org/qwen2"));
    const { exitCode, error } = await fusechat("validate", file);
    expect(exitCode).toBe(2);
    expect(error.split("\n").map((line) => line.replace(/^.*recipe\.yaml:/, ""))).toEqual([
      expect.stringMatching(/^fetch: org\/qwen2@/),
      expect.stringMatching(/^1:8 pivot: org\/nothing: no folder of this name is here, and /),
      expect.stringMatching(/^2:11 sources\[0\]: org\/qwen2: .* is gated; ask for access at /),
      "",
    ]);
  });

  test("runs; the weights come once all is known to be right, and the run stays with its commits", async () => {
    const server = await openServer(await models("mistral", "qwen2"));
    const home = await temporaryFolder();
    const fusechat = await commandWith(server, home);
    const folder = await temporaryFolder();
    const file = join(folder, "recipe.yaml");
    const out = join(folder, "run");
    const short = "fuse: { epochs: 1, batch: 4 }\nevaluate: []\n";
    await writeFile(
      file,
      `${recipe("org/mistral", "org/qwen2").replace(CONVERSATIONS, `${CONVERSATIONS}.missing`)}${short}`,
    );
    expect((await fusechat("run", file, "--out", out)).exitCode).toBe(2);
    expect(weightsFetched(server)).toEqual([]);
    await writeFile(file, `${recipe("org/mistral", "org/qwen2")}${short}`);
    const first = await fusechat("run", file, "--out", out);
    expect(first.exitCode, first.error).toBe(0);
    expect(first.error).toMatch(
      /fetch: org\/mistral@[0-9a-f]{12}: \d+ kB in 1 file \(weights\) from 127\.0\.0\.1:\d+ into /,
    );
    expect(first.error).toMatch(
      /^fetch: [\d.]+ kB of weights of 2 models to fetch from 127\.0\.0\.1:\d+, about 1 min \(assumed 12\.5 MB\/s\)$/m,
    );
    const names = ["mistral", "qwen2"].map((name) => `org/${name}@${commitOf(server, `org/${name}`)}`);
    const plan = JSON.parse(await readFile(join(out, "plan.json"), "utf8"));
    expect([plan.recipe.pivot.hub, plan.recipe.sources[0].hub]).toEqual(names);
    const manifest = async (unit: string) => JSON.parse(await readFile(join(out, ".units", `${unit}.json`), "utf8"));
    expect((await manifest("distributions--mistral")).models).toEqual({ mistral: names[0] });
    expect((await manifest("fuse--qwen2")).models).toEqual({ qwen2: names[1] });
    expect((await manifest("data")).models).toBeUndefined();
    const target = await readFile(join(out, "targets/qwen2/README.md"), "utf8");
    expect(target).toContain('base_model: "org/mistral"');
    expect(target).toContain(`The pivot is \`${names[0]}\``);
    expect(target).toContain(`The source is \`${names[1]}\``);
    const fused = await readFile(join(out, "fused/README.md"), "utf8");
    expect(fused).toContain(`\`${names[0]}\``);

    // The branch moves, another program puts a file into the snapshot, and a merge is added to the recipe.
    server.add("org/qwen2", { "config.json": "{}" });
    await writeFile(join(plan.recipe.pivot.model, "README.md"), "# fetched by another program\n");
    await writeFile(
      file,
      `${recipe("org/mistral", "org/qwen2")}${short}merge: [{ method: sce, select_topk: 0.1 }, { method: linear }]\n`,
    );
    const grown = await fusechat("run", file, "--out", out);
    expect(grown.exitCode, grown.error).toBe(0);
    const [before, now] = [names[1]!.split("@")[1]!, commitOf(server, "org/qwen2")].map((commit) =>
      commit.slice(0, 12),
    );
    expect(grown.error).toContain(
      `warning: run: org/qwen2 has moved from ${before} to ${now} since this run began, which goes on with ${before}\n`,
    );
    const after = JSON.parse(await readFile(join(out, "plan.json"), "utf8"));
    expect(after.recipe.sources[0].hub).toBe(names[1]);

    // With an emptied cache, models of the run come back where they are asked for.
    await rm(join(home, "hub"), { recursive: true });
    const evaluated = await fusechat("evaluate", "held-out", "--run", out, "--models", "qwen2,fused", "--json");
    expect(evaluated.exitCode, evaluated.error).toBe(0);
    const folderAgain = await fusechat(
      "evaluate",
      "held-out",
      "--model",
      plan.recipe.pivot.model,
      "--data",
      HELD_OUT,
      "--json",
    );
    expect(folderAgain.exitCode, folderAgain.error).toBe(0);
    await mkdir(out, { recursive: true });
  }, 120_000);
});
