import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FusechatError } from "#src/errors.js";
import {
  copyFileAtomic,
  exists,
  fileError,
  openAtomic,
  readJson,
  readText,
  sha256OfFile,
  writeFileAtomic,
  writeJson,
} from "#src/formats/files.js";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-files-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("a written file holds the bytes and leaves no temporary name", async () => {
  const path = join(folder, "made/on/the/way/a.txt");
  await writeFileAtomic(path, "äöü\n");
  await writeFileAtomic(path, Uint8Array.of(1, 2, 3));
  expect(Array.from(await readFile(path))).toEqual([1, 2, 3]);
  expect(await readdir(join(folder, "made/on/the/way"))).toEqual(["a.txt"]);
});

test("a pipe or a device stays what it is, and links in a circle are called that", async () => {
  const pipe = join(folder, "pipe");
  await promisify(execFile)("mkfifo", [pipe]);
  await expect(writeFileAtomic(pipe, "a")).rejects.toThrow(`${pipe}: expected a file, found a pipe; choose another`);
  expect(await readdir(folder)).toEqual(["pipe"]);
  const circle = join(folder, "circle");
  await symlink("circle", circle);
  await expect(readText(circle)).rejects.toThrow(`${circle}: symbolic links on this path lead in a circle`);
});

test("writeAt does not move the place where write appends", async () => {
  const path = join(folder, "a.bin");
  const file = await openAtomic(path);
  await file.write(Uint8Array.of(1, 2));
  await file.writeAt(Uint8Array.of(9), 0);
  await file.writeAt(Uint8Array.of(7), 4);
  await file.write(Uint8Array.of(3, 4));
  await file.commit();
  await file.abort();
  expect(Array.from(await readFile(path))).toEqual([9, 2, 3, 4, 7]);
});

test("an aborted file leaves the old one as it was", async () => {
  const path = join(folder, "a.txt");
  await writeFileAtomic(path, "old");
  const file = await openAtomic(path);
  await file.write(Buffer.from("new"));
  await file.abort();
  expect(await readText(path)).toBe("old");
  expect(await readdir(folder)).toEqual(["a.txt"]);
});

test("a write that the system refuses leaves nothing behind and exits with 1", async () => {
  // A file size limit of 100 blocks in a child process stands in for a full disk.
  const script = `
    import { writeFileAtomic } from ${JSON.stringify(resolve("dist/formats/files.js"))};
    process.on("SIGXFSZ", () => {});
    try {
      await writeFileAtomic(${JSON.stringify(join(folder, "large.bin"))}, new Uint8Array(1 << 20));
    } catch (error) {
      console.log(error.exitCode + " " + error.message);
    }`;
  const { stdout } = await promisify(execFile)("bash", [
    "-c",
    `ulimit -f 100; exec ${JSON.stringify(process.execPath)} --input-type=module -e "$0"`,
    script,
  ]);
  expect(stdout).toBe(
    `1 ${join(folder, "large.bin")}: the file would exceed the size limit of this process or file system\n`,
  );
  expect(await readdir(folder)).toEqual([]);
});

test.runIf(process.platform === "linux")("a full disk is a failure that says so", async () => {
  let caught: unknown;
  try {
    await writeFile("/dev/full", "x");
  } catch (error) {
    caught = fileError("out/model.safetensors", error);
  }
  expect(caught).toBeInstanceOf(FusechatError);
  expect((caught as FusechatError).exitCode).toBe(1);
  expect((caught as FusechatError).message).toBe(
    "out/model.safetensors: the disk is full; free some space and run the same command again",
  );
});

test("a missing file is wrong input and names the file", async () => {
  const path = join(folder, "none.json");
  await expect(readText(path)).rejects.toThrow(`${path}: no such file or folder`);
  await expect(readJson(path)).rejects.toMatchObject({ code: "input", exitCode: 2 });
  await expect(sha256OfFile(path)).rejects.toThrow(`${path}: no such file or folder`);
  await expect(copyFileAtomic(path, join(folder, "b"))).rejects.toThrow(`${path}: no such file or folder`);
  await expect(readText(folder)).rejects.toThrow(`${folder}: expected a file, found a folder`);
  expect(await readdir(folder)).toEqual([]);
});

test.runIf(process.getuid?.() !== 0)("a folder without permission is wrong input", async () => {
  await mkdir(join(folder, "closed"));
  await chmod(join(folder, "closed"), 0o500);
  const path = join(folder, "closed", "a");
  await expect(writeFileAtomic(path, "x")).rejects.toThrow(`${path}: permission denied`);
});

test("bytes that are not UTF-8 are refused with their offset", async () => {
  const path = join(folder, "a.txt");
  await writeFile(path, Buffer.concat([Buffer.from("grün "), Buffer.of(0xff), Buffer.from("x")]));
  await expect(readText(path)).rejects.toThrow(`${path}: expected UTF-8 text, found other bytes at offset 6`);
  await writeFile(path, Buffer.of(0x61, 0xe2, 0x82));
  await expect(readText(path)).rejects.toThrow("found other bytes at offset 2");
});

test("broken JSON is refused with line and column", async () => {
  const path = join(folder, "a.json");
  await writeFile(path, '{\n  "a": 1,\n  b: 2\n}\n');
  await expect(readJson(path)).rejects.toThrow(`${path}:3:3: expected JSON, found "b"`);
  await writeFile(path, '{"a": [1,');
  await expect(readJson(path)).rejects.toThrow(`${path}:1:10: expected JSON, found the end of the file`);
});

test("JSON is written with two spaces and a newline, and read back equal", async () => {
  const path = join(folder, "a.json");
  await writeJson(path, { a: [1, 2] });
  expect(await readText(path)).toBe('{\n  "a": [\n    1,\n    2\n  ]\n}\n');
  expect(await readJson(path)).toEqual({ a: [1, 2] });
});

test("a copy has the same bytes and the hash of the original", async () => {
  const bytes = new Uint8Array(5_000_000).map((_, index) => index * 7);
  await writeFile(join(folder, "a"), bytes);
  await copyFileAtomic(join(folder, "a"), join(folder, "b"));
  const expected = createHash("sha256").update(bytes).digest("hex");
  expect(await sha256OfFile(join(folder, "b"))).toBe(expected);
  expect(await exists(join(folder, "b"))).toBe(true);
  expect(await exists(join(folder, "c"))).toBe(false);
  expect((await readdir(folder)).sort()).toEqual(["a", "b"]);
});
