/**
 * What a stage tells the outside while it works. Stages never print: the terminal, `--json` and the tests each bring
 * a reporter of their own, so all three share one stream of events.
 */
export type ReporterEvent =
  /** A stage, or one part of it ("distributions qwen2"), begins. `total` counts `unit`s, where known. */
  | { readonly type: "start"; readonly stage: string; readonly total?: number; readonly unit?: string }
  /** `done` of `total` units; `loss` in nats per row where the stage trains. */
  | {
      readonly type: "progress";
      readonly stage: string;
      readonly done: number;
      readonly total: number;
      readonly unit: string;
      readonly loss?: number;
    }
  /** The part is finished; `summary` is one line for people, `figures` the same for programs. */
  | {
      readonly type: "end";
      readonly stage: string;
      readonly summary: string;
      readonly figures?: Readonly<Record<string, unknown>>;
    }
  | { readonly type: "warning"; readonly stage: string; readonly message: string };

export interface Reporter {
  report(event: ReporterEvent): void;
}

/** A reporter that says nothing. */
export const silent: Reporter = { report: () => {} };
