import { describe, expect, test } from "vitest";
import { type Conversation, conversationId } from "#src/data/conversation.js";
import { type Groups, groupsByPrompt, groupsOf } from "#src/fuse/groups/groups.js";
import { PRIOR_CONVERSATIONS, recordOf } from "#src/fuse/groups/record.js";
import { createRandom } from "#src/random.js";

function conversation(prompt: string, labels: Partial<Conversation> = {}): Conversation {
  const turns = [
    { role: "user", content: prompt },
    { role: "assistant", content: "yes" },
  ] as const;
  return { id: conversationId(turns), turns, ...labels };
}

/** Prompts of four kinds, each about one of twenty names, in a fixed order that mixes them. */
function prompts(count: number): { readonly kind: number; readonly conversation: Conversation }[] {
  const random = createRandom("prompts");
  const kinds = [
    (name: string) => `What does ${name} eat for dinner?`,
    (name: string) => `What is the weather in ${name} tomorrow?`,
    (name: string) => `Add ${name.length} and ${7 * name.length}.`,
    (name: string) => `Please spell ${name} backwards.`,
  ];
  return Array.from({ length: count }, () => {
    const kind = random.integer(kinds.length);
    const name = "ABCDEFGHIJKLMNOPQRST"[random.integer(20)]!.repeat(1 + random.integer(6));
    return { kind, conversation: conversation(kinds[kind]!(name)) };
  });
}

describe("groups", () => {
  test("are the labels of the records where there are some, the skill before the category", () => {
    const list = Array.from({ length: 40 }, (_, n) =>
      conversation(`${n}`, n % 2 === 0 ? { skill: "a", category: "c" } : n === 39 ? {} : { category: "b" }),
    );
    const { parent, group, by } = groupsOf(list);
    expect(by).toBe("labels");
    expect([...parent]).toEqual([-1, 0, 0]);
    expect([...group.subarray(0, 4), group[39]]).toEqual([1, 2, 1, 2, 0]);
  });

  test("are made of prompts where all records have one label, or nearly every one its own", () => {
    const one = prompts(100).map(({ conversation }) => ({ ...conversation, category: "all" }));
    const each = prompts(100).map(({ conversation }, n) => ({ ...conversation, category: `${n}` }));
    for (const list of [one, each]) expect(groupsOf(list).by).toBe("prompts");
  });

  test("of prompts hold one kind each, and the same prompts give the same groups", () => {
    const list = prompts(600);
    const groups = groupsByPrompt(list.map(({ conversation }) => conversation));
    const kinds = new Map<number, Set<number>>();
    for (const [n, { kind }] of list.entries()) {
      const own = kinds.get(groups.group[n]!) ?? new Set<number>();
      kinds.set(groups.group[n]!, own.add(kind));
    }
    expect([...kinds.values()].filter(({ size }) => size > 1)).toEqual([]);
    expect(kinds.size).toBeGreaterThanOrEqual(4);
    for (const [number, above] of groups.parent.entries()) expect(above).toBeLessThan(number);
    expect(groupsByPrompt(list.map(({ conversation }) => conversation))).toEqual(groups);
  });

  test("of a few prompts, or of prompts that are all alike, are one", () => {
    expect([...groupsByPrompt(prompts(20).map(({ conversation }) => conversation)).parent]).toEqual([-1]);
    const same = Array.from({ length: 200 }, () => conversation("What now?"));
    expect([...groupsByPrompt(same).parent]).toEqual([-1]);
  });

  test("texts without spaces are told apart by their characters", () => {
    const list = Array.from({ length: 200 }, (_, n) => conversation(n % 3 === 0 ? "今天天气" : "翻译这句话"));
    const { group } = groupsByPrompt(list);
    expect(new Set(group.filter((_, n) => n % 3 === 0)).size + new Set(group.filter((_, n) => n % 3 !== 0)).size).toBe(
      new Set(group).size,
    );
    expect(new Set(group).size).toBeGreaterThan(1);
  });
});

describe("the record over groups", () => {
  const groups: Groups = { parent: Int32Array.of(-1, 0, 0), group: Int32Array.of(1, 1, 2, 2), by: "labels" };
  const nats = (source: readonly number[], bytes: readonly number[]) => ({
    conversation: Int32Array.of(0, 1, 2, 3),
    pivotNats: Float32Array.of(10, 20, 30, 40),
    pivotBytes: Int32Array.of(20, 20, 20, 20),
    sourceNats: Float32Array.from(source),
    sourceBytes: Int32Array.from(bytes),
  });

  test("is the mean of the group, leaning on that of all data by the weight of eight conversations", () => {
    const { nats: record } = recordOf(groups, [nats([5, 15, 45, 55], [10, 20, 30, 20])]);
    // Nats per byte: the pivot 0.5 1 1.5 2, the source 0.5 0.75 1.5 2.75; differences 0 -0.25 0 0.75.
    const k = PRIOR_CONVERSATIONS;
    const pivot = [(2 * 0.75 + k * 1.25) / (2 + k), (2 * 1.75 + k * 1.25) / (2 + k)];
    const difference = [(2 * -0.125 + k * 0.125) / (2 + k), (2 * 0.375 + k * 0.125) / (2 + k)];
    for (const [group, members] of [
      [0, [0, 1]],
      [1, [2, 3]],
    ] as const) {
      for (const member of members) {
        expect(record(member)[0]).toBeCloseTo(pivot[group]!, 12);
        expect(record(member)[1]).toBeCloseTo(pivot[group]! + difference[group]!, 12);
      }
    }
  });

  test("compares a source over what it has read alone", () => {
    const { nats: record } = recordOf(groups, [nats([5, 0, 45, 0], [10, 0, 30, 0])]);
    // Where the source has read it, both cost the same, though the pivot's whole record is worse than its own there.
    for (const conversation of [0, 1, 2, 3]) {
      const [pivot, source] = record(conversation) as [number, number];
      expect(source).toBeCloseTo(pivot, 12);
    }
  });
});
