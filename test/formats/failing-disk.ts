/** Disks that fail, and disks that are watched: this process's calls to the operating system, changed for a while. */
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";

type Call = "write" | "sync" | "datasync" | "truncate";
type Method = (this: FileHandle, ...given: unknown[]) => Promise<unknown>;

async function replace(call: Call, make: (whole: Method, restore: () => void) => Method): Promise<() => void> {
  const handle = await open(tmpdir(), "r");
  const prototype = Object.getPrototypeOf(handle) as Record<Call, Method>;
  await handle.close();
  const whole = prototype[call];
  const restore = (): void => {
    prototype[call] = whole;
  };
  prototype[call] = make(whole, restore);
  return restore;
}

/**
 * The next call of this kind, of a file or of a folder, ends with an error of the operating system, and those after it
 * do what they should. `half` lets the first half of a write through.
 */
export async function failOnce(
  call: Call,
  code: string,
  { half = false, of = "file" }: { half?: boolean; of?: "file" | "folder" } = {},
): Promise<void> {
  await replace(
    call,
    (whole, restore) =>
      async function (this: FileHandle, ...given) {
        if ((await this.stat()).isDirectory() !== (of === "folder")) return whole.apply(this, given);
        restore();
        const [bytes, , length, position] = given as [Uint8Array, number, number, number];
        if (half) await whole.call(this, bytes, 0, Math.floor(length / 2), position);
        throw Object.assign(new Error(`${code}, simulated`), { code });
      },
  );
}

/** What `work` flushes: inode numbers of files and folders, in order. */
export async function flushedBy(work: () => Promise<unknown>): Promise<number[]> {
  const inodes: number[] = [];
  const restore = await replace(
    "sync",
    (whole) =>
      async function (this: FileHandle) {
        inodes.push((await this.stat()).ino);
        return whole.call(this);
      },
  );
  try {
    await work();
  } finally {
    restore();
  }
  return inodes;
}
