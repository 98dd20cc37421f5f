/**
 * Conversations from files and back. Every bad record is found in one pass and told as `file:line: what was expected,
 * what was found`; where the caller wants it, such records are left out and counted by reason instead. A container that
 * cannot be read is always an error.
 */
import { FusechatError, inputError } from "../errors.ts";
import { LISTED_PROBLEMS } from "../excerpt.ts";
import { openAtomic } from "../formats/files.ts";
import { openRecords } from "./containers/index.ts";
import { beyondContent, type Conversation } from "./conversation.ts";
import { type IrregularRule, type LeftOut, LeftOutCounts, leftOutSentence } from "./irregular.ts";
import { type Parsed, parseQuestion, parseRecord } from "./shapes/record.ts";

/** Bytes gathered before they are written. */
const WRITE_BYTES = 1 << 20;

export interface ReadConversations {
  readonly conversations: Conversation[];
  /** By reason; empty where irregular records are refused. */
  readonly leftOut: readonly LeftOut[];
}

/**
 * All conversations of a file, a folder or a pattern of files, in order. With `refuse` one error tells of all bad
 * records.
 */
export function readConversations(path: string, irregular: IrregularRule = "refuse"): Promise<ReadConversations> {
  return readAll(path, irregular, parseRecord);
}

/** The same where an answer may be missing: what is to be asked. */
export function readQuestions(path: string, irregular: IrregularRule = "refuse"): Promise<ReadConversations> {
  return readAll(path, irregular, parseQuestion);
}

async function readAll(
  path: string,
  irregular: IrregularRule,
  parse: (record: unknown) => Parsed,
): Promise<ReadConversations> {
  const conversations: Conversation[] = [];
  const leftOut = new LeftOutCounts();
  const listed: string[] = [];
  let problems = 0;
  for await (const { file, records } of openRecords(path)) {
    for (const { place, record, problem } of records) {
      const parsed = problem === undefined ? parse(record) : { problem };
      if ("conversation" in parsed) {
        // Of data that is refused nothing has to be kept.
        if (problems === 0 || irregular === "leave-out") conversations.push(parsed.conversation);
        continue;
      }
      problems += 1;
      const { reason, sentence } = parsed.problem;
      leftOut.add(reason, file, place);
      if (listed.length < LISTED_PROBLEMS) listed.push(`${file}${place}: ${sentence}`);
    }
  }
  if (problems > 0 && irregular === "refuse") throw told(listed, problems);
  if (conversations.length === 0) {
    const rest = problems === 0 ? "the data set is empty" : leftOutSentence(leftOut.list());
    throw inputError(path, `expected conversations, found none: ${rest}`);
  }
  return { conversations, leftOut: leftOut.list() };
}

/** Writes conversations as JSON Lines, a turn as `{"role", "content"}`, with `skill`, `category` and `floor_nats` where known. */
export async function writeConversations(path: string, conversations: readonly Conversation[]): Promise<void> {
  const file = await openAtomic(path);
  try {
    let pending: string[] = [];
    let size = 0;
    for (const conversation of conversations) {
      const line = `${JSON.stringify(conversationRecord(conversation))}\n`;
      pending.push(line);
      size += line.length;
      if (size < WRITE_BYTES) continue;
      await file.write(Buffer.from(pending.join(""), "utf8"));
      pending = [];
      size = 0;
    }
    await file.write(Buffer.from(pending.join(""), "utf8"));
    await file.commit();
  } catch (error) {
    await file.abort();
    throw error;
  }
}

function conversationRecord({ turns, tools, skill, category, floorNats }: Conversation): Record<string, unknown> {
  return {
    turns: turns.map((turn) => ({ role: turn.role, content: turn.content, ...beyondContent(turn) })),
    ...(tools === undefined ? {} : { tools }),
    ...(skill === undefined ? {} : { skill }),
    ...(category === undefined ? {} : { category }),
    ...(floorNats === undefined ? {} : { floor_nats: floorNats }),
  };
}

function told(listed: readonly string[], problems: number): FusechatError {
  const more = problems - listed.length;
  const rest = more > 0 ? [`and ${more} more ${more === 1 ? "record" : "records"} that cannot be used`] : [];
  const lines = [...listed, ...rest];
  const hint = "such records are left out and counted with --irregular leave-out, in a recipe with data.irregular";
  return new FusechatError("input", [...lines.slice(0, -1), `${lines.at(-1)}; ${hint}`].join("\n"));
}
