/**
 * Containers that a library reads, read in a process with limits of memory and time: the numbers in such a file are
 * sizes and positions, and a damaged one can ask for anything.
 */
import { stat } from "node:fs/promises";
import { inputError } from "../../errors.ts";
import { fileError } from "../../formats/files.ts";
import { openSandbox, type Sandbox, SandboxDeath } from "../../sandbox/sandbox.ts";
import type { Container, Found } from "./container.ts";
import type { ContainerWork } from "./container-work.ts";

/**
 * Rows of a group are held together, as objects of some 10 times their bytes, and pages of repeated texts are a
 * hundredth of them: memory follows from the file, time as well.
 */
const MEMORY_MB = 500;
const MEMORY_PER_BYTE = 64;
const MOST_MEMORY_MB = 8000;
const SECONDS = 2;
const BYTES_PER_SECOND = 1e6;

/** Processes that wait for the next file. */
const idle: Sandbox<ContainerWork>[] = [];

/** The records of a file of this container. */
export async function* foreignRecords(container: Container, path: string): AsyncGenerator<readonly Found[]> {
  let size: number;
  try {
    size = (await stat(path)).size;
  } catch (error) {
    throw fileError(path, error);
  }
  const limits = {
    memoryMb: Math.min(MOST_MEMORY_MB, MEMORY_MB + Math.ceil((MEMORY_PER_BYTE * size) / 1e6)),
    seconds: SECONDS + Math.ceil(size / BYTES_PER_SECOND),
  };
  const sandbox =
    idle.pop() ??
    openSandbox<ContainerWork>({
      script: new URL("./container-process.js", import.meta.url),
      stage: container.name,
      heapMb: MOST_MEMORY_MB,
    });
  try {
    await sandbox.call("open", { container: container.name, path }, limits);
    // The next batch is read while this one is in use.
    let next = ask(sandbox, limits);
    for (;;) {
      const batch = await next;
      if (batch.length === 0) break;
      next = ask(sandbox, limits);
      yield batch;
    }
  } catch (error) {
    if (!(error instanceof SandboxDeath)) throw error;
    throw inputError(
      path,
      `expected ${container.name}, but reading ${size} bytes of it ${error.message}; the file is damaged`,
      error,
    );
  } finally {
    idle.push(sandbox);
  }
}

/** Somebody awaits it later, or nobody, where what came before was refused. */
function ask(
  sandbox: Sandbox<ContainerWork>,
  limits: { memoryMb: number; seconds: number },
): Promise<readonly Found[]> {
  const batch = sandbox.call("next", undefined, limits);
  batch.catch(() => {});
  return batch;
}
