import type { Scrape } from "../support/scrape.ts";
import { FAILURE_WORDS, type Reason } from "./cases/failure-words.ts";
import type { Row } from "./expected-ledger.ts";

/** Values of series. The providers of a test are asked by no other one, so that a value is also its change. */
export type Counts = Readonly<Record<string, number>>;

/** A request, by what is to become of it. */
export interface Counted {
  readonly rows: readonly Row[];
  /** How it ended for its caller. */
  readonly failure: Reason | undefined;
}

type Labels = Readonly<Record<string, string>>;

const PREFIX = "llm_gateway_";
/** The counters that the table speaks of. */
const METRICS = ["requests", "errors", "fallbacks", "attempts", "retries", "settlements"] as const;

type Metric = (typeof METRICS)[number];

/** All that requests count, with their providers. */
export function expectedMetrics(requests: readonly Counted[]): Counts {
  const counts: Record<string, number> = {};
  const count = (metric: Metric, labels: Labels) => {
    const series = seriesName(`${PREFIX}${metric}_total`, labels);
    counts[series] = (counts[series] ?? 0) + 1;
  };
  for (const { rows, failure } of requests) {
    const status = failure === undefined ? "ok" : "error";
    count("requests", { provider: rows.at(-1)?.provider ?? "none", status });
    for (const [index, row] of rows.entries()) countAttempt(count, row, rows[index + 1]);
  }
  return counts;
}

function countAttempt(count: (metric: Metric, labels: Labels) => void, row: Row, following?: Row): void {
  const { provider, outcome, reason, state, usage } = row;
  const errorType = reason === "UNSPECIFIED" ? "none" : FAILURE_WORDS[reason].errorType;
  count("attempts", { provider, outcome: outcome.toLowerCase(), error_type: errorType });
  count("settlements", { provider, billing_state: state.toLowerCase(), usage_source: usage });
  if (reason === "UNSPECIFIED") return;
  count("errors", { provider, error_type: errorType });
  if (following?.provider === provider) count("retries", { provider, error_type: errorType });
  else if (following) count("fallbacks", { from_provider: provider, to_provider: following.provider });
}

/** All that the gateway counted with these providers, in the same form. */
export function metricsOf(scraped: Scrape, providers: readonly string[]): Counts {
  const counts: Record<string, number> = {};
  const names = new Set(METRICS.map((metric) => `${PREFIX}${metric}_total`));
  const asked = new Set(providers);
  for (const { name, labels, value } of scraped.series()) {
    const { api_key_id: _, model: __, ...kept } = labels;
    if (names.has(name) && asked.has(kept.provider ?? kept.from_provider ?? ""))
      counts[seriesName(name, kept)] = value;
  }
  return counts;
}

const seriesName = (name: string, labels: Labels) =>
  `${name} ${JSON.stringify(Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => a.localeCompare(b))))}`;
