/**
 * Distributions from a server: the config and the tokenizer are here, the weights are not. Token ids go there and rows
 * come back. A server gives rows alone; it writes no answers and trains nothing here.
 */

import { join } from "node:path";
import { z } from "zod";
import { inputError } from "../../errors.ts";
import { readChecked } from "../../formats/checked-json.ts";
import { exists, writeJson } from "../../formats/files.ts";
import { makeFolder } from "../../formats/folders.ts";
import { loadTokenizer } from "../../tokenizer/load.ts";
import type { Engine, EngineModel } from "../engine.ts";
import { openCandidates } from "./candidates.ts";
import { SERVER_KINDS, type ServerKindName, serverKind } from "./kinds/index.ts";
import { modelFacts } from "./model-facts.ts";
import { checkSameModel, type Probe, probe } from "./probe.ts";
import { collectRows } from "./rows.ts";
import { openServer, type Server } from "./server.ts";
import type { ServerSettings } from "./settings.ts";

/** What a server said first, to be compared when work goes on. */
const PROBE_FILE = "server.json";
/** A call as large as a shard: requests stay in flight as long as there are some. */
const CALL_TOKENS = 1 << 20;

/** Asks the server who it is first; throws one sentence where it cannot do the work. */
export async function createServerEngine(
  { kind: name, ...settings }: ServerSettings & { readonly kind: ServerKindName },
  apiKey: string | undefined,
): Promise<Engine> {
  const server = await openServer(serverKind(name), settings, { apiKey, kinds: SERVER_KINDS });
  return {
    kind: name,
    served: { kind: name, model: server.model },
    facts: (folder) => modelFacts(folder),
    open: async (folder, work) => openServedModel(server, folder, work),
    train: () => Promise.reject(rowsOnly(server, "trains nothing; give the pivot's own engine for that")),
    dispose: () => Promise.resolve(),
  };
}

async function openServedModel(server: Server, folder: string, work: string | undefined): Promise<EngineModel> {
  const { vocabulary, parameters, maxPositions } = await modelFacts(folder);
  const candidates = openCandidates(1, vocabulary);
  const now = await probe(server, folder, await loadTokenizer(folder), vocabulary, candidates);
  if (work !== undefined) await compareWithBefore(server, work, now);
  const limits = { folder, vocabulary, maxPositions };
  return {
    folder,
    vocabulary,
    parameters,
    callTokens: CALL_TOKENS,
    rows: (sequences, topK, watch) =>
      collectRows(server, limits, sequences, {
        topK: Math.min(topK, vocabulary),
        work,
        ...(watch === undefined ? {} : { watch }),
      }),
    logits: () => Promise.reject(rowsOnly(server, "gives no logits")),
    generate: () => Promise.reject(rowsOnly(server, "writes no answers here")),
    dispose: () => Promise.resolve(),
  };
}

const probeFile: z.ZodType<Probe> = z.object({ logps: z.array(z.number()) });

async function compareWithBefore(server: Server, work: string, now: Probe): Promise<void> {
  const path = join(work, PROBE_FILE);
  if (await exists(path))
    checkSameModel(server, await readChecked(path, probeFile, "what the server answered first"), now);
  else {
    await makeFolder(work);
    await writeJson(path, now);
  }
}

function rowsOnly({ href, kind }: Server, what: string): Error {
  return inputError(href, `a ${kind.title} server gives distributions alone and ${what}`);
}
