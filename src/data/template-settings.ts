/**
 * What a rendering depends on besides the messages and the template: the day that the template takes for today, the
 * values of its variables, and which of several named templates is taken. All of it stands in recipes and in the
 * settings of stages, so that the same recipe gives the same prompts on every day and on every machine.
 */
import { createHash } from "node:crypto";
import { inputError } from "../errors.ts";
import { DEFAULT_TEMPLATE } from "./template-files.ts";

export interface TemplateSettings {
  /** `YYYY-MM-DD`: what `strftime_now` tells, at noon of that day. */
  readonly date: string;
  /** Values by name, such as `enable_thinking`; JSON values. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** Which of the folder's named templates; default `default`. */
  readonly name?: string;
}

/** What renderings were made with, as shards store it: equal identities, equal renderings of equal messages. */
export interface TemplateIdentity {
  /** Of the template's text, and of the special tokens that it is given. */
  readonly templateSha256: string;
  readonly specialTokensSha256: string;
  readonly templateName: string;
  readonly templateVariables: string;
  readonly date: string;
}

/** A day on which nothing depends: it is only always the same. */
export const DEFAULT_DATE = "2025-01-01";

export const DEFAULT_TEMPLATE_SETTINGS: TemplateSettings = { date: DEFAULT_DATE, variables: {} };

export const VARIABLE_NAME: RegExp = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What the program itself gives to a template. */
export const GIVEN_VARIABLES: readonly string[] = [
  "messages",
  "tools",
  "documents",
  "add_generation_prompt",
  "raise_exception",
  "strftime_now",
];

/** Refuses what is no day, and variables whose names are taken. `where` places them for messages. */
export function checkTemplateSettings({ date, variables }: TemplateSettings, where: string): void {
  if (!isDay(date)) throw inputError(where, `expected the date as YYYY-MM-DD, found ${JSON.stringify(date)}`);
  for (const name of Object.keys(variables)) {
    if (!VARIABLE_NAME.test(name)) {
      throw inputError(where, `expected the name of a template variable, found ${JSON.stringify(name)}`);
    }
    if (GIVEN_VARIABLES.includes(name)) {
      throw inputError(where, `the template variable ${name} is given by the program itself`);
    }
  }
}

/** A real day of the calendar. */
export function isDay(date: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) return false;
  const day = new Date(`${date}T12:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
}

export function identityOf(
  template: { readonly source: string; readonly specialTokens: Readonly<Record<string, unknown>> },
  { date, variables, name }: TemplateSettings,
): TemplateIdentity {
  return {
    templateSha256: sha256(template.source),
    specialTokensSha256: sha256(JSON.stringify(sorted(template.specialTokens))),
    templateName: name ?? DEFAULT_TEMPLATE,
    templateVariables: JSON.stringify(sorted(variables)),
    date,
  };
}

/** The settings that an identity tells of. */
export function settingsOf({ date, templateVariables, templateName }: TemplateIdentity): TemplateSettings {
  const variables = JSON.parse(templateVariables) as TemplateSettings["variables"];
  return { date, variables, ...(templateName === DEFAULT_TEMPLATE ? {} : { name: templateName }) };
}

function sha256(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}
