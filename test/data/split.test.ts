import { expect, test } from "vitest";
import { type Conversation, conversationId, type Turn } from "#src/data/conversation.js";
import { splitHeldOut } from "#src/data/split.js";

const conversations: Conversation[] = Array.from({ length: 4000 }, (_, index) => {
  const turns: Turn[] = [{ role: "user", content: `question ${index % 3900}` }];
  return { id: conversationId(turns), turns };
});

test("about the asked fraction is held out, order kept, nothing lost", () => {
  const { train, heldOut } = splitHeldOut(conversations, 0.1);
  // 400 expected, standard deviation 19.
  expect(heldOut.length).toBeGreaterThan(320);
  expect(heldOut.length).toBeLessThan(480);
  expect(train.length + heldOut.length).toBe(conversations.length);
  expect(train).toEqual(conversations.filter((one) => train.includes(one)));
});

test("equal conversations are never on different sides", () => {
  const { train, heldOut } = splitHeldOut(conversations, 0.5);
  const ids = new Set(heldOut.map(({ id }) => id));
  expect(train.some(({ id }) => ids.has(id))).toBe(false);
});

test("a conversation stays where it is when the data grows or more is held out", () => {
  const few = splitHeldOut(conversations.slice(0, 500), 0.1).heldOut;
  const many = splitHeldOut(conversations, 0.2).heldOut;
  expect(few.every((one) => many.includes(one))).toBe(true);
});

test("the place is the first 52 bits of the id", () => {
  const half: Conversation = { id: `8${"0".repeat(63)}`, turns: [] };
  const below: Conversation = { id: `7${"f".repeat(63)}`, turns: [] };
  expect(splitHeldOut([half, below], 0.5)).toEqual({ train: [half], heldOut: [below] });
  expect(splitHeldOut([half, below], 0)).toEqual({ train: [half, below], heldOut: [] });
});

test.each([1, -0.1, Number.NaN])("a fraction of %d is refused", (fraction) => {
  expect(() => splitHeldOut([], fraction)).toThrow(/held_out: expected a fraction of at least 0 and less than 1/);
});
