/** What a server has done, in Prometheus' text form (version 0.0.4). */

/** Upper bounds of the histograms, seconds. */
const BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

export interface Metrics {
  /** A request that has been answered, with its seconds from beginning to end. */
  answered(route: string, status: number, seconds: number): void;
  firstToken(seconds: number): void;
  tokens(kind: "prompt" | "reused" | "answer", count: number): void;
  /** `gauges`: name, what it is, and how much of it there is now. */
  text(gauges: readonly (readonly [string, string, number])[]): string;
}

export function createMetrics(): Metrics {
  const requests = new Map<string, number>();
  const seconds = histogram();
  const first = histogram();
  const tokens = { prompt: 0, reused: 0, answer: 0 };
  return {
    answered: (route, status, duration) => {
      const labels = `route="${route}",status="${status}"`;
      requests.set(labels, (requests.get(labels) ?? 0) + 1);
      observe(seconds, duration);
    },
    firstToken: (duration) => observe(first, duration),
    tokens: (kind, count) => {
      tokens[kind] += count;
    },
    text: (gauges) =>
      [
        ...head("fusechat_requests_total", "Requests that were answered.", "counter"),
        ...[...requests].map(([labels, count]) => `fusechat_requests_total{${labels}} ${count}`),
        ...counter("fusechat_prompt_tokens_total", "Tokens of prompts.", tokens.prompt),
        ...counter("fusechat_prompt_tokens_reused_total", "Of them those that were not computed again.", tokens.reused),
        ...counter("fusechat_answer_tokens_total", "Tokens of answers.", tokens.answer),
        ...lines("fusechat_request_seconds", "From the beginning of a request to its end.", seconds),
        ...lines("fusechat_first_token_seconds", "From the beginning of a request to its first token.", first),
        ...gauges.flatMap(([name, help, value]) => [...head(name, help, "gauge"), `${name} ${value}`]),
        "",
      ].join("\n"),
  };
}

function histogram(): Histogram {
  return { counts: BOUNDS.map(() => 0), sum: 0, count: 0 };
}

function observe(into: Histogram, value: number): void {
  into.sum += value;
  into.count++;
  BOUNDS.forEach((bound, index) => {
    if (value <= bound) into.counts[index]!++;
  });
}

function head(name: string, help: string, type: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

function counter(name: string, help: string, value: number): string[] {
  return [...head(name, help, "counter"), `${name} ${value}`];
}

function lines(name: string, help: string, { counts, sum, count }: Histogram): string[] {
  return [
    ...head(name, help, "histogram"),
    ...BOUNDS.map((bound, index) => `${name}_bucket{le="${bound}"} ${counts[index]}`),
    `${name}_bucket{le="+Inf"} ${count}`,
    `${name}_sum ${sum}`,
    `${name}_count ${count}`,
  ];
}
