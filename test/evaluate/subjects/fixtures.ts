/**
 * Models under test for the tests of this folder: golden ones, loopback servers, and a folder of their own each time.
 * A test file that uses them calls `useSubjects`, which sets them up and puts them away around its tests.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { StageContext } from "#src/engine/context.js";
import type { Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import type { JudgeOptions } from "#src/evaluate/judges/judge.js";
import { openSubject } from "#src/evaluate/subjects/open.js";
import type { Answer, AnswerSettings, Dialogue, SubjectReference } from "#src/evaluate/subjects/subject.js";
import type { ReporterEvent } from "#src/reporter.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "../../engine/endpoint/server.ts";

export const MODELS = resolve(import.meta.dirname, "../../golden/models");
export const GREEDY: AnswerSettings = { temperature: 0, maxTokens: 8, seed: "test" };
export const WARM: AnswerSettings = { ...GREEDY, temperature: 1 };

export let engine: Engine;
export let events: ReporterEvent[];
export let context: StageContext;
export let folder: string;
export const servers: TestServer[] = [];

export function useSubjects(): void {
  beforeAll(async () => {
    engine = await createOnnxEngine();
  });
  afterAll(() => engine.dispose());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-subjects-"));
    events = [];
    context = { engine, reporter: { report: (event) => events.push(event) } };
  });
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()));
    await rm(folder, { recursive: true, force: true });
  });
}

export const local = (name: string): SubjectReference => ({ kind: "folder", name, folder: join(MODELS, name) });

export function remote({ url }: { url: string }, name: string = "remote"): SubjectReference {
  return { kind: "endpoint", name, endpoint: { url, model: name, concurrency: 4, timeoutSeconds: 5, attempts: 1 } };
}

export function judgeAt({ url }: { url: string }): JudgeOptions {
  return { endpoint: { url, model: "critic", concurrency: 4, timeoutSeconds: 5, attempts: 1 } };
}

export async function serve(answer: (request: ServedRequest) => Behaviour): Promise<TestServer> {
  const server = await startServer(answer);
  servers.push(server);
  return server;
}

export function dialogue(id: string, content: string = `What is ${id}?`): Dialogue {
  return { id, turns: [{ role: "user", content }] };
}

export async function answersOf(
  reference: SubjectReference,
  dialogues: readonly Dialogue[],
  settings: AnswerSettings = GREEDY,
  options: { judge?: JudgeOptions; keep?: string } = {},
): Promise<Answer[]> {
  const subject = await openSubject(reference, context, options.judge ?? null, options.keep ?? null);
  try {
    return await subject.answer(dialogues, settings);
  } finally {
    await subject.dispose();
  }
}

export const warnings = (): string[] => events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
