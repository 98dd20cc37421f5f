import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { readChecked, readWhole } from "#src/formats/checked-json.js";

const schema = z.object({ rows: z.number() });

test("a file is read as the schema has it, or whole; either way what is wrong with it is told", async () => {
  const path = join(await mkdtemp(join(tmpdir(), "fusechat-checked-")), "alignment.json");
  await writeFile(path, '{"rows": 3, "source": "a"}');
  expect(await readChecked(path, schema, "an alignment")).toEqual({ rows: 3 });
  expect(await readWhole(path, schema, "an alignment")).toEqual({ rows: 3, source: "a" });
  await writeFile(path, '{"rows": null, "source": "a"}');
  for (const read of [readChecked, readWhole]) {
    await expect(read(path, schema, "an alignment")).rejects.toThrow(`${path}: expected an alignment`);
  }
});
