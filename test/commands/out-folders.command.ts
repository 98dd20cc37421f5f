/**
 * Where a verb may not write: a read-only file system and a folder without permission are called that, and a folder with
 * somebody's files is refused, by every verb alike: one sentence with the path, exit code 2, and nothing is written.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fusechat } from "../cli/command.ts";

const root = resolve(import.meta.dirname, "../..");
const main = join(root, "dist/cli/main.js");
const models = join(root, "lab/models");
/** Who has no right to anything, where the tests are run by who has all. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

let folder = "";
let data = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-out-"));
  data = join(folder, "data.jsonl");
  const turns = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
  ];
  await writeFile(data, `${JSON.stringify({ turns })}\n`);
  await writeFile(
    join(folder, "merge.yaml"),
    `merge_method: linear\nmodels:\n  - {model: ${join(models, "lab-mistral")}, parameters: {weight: 1}}\n`,
  );
  for (const name of ["mistral", "llama"]) {
    const made = await fusechat(...distributions(`lab-${name}`, join(folder, name)));
    expect(made.code, made.stderr).toBe(0);
  }
  // Others may read what the verbs read.
  await chmod(folder, 0o755);
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

function distributions(model: string, out: string): string[] {
  return ["distributions", "--model", join(models, model), "--data", data, "--out", out];
}

/** Every verb with `--out`. */
const VERBS: Readonly<Record<string, (out: string) => readonly string[]>> = {
  distributions: (out) => distributions("lab-mistral", out),
  align: (out) => ["align", "--pivot", join(folder, "mistral"), "--source", join(folder, "llama"), "--out", out],
  fuse: (out) => ["fuse", "--model", join(models, "lab-mistral"), "--data", data, "--out", out, "--epochs", "1"],
  merge: (out) => ["merge", join(folder, "merge.yaml"), "--out", out],
  evaluate: (out) => ["evaluate", "held-out", "--model", join(models, "lab-mistral"), "--data", data, "--out", out],
  answers: (out) => {
    const asked = ["--prompts", data, "--model", join(models, "lab-mistral"), "--max-tokens", "4"];
    return ["answers", ...asked, "--out", join(out, "answers.jsonl")];
  },
  run: (out) => ["run", join(root, "examples/laboratory/recipe.yaml"), "--out", out],
  demo: (out) => ["demo", "--out", out],
  "lab train": (out) => ["lab", "train", "--model", "lab-mistral", "--steps", "1", "--out", out],
  "lab sweep": (out) => ["lab", "sweep", "--out", out],
  "lab experiment": (out) => ["lab", "experiment", "--seeds", "2", "--out", out],
  init: (out) => ["init", out],
};

describe.each(Object.keys(VERBS))("%s", (verb) => {
  const words = (out: string): readonly string[] => [...VERBS[verb]!(out), "--quiet"];

  test("calls a read-only file system that", async ({ skip }) => {
    const mounted = join(folder, "read-only");
    await mkdir(mounted, { recursive: true });
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "ro", "tmpfs", mounted], { stdio: "ignore" });
    } catch {
      skip("nothing may be mounted here, so no file system is read-only");
    }
    try {
      for (const out of [join(mounted, "out"), mounted]) {
        const { code, stderr } = await fusechat(...words(out));
        // Its folder comes whole, by another name.
        const isReplaced = verb === "merge" && out === mounted;
        const reason = isReplaced
          ? "is a mount point, which no finished folder can replace"
          : "the file system is read-only\n$";
        expect(stderr).toMatch(new RegExp(`^(fusechat: )?${mounted}[^\\n]*: ${reason}`));
        expect(code).toBe(2);
      }
    } finally {
      execFileSync("umount", [mounted]);
    }
  });

  test("says that it has no permission", async () => {
    const closed = join(folder, `closed-${verb}`);
    await mkdir(closed, { mode: 0o555 });
    const identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
    const { status, stderr } = spawnSync(process.execPath, [main, ...words(join(closed, "out"))], {
      encoding: "utf8",
      env: { ...process.env, HOME: folder },
      ...identity,
    });
    expect(stderr).toMatch(new RegExp(`^(fusechat: )?${closed}[^\\n]*: permission denied\\n$`));
    expect(status).toBe(2);
    expect(await readdir(closed)).toEqual([]);
  });

  // A recipe may be written beside anything but another recipe.
  test.skipIf(verb === "init")("refuses a folder with somebody's files", async () => {
    const out = join(folder, `foreign-${verb}`);
    const held = verb === "lab train" ? join(out, "lab-mistral") : out;
    await mkdir(held, { recursive: true });
    const names = ["answers.jsonl", "notes.txt", "recipe.yaml"];
    for (const name of names) await writeFile(join(held, name), "mine");
    const { code, stderr } = await fusechat(...words(out));
    expect(stderr).toContain(held);
    expect(stderr.split("\n")).toHaveLength(2);
    expect(code).toBe(2);
    expect((await readdir(held)).sort()).toEqual(names);
  });
});
