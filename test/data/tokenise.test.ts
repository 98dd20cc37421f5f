import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Conversation, conversationId, type Role, type Turn } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import { openConversationTokeniser } from "#src/data/tokenise.js";
import { editedFolder, GOLDEN_MODELS } from "../tokenizer/edited-folder.ts";
import { GOLDEN_CONVERSATIONS, goldenRows, outerSpace } from "./golden-rows.ts";

const MODELS = ["mistral", "llama", "mixtral", "qwen2", "internlm2", "llama3", "qwen3", "gemma2", "phi3"];

function conversationOf(...contents: string[]): Conversation {
  const roles: Role[] = ["user", "assistant"];
  return conversationFrom(contents.map((content, index) => ({ role: roles[index % 2]!, content })));
}

function conversationFrom(turns: Turn[]): Conversation {
  return { id: conversationId(turns), turns };
}

async function tokeniseWith(
  folder: string,
  conversations: Conversation[],
  options: { maxLength?: number; templateFolder?: string } = {},
) {
  const tokeniser = await openConversationTokeniser(folder, { maxLength: 2048, ...options });
  try {
    return await tokeniser.tokenise(conversations, 0);
  } finally {
    await tokeniser.dispose();
  }
}

/** One conversation's rows as tuples: position, turn, start, end, lead; and its bytes. */
async function rowsWith(folder: string, conversation: Conversation, maxLength = 2048) {
  const [found] = await tokeniseWith(folder, [conversation], { maxLength });
  if (found === undefined || "refused" in found) throw new Error(found?.refused);
  const { position, turn, byteStart, byteEnd, lead } = found.rows;
  const tuples = [...position].map((at, row) => [at, turn[row], byteStart[row], byteEnd[row], lead[row]] as const);
  return { ...found, tuples };
}

/** A golden model under another template. */
const withTemplate = (model: string, template: string) =>
  editedFolder(model, (_, config) => {
    config.chat_template = template;
  });

describe.each([
  ["rows", 2048],
  ["rows-120", 120],
] as const)("golden %s", (folder, maxLength) => {
  test.each(MODELS)("of %s are equal", async (model) => {
    const { conversations } = await readConversations(GOLDEN_CONVERSATIONS);
    const found = await tokeniseWith(join(GOLDEN_MODELS, model), conversations, { maxLength });
    const plain = found.map((one) => {
      if ("refused" in one) return one;
      const { rows, ids, turns, text, conversation, id, bytes } = one;
      expect([one.unclosed, one.shortened]).toEqual([0, 0]);
      return {
        conversation,
        id,
        turns,
        text,
        ids: [...ids],
        position: [...rows.position],
        turn: [...rows.turn],
        byte_start: [...rows.byteStart],
        byte_end: [...rows.byteEnd],
        lead: [...rows.lead],
        bytes,
        end_of_turn: [...rows.endOfTurn],
        left_out_row: [...rows.leftOutRow],
        left_out: [...rows.leftOut],
      };
    });
    expect(plain).toEqual(await goldenRows(folder, model));
  });
});

test("of the golden conversations one has white space that templates trim", async () => {
  const { conversations } = await readConversations(GOLDEN_CONVERSATIONS);
  expect(conversations.map(outerSpace)).toEqual([0, 0, 0, 0, 0, 7, 0, 0]);
});

describe("where a content stands in the text", () => {
  test("is not inside what the template writes", async () => {
    // The think block of qwen3 comes before the response and has the word in it.
    const { tuples, text } = await rowsWith(join(GOLDEN_MODELS, "qwen3"), conversationOf("q", "think"));
    expect(text).toContain("<think>\n\n</think>\n\nthink<|im_end|>");
    const spelling = tuples.filter(([, , start, end]) => end! > start!);
    expect([spelling[0]?.[2], spelling.at(-1)?.[3]]).toEqual([0, 5]);
    expect(tuples.filter(([, , start, end]) => start === 0 && end === 0).length).toBe(13);
  });

  test("is the answer where a template keeps the reasoning of a content apart", async () => {
    const content = "<think>\nsum\n</think>\n\n42";
    const folder = join(GOLDEN_MODELS, "qwen3");
    const early = await rowsWith(folder, conversationOf("q", content, "r", "s"));
    expect(early.text).toContain("<|im_start|>assistant\n42<|im_end|>");
    const first = early.tuples.filter(([, turn]) => turn === 1);
    const start = content.indexOf("42");
    expect(first.map(([, , from, to]) => [from, to])).toEqual([
      [start, start + 1],
      [start + 1, start + 2],
      [content.length, content.length],
    ]);
    expect(early.bytes).toBe(3 + 2);
    // The template has left the reasoning out before the first row of turn 1; turn 3 is whole.
    expect(Array.from(early.rows.leftOutRow)).toEqual([0]);
    expect(early.rows.leftOut[0]).not.toBe(0n);
    expect(early.shortened).toBe(1);
    expect(Array.from(early.rows.endOfTurn)).toEqual([2, early.tuples.length - 1]);
    // The last turn keeps it, so the whole content is the response.
    const last = await rowsWith(folder, conversationOf("q", content));
    expect(last.tuples[0]?.slice(2, 4)).toEqual([0, 1]);
    expect(last.bytes).toBe(content.length + 1);
    expect([last.shortened, last.rows.leftOut.length]).toEqual([0, 0]);
  });

  test("of two responses with different reasoning left out has different hashes, with the same equal ones", async () => {
    const folder = join(GOLDEN_MODELS, "qwen3");
    const hashOf = async (reasoning: string, answer: string) => {
      const content = `<think>\n${reasoning}\n</think>\n\n${answer}`;
      return (await rowsWith(folder, conversationOf("q", content, "r", "s"))).rows.leftOut[0];
    };
    const hash = await hashOf("sum", "42");
    expect(await hashOf("sum", "43")).toBe(hash);
    expect(await hashOf("sun", "42")).not.toBe(hash);
  });

  test("is the trimmed content where the template trims, though its own space looks like the content's", async () => {
    // Llama 2: ' ' + content.strip() + ' '; the first space is the template's, not that of the content.
    const { tuples } = await rowsWith(join(GOLDEN_MODELS, "llama"), conversationOf("q", " the "));
    expect(tuples[0]).toEqual([tuples[0]![0], 1, 1, 4, 1]);
    expect(tuples.at(-1)?.slice(2)).toEqual([5, 5, 0]);
  });

  test("is found where the generation prompt is no prefix of the rendering", async () => {
    const folder = await withTemplate(
      "qwen2",
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>answer now:{% endif %}",
    );
    const { tuples, bytes } = await rowsWith(folder, conversationOf("q", "zq"));
    expect(tuples.map(([, , start, end]) => [start, end])).toEqual([
      [0, 1],
      [1, 2],
      [2, 2],
    ]);
    expect(bytes).toBe(3);
  });

  test("refuses the conversation by the template's name where there is none", async () => {
    const folder = await withTemplate(
      "qwen2",
      "{% for m in messages %}{{ m.role }}: {{ m.content | upper }}<|im_end|>{% endfor %}",
    );
    const [found] = await tokeniseWith(folder, [conversationOf("q", "abc")]);
    expect(found).toMatchObject({
      refused: `${join(folder, "tokenizer_config.json")}: the rendering does not have the content of turn 1, or not for certain`,
    });
  });

  test("is found where a content has characters for private use, as marks are", async () => {
    const content = " \uE0000\uE001 x";
    const { tuples, bytes } = await rowsWith(join(GOLDEN_MODELS, "llama3"), conversationOf("q", content));
    expect(tuples[0]?.[2]).toBe(1);
    expect(tuples.at(-1)?.slice(2)).toEqual([10, 10, 0]);
    expect(bytes).toBe(Buffer.byteLength(content.trim()) + 1);
  });

  test("is the place after the prompt where a content leaves no character for marks, or is refused", async () => {
    const all = String.fromCharCode(...Array.from({ length: 6400 }, (_, index) => 0xe000 + index));
    const { bytes, tuples } = await rowsWith(join(GOLDEN_MODELS, "qwen2"), conversationOf("q", ` ${all}`), 100_000);
    expect(bytes).toBe(1 + 3 * 6400 + 1);
    expect([tuples[0]?.[2], tuples.at(-1)?.[2]]).toEqual([0, 1 + 3 * 6400]);
    // This template trims, so that the content does not stand whole after the prompt.
    const [found] = await tokeniseWith(join(GOLDEN_MODELS, "llama3"), [conversationOf("q", ` ${all}`)]);
    expect(found).toMatchObject({ refused: expect.stringMatching(/content of turn 1, or not for certain$/) });
  });

  test("counts original bytes from the content's own beginning, trimmed or not", async () => {
    const conversation = conversationOf("q", "\n\n the end ");
    // What the template trims is no part of the divisor.
    for (const [model, divisor] of [
      ["gemma2", "the end".length + 1],
      ["qwen2", 12],
    ] as const) {
      const { tuples, bytes } = await rowsWith(join(GOLDEN_MODELS, model), conversation);
      expect(tuples.some(([, , , end]) => end === 10)).toBe(true);
      expect(tuples.at(-1)?.slice(2)).toEqual([11, 11, 0]);
      expect(bytes).toBe(divisor);
    }
  });
});

describe("rows", () => {
  test("of an empty response are what the template puts before it, and its end of turn", async () => {
    const { tuples, bytes } = await rowsWith(join(GOLDEN_MODELS, "qwen2"), conversationOf("q", ""));
    expect(tuples.map((tuple) => tuple.slice(1))).toEqual([[1, 0, 0, 0]]);
    expect(bytes).toBe(1);
  });

  test("have no end of turn where the template closes only when another turn comes", async () => {
    const folder = await withTemplate(
      "qwen2",
      "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>Q {{ m.content }} A {% else %}{{ m.content }}{% endif %}{% endfor %}",
    );
    const { tuples, bytes, rows, unclosed } = await rowsWith(folder, conversationOf("q", "ab", "r", "cd"));
    expect([rows.endOfTurn.length, unclosed]).toEqual([1, 1]);
    // The first response ends at the next <|im_start|>; the second has nothing after it.
    expect(
      tuples
        .filter(([, turn]) => turn === 1)
        .at(-1)
        ?.slice(2, 4),
    ).toEqual([2, 2]);
    expect(
      tuples
        .filter(([, turn]) => turn === 3)
        .at(-1)
        ?.slice(2, 4),
    ).toEqual([1, 2]);
    expect(bytes).toBe(3 + 2);
  });

  test("never take the special token after a later response for an end of turn", async () => {
    const folder = await withTemplate(
      "qwen2",
      "{% for m in messages %}{{ 'Q ' if m.role == 'user' else 'A ' }}{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}A {% else %}<|im_end|>{% endif %}",
    );
    const { tuples } = await rowsWith(folder, conversationOf("q", "ab", "r", "cd"));
    expect(new Set(tuples.map(([position]) => position)).size).toBe(tuples.length);
    expect(
      tuples
        .filter(([, turn]) => turn === 1)
        .at(-1)
        ?.slice(2, 4),
    ).toEqual([1, 2]);
    expect(tuples.at(-1)?.slice(1)).toEqual([3, 2, 2, 0]);
  });

  test("leave out a first token that nothing precedes", async () => {
    const folder = await withTemplate(
      "qwen2",
      "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}<|im_end|>{% endif %}{% endfor %}",
    );
    const { tuples } = await rowsWith(folder, conversationOf("q", "zq"));
    expect(tuples.map(([position]) => position)).toEqual([1, 2]);
  });

  test("give a cluster that NFC changes to its first token", async () => {
    const { tuples, bytes } = await rowsWith(join(GOLDEN_MODELS, "qwen2"), conversationOf("q", "xe\u0301y"));
    expect(tuples.map(([, , start, end]) => [start, end])).toEqual([
      [0, 1],
      [1, 4],
      [4, 4],
      [4, 5],
      [5, 5],
    ]);
    expect(bytes).toBe(6);
  });

  test("of a cut response reach as far as its bytes, and it has no end of turn", async () => {
    const folder = join(GOLDEN_MODELS, "qwen2");
    const conversation = conversationOf("Name three rivers.", "The Danube, the Rhine and the Loire.");
    const whole = await rowsWith(folder, conversation);
    for (const cut of [whole.ids.length - 2, whole.tuples[3]![0], whole.tuples[0]![0]]) {
      const { tuples, bytes, ids, text } = await rowsWith(folder, conversation, cut);
      expect(ids.length).toBe(cut);
      expect(text).toBe(whole.text);
      expect(tuples).toEqual(whole.tuples.filter(([position]) => position < cut));
      expect(bytes).toBe(tuples.at(-1)?.[3] ?? 0);
    }
  });
});

describe("the kept turns", () => {
  test("end with the last assistant turn", async () => {
    const found = await rowsWith(join(GOLDEN_MODELS, "qwen2"), conversationOf("q", "a", "thanks"));
    expect(found.turns).toBe(2);
    expect(found.text).not.toContain("thanks");
  });

  test("are the most pairs that fit, rendered by themselves", async () => {
    const folder = join(GOLDEN_MODELS, "qwen3");
    const conversation = conversationOf(...Array.from({ length: 40 }, (_, index) => `turn ${index}`));
    const parts = Array.from({ length: 20 }, (_, pairs) =>
      conversationFrom(conversation.turns.slice(0, 2 * pairs + 2)),
    );
    const lengths = (await tokeniseWith(folder, parts)).map((part) => ("refused" in part ? 0 : part.ids.length));
    for (const maxLength of [lengths[0]!, lengths[6]!, lengths[6]! - 1, lengths[19]! - 1, lengths[19]!]) {
      const { turns, ids } = await rowsWith(folder, conversation, maxLength);
      const most = lengths.filter((length) => length <= maxLength).length;
      expect(turns).toBe(2 * most);
      expect(ids.length).toBe(lengths[most - 1]);
    }
  });

  test("are none without an assistant turn", async () => {
    const [found] = await tokeniseWith(join(GOLDEN_MODELS, "qwen2"), [conversationOf("q")]);
    expect(found).toMatchObject({ conversation: 0, refused: "it has no assistant turn to train on" });
  });
});

test("another model's template can be used with the own tokenizer", async () => {
  const pivot = join(GOLDEN_MODELS, "mistral");
  const [found] = await tokeniseWith(join(GOLDEN_MODELS, "qwen2"), [conversationOf("q", "a")], {
    templateFolder: pivot,
  });
  if (found === undefined || "refused" in found) throw new Error("refused");
  expect(found.text).toBe("<s>GPT4 Correct User: q<|end_of_turn|>GPT4 Correct Assistant: a<|end_of_turn|>");
  // The pivot's end of turn is no special token here, so the response has no end-of-turn row.
  expect(found.bytes).toBe(1);
  expect([found.rows.endOfTurn.length, found.unclosed]).toEqual([0, 1]);
});

test("a prompt is the rendering with the generation prompt, and a refused one is an error", async () => {
  const tokeniser = await openConversationTokeniser(join(GOLDEN_MODELS, "gemma2"), { maxLength: 100 });
  const { text, ids } = await tokeniser.prompt([{ role: "user", content: "Hi" }]);
  expect(text).toBe("<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n");
  expect(ids[0]).toBe(2);
  await expect(tokeniser.prompt([{ role: "system", content: "x" }])).rejects.toThrow(
    /tokenizer_config\.json: the chat template refuses the conversation: System role not supported$/,
  );
  await tokeniser.dispose();
});

test("of many prompts each comes in its place, a refused one with its reason", async () => {
  const tokeniser = await openConversationTokeniser(join(GOLDEN_MODELS, "gemma2"), { maxLength: 100 });
  const many = Array.from({ length: 70 }, (_, index): Turn[] => [
    { role: index === 66 ? "system" : "user", content: `Question ${index}` },
  ]);
  const prompts = await tokeniser.prompts(many);
  expect(prompts[66]).toEqual({ refused: "System role not supported" });
  expect(prompts[69]).toEqual(await tokeniser.prompt(many[69]!));
  await tokeniser.dispose();
});

test("indices go on from the first, over batches", async () => {
  const tokeniser = await openConversationTokeniser(join(GOLDEN_MODELS, "qwen2"), { maxLength: 64 });
  const many = Array.from({ length: 130 }, (_, index) => conversationOf("q", `answer ${index}`));
  const found = await tokeniser.tokenise(many, 1000);
  expect(found.map(({ conversation }) => conversation)).toEqual(many.map((_, index) => 1000 + index));
  expect(found.map(({ id }) => id)).toEqual(many.map(({ id }) => id));
  await tokeniser.dispose();
});

test("a template that fails stops everything, by its file", async () => {
  const folder = await withTemplate("qwen2", "{{ messages | nonsense }}");
  await expect(tokeniseWith(folder, [conversationOf("q", "a")])).rejects.toThrow(
    `${join(folder, "tokenizer_config.json")}: the chat template fails`,
  );
  await writeFile(join(folder, "tokenizer_config.json"), "{}");
  await expect(tokeniseWith(folder, [conversationOf("q", "a")])).rejects.toThrow(/no chat template/);
});

test("a length below one is refused", async () => {
  await expect(tokeniseWith(join(GOLDEN_MODELS, "qwen2"), [], { maxLength: 0 })).rejects.toThrow(
    "max_length: expected a whole number of at least 1, found 0",
  );
});
