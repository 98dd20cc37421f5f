/** Who judges, and to which address a key may go. */
import { expect, test } from "vitest";
import { judgeAccess, judgeOf, withheldKey } from "#src/cli/judge-options.js";
import { judgeOptionsOf } from "#src/recipe/judge.js";
import { parseRecipe } from "#src/recipe/parse.js";

const REQUESTS = { concurrency: 4, timeout: 30, retries: 2 };
const OPENAI = "https://api.openai.com/v1";

function recipeJudge(text: string) {
  const recipe = `pivot: a\nsources: [b]\ndata: { path: c.jsonl }\nevaluate: { judge: ${text} }`;
  return parseRecipe(recipe, "recipe.yaml").recipe.evaluate.judge;
}

test("the command line goes before the environment; without either there is no judge", () => {
  const environment = { FUSECHAT_JUDGE_MODEL: "b", OPENAI_BASE_URL: "http://other/v1", OPENAI_API_KEY: "key" };
  expect(judgeOf({ ...REQUESTS, judge: "a", judgeUrl: "http://here/v1" }, environment)).toEqual({
    endpoint: {
      ...{ model: "a", url: "http://here/v1", apiKey: "key" },
      ...{ concurrency: 4, timeoutSeconds: 30, attempts: 3 },
    },
    spent: { calls: 0, tokens: 0 },
  });
  expect(judgeOf(REQUESTS, environment)?.endpoint).toMatchObject({ model: "b", url: "http://other/v1", apiKey: "key" });
  expect(judgeOf(REQUESTS, {})).toBeNull();
  // Other programs set this one too; it alone asks for no judge.
  expect(judgeOf(REQUESTS, { OPENAI_BASE_URL: "http://other/v1" })).toBeNull();
});

test("a recipe says what the environment then need not, and the command line has the last word", () => {
  const judge = recipeJudge(`{ model: strict, url: "${OPENAI}", concurrency: 3, retries: 0, max_tokens: 9 }`);
  const environment = { FUSECHAT_JUDGE_MODEL: "mild", OPENAI_API_KEY: "key" };
  expect(judgeOptionsOf(judge, judgeAccess({}, environment), "recipe")).toEqual({
    endpoint: {
      ...{ model: "strict", url: OPENAI, apiKey: "key" },
      ...{ concurrency: 3, timeoutSeconds: 120, attempts: 1 },
    },
    spent: { calls: 0, tokens: 0 },
    maxTokens: 9,
  });
  const flags = { judge: "other", judgeUrl: "http://here/v1" };
  expect(judgeOptionsOf(judge, judgeAccess(flags, environment), "recipe").endpoint).toMatchObject({
    ...{ model: "other", url: "http://here/v1", apiKey: "key" },
  });
  expect(() => judgeOptionsOf(recipeJudge("{ model: strict }"), judgeAccess({}, {}), "recipe.yaml:4:11")).toThrow(
    "recipe.yaml:4:11: this recipe needs a judge, and its url is not known; set judge.url or FUSECHAT_JUDGE_URL",
  );
});

test("a key goes to no address that only a recipe names", () => {
  const elsewhere = "https://elsewhere.example/v1";
  const environment = { OPENAI_API_KEY: "key" };
  const access = judgeAccess({}, environment);
  expect(access.keyFor(elsewhere)).toBeUndefined();
  expect(access.keyFor(OPENAI)).toBe("key");
  expect(withheldKey(elsewhere, access, environment)).toBe(
    `OPENAI_API_KEY is not sent to ${elsewhere}, which only the recipe names; --judge-key-env OPENAI_API_KEY sends it`,
  );
  expect(withheldKey("http://127.0.0.1:8000/v1", access, environment)).toBeNull();
  expect(withheldKey(OPENAI, access, environment)).toBeNull();
  expect(judgeAccess({ judgeKeyEnv: "OPENAI_API_KEY" }, environment).keyFor(elsewhere)).toBe("key");
  expect(judgeAccess({}, { ...environment, FUSECHAT_JUDGE_URL: elsewhere }).keyFor(elsewhere)).toBe("key");
  expect(judgeAccess({}, { ...environment, OPENAI_BASE_URL: elsewhere }).keyFor(OPENAI)).toBeUndefined();
});
