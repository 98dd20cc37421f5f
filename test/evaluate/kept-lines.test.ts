import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { type KeptLines, openKeptLines } from "#src/evaluate/kept-lines.js";
import { failOnce } from "../formats/failing-disk.ts";

interface Line {
  readonly key: string;
  readonly value: string;
}

const line: z.ZodType<Line> = z.object({ key: z.string(), value: z.string() });

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-kept-"));
  path = join(folder, "new folder/kept.jsonl");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const openLines = (): Promise<KeptLines<Line>> => openKeptLines(path, line, "a line");

test("what is appended is on the disk and found again, in this opening and the next", async () => {
  const lines = await openLines();
  await Promise.all([1, 2, 3].map((n) => lines.append({ key: `k${n}`, value: `wört ${n}` })));
  expect(await readFile(path, "utf8")).toBe([1, 2, 3].map((n) => `{"key":"k${n}","value":"wört ${n}"}\n`).join(""));
  expect(await lines.get("k2")).toEqual({ key: "k2", value: "wört 2" });
  expect(await lines.get("k4")).toBeNull();
  await lines.close();
  const again = await openLines();
  expect([again.count, again.has("k3"), again.has("k4")]).toEqual([3, true, false]);
  expect(await again.get("k3")).toEqual({ key: "k3", value: "wört 3" });
  await again.close();
});

test("opening writes nothing, and a file of nothing is empty", async () => {
  const lines = await openLines();
  expect(lines.count).toBe(0);
  await lines.close();
  await expect(readFile(path)).rejects.toMatchObject({ code: "ENOENT" });
});

test("cut anywhere, whole lines are kept and the next one follows them", async () => {
  const lines = await openLines();
  for (const n of [1, 2, 3]) await lines.append({ key: `k${n}`, value: "ü".repeat(n) });
  await lines.close();
  const whole = await readFile(path);
  for (let length = 0; length <= whole.length; length++) {
    await writeFile(path, whole.subarray(0, length));
    const count = whole.subarray(0, length).filter((byte) => byte === 10).length;
    const cut = await openLines();
    expect(cut.count).toBe(count);
    await cut.append({ key: "next", value: "" });
    await cut.close();
    const text = await readFile(path, "utf8");
    const keys = text
      .trimEnd()
      .split("\n")
      .map((found) => JSON.parse(found).key);
    expect(keys).toEqual([...["k1", "k2", "k3"].slice(0, count), "next"]);
  }
});

test("lines longer than a piece that is read, blank ones and repeated keys are read", async () => {
  const lines = await openLines();
  const long = "x".repeat(3_000_000);
  await lines.append({ key: "a", value: "first" });
  await lines.append({ key: "long", value: long });
  await lines.append({ key: "b", value: "last" });
  await lines.close();
  await writeFile(path, `${await readFile(path, "utf8")}\n  \r\n{"key":"a","value":"second"}\n`);
  const again = await openLines();
  expect(again.count).toBe(3);
  expect((await again.get("long"))!.value).toBe(long);
  expect((await again.get("a"))!.value).toBe("first");
  expect((await again.get("b"))!.value).toBe("last");
  await again.close();
});

test("lines that another opening added meanwhile are seen before the first own one", async () => {
  const [one, two] = [await openLines(), await openLines()];
  await one.append({ key: "a", value: "1" });
  await one.close();
  await two.append({ key: "b", value: "2" });
  expect(await two.get("a")).toEqual({ key: "a", value: "1" });
  expect(await two.get("b")).toEqual({ key: "b", value: "2" });
  await two.close();
});

test("a folder in the file's place is told", async () => {
  path = folder;
  await expect(openLines()).rejects.toMatchObject({
    exitCode: 2,
    message: `${folder}: expected a file, found a folder`,
  });
});

test("a disk that was full for a while costs the line that it had no room for, and no other", async () => {
  const lines = await openLines();
  await lines.append({ key: "a", value: "kept before" });
  await failOnce("write", "ENOSPC", { half: true });
  await expect(lines.append({ key: "b", value: "much longer than what comes after it" })).rejects.toMatchObject({
    exitCode: 1,
    message: `${path}: the disk is full; free some space and run the same command again`,
  });
  await lines.append({ key: "c", value: "kept after" });
  expect([await lines.get("b"), (await lines.get("c"))!.value]).toEqual([null, "kept after"]);
  await lines.close();
  const again = await openLines();
  expect([again.count, (await again.get("c"))!.value]).toEqual([2, "kept after"]);
  await again.close();
});

test("a line whose flushing failed was not kept, and nothing more is", async () => {
  const lines = await openLines();
  await lines.append({ key: "a", value: "1" });
  await failOnce("datasync", "EIO");
  for (const key of ["b", "c"]) {
    await expect(lines.append({ key, value: "" })).rejects.toThrow(`${path}: the disk could not be read or written`);
  }
  expect([lines.has("b"), lines.has("c")]).toEqual([false, false]);
  await lines.close();
  expect(await readFile(path, "utf8")).toBe('{"key":"a","value":"1"}\n');
});
