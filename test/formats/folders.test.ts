import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeFileAtomic } from "#src/formats/files.js";
import { makeFolder, renameForGood } from "#src/formats/folders.js";
import { failOnce, flushedBy } from "./failing-disk.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-folders-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const inode = async (...path: string[]): Promise<number> => (await stat(join(folder, ...path))).ino;

test("a folder that is made is flushed into the one around it, and so are those on the way", async () => {
  const flushed = await flushedBy(() => makeFolder(join(folder, "a/b/c")));
  expect(flushed).toEqual([await inode("a", "b"), await inode("a"), await inode()]);
  expect(await flushedBy(() => makeFolder(join(folder, "a/b/c")))).toEqual([]);
});

test("a rename is flushed where the name comes, and where it goes", async () => {
  await makeFolder(join(folder, "old"));
  await makeFolder(join(folder, "to"));
  const flushed = await flushedBy(() => renameForGood(join(folder, "old"), join(folder, "to/new")));
  expect(flushed).toEqual([await inode("to"), await inode()]);
  expect(await readdir(join(folder, "to"))).toEqual(["new"]);
});

test("a written file is flushed first, and then the folder that has its name", async () => {
  const path = join(folder, "a.txt");
  const flushed = await flushedBy(() => writeFileAtomic(path, "new"));
  expect(flushed).toEqual([await inode("a.txt"), await inode()]);
});

test.each(["file", "folder"] as const)("a %s that cannot be flushed is a failure", async (of) => {
  await failOnce("sync", "EIO", { of });
  await expect(writeFileAtomic(join(folder, "a.txt"), "new")).rejects.toMatchObject({
    exitCode: 1,
    message: `${of === "file" ? join(folder, "a.txt") : folder}: the disk could not be read or written`,
  });
});

test("a file system that knows no flushing of folders is taken as it is", async () => {
  await failOnce("sync", "EINVAL", { of: "folder" });
  await writeFileAtomic(join(folder, "a.txt"), "new");
  expect(await readdir(folder)).toEqual(["a.txt"]);
});

test("a file in a folder's place is told", async () => {
  await writeFile(join(folder, "a"), "");
  await expect(makeFolder(join(folder, "a/b"))).rejects.toMatchObject({
    exitCode: 2,
    message: `${join(folder, "a/b")}: a part of this path is a file, not a folder`,
  });
});
