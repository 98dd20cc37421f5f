/**
 * The page for whoever does not see it, or has no mouse: names and roles in Chromium's accessibility tree, what is said while answers
 * come, where the focus goes, and the contrast of every text in light and dark (WCAG 2.2, level AA).
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goldenFolder } from "../engine/onnx/golden.ts";
import { goldenRun } from "../serve/golden-run.ts";
import { describeInBrowser, eventually, type OpenPage, openPage } from "./browser.ts";

/** WCAG 2.2, 1.4.3, of texts of the usual size. */
const LEAST_CONTRAST = 4.5;
/** Roles that must have a name. */
const NAMED = [
  "button",
  "checkbox",
  "combobox",
  "link",
  "region",
  "searchbox",
  "spinbutton",
  "textbox",
  "toolbar",
  "article",
];

describeInBrowser("the page for screen readers and keyboards", () => {
  let open: OpenPage;
  let page: Page;
  const focused = (): Promise<{ name: string; isSeen: boolean } | null> => page.evaluate("access.focused()");
  const status = (): Promise<string> => page.locator("#status").innerText();

  beforeAll(async () => {
    const models = ["lab-llama", "lab-mistral"].map((name) => {
      return { name, folder: resolve(import.meta.dirname, "../../lab/models", name) };
    });
    open = await openPage([...models, { name: "mistral", folder: goldenFolder("mistral") }], (folder) => ({
      votes: join(folder, "votes.jsonl"),
      run: goldenRun(),
    }));
    ({ page } = open);
    await page.evaluate(await readFile(resolve(import.meta.dirname, "page-access.js"), "utf8"));
    await page.getByLabel("Temperature").fill("0");
    await page.getByLabel("Longest answer").fill("12");
    await page.getByLabel("Probabilities of tokens").check();
  });
  afterAll(() => open?.close());

  /** In every view, with something in it. */
  const views: readonly (readonly [string, () => Promise<void>])[] = [
    [
      "chat",
      async () => {
        await page.getByRole("button", { name: "Chat", exact: true }).click();
        await page.getByLabel("Question", { exact: true }).fill("What is the capital of Famton?");
        await page.keyboard.press("Control+Enter");
        await eventually(status).toBe("All have answered.");
        await page.locator(".token").first().click();
      },
    ],
    [
      "arena",
      async () => {
        await page.getByRole("button", { name: "Arena" }).click();
        await page.getByLabel("Question", { exact: true }).fill("What is 27 plus 35?");
        await page.keyboard.press("Control+Enter");
        await eventually(() => page.getByRole("button", { name: "Tie" }).count()).toBe(1);
      },
    ],
    [
      "run",
      async () => {
        await page.getByRole("button", { name: "Run", exact: true }).click();
        await page.locator("#run-conversations button").first().click();
        await eventually(() => page.locator("#run-status").innerText()).toMatch(/ places? of /);
        await page.getByRole("button", { name: "Next place" }).click();
        await eventually(() => page.locator("#run-row").innerText()).toMatch(/mistral, now/);
      },
    ],
  ];

  for (const [view, show] of views) {
    test(`${view}: whatever does something has a name, and nothing is lost to who only hears it`, async () => {
      await show();
      const session = await page.context().newCDPSession(page);
      const { nodes } = await session.send("Accessibility.getFullAXTree");
      const seen = nodes.filter(({ ignored }) => !ignored);
      const nameless = seen.filter(({ role, name }) => NAMED.includes(role?.value) && !name?.value?.trim());
      expect(nameless.map(({ role }) => role?.value)).toEqual([]);
      const roles = new Set(seen.map(({ role }) => role?.value));
      for (const role of ["banner", "navigation", "main", "heading", "status", "toolbar", "table"]) {
        if (view !== "arena" || !["toolbar", "table"].includes(role)) expect(roles, role).toContain(role);
      }
      await session.detach();
    });

    test(`${view}: every text stands out from what is behind it, light and dark`, async () => {
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await page.evaluate(`access.faint(${LEAST_CONTRAST})`), colorScheme).toEqual([]);
      }
      await page.emulateMedia({ colorScheme: "light" });
    });

    test(`${view}: Tab leads through everything once, in order, visibly, and out again`, async () => {
      const stops: string[] = await page.evaluate("access.stops()");
      await page.evaluate("document.activeElement?.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)");
      await page.locator("h1").click();
      await page.evaluate("document.activeElement?.blur()");
      // The heading comes after the link to the question, and the click has begun there.
      const expected = [...stops.slice(1), ...stops.slice(0, 1)];
      const reached: string[] = [];
      for (let presses = 0; presses < stops.length + 2 && reached.length < stops.length; presses++) {
        await page.keyboard.press("Tab");
        const at = await focused();
        if (at === null) continue;
        expect(at.isSeen, at.name).toBe(true);
        reached.push(at.name);
      }
      expect(reached).toEqual(expected);
    });
  }

  test("a row of tokens is one stop, and arrow keys lead through it", async () => {
    const tokens = page.locator("#run-turns .token");
    const at = () =>
      page.evaluate('[...document.querySelectorAll("#run-turns .token")].indexOf(document.activeElement)');
    await tokens.first().focus();
    for (const [key, place] of [
      ["ArrowRight", 1],
      ["ArrowRight", 2],
      ["Home", 0],
      ["ArrowLeft", 0],
      ["End", (await tokens.count()) - 1],
    ] as const) {
      await page.keyboard.press(key);
      expect(await at(), key).toBe(place);
    }
    expect(await page.locator('#run-turns .token[tabindex="0"]').count()).toBe(1);
  });

  test("answers that come are busy and silent, and a polite status says when they are there", async () => {
    await page.getByRole("button", { name: "Chat", exact: true }).click();
    const live = page.locator("#status");
    expect(await live.getAttribute("aria-live")).toBe("polite");
    expect(await live.getAttribute("role")).toBe("status");
    expect(await page.locator(".answer[aria-live]").count()).toBe(0);
    await page.evaluate(`
      window.heard = [];
      new MutationObserver(() => heard.push(document.querySelector("#status").textContent))
        .observe(document.querySelector("#status"), { childList: true });
      window.busy = [];
      new MutationObserver((changes) => {
        for (const { target } of changes) if (target.matches?.(".answer")) busy.push(target.getAttribute("aria-busy"));
      }).observe(document.querySelector("#rounds"), { subtree: true, childList: true, attributeFilter: ["aria-busy"] });
    `);
    await page.getByLabel("Question", { exact: true }).fill("Who visits Famton?");
    await page.getByRole("button", { name: "Send" }).click();
    await eventually(status).toBe("All have answered.");
    const heard: string[] = await page.evaluate("heard");
    expect(heard).toEqual(["lab-llama, lab-mistral: answering.", "All have answered."]);
    const busy: string[] = await page.evaluate("busy");
    expect(busy).toContain("true");
    expect(busy.at(-1)).toBe("false");
  });

  test("what had the focus and is gone hands it on", async () => {
    expect((await focused())!.name).toBe("textarea Question");
    await page.getByRole("button", { name: "Again" }).focus();
    await page.keyboard.press("Enter");
    await eventually(() => page.evaluate('document.querySelector("#send").disabled')).toBe(false);
    expect((await focused())!.name).toBe("textarea Question");
    await page
      .getByRole("button", { name: /^Remove: / })
      .first()
      .focus();
    await page.keyboard.press("Enter");
    expect((await focused())!.name).toBe("button New conversation");
    await views[1]![1]();
    await page.getByRole("button", { name: "Tie" }).focus();
    await page.keyboard.press("Enter");
    expect((await focused())!.name).toMatch(/^p Tie\. A was /);
  });

  test("nothing went wrong", () => {
    expect(open.problems).toEqual([]);
    expect(open.foreign).toEqual([]);
  });
});
