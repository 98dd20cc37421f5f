/** A plain object as lines of keys and values, for people: nested objects are indented, lists are joined. */
import { formatBytes, formatCount } from "./figures.ts";

/** One line a key, keys in one column; what is counted in bytes by its key is shown in the unit that fits. */
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
      const isBytes = typeof value === "number" && /(^|_)bytes$/.test(key);
      return `${label}  ${isBytes ? formatBytes(value) : formatInline(value)}`;
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
  const text = String(value);
  return text.includes("\n") ? JSON.stringify(text) : text;
}

/** `held_out` is our own key, and the unit of `disk_bytes` stands with its value; `self_attn.q_proj` is the name of a tensor and stays as it is. */
function words(key: string): string {
  return key.includes(".") ? key : key.replace(/_bytes$/, "").replaceAll("_", " ");
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
