/** What is made from the methods is current. `npx vitest run test/merge/reference.test.ts -u` makes it again. */
import { expect, test } from "vitest";
import { METHODS } from "#src/merge/methods/index.js";
import { mergeReference } from "#src/merge/reference.js";

test("docs/merge.md is made from the methods", async () => {
  await expect(mergeReference()).toMatchFileSnapshot("../../docs/merge.md");
});

test("every method says what it is, whence it comes and what its options mean", () => {
  expect(new Set(METHODS.map(({ name }) => name)).size).toBe(METHODS.length);
  for (const { name, summary, paper, options, modelOptions } of METHODS) {
    expect(name).toMatch(/^[a-z_]+$/);
    expect(summary, name).toMatch(/^[a-z].*[^.]$/);
    expect(paper, name).toMatch(/(arXiv:\d{4}\.\d{5}|doi:10\.)/);
    for (const [key, field] of Object.entries({ ...options.shape, ...modelOptions.shape })) {
      const { description, def } = field as { description?: string; def: { innerType?: { description?: string } } };
      expect(description ?? def.innerType?.description, `${name}.${key}`).toMatch(/\w/);
    }
  }
});
