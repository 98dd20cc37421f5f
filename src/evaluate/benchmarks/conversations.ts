/** Conversations that a benchmark reads from a file of its own, and what is said of the records left out of them. */
import {
  IRREGULAR_RULES,
  type IrregularRule,
  type LeftOut,
  leftOutSentence,
  withoutFolders,
} from "../../data/irregular.ts";
import { type ReadConversations, readConversations } from "../../data/read.ts";
import { inputError } from "../../errors.ts";
import type { Reporter } from "../../reporter.ts";
import type { BenchmarkOption, BenchmarkSettings } from "./benchmark.ts";

/** Where conversations come from, and what becomes of records that cannot be used. */
export function conversationOptions(data: string): readonly BenchmarkOption[] {
  return [
    { name: "data", kind: "path", summary: data },
    {
      name: "irregular",
      kind: "text",
      summary: "records that cannot be used",
      default: "refuse",
      choices: IRREGULAR_RULES,
    },
  ];
}

/** `needs` says what the benchmark wants of them. */
export async function conversationsOf(
  benchmark: string,
  { data, irregular }: BenchmarkSettings,
  needs: string,
): Promise<ReadConversations> {
  if (data === undefined) throw inputError(`fusechat evaluate ${benchmark}`, `needs ${needs}; add --data FILE`);
  return readConversations(String(data), irregular as IrregularRule | undefined);
}

/** What a result document says of records left out: nothing where there are none. */
export function leftOutOf(leftOut: readonly LeftOut[]): { readonly left_out?: readonly LeftOut[] } {
  return leftOut.length === 0 ? {} : { left_out: withoutFolders(leftOut) };
}

export function warnOfLeftOut(leftOut: readonly LeftOut[], reporter: Reporter, stage: string): void {
  if (leftOut.length > 0) reporter.report({ type: "warning", stage, message: leftOutSentence(leftOut) });
}
