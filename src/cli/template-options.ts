/** What prompts are rendered with, as options: the day, template variables, and which of several named templates. */
import { type Command, InvalidArgumentError, type Option } from "commander";
import {
  DEFAULT_DATE,
  DEFAULT_TEMPLATE_SETTINGS,
  GIVEN_VARIABLES,
  isDay,
  type TemplateSettings,
  VARIABLE_NAME,
} from "../data/template-settings.ts";

export interface TemplateFlags {
  readonly date?: string;
  readonly templateVariable?: Readonly<Record<string, unknown>>;
  readonly templateName?: string;
}

/** `verbs` begins the descriptions, where only one form of a verb takes them. */
export function declareTemplate(command: Command, verbs = "", group?: string): void {
  const add = (flags: string, description: string): Option => {
    const option = command.createOption(flags, `${verbs}${description}`);
    return group === undefined ? option : option.helpGroup(group);
  };
  command
    .addOption(add("--date <day>", `the day that templates take for today (default: ${DEFAULT_DATE})`).argParser(day))
    .addOption(
      add(
        "--template-variable <name=value>",
        "a variable of the chat template; JSON or text; may come several times",
      ).argParser(variable),
    )
    .addOption(add("--template-name <name>", "which of the model's named chat templates (default: default)"));
}

/** Undefined where no flag was given. */
export function templateGiven(flags: TemplateFlags): TemplateSettings | undefined {
  const { date, templateVariable, templateName } = flags;
  if (date === undefined && templateVariable === undefined && templateName === undefined) return undefined;
  return {
    date: date ?? DEFAULT_DATE,
    variables: templateVariable ?? {},
    ...(templateName === undefined ? {} : { name: templateName }),
  };
}

export function templateSettings(flags: TemplateFlags): TemplateSettings {
  return templateGiven(flags) ?? DEFAULT_TEMPLATE_SETTINGS;
}

function day(text: string): string {
  if (!isDay(text)) throw new InvalidArgumentError("Expected a day as YYYY-MM-DD.");
  return text;
}

function variable(text: string, before: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const equals = text.indexOf("=");
  const name = text.slice(0, equals);
  if (equals < 1 || !VARIABLE_NAME.test(name)) throw new InvalidArgumentError("Expected name=value.");
  if (GIVEN_VARIABLES.includes(name)) throw new InvalidArgumentError(`${name} is given by the program itself.`);
  return { ...before, [name]: parsedValue(text.slice(equals + 1)) };
}

/** What is no JSON is a text. */
function parsedValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
