/** Small data files of a test, and what reading them says. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { readConversations } from "#src/data/read.js";
import { FusechatError } from "#src/errors.js";

export const QUESTION = { role: "user", content: "Is water wet?" } as const;
export const ANSWER = { role: "assistant", content: "Yes" } as const;
export const SYSTEM = { role: "system", content: "Be brief." } as const;

export const newFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "fusechat-data-"));

export async function fileWith(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(await newFolder(), name);
  await writeFile(path, content);
  return path;
}

export const linesOf = (...records: unknown[]): string => records.map((record) => JSON.stringify(record)).join("\n");

/** The turns of every conversation of a path. */
export const turnsOf = async (path: string): Promise<unknown[]> =>
  (await readConversations(path)).conversations.map(({ turns }) => turns);

/** The message of the input error that reading ends with. */
export async function refusal(path: string, irregular?: "leave-out"): Promise<string> {
  const error = await readConversations(path, irregular).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(FusechatError);
  expect((error as FusechatError).exitCode).toBe(2);
  return (error as FusechatError).message;
}
