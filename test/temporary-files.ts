/**
 * Tests make folders where temporary files are, hundreds a run, and the programs that they start make more. All of them
 * lie in one folder, which goes when the tests end.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default async function setup(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-tests-"));
  // Some tests start programs as somebody else, who must find what is in it.
  await chmod(folder, 0o755);
  // Workers and their children have the environment of this process.
  process.env.TMPDIR = folder;
  return () => rm(folder, { recursive: true, force: true });
}
