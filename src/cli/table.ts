/** A plain object as lines of keys and values, for people: nested objects are indented, lists are joined. */
import { formatCount } from "./figures.ts";

/** One line a key, keys in one column. */
export function formatTable(values: Readonly<Record<string, unknown>>, indent = ""): string {
  const width = Math.max(0, ...Object.keys(values).map((key) => key.length));
  return Object.entries(values)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const label = indent + words(key).padEnd(width);
      if (isRecord(value)) return `${label.trimEnd()}\n${formatTable(value, `${indent}  `)}`;
      if (Array.isArray(value) && value.some(isRecord)) {
        return [label.trimEnd(), ...value.map((item) => `${indent}  ${formatInline(item)}`)].join("\n");
      }
      return `${label}  ${formatInline(value)}`;
    })
    .filter((line) => line !== "")
    .join("\n");
}

function formatInline(value: unknown): string {
  if (typeof value === "number")
    return Number.isInteger(value) ? formatCount(value) : String(Number(value.toPrecision(6)));
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null) return "none";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(formatInline).join(", ");
  if (isRecord(value)) {
    return Object.entries(value)
      .map(([key, item]) => `${words(key)} ${formatInline(item)}`)
      .join(", ");
  }
  return String(value);
}

/** `held_out` is our own key; `self_attn.q_proj` is the name of a tensor and stays as it is. */
function words(key: string): string {
  return key.includes(".") ? key : key.replaceAll("_", " ");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
