/**
 * Tests make folders where temporary files are, hundreds a run, and the programs that they start make more. All of them
 * lie in one folder, which goes when the tests end.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-tests-"));
  // Workers and their children have the environment of this process.
  process.env.TMPDIR = folder;
  return () => rm(folder, { recursive: true, force: true });
}
