import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { inputError } from "#src/errors.js";
import { acquireLock, type Lock } from "#src/formats/lock.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-lock-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const lockFile = () => join(folder, ".lock");
const lockIt = (): Promise<Lock> => acquireLock(lockFile(), (pid) => inputError(folder, `process ${pid} is at work`));

test("a directory is locked until it is released, and nothing is left behind", async () => {
  const lock = await lockIt();
  await expect(lockIt()).rejects.toMatchObject({
    exitCode: 2,
    message: `${folder}: process ${process.pid} is at work`,
  });
  await lock.release();
  await (await lockIt()).release();
  expect(await readdir(folder)).toEqual([]);
});

test("the lock of a process that is gone is taken over", async () => {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((done) => child.on("close", done));
  await writeFile(lockFile(), JSON.stringify({ pid: child.pid, started: "then" }));
  const lock = await lockIt();
  expect(JSON.parse(await readFile(lockFile(), "utf8")).pid).toBe(process.pid);
  await lock.release();
});

test.runIf(process.platform !== "win32")("a process that only has the same id does not hold it", async () => {
  await writeFile(lockFile(), JSON.stringify({ pid: process.pid, started: "another life" }));
  await (await lockIt()).release();
});

test.each(["", "{", '{"pid": -1, "started": ""}', '{"pid": "1"}', "null"])(
  "a broken lock file (%s) holds nothing",
  async (text) => {
    await writeFile(lockFile(), text);
    await (await lockIt()).release();
    expect(await readdir(folder)).toEqual([]);
  },
);

test("of many who race for a dead process's lock, one gets it", async () => {
  await writeFile(lockFile(), JSON.stringify({ pid: 999_999_999, started: "then" }));
  const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => lockIt()));
  expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});
