/** `--irregular` on the verbs that read conversations, and the reading: what is left out is told once, by reason. */
import { type Command, Option } from "commander";
import type { Conversation } from "../data/conversation.ts";
import { IRREGULAR_RULES, type IrregularRule, leftOutSentence } from "../data/irregular.ts";
import { readConversations } from "../data/read.ts";
import type { Reporter } from "../reporter.ts";

export function irregularOption(prefix = ""): Option {
  return new Option("--irregular <rule>", `${prefix}records that cannot be used`).choices(IRREGULAR_RULES);
}

export function declareIrregular(command: Command): void {
  command.addOption(irregularOption().default("refuse"));
}

/** The conversations of `--data`. */
export async function conversationsOf(
  data: string,
  irregular: IrregularRule,
  { reporter, stage }: { readonly reporter: Reporter; readonly stage: string },
): Promise<readonly Conversation[]> {
  const { conversations, leftOut } = await readConversations(data, irregular);
  if (leftOut.length > 0) reporter.report({ type: "warning", stage, message: leftOutSentence(leftOut) });
  return conversations;
}
