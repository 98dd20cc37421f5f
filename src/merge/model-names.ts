/** The places of a configuration that name models. */

const MODEL_KEYS = ["model", "base_model", "source"];

/** A configuration with other names of models, wherever it has one. */
export function withModelNames<T>(config: T, rename: (model: string) => string): T {
  const renamed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(renamed);
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).filter(([, member]) => member !== undefined);
    return Object.fromEntries(
      entries.map(([key, member]) => [
        key,
        MODEL_KEYS.includes(key) && typeof member === "string" ? rename(member) : renamed(member),
      ]),
    );
  };
  return renamed(config) as T;
}

/** All of them, in their order. */
export function modelNames(config: unknown): readonly string[] {
  const names: string[] = [];
  withModelNames(config, (model) => {
    names.push(model);
    return model;
  });
  return names;
}
