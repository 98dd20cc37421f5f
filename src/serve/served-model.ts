/** A model that answers requests: its engine's model, its tokenizer and template, and the tokens at which answers end. */
import { readStopIds } from "../data/stop-ids.ts";
import type { TemplateSettings } from "../data/template-settings.ts";
import { type ConversationTokeniser, openConversationTokeniser } from "../data/tokenise.ts";
import type { Engine, EngineModel } from "../engine/engine.ts";

/** What a server may be asked for. */
export interface ServedReference {
  /** As requests name it. */
  readonly name: string;
  readonly folder: string;
  /** Positions of prompt and answer together; null where the config names none. */
  readonly context: number | null;
  /** What its prompts are rendered with; default the fixed date and no variables. */
  readonly template?: TemplateSettings;
}

export interface ServedModel {
  readonly name: string;
  readonly engine: EngineModel;
  readonly tokeniser: ConversationTokeniser;
  readonly stopIds: readonly number[];
  /** Positions of prompt and answer together. */
  readonly context: number;
  dispose(): Promise<void>;
}

/** Where a config names no longest sequence. */
const LONGEST = 2 ** 20;

export async function openServedModel(
  { name, folder, context: longest, template }: ServedReference,
  engine: Engine,
): Promise<ServedModel> {
  const context = longest ?? LONGEST;
  const tokeniser = await openConversationTokeniser(folder, {
    maxLength: context,
    ...(template !== undefined && { settings: template }),
  });
  try {
    const stopIds = await readStopIds(folder, tokeniser);
    const model = await engine.open(folder);
    return {
      name,
      engine: model,
      tokeniser,
      stopIds,
      context,
      dispose: async () => {
        await model.dispose();
        await tokeniser.dispose();
      },
    };
  } catch (error) {
    await tokeniser.dispose();
    throw error;
  }
}
