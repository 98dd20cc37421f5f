import { expect, test } from "vitest";
import { choiceRequest, readChoice } from "#src/evaluate/subjects/judge-choice.js";
import type { Answer } from "#src/evaluate/subjects/subject.js";
import { dialogue, useSubjects } from "./fixtures.ts";

useSubjects();

test("a choice is one number in range, in any words, else null", () => {
  expect(readChoice("2", 3)).toBe(2);
  expect(readChoice(" The best is answer 3.\n", 3)).toBe(3);
  for (const reply of ["4", "0", "", "none", "1 or 2", "-"]) expect(readChoice(reply, 3)).toBeNull();
});

test("the judge's question has the answers in the given order", () => {
  const answers: Answer[] = ["red", "green"].map((text) => ({ text, finish: "stop" }));
  const { messages } = choiceRequest({ dialogue: dialogue("a", "Which colour?"), answers }, [1, 0]);
  expect(messages[0]!.content).toContain("<user>\nWhich colour?\n</user>");
  expect(messages[0]!.content).toContain("<answer 1>\ngreen\n</answer 1>\n<answer 2>\nred\n</answer 2>");
});
