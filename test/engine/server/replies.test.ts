/** Replies of both kinds read from their bytes: what a JSON library would read, or refused; never something else. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RowBatch } from "#src/engine/engine.js";
import { openCandidates, RowProblem } from "#src/engine/server/candidates.js";
import { JsonCursor, JsonProblem } from "#src/engine/server/json-cursor.js";
import { SERVER_KINDS } from "#src/engine/server/kinds/index.js";
import type { RowsRequest, ServerKind } from "#src/engine/server/kinds/kind.js";

const VOCABULARY = 40;

/** A candidate as a server says it; `logp` null where it says null. */
interface Said {
  id: number;
  logp: number | null;
}
/** Of each label of each prompt: the K most probable, in any order, and the label. */
interface SaidRow {
  label: Said;
  top: Said[] | null;
}
interface Case {
  readonly request: RowsRequest;
  readonly rows: SaidRow[][];
}

/** The reply in each server's form. */
const WRITERS: Readonly<Record<string, (one: Case) => unknown>> = {
  vllm: ({ request, rows }) => ({
    id: "cmpl",
    choices: request.sequences.map(({ ids, positions }, index) => ({
      index,
      text: '}]"\\',
      logprobs: null,
      prompt_logprobs: [...ids].map((id, position) => {
        if (position === 0) return null;
        const row = rows[index]![positions.indexOf(position)];
        if (row === undefined) return { [id]: { logprob: -1, rank: 1, decoded_token: "{[" } };
        if (row.top === null) return null;
        const member = (one: Said, rank: number) =>
          `"${one.id}":{"logprob":${said(one.logp)},"rank":${rank},"decoded_token":"\\"}"}`;
        const top = row.top.map((one, place) => member(one, Math.min(place + 1, request.topK)));
        const isTop = row.top.some((one) => one.id === row.label.id);
        // Members in an order of their own: as text, because numbers as keys would be sorted.
        return { raw: `{${(isTop ? top : [member(row.label, request.topK + 5), ...top]).join(",")}}` };
      }),
    })),
    usage: {},
  }),
  sglang: ({ request, rows }) =>
    request.sequences.map(({ ids, positions }, index) => {
      const later = [...ids].map((_, position) => position).filter((position) => position >= positions[0]! - 1);
      const entry = ({ id, logp }: Said) => ({ raw: `[${said(logp)},${id},null]` });
      return {
        text: '}]"\\',
        meta_info: {
          id: "a",
          input_token_logprobs: later.map((position) => {
            const row = rows[index]![positions.indexOf(position)];
            return row === undefined ? [null, ids[position], null] : entry(row.label);
          }),
          input_top_logprobs: later.map((position) => {
            const row = rows[index]![positions.indexOf(position)];
            return row === undefined || row.top === null ? null : row.top.map(entry);
          }),
        },
      };
    }),
};

function said(logp: number | null): string {
  return logp === null ? "null" : Number.isNaN(logp) ? "NaN" : logp === -Infinity ? "-9999.0" : String(logp);
}

/** JSON text in which `{ raw }` stands for text that is taken as it is. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === "object" && member !== null && "raw" in member ? `\u0001${String(member.raw)}\u0001` : member,
  ).replace(/"\\u0001(.*?)\\u0001"/g, (_, raw: string) => JSON.parse(`"${raw}"`) as string);
}

function read(kind: ServerKind, { request }: Case, text: string | Uint8Array, vocabulary = VOCABULARY): RowBatch {
  const { sequences, topK } = request;
  const starts = [0];
  for (const { positions } of sequences) starts.push(starts.at(-1)! + positions.length);
  const rows = starts.at(-1)!;
  const batch = {
    labelLogp: new Float32Array(rows),
    topId: new Int32Array(rows * topK),
    topLogp: new Float32Array(rows * topK),
  };
  const sink = {
    candidates: openCandidates(topK, vocabulary),
    views: (place: number) => ({
      labelLogp: batch.labelLogp.subarray(starts[place], starts[place + 1]),
      topId: batch.topId.subarray(starts[place]! * topK, starts[place + 1]! * topK),
      topLogp: batch.topLogp.subarray(starts[place]! * topK, starts[place + 1]! * topK),
    }),
  };
  const bytes = typeof text === "string" ? Buffer.from(text, "utf8") : text;
  kind.read(new JsonCursor(bytes), request, sink, { sequence: 0, position: 0 });
  return batch;
}

/** What the rows must become: sorted, ties by the lower id, in single precision. */
function expected({ request: { topK }, rows }: Case): RowBatch {
  const all = rows.flat();
  const sorted = all.map(({ top }) =>
    top!.map(({ id, logp }) => ({ id, logp: Number(logp) })).sort((a, b) => b.logp - a.logp || a.id - b.id),
  );
  return {
    labelLogp: Float32Array.from(all, ({ label }) => label.logp!),
    topId: Int32Array.from(sorted.flatMap((row) => row.slice(0, topK).map(({ id }) => id))),
    topLogp: Float32Array.from(sorted.flatMap((row) => row.slice(0, topK).map(({ logp }) => logp))),
  };
}

/** A proper case: distributions over the vocabulary, cut to the K most probable. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    topK: fc.integer({ min: 1, max: 6 }),
    prompts: fc.array(
      fc.record({
        ids: fc.array(fc.integer({ min: 0, max: VOCABULARY - 1 }), { minLength: 2, maxLength: 8 }),
        wanted: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        weights: fc.array(
          fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: VOCABULARY, maxLength: VOCABULARY }),
          { minLength: 8, maxLength: 8 },
        ),
        order: fc.boolean(),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  })
  .map(({ topK, prompts }) => {
    const sequences = prompts.map(({ ids, wanted }) => {
      const positions = ids.map((_, position) => position).filter((position) => position > 0 && wanted[position]);
      const last = positions.at(-1) ?? 1;
      return {
        ids: Int32Array.from(ids.slice(0, last + 1)),
        positions: Int32Array.from(positions.length > 0 ? positions : [1]),
      };
    });
    const rows = sequences.map(({ ids, positions }, n) =>
      [...positions].map((position): SaidRow => {
        const weights = prompts[n]!.weights[position]!.map((weight) => weight + 1e-3);
        const sum = weights.reduce((total, weight) => total + weight, 0);
        const all = weights.map((weight, id) => ({ id, logp: Math.fround(Math.log(weight / sum)) }));
        const top = [...all].sort((a, b) => b.logp - a.logp || a.id - b.id).slice(0, topK);
        return { label: all[ids[position]!]!, top: prompts[n]!.order ? top : top.reverse() };
      }),
    );
    return { request: { model: "m", sequences, topK }, rows };
  });

/** Changes one row, and what is then said of it: null where it is to be taken as `expected` says. */
const FAULTS: readonly {
  readonly name: string;
  readonly change: (row: SaidRow, topK: number) => void;
  readonly says: RegExp;
}[] = [
  {
    name: "fewer candidates",
    change: ({ top, label }) =>
      void top!.splice(
        top!.findIndex(({ id }) => id !== label.id),
        1,
      ),
    says: /has \d+ candidates, \d+ were asked for|no probability for its label/,
  },
  {
    name: "two more candidates",
    change: ({ top, label }) =>
      void top!.push(
        ...[0, 1, 2, 3, 4, 5, 6, 7, 8]
          .filter((id) => id !== label.id && !top!.some((one) => one.id === id))
          .slice(0, 2)
          .map((id) => ({ id, logp: -60 })),
      ),
    says: /found more/,
  },
  {
    name: "an id beyond the vocabulary",
    change: ({ top, label }) => void Object.assign(top!.find(({ id }) => id !== label.id)!, { id: VOCABULARY }),
    says: /names the token 40, but the vocabulary ends at 39/,
  },
  {
    name: "no number",
    change: ({ top, label }) => void Object.assign(top!.find(({ id }) => id !== label.id)!, { logp: Number.NaN }),
    says: /log-probability NaN for the token/,
  },
  {
    name: "null for a candidate",
    change: ({ top, label }) => void Object.assign(top!.find(({ id }) => id !== label.id)!, { logp: null }),
    says: /log-probability NaN for the token/,
  },
  {
    name: "a probability above one",
    change: ({ top, label }) => void Object.assign(top!.find(({ id }) => id !== label.id)!, { logp: 0.5 }),
    says: /log-probability 0\.5 for the token/,
  },
  { name: "null at a label", change: (row) => void Object.assign(row, { top: null }), says: /is null|no probability/ },
  {
    name: "a label that cannot be",
    change: (row) =>
      void Object.assign(row, {
        label: { ...row.label, logp: -Infinity },
        top: row.top!.map((one) => (one.id === row.label.id ? { ...one, logp: -Infinity } : one)),
      }),
    says: /the probability 0/,
  },
];

describe.each(SERVER_KINDS.map((kind) => [kind.name, kind] as const))("a reply of %s", (name, kind) => {
  const write = WRITERS[name]!;

  test("is read as a JSON library reads it, in whatever order and with whatever spaces", () => {
    fc.assert(
      fc.property(cases, fc.boolean(), (one, spaced) => {
        const text = jsonOf(write(one));
        const batch = read(kind, one, spaced ? text.replaceAll(/([[{,:])(?=["[{\d-])/g, "$1 \n\t") : text);
        expect(batch).toEqual(expected(one));
      }),
      { numRuns: 60 },
    );
  });

  test("with one more candidate, or one of probability 0, is taken as it must be", () => {
    fc.assert(
      fc.property(cases, (one) => {
        const row = one.rows[0]![0]!;
        const other = Array.from({ length: 20 }, (_, id) => id).find(
          (id) => id !== row.label.id && !row.top!.some((own) => own.id === id),
        )!;
        row.top!.push({ id: other, logp: -70 });
        expect(read(kind, one, jsonOf(write(one)))).toEqual(expected(one));
      }),
      { numRuns: 30 },
    );
    const certain: Case = {
      request: { model: "m", sequences: [{ ids: Int32Array.of(1, 2), positions: Int32Array.of(1) }], topK: 2 },
      rows: [
        [
          {
            label: { id: 2, logp: 0 },
            top: [
              { id: 2, logp: 1e-5 },
              { id: 9, logp: -Infinity },
            ],
          },
        ],
      ],
    };
    expect(read(kind, certain, jsonOf(write(certain)))).toEqual({
      labelLogp: Float32Array.of(0),
      topId: Int32Array.of(2, 9),
      topLogp: Float32Array.of(0, -Infinity),
    });
  });

  test.each(FAULTS)("with $name is refused", ({ change, says }) => {
    fc.assert(
      fc.property(cases, (one) => {
        const { topK } = one.request;
        fc.pre(topK > 1);
        change(one.rows[0]![0]!, topK);
        expect(() => read(kind, one, jsonOf(write(one)))).toThrow(says);
      }),
      { numRuns: 15 },
    );
  });

  test("with a token twice, with probabilities above one together or with a label out of place is refused", () => {
    const of = (label: Said, top: Said[]): Case => ({
      request: { model: "m", sequences: [{ ids: Int32Array.of(1, 2), positions: Int32Array.of(1) }], topK: 2 },
      rows: [[{ label, top }]],
    });
    const label = { id: 2, logp: -0.2 };
    const refused = (one: Case) => expect(() => read(kind, one, jsonOf(write(one))));
    refused(of(label, [label, { id: 3, logp: -0.4 }])).toThrow("add up to 1.489, more than one");
    refused(
      of({ id: 2, logp: -3 }, [
        { id: 4, logp: -1 },
        { id: 4, logp: -1.5 },
      ]),
    ).toThrow("names the token 4 twice");
    if (name === "vllm") return;
    refused(
      of({ id: 2, logp: -1 }, [
        { id: 4, logp: -2 },
        { id: 5, logp: -2.5 },
      ]),
    ).toThrow("where it belongs");
    refused(
      of({ id: 2, logp: -1 }, [
        { id: 2, logp: -1.5 },
        { id: 5, logp: -2.5 },
      ]),
    ).toThrow("two log-probabilities");
  });

  test("cut at any byte is told as cut, or as no reply, never taken", () => {
    fc.assert(
      fc.property(cases, fc.double({ min: 0, max: 1, noNaN: true }), (one, share) => {
        const text = jsonOf(write(one));
        const cut = text.slice(0, Math.floor(share * (text.length - 1)));
        expect(() => read(kind, one, cut)).toThrow(expect.objectContaining({ cut: true }));
      }),
      { numRuns: 60 },
    );
  });

  test("with any byte changed is refused by a sentence, or gives rows that can be", () => {
    fc.assert(
      fc.property(
        cases,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 32, max: 126 }),
        (one, share, byte) => {
          const bytes = Buffer.from(jsonOf(write(one)), "utf8");
          bytes[Math.floor(share * (bytes.length - 1))] = byte;
          let batch: RowBatch;
          try {
            batch = read(kind, one, bytes);
          } catch (error) {
            expect(error instanceof JsonProblem || error instanceof RowProblem).toBe(true);
            return;
          }
          const { topK } = one.request;
          for (const [row, logp] of batch.labelLogp.entries()) {
            expect(logp).toBeLessThanOrEqual(0);
            expect(logp).toBeGreaterThan(-Infinity);
            const ids = batch.topId.subarray(row * topK, (row + 1) * topK);
            const logps = batch.topLogp.subarray(row * topK, (row + 1) * topK);
            expect(new Set(ids).size).toBe(topK);
            expect(Math.max(...ids)).toBeLessThan(VOCABULARY);
            expect([...logps].sort((a, b) => b - a)).toEqual([...logps]);
            expect(logps.reduce((sum, one) => sum + Math.exp(one), 0)).toBeLessThan(1.011);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test("without log-probabilities of prompts says what server that may be", () => {
    const one = {
      request: { model: "m", sequences: [{ ids: Int32Array.of(1, 2), positions: Int32Array.of(1) }], topK: 1 },
      rows: [],
    };
    const bare =
      name === "vllm" ? { choices: [{ index: 0, text: "x", logprobs: null }] } : [{ text: "x", meta_info: {} }];
    expect(() => read(kind, one, JSON.stringify(bare))).toThrow(
      "is it a server without the log-probabilities of prompts?",
    );
  });
});

test("a reply of a real vLLM server is read", async () => {
  const text = await readFile(resolve(import.meta.dirname, "../../golden/servers/vllm-0.32.0.json"), "utf8");
  const sequences = [
    [10, 20, 30, 40, 50, 60, 70],
    [5, 300, 7],
  ].map((ids) => ({
    ids: Int32Array.from(ids),
    positions: Int32Array.from(ids.slice(1), (_, index) => index + 1),
  }));
  const kind = SERVER_KINDS.find(({ name }) => name === "vllm")!;
  const batch = read(kind, { request: { model: "golden", sequences, topK: 3 }, rows: [] }, text, 418);
  const { choices } = JSON.parse(text) as {
    choices: { prompt_logprobs: (Record<string, { logprob: number; rank: number }> | null)[] }[];
  };
  const rows = choices.flatMap(({ prompt_logprobs: list }, n) =>
    list.slice(1).map((row, index) => ({ row: row!, label: sequences[n]!.ids[index + 1]! })),
  );
  expect([...batch.labelLogp]).toEqual(rows.map(({ row, label }) => Math.fround(row[label]!.logprob)));
  const best = rows.map(({ row }) => Object.entries(row).sort(([, a], [, b]) => a.rank - b.rank));
  expect([...batch.topId]).toEqual(best.flatMap((row) => row.slice(0, 3).map(([id]) => Number(id))));
  expect([...batch.topLogp]).toEqual(
    best.flatMap((row) => row.slice(0, 3).map(([, { logprob }]) => Math.fround(logprob))),
  );
});

test("numbers are within 1e-14 of their text", () => {
  fc.assert(
    fc.property(
      fc
        .double({ noNaN: true, noDefaultInfinity: true, min: -1e4, max: 1e4 })
        .map((value) => (Math.abs(value) < 1e-30 ? 0 : value)),
      (value) => {
        for (const text of [String(value), value.toExponential(), value.toFixed(7)]) {
          const found = new JsonCursor(Buffer.from(`${text} `)).number();
          expect(Math.abs(found - Number(text))).toBeLessThanOrEqual(1e-14 * Math.abs(Number(text)));
          if (Math.fround(Number(text)) === Number(text)) expect(Math.fround(found)).toBe(Number(text));
        }
      },
    ),
    { numRuns: 300 },
  );
  expect(new JsonCursor(Buffer.from("NaN,")).number()).toBeNaN();
  expect(new JsonCursor(Buffer.from("-Infinity,")).number()).toBe(-Infinity);
  for (const text of ["-", ".5", "1.", "1e", "abc"]) {
    expect(() => new JsonCursor(Buffer.from(`${text},`)).number()).toThrow(JsonProblem);
  }
});
