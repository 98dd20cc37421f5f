/** Models for tests of the Hub, and what a test opens it with. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onTestFinished } from "vitest";
import { type Hub, openHub } from "#src/models/hub.js";
import type { ReporterEvent } from "#src/reporter.js";
import { type Files, type HubServer, startHub } from "./server.ts";

const golden = resolve(import.meta.dirname, "../golden/models");

/** A small model's folder as a repository has it, with what no program of ours needs. */
export async function goldenFiles(name: string): Promise<Record<string, Uint8Array | string>> {
  const folder = join(golden, name);
  const files: Record<string, Uint8Array | string> = { "README.md": `# ${name}\n`, ".gitattributes": "*.bin lfs\n" };
  for (const file of await readdir(folder)) {
    if (!file.startsWith("golden")) files[file] = await readFile(join(folder, file));
  }
  return {
    ...files,
    "pytorch_model.bin": "a pickle",
    "training_args.bin": "a pickle",
    "checkpoint-1/optimizer.pt": "a pickle",
  };
}

export function goldenFolder(name: string): string {
  return join(golden, name);
}

/** A server that is closed when the test ends. */
export async function openServer(models: Readonly<Record<string, Files>> = {}): Promise<HubServer> {
  const server = await startHub();
  onTestFinished(() => server.close());
  for (const [repo, files] of Object.entries(models)) server.add(repo, files);
  return server;
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-hub-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface OpenedHub {
  readonly hub: Hub;
  /** `HF_HOME` */
  readonly home: string;
  readonly events: ReporterEvent[];
  /** How long each wait was, in seconds; nothing is waited for. */
  readonly waits: number[];
}

export async function openTestHub(
  server: Pick<HubServer, "url">,
  { home, ...environment }: { readonly home?: string; readonly [name: string]: string | undefined } = {},
): Promise<OpenedHub> {
  const folder = home ?? (await temporaryFolder());
  const events: ReporterEvent[] = [];
  const waits: number[] = [];
  const hub = await openHub({
    environment: { HF_ENDPOINT: server.url, HF_HOME: folder, ...environment },
    reporter: { report: (event) => events.push(event) },
    pause: async (seconds) => {
      waits.push(seconds);
    },
  });
  return { hub, home: folder, events, waits };
}
