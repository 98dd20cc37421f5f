import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type LogLine, openJournal } from "#src/fuse/journal.js";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-journal-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const line = (step: number): LogLine => ({
  step,
  loss: 2 - step / 10,
  label_loss: 2,
  fusion_loss: 1,
  lr: 1e-3,
  grad_norm: 1,
  rows: 7,
});

const text = (name: string): Promise<string> => readFile(join(folder, name), "utf8");

test("keeps one line a step, in the order of the format, and the wall times apart", async () => {
  const { journal, kept } = await openJournal(folder, 0);
  expect(kept).toEqual([]);
  for (let step = 0; step < 3; step++) await journal.append(line(step), 0.123456);
  await journal.sync();
  await journal.close();
  expect((await text("log.jsonl")).split("\n")[1]).toBe(
    '{"step":1,"loss":1.9,"label_loss":2,"fusion_loss":1,"lr":0.001,"grad_norm":1,"rows":7}',
  );
  expect(await text("timing.jsonl")).toBe(
    '{"step":0,"seconds":0.1235}\n{"step":1,"seconds":0.1235}\n{"step":2,"seconds":0.1235}\n',
  );
});

test("goes on after the checkpoint's step, whatever came later", async () => {
  const first = await openJournal(folder, 0);
  for (let step = 0; step < 4; step++) await first.journal.append(line(step), 1);
  await first.journal.close();
  await appendFile(join(folder, "log.jsonl"), '{"step":4,"lo');
  const again = await openJournal(folder, 2);
  expect(again.kept).toEqual([line(0), line(1)]);
  await again.journal.append(line(2), 2);
  await again.journal.close();
  expect((await text("log.jsonl")).trimEnd().split("\n")).toHaveLength(3);
  expect(await text("timing.jsonl")).toBe('{"step":0,"seconds":1}\n{"step":1,"seconds":1}\n{"step":2,"seconds":2}\n');
});

test("lost and foreign lines are refused by place", async () => {
  await writeFile(join(folder, "log.jsonl"), `${JSON.stringify(line(0))}\n`);
  await expect(openJournal(folder, 2)).rejects.toThrow(/log\.jsonl: expected the lines of 2 steps .*, found 1; remove/);
  await writeFile(join(folder, "log.jsonl"), `${JSON.stringify(line(0))}\nhello\n`);
  await expect(openJournal(folder, 2)).rejects.toThrow(/log\.jsonl:2: expected the line of step 1, found "hello"/);
});
