/** The page's view of a run, in a real browser: where its models part, and what each says there. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goldenFolder } from "../engine/onnx/golden.ts";
import { goldenRun } from "../serve/golden-run.ts";
import { describeInBrowser, eventually, type OpenPage, openPage } from "./browser.ts";

describeInBrowser("the page's view of a run", () => {
  let open: OpenPage;
  let page: Page;
  const status = (): Promise<string> => page.locator("#run-status").innerText();

  beforeAll(async () => {
    const models = ["mistral", "qwen2"].map((name) => ({ name, folder: goldenFolder(name) }));
    open = await openPage(models, () => ({ run: goldenRun() }));
    ({ page } = open);
    await page.getByRole("button", { name: "Run", exact: true }).click();
  });
  afterAll(() => open?.close());

  test("finds a conversation by its words, and colours its answers by what the source stored", async () => {
    await eventually(() => page.locator("#run-conversations button").count()).toBeGreaterThan(2);
    const name = await page.locator("#run-conversations button").nth(2).innerText();
    await page.getByLabel("Search the run").fill(name.replace(/^3: /, "").slice(0, 30));
    await page.keyboard.press("Enter");
    await eventually(() => page.locator("#run-conversations button").count()).toBe(1);
    await page.locator("#run-conversations button").click();
    await eventually(status).toMatch(/^qwen2 is far from mistral in \d+ places? of \d+\.$/);
    expect(await page.locator("#run-turns .token.unshared").count()).toBeGreaterThan(0);
    expect(await page.locator("#run-turns .token.parted").count()).toBeGreaterThan(0);
    expect(await page.locator("#run-turns .token.parted").first().getAttribute("title")).toMatch(
      /^0\.\d\d bits from qwen2$/,
    );
  });

  test("a place shows the rows of pivot and sources, and what the models say there now, or why not", async () => {
    await page.locator("#run-models").getByLabel("qwen2").check();
    await page.getByRole("button", { name: "Next place where they part" }).click();
    await eventually(() => page.locator("#run-row th[scope=col]").allInnerTexts()).toEqual([
      "Token",
      "mistral, stored",
      "qwen2, stored",
      "gemma2, stored",
      "mistral, now",
      "qwen2, now",
    ]);
    await eventually(status).toMatch(/: mistral, stored [\d.]+ %; .*mistral, now [\d.]+ %/);
    const [, stored, now] = /mistral, stored ([\d.]+ %).*mistral, now ([\d.]+ %)/.exec(await status())!;
    expect(now).toBe(stored);
    expect(await page.locator("#run-row").innerText()).toContain(
      "qwen2, now: qwen2 reads this conversation as other tokens",
    );
    await open.shot("run", page, { fullPage: false });
  });

  test("a model's rows of now can be compared with the stored ones, and a slow one does not overwrite a later choice", async () => {
    await page.getByLabel("Compare with").selectOption("mistral, now");
    await eventually(status).toMatch(/^mistral is far from mistral in 0 places of \d+\.$/);
    await page.route("**/run/row?*row=0&*", async (route) => {
      await new Promise((done) => setTimeout(done, 1500));
      await route.continue().catch(() => {});
    });
    const slow = page.waitForEvent("requestfailed", (request) => request.url().includes("row=0"));
    await page.locator("#run-turns .token").nth(0).click();
    const chosen = page.locator("#run-turns .token").nth(3);
    await chosen.click();
    await slow;
    await eventually(() => page.locator("#run-row caption").innerText()).toContain((await chosen.innerText()).trim());
  });

  test("it fits a telephone", async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360);
    await open.shot("run-narrow-dark");
  });

  test("nothing was asked elsewhere, and only the refusal went wrong", () => {
    expect(open.foreign).toEqual([]);
    expect(open.problems.filter((problem) => !/400/.test(problem))).toEqual([]);
  });
});
