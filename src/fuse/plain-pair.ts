/**
 * The pair of plain fine-tuning: labels alone, no teacher. What shards would say of conversations and rows follows from
 * data, tokenizer and template, so none are needed, and no teacher pass (a third of a training's time) is made for them.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import type { TokenisedConversation } from "../data/conversation.ts";
import { DEFAULT_TEMPLATE_SETTINGS } from "../data/template-settings.ts";
import { openConversationTokeniser } from "../data/tokenise.ts";
import type { DistributionsMetadata } from "../distributions/shard.ts";
import { layOutShard } from "../distributions/teacher-pass.ts";
import type { StageContext } from "../engine/context.ts";
import { openWeights } from "../formats/weights.ts";
import { ownNameOf } from "../hub/id.ts";
import type { FuseOptions } from "./options.ts";
import type { Pair } from "./pair.ts";
import { shardRows } from "./shard-rows.ts";

/** Tokens a conversation is cut to where nothing else is said: as a teacher pass has it. */
const MAX_LENGTH = 2048;
/** Conversations laid out at a time. */
const CHUNK = 256;

export async function openPlainPair(
  options: Pick<FuseOptions, "model" | "conversations" | "maxLength" | "templateSettings">,
  stage: string,
  { reporter, engine }: Pick<StageContext, "reporter" | "engine">,
): Promise<Pair> {
  const { model, conversations } = options;
  const maxLength = options.maxLength ?? MAX_LENGTH;
  const settings = options.templateSettings ?? DEFAULT_TEMPLATE_SETTINGS;
  const open = () => openConversationTokeniser(model, { maxLength, settings });
  const { vocabulary } = await engine.facts(model);
  const tokeniser = await open();
  const { identity } = tokeniser;
  const tokenizerSha256 = tokeniser.tokenizer.sha256;
  await tokeniser.dispose();
  const metadata: DistributionsMetadata = {
    model: ownNameOf(resolve(model)),
    weightsSha256: await (await openWeights(model)).sha256(),
    tokenizerSha256,
    template: "native",
    ...identity,
    topK: 0,
    vocabulary,
    maxLength,
  };
  return {
    metadata,
    sourceNames: [],
    pivotWidth: 0,
    alignedWidths: [],
    hashes: { rendering: createHash("sha256").update(JSON.stringify(identity), "utf8").digest("hex") },
    nats: () => Promise.resolve([]),
    shards: async function* () {
      const refused: string[] = [];
      const reading = await open();
      try {
        for (let first = 0; first < conversations.length; first += CHUNK) {
          const accepted: TokenisedConversation[] = [];
          for (const one of await reading.tokenise(conversations.slice(first, first + CHUNK), first)) {
            if ("refused" in one) refused.push(one.refused);
            else accepted.push(one);
          }
          const shard = layOutShard(metadata, accepted);
          yield accepted.map(({ conversation }, place) => ({
            conversation,
            pivot: shardRows(shard, place),
            sources: [],
          }));
        }
      } finally {
        await reading.dispose();
      }
      if (refused.length === 0) return;
      const message = `${refused.length} of ${conversations.length} conversations are left out, as the template refuses them: ${refused[0]}`;
      reporter.report({ type: "warning", stage, message });
    },
  };
}
