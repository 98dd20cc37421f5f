/** Fetching by whole processes: killed at any moment, interrupted, two at once. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import { goldenFiles, openServer, temporaryFolder } from "../hub/models.ts";
import type { HubServer } from "../hub/server.ts";
import { type Command, fusechat } from "../run/fixtures.ts";

/** Generous, because the machine may be busy. */
const PATIENCE_MS = 120_000;
const MB = 1 << 20;

/** A model whose weights are large enough to be caught on the way: a tensor of its own fills them up. */
async function largeModel(megabytes: number): Promise<Record<string, Uint8Array | string>> {
  const files = await goldenFiles("qwen2");
  const small = Buffer.from(files["model.safetensors"] as Uint8Array);
  const length = Number(small.readBigUInt64LE(0));
  const header = JSON.parse(small.toString("utf8", 8, 8 + length));
  const data = small.subarray(8 + length);
  const values = Float32Array.from({ length: (megabytes * MB) / 4 }, (_, index) => index / 1000);
  const filling = Buffer.from(values.buffer);
  header.filling = {
    dtype: "F32",
    shape: [values.length],
    data_offsets: [data.byteLength, data.byteLength + filling.byteLength],
  };
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.byteLength));
  return { ...files, "model.safetensors": Buffer.concat([prefix, text, data, filling]) };
}

/** The request for the weights alone: a slow tokenizer file would use the fault up, and the weights come in no time. */
const ofWeights = (sha256: string): RegExp => new RegExp(`^cdn GET /${sha256}`);

/** Merges the model with itself, which takes all of its weights, whatever they are. */
async function start(server: HubServer, home: string): Promise<Command> {
  const env = { ...process.env, HF_ENDPOINT: server.url, HF_HOME: home, HF_HUB_OFFLINE: "", HF_TOKEN: "" };
  const folder = await temporaryFolder();
  const config = join(folder, "merge.yaml");
  await writeFile(config, "merge_method: linear\nmodels: [{ model: org/large, parameters: { weight: 1 } }]\n");
  return fusechat(["merge", config, "--out", join(folder, "out")], { env });
}

const blobs = (home: string): string => join(home, "hub/models--org--large/blobs");

async function arrived(home: string, sha256: string): Promise<number> {
  return (await stat(join(blobs(home), `${sha256}.incomplete`)).catch(() => undefined))?.size ?? 0;
}

/** Ranges of the weights, in the order they were asked for. */
const ranges = ({ asked }: HubServer, sha256: string): (string | undefined)[] =>
  asked.filter(({ host, path }) => host === "cdn" && path.includes(sha256)).map(({ range }) => range);

test(
  "a download that is killed again and again goes on from where it was, each time",
  async () => {
    const files = await largeModel(24);
    const server = await openServer({ "org/large": files });
    const sha256 = createHash("sha256")
      .update(files["model.safetensors"] as Uint8Array)
      .digest("hex");
    const home = await temporaryFolder();
    const random = createRandom("hub-kill");
    const left: number[] = [];
    for (let kill = 0; kill < 4; kill++) {
      server.fail(ofWeights(sha256), { kind: "slow", bytesPerSecond: 8 * MB }, 1);
      const before = await arrived(home, sha256);
      const run = await start(server, home);
      await expect.poll(() => arrived(home, sha256), { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(before);
      await wait(300 * random.next());
      run.kill("SIGKILL");
      await run.finished;
      left.push(await arrived(home, sha256));
      expect(left.at(-1)).toBeGreaterThan(before);
    }
    const run = await start(server, home);
    const { exitCode, stderr } = await run.finished;
    expect(exitCode, stderr).toBe(0);
    // Tokenizer files too come from that host; the weights are the requests with their hash.
    const asked = ranges(server, sha256);
    expect(asked[0]).toBeUndefined();
    expect(asked.slice(1)).toEqual(left.map((bytes) => `bytes=${bytes}-`));
    const blob = await readFile(join(blobs(home), sha256));
    expect(createHash("sha256").update(blob).digest("hex")).toBe(sha256);
    expect((await readdir(blobs(home))).filter((name) => name.includes("incomplete"))).toEqual([]);
  },
  PATIENCE_MS * 2,
);

test(
  "Ctrl-C ends a download at once with 130 and what to do",
  async () => {
    const files = await largeModel(8);
    const server = await openServer({ "org/large": files });
    const sha256 = createHash("sha256")
      .update(files["model.safetensors"] as Uint8Array)
      .digest("hex");
    const home = await temporaryFolder();
    server.fail(ofWeights(sha256), { kind: "slow", bytesPerSecond: MB }, 10);
    const run = await start(server, home);
    await expect.poll(() => arrived(home, sha256), { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(0);
    run.kill("SIGINT");
    const { exitCode, stderr } = await run.finished;
    expect(exitCode).toBe(130);
    expect(stderr).toContain("org/large: model.safetensors: interrupted; run the same command again to continue\n");
    expect(await arrived(home, sha256)).toBeGreaterThan(0);
  },
  PATIENCE_MS,
);

test(
  "two processes do not fetch the same file twice",
  async () => {
    const files = await largeModel(12);
    const server = await openServer({ "org/large": files });
    const sha256 = createHash("sha256")
      .update(files["model.safetensors"] as Uint8Array)
      .digest("hex");
    const home = await temporaryFolder();
    server.fail(ofWeights(sha256), { kind: "slow", bytesPerSecond: 6 * MB });
    const first = await start(server, home);
    await expect.poll(() => arrived(home, sha256), { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(0);
    const second = await start(server, home);
    const [one, two] = await Promise.all([first.finished, second.finished]);
    expect(one.exitCode, one.stderr).toBe(0);
    expect(two.exitCode, two.stderr).toBe(0);
    expect(two.stderr).toContain(
      `warning: fetch org/large: model.safetensors: process ${first.pid} is fetching it; waiting for that\n`,
    );
    expect(ranges(server, sha256)).toEqual([undefined]);
  },
  PATIENCE_MS,
);

test(
  "who waits goes on with it where the first is killed",
  async () => {
    const files = await largeModel(12);
    const server = await openServer({ "org/large": files });
    const sha256 = createHash("sha256")
      .update(files["model.safetensors"] as Uint8Array)
      .digest("hex");
    const home = await temporaryFolder();
    server.fail(ofWeights(sha256), { kind: "slow", bytesPerSecond: 2 * MB });
    const first = await start(server, home);
    await expect.poll(() => arrived(home, sha256), { timeout: PATIENCE_MS, interval: 5 }).toBeGreaterThan(0);
    const second = await start(server, home);
    await expect
      .poll(() => second.printed().stderr, { timeout: PATIENCE_MS, interval: 20 })
      .toContain("waiting for that");
    first.kill("SIGKILL");
    const left = await first.finished.then(() => arrived(home, sha256));
    const { exitCode, stderr } = await second.finished;
    expect(exitCode, stderr).toBe(0);
    expect(ranges(server, sha256)).toEqual([undefined, `bytes=${left}-`]);
  },
  PATIENCE_MS,
);

test(
  "who waits for another program that holds the cache's own lock is told so, and waits",
  async () => {
    const files = await largeModel(1);
    const server = await openServer({ "org/large": files });
    const sha256 = createHash("sha256")
      .update(files["model.safetensors"] as Uint8Array)
      .digest("hex");
    const home = await temporaryFolder();
    const lock = join(home, "hub/.locks/models--org--large", `${sha256}.lock`);
    const first = await start(server, home);
    expect((await first.finished).exitCode).toBe(0);
    await rm(join(home, "hub/models--org--large"), { recursive: true });
    // What Python's filelock does on Linux.
    const holder = spawn("flock", [lock, "sh", "-c", "echo; exec cat"], { stdio: ["pipe", "pipe", "ignore"] });
    await new Promise((done) => holder.stdout.once("data", done));
    const second = await start(server, home);
    await expect
      .poll(() => second.printed().stderr, { timeout: PATIENCE_MS, interval: 20 })
      .toContain("another program is fetching it; waiting for that");
    expect(ranges(server, sha256).length).toBe(1);
    holder.stdin.end();
    expect((await second.finished).exitCode).toBe(0);
  },
  PATIENCE_MS,
);
