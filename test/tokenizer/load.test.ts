import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { editedFolder, GOLDEN_MODELS } from "./edited-folder.ts";
import { hardText } from "./hard-text.ts";

const MODELS = ["mistral", "llama", "mixtral", "qwen2", "internlm2", "llama3", "qwen3", "gemma2", "phi3"];

const golden = (model: string) => loadTokenizer(join(GOLDEN_MODELS, model));

describe("spans", () => {
  test.each(MODELS)("of %s tile any text, and tokens with their own length spell it", async (model) => {
    const tokenizer = await golden(model);
    await fc.assert(
      fc.asyncProperty(fc.oneof(hardText, fc.string({ unit: "grapheme" })), async (text) => {
        const { ids, byteStart, byteEnd, lead } = await tokenizer.encode(text);
        const bytes = Buffer.from(text, "utf8");
        let position = 0;
        for (let i = 0; i < ids.length; i++) {
          expect(byteStart[i]).toBe(position);
          expect(byteEnd[i]).toBeGreaterThanOrEqual(position);
          position = byteEnd[i]!;
          const own = tokenizer.tokenBytes(ids[i]!)?.subarray(lead[i]);
          // Spaces may stand for ▁, and a changed cluster has other bytes: only equal lengths must be equal bytes.
          if (own?.length === position - byteStart[i]! && text.normalize("NFC") === text) {
            expect(Buffer.from(own).equals(bytes.subarray(byteStart[i], position))).toBe(true);
          }
        }
        expect(position).toBe(bytes.length);
      }),
      { numRuns: 150, seed: 7 },
    );
  });

  test("of tokens with part of a character are its true bytes", async () => {
    const tokenizer = await golden("mistral");
    const { byteStart, byteEnd, ids } = await tokenizer.encode("😊");
    expect([...byteStart]).toEqual([0, 0, 1, 2, 3]);
    expect([...byteEnd]).toEqual([0, 1, 2, 3, 4]);
    expect([...ids].map((id) => tokenizer.tokenText(id))).toEqual(["▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x8A>"]);
  });

  test("leave out the dummy prefix, and say so", async () => {
    const tokenizer = await golden("llama");
    const encoding = await tokenizer.encode("the</s> the");
    expect([...encoding.ids].map((id) => tokenizer.tokenText(id))).toEqual(["▁the", "</s>", "▁", "▁the"]);
    expect([...encoding.byteStart]).toEqual([0, 3, 7, 7]);
    expect([...encoding.byteEnd]).toEqual([3, 7, 7, 11]);
    expect([...encoding.lead]).toEqual([1, 0, 1, 0]);
  });

  test("tell a ▁ of the text from a space", async () => {
    const { byteStart, byteEnd } = await (await golden("gemma2")).encode("▁ ▁");
    expect(byteStart[0]).toBe(0);
    expect(byteEnd.at(-1)).toBe(7);
  });

  test("of an added token take the white space after it that Rust counts as such", async () => {
    const { byteEnd, ids } = await (await golden("phi3")).encode("<|end|>\u0085\u3000 \ufeffa");
    expect(ids[0]).toBe(460);
    expect(byteEnd[0]).toBe(7 + 2 + 3 + 1);
  });

  test("of a cluster that NFC changes belong to its first token", async () => {
    const tokenizer = await golden("qwen2");
    const { byteStart, byteEnd } = await tokenizer.encode("xe\u0301y");
    // é is two byte tokens: the first takes e and the mark, the second is empty at their end.
    expect([...byteStart]).toEqual([0, 1, 4, 4]);
    expect([...byteEnd]).toEqual([1, 4, 4, 5]);
  });

  test("of NFC are found between added tokens one by one", async () => {
    const tokenizer = await golden("qwen3");
    const { ids, byteStart, byteEnd } = await tokenizer.encode("e\u0301<|im_end|>\u0301a\u0323");
    expect([...ids]).toContain(458);
    const at = ids.indexOf(458);
    expect([byteStart[at], byteEnd[at]]).toEqual([3, 13]);
    expect(byteEnd.at(-1)).toBe(18);
  });
});

describe("Metaspace pre-tokenizers", () => {
  const withScheme = (scheme: string) =>
    editedFolder("mistral", (tokenizer) => {
      tokenizer.normalizer = null;
      tokenizer.pre_tokenizer = { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false };
    });

  test.each([
    ["always", [0, 3, 7], [1, 0, 1]],
    ["first", [0, 3, 7], [1, 0, 0]],
    ["never", [0, 3, 7], [0, 0, 0]],
  ])("with the prefix scheme %s have true spans", async (scheme, starts, leads) => {
    const tokenizer = await loadTokenizer(await withScheme(scheme));
    const { byteStart, lead } = await tokenizer.encode("the</s>the");
    const firsts = starts.map((start) => byteStart.indexOf(start));
    expect(firsts.every((index) => index >= 0)).toBe(true);
    expect(firsts.map((index) => lead[index])).toEqual(leads);
    const texts = fc.sample(hardText, { numRuns: 200, seed: 3 });
    for (const [index, encoding] of (await tokenizer.encodeBatch(texts)).entries()) {
      expect(encoding.byteEnd.at(-1) ?? 0).toBe(Buffer.byteLength(texts[index]!));
    }
  });

  test("put no prefix where the text begins with a space", async () => {
    const tokenizer = await loadTokenizer(await withScheme("always"));
    expect([...(await tokenizer.encode(" the")).lead]).toEqual([0]);
  });
});

describe("pre-tokenizers", () => {
  const withSteps = (model: string, ...steps: object[]) =>
    editedFolder(model, (file) => {
      const own = file.pre_tokenizer as { pretokenizers?: object[] } | null;
      const all = [...steps, ...(own?.pretokenizers ?? (own === null ? [] : [own]))];
      file.pre_tokenizer = { type: "Sequence", pretokenizers: all };
    });
  const split = { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false };

  test("that cut nothing after the normaliser change nothing, as in Gemma 2 and 3", async () => {
    const plain = await golden("gemma2");
    const tokenizer = await loadTokenizer(await withSteps("gemma2", split));
    const texts = ["A  small   text,\n with spaces ", ...fc.sample(hardText, { numRuns: 200, seed: 5 })];
    const expected = await plain.encodeBatch(texts);
    expect(await tokenizer.encodeBatch(texts)).toEqual(expected);
  });

  test("that keep what they find by removing nothing else are followed, as in o200k", async () => {
    const everything = { type: "Split", pattern: { Regex: "\\s+|\\S+" }, behavior: "Removed", invert: true };
    const isolated = { ...everything, behavior: "Isolated", invert: false };
    const texts = fc.sample(hardText, { numRuns: 200, seed: 6 });
    const tokenizer = await loadTokenizer(await withSteps("qwen2", everything));
    const expected = await (await loadTokenizer(await withSteps("qwen2", isolated))).encodeBatch(texts);
    expect(await tokenizer.encodeBatch(texts)).toEqual(expected);
  });

  test.each([
    ["WhitespaceSplit", { type: "WhitespaceSplit" }, "white space"],
    ["Split \\(Removed\\)", { ...split, pattern: { String: "," }, behavior: "Removed" }, "a, b"],
  ])("that remove text, such as %s, are refused where they do, by name", async (name, step, text) => {
    const tokenizer = await loadTokenizer(await withSteps("qwen2", step));
    expect((await tokenizer.encode("white")).byteEnd.at(-1)).toBe(5);
    await expect(tokenizer.encode(text)).rejects.toThrow(
      new RegExp(`does not spell the text at byte \\d+, perhaps for the pre-tokenizer ${name}; its byte spans`),
    );
  });

  test("in sequences of any depth are read", async () => {
    let step: object = split;
    for (let depth = 0; depth < 50; depth++) step = { type: "Sequence", pretokenizers: [step] };
    const tokenizer = await loadTokenizer(await withSteps("gemma2", step));
    expect([...(await tokenizer.encode("a b")).byteEnd]).toEqual([
      ...(await (await golden("gemma2")).encode("a b")).byteEnd,
    ]);
  });
});

describe("an added token that is also a piece", () => {
  test("is told from the piece by the text", async () => {
    const folder = await editedFolder("mistral", (_, config) => {
      config.additional_special_tokens = ["▁the"];
    });
    const tokenizer = await loadTokenizer(folder);
    const plain = await golden("mistral");
    const { ids, byteEnd } = await tokenizer.encode("▁the the");
    const id = (await plain.encode("the")).ids[0]!;
    expect(ids[0]).toBe(id);
    expect(byteEnd[0]).toBe(6);
    expect(byteEnd.at(-1)).toBe(10);
    expect([...(await tokenizer.encode("a the")).ids].at(-1)).toBe(id);
  });
});

describe("a token's own bytes", () => {
  test("are those of a piece, of a byte, of an added token that is text, and none for a special token", async () => {
    const tokenizer = await loadTokenizer(
      await editedFolder("mistral", (file) => {
        file.added_tokens.push({ ...file.added_tokens[0], id: 479, content: "<tool>", special: false });
      }),
    );
    const text = (id: number) => {
      const bytes = tokenizer.tokenBytes(id);
      return bytes === null ? null : Buffer.from(bytes).toString("utf8");
    };
    const idOf = async (piece: string) => (await tokenizer.encode(piece)).ids.at(-1)!;
    expect(text(await idOf("the"))).toBe(" the");
    expect(tokenizer.tokenRank(await idOf("the"))).toBe(0);
    expect([...tokenizer.tokenBytes(await idOf("\u0001"))!]).toEqual([1]);
    expect(tokenizer.tokenRank(await idOf("\u0001"))).toBe(1);
    expect(text(479)).toBe("<tool>");
    expect(tokenizer.tokenRank(479)).toBe(2);
    expect(text(1)).toBeNull();
    expect(tokenizer.isSpecial(1)).toBe(true);
    expect(tokenizer.size).toBe(480);
    expect(tokenizer.tokenBytes(480)).toBeNull();
    expect(tokenizer.tokenText(-1)).toBeNull();
    expect(tokenizer.decode([1, await idOf("the"), 479, 100_000])).toBe(" the<tool>");
  });

  test("are U+FFFD in a text that they do not complete", async () => {
    const tokenizer = await golden("qwen2");
    const { ids } = await tokenizer.encode("😊");
    expect(tokenizer.decode(ids)).toBe("😊");
    expect(tokenizer.decode(ids.slice(0, 1))).toBe("\ufffd");
  });
});

describe("the first token of bytes", () => {
  test("has no dummy prefix and knows no added tokens", async () => {
    const tokenizer = await golden("mistral");
    const first = async (text: string) => tokenizer.tokenText(await tokenizer.firstTokenOf(Buffer.from(text)));
    expect(await first("the rest")).not.toBe("▁the");
    expect(await first(" the rest")).toBe("▁the");
    expect(await first("</s>")).toBe("<");
    expect(await tokenizer.firstTokenOf(new Uint8Array(0))).toBe(-1);
  });

  test("of bytes that are not UTF-8 is a byte piece, or what the merges make of them", async () => {
    const sentencepiece = await golden("mistral");
    expect(sentencepiece.tokenText(await sentencepiece.firstTokenOf(Uint8Array.of(0x9f, 0x98)))).toBe("<0x9F>");
    const byteLevel = await golden("qwen2");
    const id = await byteLevel.firstTokenOf(Uint8Array.of(0x9f, 0x98));
    expect(byteLevel.tokenBytes(id)![0]).toBe(0x9f);
    expect(await byteLevel.firstTokenOf(Buffer.from([0x61, 0xf0, 0x9f]))).toBe(
      await byteLevel.firstTokenOf(Buffer.from("a")),
    );
  });
});

test("an added token that only tokenizer_config.json lists is recognised", async () => {
  const folder = await editedFolder("qwen2", (file) => {
    file.added_tokens = file.added_tokens.filter((token) => token.content !== "<|im_end|>");
  });
  const tokenizer = await loadTokenizer(folder);
  expect([...(await tokenizer.encode("<|im_end|>")).ids]).toEqual([408]);
  expect(tokenizer.isSpecial(408)).toBe(true);
});

test("truncation and padding in the file are not applied", async () => {
  const folder = await editedFolder("qwen2", (file) => {
    Object.assign(file, {
      truncation: { direction: "Right", max_length: 2, strategy: "LongestFirst", stride: 0 },
      padding: {
        strategy: { Fixed: 9 },
        direction: "Right",
        pad_to_multiple_of: null,
        pad_id: 0,
        pad_type_id: 0,
        pad_token: "x",
      },
    });
  });
  expect((await (await loadTokenizer(folder)).encode("abcd")).byteEnd.at(-1)).toBe(4);
});

describe("refused", () => {
  test("are texts with half of a surrogate pair", async () => {
    await expect((await golden("qwen2")).encode("a\ud83d")).rejects.toThrow(/half of a surrogate pair/);
  });

  test.each([
    ["a Unigram model", (file) => Object.assign(file.model, { type: "Unigram" }), /a Unigram model is not supported/],
    ["no byte fallback", (file) => Object.assign(file.model, { byte_fallback: false }), /without byte fallback/],
    ["dropout", (file) => Object.assign(file.model, { dropout: 0.1 }), /a model with dropout is not supported/],
    ["lower-casing", (file) => Object.assign(file, { normalizer: { type: "Lowercase" } }), /the normaliser Lowercase/],
    [
      "an id twice",
      (file) => Object.assign(file.model.vocab, { again: 5 }),
      /the id 5 of "again" is given to two pieces/,
    ],
    ["an id that is no number", (file) => Object.assign(file.model.vocab, { odd: "x" }), /found "x" for "odd"/],
    ["an absurd id", (file) => Object.assign(file.model.vocab, { odd: 1e12 }), /expected ids of 0 to 4194304/],
    ["no vocabulary", (file) => Object.assign(file.model, { vocab: [] }), /model.vocab to map pieces to ids/],
    ["no model", (file) => Object.assign(file, { model: null }), /not a tokenizer: model/],
    [
      "an added token in the wrong place",
      (file) => file.added_tokens.push({ ...file.added_tokens[0], id: 600, content: "<far>" }),
      /the added token "<far>" has the id 600, but its place in the file makes it 479/,
    ],
  ] as [string, (file: Parameters<Parameters<typeof editedFolder>[1]>[0]) => unknown, RegExp][])(
    "is a tokenizer with %s",
    async (_, edit, message) => {
      const folder = await editedFolder("mistral", (file) => {
        edit(file);
      });
      await expect(loadTokenizer(folder)).rejects.toThrow(message);
      await expect(loadTokenizer(folder)).rejects.toThrow(join(folder, "tokenizer.json"));
    },
  );

  test("is a file that is not JSON, or is missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fusechat-tokenizer-"));
    await expect(loadTokenizer(folder)).rejects.toThrow(/no tokenizer: expected tokenizer\.json/);
    await writeFile(join(folder, "tokenizer.json"), '{"model": ');
    await expect(loadTokenizer(folder)).rejects.toThrow(
      /tokenizer\.json:1:11: expected JSON, found the end of the file/,
    );
  });

  test("is a text that the tokens do not spell", async () => {
    const folder = await editedFolder("mistral", (file) => {
      file.model.vocab.unused = file.model.vocab["<0xF0>"]!;
      delete file.model.vocab["<0xF0>"];
    });
    await expect((await loadTokenizer(folder)).encode("a 😊")).rejects.toThrow(
      /token \d+ \("<unk>"\) does not spell the text at byte 2/,
    );
  });
});
