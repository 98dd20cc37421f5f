import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type GrowingFile, openGrowing } from "#src/formats/growing-file.js";
import { failOnce } from "./failing-disk.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-growing-"));
  path = join(folder, "lines.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function grown(length: number | undefined, work: (file: GrowingFile) => Promise<void>): Promise<string> {
  const file = await openGrowing(path, length);
  await work(file).finally(() => file.close());
  return readFile(path, "utf8");
}

test("a device is not written to, nor replaced", async () => {
  await expect(openGrowing("/dev/null")).rejects.toThrow("/dev/null: expected a file, found a device; choose another");
});

test("what is appended follows what is there, and its place is told", async () => {
  const places: number[] = [];
  const text = await grown(undefined, async (file) => {
    for (const line of ["one\n", "zwölf\n", "three\n"]) places.push(await file.append(line));
    await file.sync();
  });
  expect([text, places]).toEqual(["one\nzwölf\nthree\n", [0, 4, 11]]);
  expect(await grown(undefined, async (file) => void (await file.append("four\n")))).toBe(`${text}four\n`);
});

test.each([
  ["one\ntw", undefined, "one\nnext\n"],
  ["tw", undefined, "next\n"],
  [`one\n${"x".repeat(200_000)}`, undefined, "one\nnext\n"],
  ["one\ntwo\nthree\n", 4, "one\nnext\n"],
  ["one\n", 400, "one\nnext\n"],
])("of %j the first %s bytes are kept, or the whole lines", async (before, length, after) => {
  await writeFile(path, before);
  expect(await grown(length, async (file) => void (await file.append("next\n")))).toBe(after);
});

test("an append that the disk had no room for leaves the file as it was, and the next one is whole", async () => {
  const text = await grown(undefined, async (file) => {
    await file.append("one\n");
    await failOnce("write", "ENOSPC", { half: true });
    await expect(file.append("a long line that is half written\n")).rejects.toMatchObject({
      exitCode: 1,
      message: `${path}: the disk is full; free some space and run the same command again`,
    });
    expect(await readFile(path, "utf8")).toBe("one\n");
    await file.append("two\n");
  });
  expect(text).toBe("one\ntwo\n");
});

test("where even cutting back failed, the next append cuts back first", async () => {
  const text = await grown(undefined, async (file) => {
    await failOnce("write", "ENOSPC", { half: true });
    await failOnce("truncate", "EIO");
    await expect(file.append("a long line\n")).rejects.toThrow("the disk is full");
    expect(await readFile(path, "utf8")).toBe("a long");
    await file.append("two\n");
  });
  expect(text).toBe("two\n");
});

test("an error of flushing, told once by the system, is the error of every later call", async () => {
  const text = await grown(undefined, async (file) => {
    await file.append("safe\n");
    await file.sync();
    await file.append("lost\n");
    await failOnce("datasync", "EIO");
    for (const call of [() => file.sync(), () => file.append("more\n"), () => file.sync()]) {
      await expect(call()).rejects.toMatchObject({
        exitCode: 1,
        message: `${path}: the disk could not be read or written`,
      });
    }
  });
  expect(text).toBe("safe\n");
});
