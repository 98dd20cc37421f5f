/** The verb on the embedded engine: the golden target of source qwen2, and a real kill of a real process. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fuseVerb } from "#src/cli/fuse.js";
import { runCommandLine } from "#src/cli/program.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { memoryStreams } from "../cli/memory-streams.ts";

const golden = resolve(import.meta.dirname, "../golden");
const pipeline = join(golden, "pipeline");

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-cli-fuse-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const inputs = [
  ...["--model", join(golden, "models/mistral"), "--data", join(pipeline, "conversations.jsonl")],
  ...["--pivot", join(pipeline, "distributions/mistral")],
];
const settings = [
  "--level",
  "conversation",
  "--lr",
  "1e-3",
  "--epochs",
  "6",
  "--batch",
  "8",
  "--warmup-ratio",
  "0.1",
  "--no-shuffle",
];

async function run(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(["fuse", ...arguments_], streams, new AbortController().signal, [fuseVerb]);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

interface LogLine {
  step: number;
  loss: number;
  label_loss: number;
  fusion_loss: number;
  lr: number;
  grad_norm: number;
  rows: number;
}

async function readLog(path: string): Promise<LogLine[]> {
  const text = await readFile(path, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

// Aligned gemma2 comes from its given shards, so that target needs nothing of the source's architecture.
describe.each(["qwen2", "gemma2"])("the golden target of source %s", (source) => {
  const expected = join(pipeline, "targets", source);
  let out: string;

  beforeAll(async () => {
    out = join(folder, source);
    const result = await run(...inputs, "--aligned", join(pipeline, "aligned", source), "--out", out, ...settings);
    expect(result, result.stderr).toMatchObject({ exitCode: 0 });
    expect(result.stdout).toMatch(/6 steps, loss 8\.\d{4} → 6\.\d{4} nats per row\n.* chosen in \d of 8 conversations/);
  });

  test("every line of the log is the reference's", async () => {
    const reference = await readLog(join(expected, "log.jsonl"));
    const log = await readLog(join(out, "log.jsonl"));
    expect(log).toHaveLength(6);
    for (const [step, line] of log.entries()) {
      const wanted = reference[step]!;
      expect(Object.keys(line)).toEqual(Object.keys(wanted));
      expect([line.step, line.rows]).toEqual([step, wanted.rows]);
      expect(Math.abs(line.lr - wanted.lr)).toBeLessThan(1e-12);
      for (const loss of ["loss", "label_loss", "fusion_loss"] as const) {
        expect(Math.abs(line[loss] - wanted[loss])).toBeLessThan(5e-5);
      }
      expect(Math.abs(line.grad_norm / wanted.grad_norm - 1)).toBeLessThan(1e-4);
    }
  });

  test("the weights after six steps are the reference's", async () => {
    const found = (await readSafetensors(join(out, "model.safetensors"))).tensors;
    const wanted = (await readSafetensors(join(expected, "model.safetensors"))).tensors;
    expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
    let entries = 0;
    let beyond = 0;
    let largest = 0;
    for (const [name, { dtype, shape, data }] of wanted) {
      expect(found.get(name)).toMatchObject({ dtype, shape });
      for (let i = 0; i < data.length; i++) {
        const difference = Math.abs(Number(found.get(name)!.data[i]) - Number(data[i]));
        entries++;
        if (difference > 5e-6) beyond++;
        largest = Math.max(largest, difference);
      }
    }
    // The reference's own float32 and float64 differ by up to 7e-5: AdamW divides tiny gradients by their own size.
    expect(beyond / entries).toBeLessThan(0.001);
    expect(largest).toBeLessThan(3e-4);
  });
});

describe("the verb", () => {
  test("says that a finished target is there already", async () => {
    const { exitCode, stdout } = await run(
      ...[...inputs, "--aligned", join(pipeline, "aligned/qwen2"), "--out", join(folder, "qwen2"), ...settings],
    );
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`${join(folder, "qwen2")}: already finished with these settings and inputs\n`);
  });

  test("refuses other settings in the same folder, with exit code 2", async () => {
    const aligned = join(pipeline, "aligned/qwen2");
    const { exitCode, stderr } = await run(
      ...inputs,
      "--aligned",
      aligned,
      "--out",
      join(folder, "qwen2"),
      ...["--level", "conversation", "--lr", "1"],
    );
    expect(exitCode).toBe(2);
    expect(stderr).toContain("holds a target with lr 0.001, but now it is 1; choose another folder");
  });

  test("fine-tunes plainly without aligned shards, in the dtype asked for", async () => {
    const out = join(folder, "sft");
    const { exitCode, stdout } = await run(
      ...[...inputs, "--out", out, "--epochs", "1", "--batch", "8", "--dtype", "bfloat16", "--json"],
    );
    expect(exitCode).toBe(0);
    const events = stdout.trimEnd().split("\n");
    expect(JSON.parse(events.at(-1)!)).toMatchObject({ type: "result", source: null, steps: 1, skipped: false });
    const [line] = await readLog(join(out, "log.jsonl"));
    expect(line!.loss).toBe(line!.label_loss);
    expect(line!.fusion_loss).toBe(0);
    const { tensors } = await readSafetensors(join(out, "model.safetensors"));
    for (const { dtype } of tensors.values()) expect(dtype).toBe("BF16");
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8")).torch_dtype).toBe("bfloat16");
  });

  test("ends with 1 and leaves nothing behind when the training diverges", async () => {
    const out = join(folder, "diverged");
    const { exitCode, stderr } = await run(...inputs, "--out", out, "--lr", "1e30", "--batch", "8", "--epochs", "4");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/diverged: .*step 1 of 4.*lower the learning rate/);
    expect(await readdir(folder)).not.toContain("diverged");
  });

  test.each([
    [
      ["--tail", "bukket"],
      "option '--tail <rule>' argument 'bukket' is invalid. Allowed choices are renormalise, drop, bucket",
    ],
    [["--epochs", "0"], "option '--epochs <n>' argument '0' is invalid. Expected at least 1"],
    [["--stepz", "5"], "unknown option '--stepz'"],
  ])("refuses %j on the command line", async (flags, message) => {
    const { exitCode, stderr } = await run(...inputs, "--out", join(folder, "never"), ...flags);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
    expect(await readdir(folder)).not.toContain("never");
  });
});

describe("a process killed with SIGKILL", () => {
  const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
  // All eight conversations in every batch, in another order each: 16 steps, a checkpoint every third.
  const long = (out: string): string[] => [
    ...["fuse", ...inputs, "--aligned", join(pipeline, "aligned/qwen2"), "--out", out, "--lr", "1e-3"],
    ...["--batch", "8", "--epochs", "16", "--checkpoint-steps", "3", "--quiet"],
  ];

  async function contents(out: string): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const name of (await readdir(out)).sort()) {
      if (name !== "timing.jsonl") found[name] = await readFile(join(out, name), "base64");
    }
    return found;
  }

  const ended = (child: ChildProcess): Promise<number | null> =>
    new Promise((done) => {
      child.once("exit", (code) => done(code));
    });

  /** Starts the verb and kills it once its log has this many lines. Returns false where it ended first. */
  async function killAtStep(out: string, steps: number): Promise<boolean> {
    const child = spawn(process.execPath, [main, ...long(out)], { stdio: "ignore" });
    let alive = true;
    const end = ended(child).then(() => {
      alive = false;
    });
    while (alive) {
      const log = await readFile(join(out, "log.jsonl"), "utf8").catch(() => "");
      if (log.split("\n").length > steps) {
        child.kill("SIGKILL");
        await end;
        return true;
      }
      await new Promise((done) => setTimeout(done, 2));
    }
    return false;
  }

  test("goes on where it was, to the same bytes", async () => {
    const whole = join(folder, "uninterrupted");
    expect(await ended(spawn(process.execPath, [main, ...long(whole)], { stdio: "ignore" }))).toBe(0);
    const out = join(folder, "killed");
    // Once before the first checkpoint, once after the second.
    for (const steps of [2, 7]) expect(await killAtStep(out, steps)).toBe(true);
    expect(await readdir(out)).toContain(".checkpoint");
    expect(await ended(spawn(process.execPath, [main, ...long(out)], { stdio: "ignore" }))).toBe(0);
    expect(Object.keys(await contents(out))).toEqual(Object.keys(await contents(whole)));
    expect(await contents(out)).toEqual(await contents(whole));
    const log = await readLog(join(out, "log.jsonl"));
    expect(log.map(({ step }) => step)).toEqual(Array.from({ length: 16 }, (_, step) => step));
  });

  test("a checkpoint cut short by hand is refused by name", async () => {
    const out = join(folder, "cut");
    expect(await killAtStep(out, 4)).toBe(true);
    const state = (await readdir(join(out, ".checkpoint"))).filter((name) => /^step-\d+\.state$/.test(name)).sort()[0]!;
    await truncate(join(out, ".checkpoint", state), 1000);
    const { exitCode, stderr } = await run(...long(out).slice(1));
    expect(exitCode).toBe(2);
    expect(stderr).toContain(state);
  });
});
