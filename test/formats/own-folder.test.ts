import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { inputError } from "#src/errors.js";
import { acquireLock, removeDeadLock } from "#src/formats/lock.js";
import { lockOwnFolder } from "#src/formats/own-folder.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-own-folder-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a folder with another's file is refused, and nothing is left in it", async () => {
  await writeFile(join(folder, "notes.txt"), "");
  await expect(lockOwnFolder(folder, (name) => name === "results")).rejects.toMatchObject({
    exitCode: 2,
    message: `${folder}: exists and holds notes.txt, but nothing of this program; choose another folder`,
  });
  expect(await readdir(folder)).toEqual(["notes.txt"]);
});

test("what killed processes were writing goes, in the folders within too; what looks like it and is not ours stays", async () => {
  await mkdir(join(folder, "results/deep"), { recursive: true });
  for (const path of ["results.json.123.tmp", "results/a.json.7.tmp", "results/deep/b.csv.9.tmp", "results/mine.tmp"]) {
    await writeFile(join(folder, path), "");
  }
  const lock = await lockOwnFolder(folder, (name) => name === "results");
  expect((await readdir(folder, { recursive: true })).sort()).toEqual([
    ...[".lock", "results", "results/deep", "results/mine.tmp"],
  ]);
  await lock.release();
});

test("claims of killed processes to a lock go with the next lock, those of living ones and of other hosts stay", async () => {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((done) => child.on("close", done));
  const claim = (name: string, holder: object | ""): Promise<void> =>
    writeFile(join(folder, `.lock.${name}.tmp`), holder === "" ? "" : JSON.stringify({ started: "", ...holder }));
  await claim("1", { pid: child.pid, host: hostname() });
  await claim("2", { pid: process.pid, host: hostname() });
  await claim("3", { pid: child.pid, host: "elsewhere" });
  await claim("4", "");
  await claim("5", "");
  await utimes(join(folder, ".lock.4.tmp"), 1e9, 1e9);
  const lock = await acquireLock(join(folder, ".lock"), () => inputError(folder, "busy"));
  await lock.release();
  expect((await readdir(folder)).sort()).toEqual([".lock.2.tmp", ".lock.3.tmp", ".lock.5.tmp"]);
});

test("the lock of an ended process goes without being taken, that of a living one stays", async () => {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((done) => child.on("close", done));
  const path = join(folder, "lines.jsonl.lock");
  for (const [pid, kept] of [
    [child.pid, []],
    [process.pid, ["lines.jsonl.lock"]],
  ] as const) {
    await writeFile(path, JSON.stringify({ pid, started: "", host: hostname() }));
    await removeDeadLock(path);
    expect(await readdir(folder)).toEqual(kept);
  }
});
