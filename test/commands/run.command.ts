/** `run` and `report` as processes: left alone, killed, interrupted, out of disk, two at once. */
import { spawn } from "node:child_process";
import { cp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRandom } from "#src/random.js";
import {
  CONVERSATIONS,
  type Command,
  fusechat,
  hashesOf,
  PICO_RECIPE,
  QWEN2,
  temporaryFolder,
  writeRecipe,
} from "../run/fixtures.ts";

/** Generous, because the machine may be busy: an undisturbed run takes some six seconds on two idle cores. */
const PATIENCE_MS = 300_000;

let folder: string;
let recipe: string;
let undisturbed: string;
let hashes: Record<string, string>;
beforeAll(async () => {
  folder = await temporaryFolder();
  recipe = await writeRecipe(folder);
  undisturbed = join(folder, "undisturbed");
  const { exitCode, stdout, stderr } = await fusechat(["run", recipe, "--out", undisturbed]).finished;
  expect(exitCode, stderr).toBe(0);
  expect(stdout).toMatch(/^model +held-out nats per byte +against the pivot$/m);
  expect(stdout).toMatch(/^mistral +5\.7803 \[\d\.\d{4}, \d\.\d{4}\]$/m);
  expect(stdout).toMatch(/^target-qwen2 +\d\.\d{4} \[.*\] +[+-]\d\.\d{4} \[.*\] (better|worse|within noise)$/m);
  expect(stdout).toMatch(/^fused (against sft: within noise|is (better|worse) than sft by)/m);
  expect(stdout).toContain(`report: ${join(undisturbed, "report.html")}\n`);
  hashes = await hashesOf(undisturbed);
  expect(Object.keys(hashes).length).toBeGreaterThan(40);
}, PATIENCE_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Resolves once the command has printed this on stderr; fails where it ends without. */
async function untilPrinted(run: Command, text: string): Promise<void> {
  let over = false;
  void run.finished.then(() => {
    over = true;
  });
  while (!over && !run.printed().stderr.includes(text)) await setTimeout(20);
  expect(run.printed().stderr).toContain(text);
}

describe("interruptions", () => {
  /** What a run has just said when it is killed, up to so many milliseconds later. */
  const MOMENTS = ["distributions mistral", "align qwen2:", "fuse sft:"];
  const LATER_MS = 150;

  test(
    "killed at random moments and started again, a run ends with the same bytes in every file",
    async () => {
      const killed = join(folder, "killed");
      const random = createRandom("kills");
      let died = 0;
      for (const moment of MOMENTS) {
        const run = fusechat(["run", recipe, "--out", killed]);
        let over = false;
        void run.finished.then(() => {
          over = true;
        });
        while (!over && !run.printed().stderr.includes(moment)) await setTimeout(5);
        await setTimeout(random.next() * LATER_MS);
        run.kill("SIGKILL");
        const { exitCode, stderr } = await run.finished;
        if (exitCode === null) died++;
        else expect(exitCode, stderr).toBe(0);
      }
      expect(died).toBeGreaterThanOrEqual(2);
      const last = await fusechat(["run", recipe, "--out", killed]).finished;
      expect(last.exitCode, last.stderr).toBe(0);
      expect(await hashesOf(killed)).toEqual(hashes);
    },
    PATIENCE_MS,
  );

  test(
    "Ctrl-C ends with 130, a full disk with 1, and the same command then finishes with the same bytes",
    async () => {
      const out = join(folder, "interrupted");
      const first = fusechat(["run", recipe, "--out", out]);
      await untilPrinted(first, "distributions mistral");
      first.kill("SIGINT");
      const interrupted = await first.finished;
      expect(interrupted.stderr).toContain("finishing the unit in hand; Ctrl-C again stops at once\n");
      expect(interrupted.stderr).toMatch(/: interrupted; run the same command again to continue\n$/);
      expect(interrupted.exitCode).toBe(130);

      // No file may exceed 200 kB: what a full disk is to a checkpoint.
      const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
      const limited = spawn("bash", [
        "-c",
        'ulimit -f 200; exec "$0" "$@"',
        process.execPath,
        main,
        "run",
        recipe,
        "--out",
        out,
      ]);
      let stderr = "";
      limited.stderr.on("data", (chunk) => {
        stderr += chunk;
      });
      const exitCode = await new Promise((done) => limited.on("close", done));
      expect(stderr).toMatch(/^run: \d+ of \d+ units are done; going on with /m);
      expect(stderr).toMatch(
        /^\S+\/targets\/qwen2\/\S+: the file would exceed the size limit of this process or file system/m,
      );
      expect(exitCode).toBe(1);
      expect((await readdir(out, { recursive: true })).filter((name) => name.endsWith(".tmp"))).toEqual([]);

      const last = await fusechat(["run", recipe, "--out", out]).finished;
      expect(last.exitCode, last.stderr).toBe(0);
      expect(await hashesOf(out)).toEqual(hashes);
    },
    PATIENCE_MS,
  );

  test(
    "Ctrl-C twice stops at once; while a run works, another in its directory is refused",
    async () => {
      const out = join(folder, "twice");
      // The most epochs there can be: minutes, of which the second run needs one second to be refused.
      const endless = join(folder, "endless.yaml");
      await writeFile(endless, PICO_RECIPE.replace("epochs: 3", "epochs: 1000"));
      const run = fusechat(["run", endless, "--out", out]);
      await untilPrinted(run, "fuse qwen2:");
      const second = await fusechat(["run", endless, "--out", out]).finished;
      expect(second).toEqual({
        exitCode: 2,
        stdout: "",
        stderr: `${out}: process ${run.pid} is at work in this run directory; wait for it, or use another --out\n`,
      });
      run.kill("SIGINT");
      run.kill("SIGINT");
      const { exitCode } = await run.finished;
      expect(exitCode).toBe(130);
    },
    PATIENCE_MS,
  );
});

describe("a finished run", () => {
  test("has nothing left to do, and under --json says so in events", async () => {
    const { exitCode, stdout, stderr } = await fusechat(["run", recipe, "--out", undisturbed, "--json"]).finished;
    expect(exitCode).toBe(0);
    expect(stderr).toBe("");
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const result = events.at(-1);
    expect(result).toMatchObject({ type: "result", out: undisturbed, report: join(undisturbed, "report.html") });
    expect(result.units.every(({ skipped }: { skipped: boolean }) => skipped)).toBe(true);
    expect(result.evaluate["held-out"].models.map(({ name }: { name: string }) => name)).toEqual([
      "mistral",
      "qwen2",
      "target-qwen2",
      "fused",
      "merge-linear",
      "sft",
    ]);
    expect(await hashesOf(undisturbed)).toEqual(hashes);
  });

  test("is refused for another recipe, with the key that differs", async () => {
    const other = join(folder, "other.yaml");
    await writeFile(other, PICO_RECIPE.replace("lr: 1.0e-3", "lr: 2.0e-3"));
    expect(await fusechat(["run", other, "--out", undisturbed]).finished).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `${undisturbed}: this directory holds a run of another recipe: fuse.lr is 0.001 there and 0.002 in ${other}; use another --out, or --force to start anew\n`,
    });
  });

  test("has its report written again by `report`", async () => {
    const path = join(undisturbed, "report.html");
    await rm(path);
    expect(await fusechat(["report", undisturbed]).finished).toEqual({ exitCode: 0, stdout: `${path}\n`, stderr: "" });
    expect(await readFile(path, "utf8")).toMatch(/^<!doctype html>/i);
  });

  test("`report` of any other folder is refused", async () => {
    expect(await fusechat(["report", `${folder}/nowhere`]).finished).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `${folder}/nowhere: expected a run directory or a merged model, found neither recipe.yaml nor merge.json in it\n`,
    });
  });
});

describe("wrong inputs end with 2, and nothing is written", () => {
  test("a truncated checkpoint is refused before the run begins", async () => {
    const broken = join(folder, "broken");
    await cp(QWEN2, broken, { recursive: true });
    await truncate(join(broken, "model.safetensors"), 100_000);
    const text = join(folder, "broken.yaml");
    await writeFile(text, PICO_RECIPE.replace(QWEN2, broken));
    const out = join(folder, "never");
    const { exitCode, stdout, stderr } = await fusechat(["run", text, "--out", out]).finished;
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^${text}:2:11 sources\\[0\\]: ${broken}/model.safetensors: .*100000`));
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(await readdir(folder)).not.toContain("never");
  });

  test("weights that are not numbers are found in the middle of a run, which keeps what it has", async () => {
    const broken = join(folder, "not-a-number");
    await cp(QWEN2, broken, { recursive: true });
    const weights = await readFile(join(broken, "model.safetensors"));
    weights.fill(0xff, weights.length - 4096);
    await writeFile(join(broken, "model.safetensors"), weights);
    const text = join(folder, "not-a-number.yaml");
    await writeFile(text, PICO_RECIPE.replace(QWEN2, broken));
    const out = join(folder, "half");
    const { exitCode, stderr } = await fusechat(["run", text, "--out", out]).finished;
    expect(exitCode, stderr).not.toBe(0);
    expect(stderr.trim().split("\n").at(-1)).toContain("not-a-number");
    expect(await readdir(join(out, ".units"))).toContain("distributions--mistral.json");
    expect(await readdir(join(out, "distributions"))).toContain("mistral");
  });

  test("a missing --out, and data that are not conversations", async () => {
    expect(await fusechat(["run", recipe]).finished).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "fusechat run: required option '--out <dir>' not specified\n",
    });
    const data = join(folder, "bad.jsonl");
    await writeFile(data, "hello\n");
    const text = join(folder, "bad.yaml");
    await writeFile(text, PICO_RECIPE.replace(CONVERSATIONS, data));
    const { exitCode, stderr } = await fusechat(["run", text, "--out", join(folder, "never")]).finished;
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      `${text}:3:15 data.path: ${data}:1: expected a JSON object, found "hello" at character 1, which is not JSON; such records are left out and counted with --irregular leave-out, in a recipe with data.irregular\n`,
    );
  });
});
