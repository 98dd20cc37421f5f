import { expect, test } from "vitest";
import type { Turn } from "#src/data/conversation.js";
import { openRenderer, type TemplateLimits } from "#src/data/template.js";
import type { ChatTemplate } from "#src/data/template-files.js";
import { DEFAULT_TEMPLATE_SETTINGS } from "#src/data/template-settings.js";

const TURNS: Turn[] = [{ role: "user", content: "Hi" }];

async function renderOnce(
  source: string,
  limits: Partial<TemplateLimits> = {},
  tokens: ChatTemplate["specialTokens"] = {},
) {
  const renderer = openRenderer(
    { path: "some/template.jinja", source, specialTokens: tokens },
    DEFAULT_TEMPLATE_SETTINGS,
    limits,
  );
  return renderer.render([{ turns: TURNS, generationPrompt: true }]);
}

test("a template gets messages, tools as none, the generation prompt and the tokens that there are", async () => {
  const source =
    "{{ bos_token }}|{{ eos_token }}|{{ 'no' if tools is none }}|{{ 'no' if documents is none }}|{{ 'yes' if add_generation_prompt }}|{{ messages[0].role }}:{{ messages[0].content }}";
  expect(await renderOnce(source, {}, { bos_token: "<b>" })).toEqual([{ text: "<b>||no|no|yes|user:Hi" }]);
});

test("its today is the date of the settings, and variables have their values, but not those of the program", async () => {
  const source =
    "{{ strftime_now('%d %B %Y') }}|{{ thinking }}|{{ levels | join('+') }}|{{ missing is defined }}|{{ messages[0].content }}";
  const renderer = openRenderer(
    { path: "t", source, specialTokens: {} },
    { date: "2024-02-29", variables: { thinking: false, levels: ["a", "b"], messages: "none" } },
  );
  expect(await renderer.render([{ turns: TURNS, generationPrompt: false }])).toEqual([
    { text: "29 February 2024|False|a+b|False|Hi" },
  ]);
});

test("many renderings keep their order", async () => {
  const renderer = openRenderer({ path: "t", source: "{{ messages[0].content }}", specialTokens: {} });
  const jobs = Array.from({ length: 200 }, (_, index) => ({
    turns: [{ role: "user", content: String(index) }] as Turn[],
    generationPrompt: false,
  }));
  expect(await renderer.render(jobs)).toEqual(jobs.map(({ turns }) => ({ text: turns[0]!.content })));
});

test("a refusal is an answer, and its reason is the template's", async () => {
  expect(await renderOnce("{{ raise_exception('only users') }}")).toEqual([{ refused: "only users" }]);
});

test("a template that fails is an error that names its file", async () => {
  await expect(renderOnce("{{ messages | nonsense }}")).rejects.toThrow(
    /^some\/template\.jinja: the chat template fails: /,
  );
  await expect(renderOnce("{% if %}")).rejects.toThrow(/^some\/template\.jinja: the chat template fails: /);
});

test("a template that does not end is stopped at its deadline", async () => {
  const endless = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}";
  await expect(renderOnce(endless, { seconds: 0.3 })).rejects.toThrow(
    "some/template.jinja: the chat template does not end within 0.3 s of processor time",
  );
});

test("a renderer works again after it stopped a template", async () => {
  const source =
    "{% if messages[0].content == 'slow' %}{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{% endif %}fast";
  const template = { path: "t", source, specialTokens: {} };
  const renderer = openRenderer(template, DEFAULT_TEMPLATE_SETTINGS, { seconds: 1 });
  const job = (content: string) => [{ turns: [{ role: "user", content }] as Turn[], generationPrompt: false }];
  await expect(renderer.render(job("slow"))).rejects.toThrow(/does not end/);
  expect(await renderer.render(job("other"))).toEqual([{ text: "fast" }]);
});

test("output without measure is stopped", async () => {
  const long = "{% for i in range(2000) %}0123456789{% endfor %}";
  await expect(renderOnce(long, { longest: 10_000 })).rejects.toThrow(/its output is longer than 10000 characters$/);
});

test("memory without measure is stopped", async () => {
  const large =
    "{% set ns = namespace(x=['0123456789']) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
  await expect(renderOnce(large, { memoryMb: 100 })).rejects.toThrow(
    /^some\/template\.jinja: the chat template (needs more than 100 MB of memory|fails)/,
  );
});

test("what makes one large array, text or number is refused or stopped", async () => {
  const large = "{% for i in range(1000000000) %}{% endfor %}";
  await expect(renderOnce(large)).resolves.toEqual([{ refused: expect.stringContaining("at most 100000 items") }]);
  const doubled =
    "{% set ns = namespace(x=range(100000) | list) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
  await expect(renderOnce(doubled)).rejects.toThrow(/: the chat template (needs more than 200 MB of memory|fails)/);
});
