import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { inputError } from "#src/errors.js";
import { acquireLock, type Lock, lockFolder, lockFolderToCome } from "#src/formats/lock.js";

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

test.runIf(process.platform === "linux")(
  "a process that has ended holds nothing, even before its parent has heard of it",
  async () => {
    // It starts a child, and never again looks at what becomes of it.
    const script = `const { pid } = require("node:child_process").spawn("true");
    require("node:fs").writeSync(1, String(pid));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);`;
    const parent = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const pid = Number(await new Promise((said) => parent.stdout.once("data", said)));
      await expect.poll(() => readFile(`/proc/${pid}/stat`, "utf8"), { timeout: 20_000 }).toMatch(/\) Z /);
      await writeFile(lockFile(), JSON.stringify({ pid, started: "" }));
      await (await lockIt()).release();
    } finally {
      parent.kill("SIGKILL");
    }
  },
);

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

describe("a process of another host", () => {
  const elsewhere = { pid: 999_999_999, started: "then", host: "elsewhere", space: "" };

  test("keeps its lock, though no process here has its number", async () => {
    const text = JSON.stringify(elsewhere);
    await writeFile(lockFile(), text);
    await expect(lockIt()).rejects.toMatchObject({
      exitCode: 2,
      message: `${folder}: process 999999999 of host "elsewhere" is at work; if that process has ended, remove ${lockFile()}`,
    });
    expect(await readFile(lockFile(), "utf8")).toBe(text);
    expect(await readdir(folder)).toEqual([".lock"]);
  });

  test.runIf(process.platform === "linux")("is also one in another container of this host", async () => {
    const lock = await lockIt();
    const { space, ...own } = JSON.parse(await readFile(lockFile(), "utf8"));
    await lock.release();
    expect([own.host, space.split(" ")[1]]).toEqual([hostname(), await readlink("/proc/self/ns/pid")]);
    const dead = { ...own, pid: 999_999_999 };
    await writeFile(lockFile(), JSON.stringify({ ...dead, space: `${space.split(" ")[0]} pid:[1]` }));
    await expect(lockIt()).rejects.toThrow(`process 999999999 of host "${hostname()}" is at work`);
    // The machine has been started anew since: nothing of then lives.
    await writeFile(lockFile(), JSON.stringify({ ...dead, space: "another-boot pid:[1]" }));
    await (await lockIt()).release();
  });
});

describe("a folder that a stage writes", () => {
  test("is made, locked from within, and taken away again where nothing was written", async () => {
    const lock = await lockFolder(join(folder, "a/b"));
    expect(await readdir(join(folder, "a/b"))).toEqual([".lock"]);
    await expect(lockFolder(join(folder, "a/b"))).rejects.toMatchObject({
      message: `${join(folder, "a/b")}: process ${process.pid} is writing to this folder; wait for it, or choose another folder`,
    });
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });

  test("stays where something was written, or where it was there before", async () => {
    await mkdir(join(folder, "before"));
    await (await lockFolder(join(folder, "before"))).release();
    const lock = await lockFolder(join(folder, "a/b"));
    await writeFile(join(folder, "a/b/c"), "");
    await lock.release();
    expect(await readdir(folder, { recursive: true })).toEqual(["a", "before", "a/b", "a/b/c"]);
  });

  test("that is to appear whole is locked from beside", async () => {
    const lock = await lockFolderToCome(join(folder, "a/b"));
    expect(await readdir(join(folder, "a"))).toEqual(["b.lock"]);
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  });
});
