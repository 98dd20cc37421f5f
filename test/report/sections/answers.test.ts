/** Whose answers a run trained on, as the report tells it. */
import { expect, test } from "vitest";
import { createCard } from "#src/answers/card.js";
import { EMPTY_RUN } from "#src/report/run-data.js";
import { type AnswersCard, answersCardDocument } from "#src/report/run-documents.js";
import { answers } from "#src/report/sections/answers.js";

const rendered = (card: AnswersCard) => answers.render({ ...EMPTY_RUN, answers: card })!.text;

test("a row a model, and how many prompts gave nothing", () => {
  const card = { ...createCard(1200, ["a", "<b>"], { select: "nats", keep: "best-of-each" }, []) };
  card.unanswered = 3;
  card.records = 2394;
  Object.assign(card.sources[0]!, { drawn: 6000, empty: 1, cut: 12, duplicates: 300, selected: 1197, wins: 700 });
  const page = rendered(answersCardDocument.parse(JSON.parse(JSON.stringify(card))));
  expect(page).toContain("1,200 prompts gave 2,394 conversations, 3 prompts none; answers were chosen by nats");
  expect(page).toContain("of them kept: best of each.");
  const cells = [...page.matchAll(/<tr><td>(.*?)<\/tr>/g)].map(([, row]) =>
    row!.replaceAll(/<[^>]*>/g, " ").split(/ +/),
  );
  expect(cells[0]!.slice(0, 9)).toEqual(["a", "6,000", "1", "0", "12", "300", "1,197", "700", "0"]);
  expect(page).toContain("<td>&lt;b&gt;</td>");
});

test("a run whose answers were given has no such part", () => {
  expect(answers.render(EMPTY_RUN)).toBeUndefined();
});
