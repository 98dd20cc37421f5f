import { cp, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type Conversation, conversationId, type TokenisedConversation, type Turn } from "#src/data/conversation.js";
import { originalOf } from "#src/data/original.js";
import { type ConversationTokeniser, openConversationTokeniser } from "#src/data/tokenise.js";
import { GOLDEN_MODELS } from "../tokenizer/edited-folder.ts";

const opened: ConversationTokeniser[] = [];
afterAll(async () => {
  for (const tokeniser of opened) await tokeniser.dispose();
});

/** The golden Qwen2 tokenizer (ChatML, its markers special) under another template. */
async function withTemplate(template: string): Promise<ConversationTokeniser> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-responses-"));
  const copied = ["tokenizer.json", "tokenizer_config.json"];
  for (const name of copied) await cp(join(GOLDEN_MODELS, "qwen2", name), join(folder, name));
  await writeFile(join(folder, "chat_template.jinja"), template);
  const tokeniser = await openConversationTokeniser(folder, { maxLength: 4096 });
  opened.push(tokeniser);
  return tokeniser;
}

const user = (content: string): Turn => ({ role: "user", content });
const assistant = (content: string, more: Partial<Turn> = {}): Turn => ({ role: "assistant", content, ...more });
const conversationOf = (...turns: Turn[]): Conversation => ({ id: conversationId(turns), turns });

async function read(tokeniser: ConversationTokeniser, ...turns: Turn[]): Promise<TokenisedConversation> {
  const [found] = await tokeniser.tokenise([conversationOf(...turns)], 0);
  if (found === undefined || "refused" in found) throw new Error(found?.refused);
  return found;
}

/** What stands in the text where the rows of a turn are, its end of turn left away. */
async function rowText(tokeniser: ConversationTokeniser, found: TokenisedConversation, turn: number): Promise<string> {
  const { byteStart, byteEnd } = await tokeniser.tokenizer.encode(found.text);
  const { position, turn: turns, endOfTurn } = found.rows;
  const own = [...position].filter((_, row) => turns[row] === turn && !endOfTurn.includes(row));
  expect(own).toEqual(own.map((_, index) => own[0]! + index));
  return Buffer.from(found.text).toString("utf8", byteStart[own[0]!], byteEnd[own.at(-1)!]);
}

const CHATML = (content: string, prompt = "") =>
  `{%- for m in messages -%}{%- set last = loop.last -%}{{- '<|im_start|>' + m.role + '\n' -}}{%- if m.role == 'assistant' -%}${content}{%- else -%}{{- m.content -}}{%- endif -%}{{- '<|im_end|>\n' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n${prompt}' -}}{%- endif -%}`;

/** Writes the reasoning of the last turn in lines of its own, and drops it from the others. */
const REWRITES = CHATML(
  "{%- set answer = m.content.split('</think>')[-1].lstrip('\n') -%}{%- set why = m.content.split('</think>')[0].split('<think>')[-1].strip('\n') if '</think>' in m.content else '' -%}{%- if last -%}{{- '<think>\n' + why + '\n</think>\n\n' + answer -}}{%- else -%}{{- answer -}}{%- endif -%}",
);
/** Takes the reasoning as a value of its own. */
const APART = CHATML(
  "{%- if m.reasoning_content is defined -%}{{- '<think>\n' + m.reasoning_content + '\n</think>\n\n' -}}{%- endif -%}{{- m.content -}}",
);
const KEEPS = CHATML("{{- m.content -}}");
const CUTS = CHATML("{{- m.content.split('</think>')[-1].lstrip('\n') -}}");
const TRIMS = CHATML("{{- m.content | trim -}}");
const THINKS = CHATML("{{- m.content -}}", "<think>\n");

describe("a response is what the template writes for it:", () => {
  test("a rewritten reasoning block and the answer after it, though the answer's word stands in the reasoning", async () => {
    const tokeniser = await withTemplate(REWRITES);
    const found = await read(tokeniser, user("q"), assistant("<think>I like blue best.</think>blue"));
    expect(await rowText(tokeniser, found, 1)).toBe("<think>\nI like blue best.\n</think>\n\nblue");
    expect(found.bytes).toBe("<think>\nI like blue best.\n</think>\n\nblue".length + 1);
    // The spans are the original's: the last token before the end of turn ends with the content.
    const length = "<think>I like blue best.</think>blue".length;
    expect(found.rows.byteEnd.at(-2)).toBe(length);
    expect([...found.rows.endOfTurn]).toEqual([found.rows.position.length - 1]);
  });

  test("the answer alone where the reasoning is dropped, told by a hash from its first row on", async () => {
    const tokeniser = await withTemplate(CUTS);
    const content = "<think>\nsum\n</think>\n\n42";
    const found = await read(tokeniser, user("q"), assistant(content), user("r"), assistant("plain"));
    expect(await rowText(tokeniser, found, 1)).toBe("42");
    expect(found.rows.byteStart[0]).toBe(content.indexOf("42"));
    expect([...found.rows.leftOutRow]).toEqual([0]);
    expect(found.rows.leftOut[0]).not.toBe(0n);
    expect(found.shortened).toBe(1);
  });

  test("reasoning that a record keeps beside the content, whether the template has a place for it or not", async () => {
    const expected = "<think>\nbecause\n</think>\n\nyes";
    for (const template of [APART, KEEPS]) {
      const tokeniser = await withTemplate(template);
      const found = await read(tokeniser, user("q"), assistant("yes", { reasoning: "because" }));
      expect(await rowText(tokeniser, found, 1)).toBe(expected);
      expect([...found.rows.leftOutRow]).toEqual([]);
      expect(found.bytes).toBe(expected.length + 1);
    }
  });

  test("from the end of the prompt on, where the prompt opens the reasoning itself", async () => {
    const tokeniser = await withTemplate(THINKS);
    const found = await read(tokeniser, user("q"), assistant("<think>\nwhy\n</think>\n\nso"));
    expect(await rowText(tokeniser, found, 1)).toBe("why\n</think>\n\nso");
    expect(found.rows.byteStart[0]).toBe("<think>\n".length);
    expect(found.bytes).toBe("why\n</think>\n\nso".length + 1);
    expect([...found.rows.leftOutRow]).toEqual([]);
  });

  test("with the tag that a template puts before reasoning that has none", async () => {
    const tokeniser = await withTemplate(REWRITES);
    const open = await read(tokeniser, user("q"), assistant("why</think>so"));
    const whole = await read(tokeniser, user("q"), assistant("<think>why</think>so"));
    expect(open.text).toBe(whole.text);
    expect(open.bytes).toBe(whole.bytes);
  });

  test("one of two places where the same words stand, never the first by accident", async () => {
    const tokeniser = await withTemplate(CHATML("{{- '(Hello) ' + m.content -}}"));
    const found = await read(tokeniser, user("Hello"), assistant("Hello"));
    expect(found.text).toContain("(Hello) Hello<|im_end|>");
    expect(found.rows.byteEnd.at(-2)).toBe(5);
    expect(found.bytes).toBe(6);
  });

  test.each([
    ["written twice", "{{- m.content + m.content -}}"],
    ["changed", "{{- m.content | upper -}}"],
    ["cut", "{{- m.content[:3] -}}"],
    ["left away", "{{- 'nothing' -}}"],
  ])("refused by the template's name where it is %s", async (_, content) => {
    const tokeniser = await withTemplate(CHATML(content));
    const [found] = await tokeniser.tokenise([conversationOf(user("q"), assistant("abcdef"))], 0);
    expect(found).toMatchObject({
      refused: expect.stringMatching(/chat_template\.jinja: the rendering does not have the content of turn 1/),
    });
  });
});

describe("bytes", () => {
  test("are those in the text: what a template drops or trims counts nowhere", async () => {
    const cuts = await withTemplate(CUTS);
    const trims = await withTemplate(TRIMS);
    const plain = [user("q"), assistant("42")];
    for (const [tokeniser, content] of [
      [cuts, "<think>\nlong thoughts\n</think>\n\n42"],
      [trims, " \n42\n\n"],
    ] as const) {
      const there = await read(tokeniser, ...plain);
      const here = await read(tokeniser, user("q"), assistant(content));
      expect(here.text).toBe(there.text);
      expect([...here.rows.position]).toEqual([...there.rows.position]);
      expect(here.bytes).toBe(there.bytes);
    }
  });

  test("of white space that a template trims leave no trace in what was read", async () => {
    const tokeniser = await withTemplate(TRIMS);
    const found = await read(tokeniser, user("q"), assistant(" \n42\n\n"));
    expect([...found.rows.leftOutRow]).toEqual([]);
    expect(found.shortened).toBe(0);
  });
});

describe("rows", () => {
  test("begin with a token that swallows the space at the end of the prompt, as its lead", async () => {
    const tokeniser = await withTemplate(
      "{%- for m in messages -%}{{- ('Q: ' if m.role == 'user' else 'A: ') + m.content + ('<|im_end|>' if m.role == 'assistant' else '') + '\n' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- 'A: ' -}}{%- endif -%}",
    );
    const found = await read(tokeniser, user("the"), assistant("the end"));
    const { byteStart, byteEnd } = await tokeniser.tokenizer.encode(found.text);
    const at = found.rows.position[0]!;
    // The golden tokenizer has a token for a space and what follows.
    const spelled = Buffer.from(found.text).toString("utf8", byteStart[at], byteEnd[at]);
    expect(spelled[0]).toBe(" ");
    expect(spelled.length).toBeGreaterThan(1);
    expect([found.rows.byteStart[0], found.rows.byteEnd[0], found.rows.lead[0]]).toEqual([0, spelled.length - 1, 1]);
    expect(found.bytes).toBe("the end".length + 1);
  });

  test("are given by turns that are trained alone; masked turns, tool calls and tools are context", async () => {
    const tokeniser = await withTemplate(
      CHATML("{{- m.content -}}{%- if m.tool_calls -%}{{- m.tool_calls[0].function.arguments.city -}}{%- endif -%}"),
    );
    const call = { type: "function", function: { name: "clock", arguments: '{"city": "Rome"}' } };
    const found = await read(
      tokeniser,
      user("q"),
      assistant("not this", { trained: false }),
      user("time?"),
      assistant("", { toolCalls: [call] }),
      { role: "tool", content: "12:00", name: "clock" },
      assistant("Noon."),
      user("thanks"),
      assistant("bye", { trained: false }),
    );
    expect(found.text).toContain("not this<|im_end|>");
    expect(found.text).toContain("assistant\nRome<|im_end|>\n<|im_start|>tool\n12:00");
    expect(found.turns).toBe(6);
    expect([...new Set(found.rows.turn)]).toEqual([5]);
    expect(await rowText(tokeniser, found, 5)).toBe("Noon.");
  });

  test("end with the token that closes the turn, and answers without one are counted", async () => {
    const tokeniser = await withTemplate(
      "{%- for m in messages -%}{{- m.role + ': ' + m.content + '\n' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- 'assistant:' -}}{%- endif -%}",
    );
    const found = await read(tokeniser, user("q"), assistant("a"), user("r"), assistant("b"));
    expect([...found.rows.endOfTurn]).toEqual([]);
    expect(found.unclosed).toBe(2);
    const closed = await read(await withTemplate(KEEPS), user("q"), assistant("a"));
    expect(closed.unclosed).toBe(0);
  });
});

test("whatever a content holds, rows tile it, and spans are the original's own bytes or empty", async () => {
  const tokenisers = await Promise.all([KEEPS, TRIMS, CUTS, REWRITES, APART, THINKS].map(withTemplate));
  const word = fc.constantFrom(
    "a",
    "blue",
    " ",
    "\n",
    "<think>",
    "</think>",
    "think",
    "é",
    "e\u0301",
    "😀",
    "\uE000",
    "|",
  );
  const content = fc.array(word, { maxLength: 8 }).map((words) => words.join(""));
  const turn = fc.record({ content, reasoning: fc.option(content, { nil: undefined }) });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...tokenisers),
      fc.array(turn, { minLength: 1, maxLength: 3 }),
      async (tokeniser, answers) => {
        const turns = answers.flatMap(({ content: text, reasoning }) => [
          user("q"),
          assistant(text, reasoning === undefined ? {} : { reasoning }),
        ]);
        const [found] = await tokeniser.tokenise([conversationOf(...turns)], 0);
        if (found === undefined || "refused" in found) return;
        const encoding = await tokeniser.tokenizer.encode(found.text);
        const text = Buffer.from(found.text);
        const { position, byteStart, byteEnd, lead } = found.rows;
        for (let row = 0; row < position.length; row++) {
          const original = Buffer.from(originalOf(turns[found.rows.turn[row]!]!).text);
          const spelled = text.subarray(encoding.byteStart[position[row]!]!, encoding.byteEnd[position[row]!]!);
          const span = original.subarray(byteStart[row], byteEnd[row]);
          expect(byteStart[row]! <= byteEnd[row]! && byteEnd[row]! <= original.length).toBe(true);
          // NFC gives whole clusters to their first token; everywhere else a token over one piece spells its span.
          if (span.length > 0 && span.length + lead[row]! === spelled.length) {
            expect(spelled.subarray(lead[row]).equals(span)).toBe(true);
          }
        }
        expect(found.bytes).toBeLessThanOrEqual(text.length + answers.length);
      },
    ),
    { numRuns: 150 },
  );
});
