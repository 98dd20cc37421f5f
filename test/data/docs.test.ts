import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { COMPRESSIONS } from "#src/data/containers/compressions/index.js";
import { CONTAINERS } from "#src/data/containers/index.js";
import { SHAPES } from "#src/data/shapes/index.js";
import { FLAG_KEYS } from "#src/data/shapes/masks.js";
import { UNREADABLE_KEYS } from "#src/data/shapes/message-list.js";
import { ROLE_NAMES } from "#src/data/shapes/roles.js";

const PAGE = readFileSync(resolve(import.meta.dirname, "../../docs/data.md"), "utf8");
const quoted = (words: readonly string[]) => words.map((word) => `\`${word}\``);

test("docs/data.md has a row for every container and every shape, as they describe themselves", () => {
  const rows = [
    ...CONTAINERS.map(({ suffixes, summary }) => `| ${quoted(suffixes).join(", ")} | ${summary} |`),
    ...SHAPES.map(({ keys, summary }) => `| ${quoted(keys).join(", ")} | ${summary} |`),
  ];
  expect(PAGE.split("\n").filter((line) => rows.includes(line))).toEqual(rows);
});

test("docs/data.md names every compression, role and field that changes what is trained", () => {
  const words = [
    ...quoted([...COMPRESSIONS.flatMap(({ suffixes }) => suffixes), ...ROLE_NAMES, ...FLAG_KEYS, ...UNREADABLE_KEYS]),
  ];
  expect(words.filter((word) => !PAGE.includes(word))).toEqual([]);
});
