import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { filesOfData } from "#src/data/containers/index.js";
import { newFolder, refusal } from "../files.ts";

async function folderOf(...names: readonly string[]): Promise<string> {
  const folder = await newFolder();
  for (const name of names) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), "");
  }
  return folder;
}

const namesIn = async (folder: string, pattern: string) =>
  (await filesOfData(join(folder, pattern))).map((file) => file.slice(folder.length + 1));

test("patterns name files in the order of their names", async () => {
  const folder = await folderOf("b.jsonl", "a.jsonl", "a10.jsonl", "a9.jsonl.gz", "x/c.json", "x/y/d.csv", "notes.txt");
  expect(await namesIn(folder, "*.jsonl")).toEqual(["a.jsonl", "a10.jsonl", "b.jsonl"]);
  expect(await namesIn(folder, "a*")).toEqual(["a.jsonl", "a10.jsonl", "a9.jsonl.gz"]);
  expect(await namesIn(folder, "?.jsonl")).toEqual(["a.jsonl", "b.jsonl"]);
  expect(await namesIn(folder, "[!a].jsonl")).toEqual(["b.jsonl"]);
  expect(await namesIn(folder, "{b,a}.jsonl")).toEqual(["a.jsonl", "b.jsonl"]);
  expect(await namesIn(folder, "**/*.{json,csv}")).toEqual(["x/c.json", "x/y/d.csv"]);
  expect(await namesIn(folder, "x/*")).toEqual(["x/c.json"]);
});

test("a file whose name looks like a pattern is that file", async () => {
  const folder = await folderOf("a[1].jsonl", "a1.jsonl");
  expect(await namesIn(folder, "a[1].jsonl")).toEqual(["a[1].jsonl"]);
});

test.each<[readonly string[], string, RegExp]>([
  [["a.txt"], "", /expected files of conversations in this folder, found none$/],
  [["train/a.jsonl", "test/a.jsonl"], "", /found none; it has the folders test, train, of which one may be meant$/],
  [["train.jsonl", "test.jsonl"], "", /expected one part of a data set, found test, train; name the files/],
  [["data/train-00000-of-00002.parquet", "data/test-00000-of-00001.parquet"], "data", /found test, train/],
  [["a.jsonl", "a.jsonl.gz"], "", /a\.jsonl and a\.jsonl\.gz look like the same data twice/],
  [["dataset_dict.json", "train/state.json"], "", /found a set of them; name the one that is meant: .*train$/],
  [["a.txt"], "*.jsonl", /expected a pattern of files of conversations, found none among the 0 that fit$/],
])("%j is not guessed at", async (names, path, message) => {
  expect(await refusal(join(await folderOf(...names), path))).toMatch(message);
});

test("of one part all files are read", async () => {
  const names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"];
  expect((await filesOfData(await folderOf(...names))).map((file) => file.split("/").at(-1))).toEqual(names);
});

test("a saved data set has all its parts, and no others", async () => {
  const folder = await folderOf("data-00000-of-00002.arrow", "data-00001-of-00002.arrow", "cache-1.arrow");
  const state = (names: readonly unknown[], more = {}) =>
    writeFile(
      join(folder, "state.json"),
      JSON.stringify({ _data_files: names.map((filename) => ({ filename })), ...more }),
    );
  await state(["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]);
  expect((await filesOfData(folder)).length).toBe(2);
  await state(["data-00000-of-00003.arrow"]);
  expect(await refusal(folder)).toMatch(/data-00000-of-00003\.arrow: no such file, and state\.json lists it/);
  await state(["../data-00000-of-00002.arrow"]);
  expect(await refusal(folder)).toMatch(/expected _data_files to name \.arrow files of this folder/);
  await state(["cache-1.arrow"], { _indices_data_files: [{ filename: "x" }] });
  expect(await refusal(folder)).toMatch(/rows chosen by an index/);
});
