/**
 * The folder list is the architecture: a file may import from its own folder and from folders further down, never
 * upwards. `src/errors.ts`, `random.ts`, `reporter.ts` and `version.ts` lie below everything.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { expect, test } from "vitest";

/** From the ground up; folders of one line do not know each other. */
const LAYERS: readonly (readonly string[])[] = [
  ["excerpt.ts", "table.ts"],
  ["issue.ts"],
  ["errors.ts", "random.ts", "reporter.ts", "version.ts"],
  ["formats", "threads", "statistics", "jinja", "vectors"],
  ["sandbox", "graph", "hub"],
  ["tokenizer"],
  ["models"],
  ["data", "engine"],
  ["distributions"],
  ["align"],
  ["fuse", "merge", "evaluate", "serve"],
  ["answers"],
  ["recipe"],
  ["report"],
  ["run"],
  ["lab"],
  ["index.ts"],
  ["cli"],
];

const source = resolve(import.meta.dirname, "../src");

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name))
    .sort();
}

function place(file: string): { folder: string; layer: number } {
  const folder = relative(source, file).split(sep)[0]!;
  return { folder, layer: LAYERS.findIndex((layer) => layer.includes(folder)) };
}

test("every folder of src has its place in the layers", () => {
  const unknown = files(source).filter((file) => place(file).layer < 0);
  expect(unknown.map((file) => relative(source, file))).toEqual([]);
});

test("imports point downwards", () => {
  const upward: string[] = [];
  for (const file of files(source)) {
    const from = place(file);
    for (const [, specifier] of readFileSync(file, "utf8").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      const to = place(resolve(dirname(file), specifier!));
      if (to.folder !== from.folder && to.layer >= from.layer) {
        upward.push(`${relative(source, file)} imports ${specifier}`);
      }
    }
  }
  expect(upward).toEqual([]);
});
