import {
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type OpenMetricsContentType,
  Registry,
} from "prom-client";
import { createCallSums, tellCounters } from "./call-sums.ts";

/** How much is accepted but not yet in the database, and whether that answers. */
export interface LedgerState {
  readonly records: number;
  /** Age of the oldest of them; 0 when there is none. */
  readonly oldestAgeMs: number;
  readonly journalBytes: number;
  readonly databaseAnswers: boolean;
}

/** Before there is one. */
export const NO_LEDGER: LedgerState = {
  records: 0,
  oldestAgeMs: 0,
  journalBytes: 0,
  databaseAnswers: false,
};

export interface MetricsOptions {
  readonly version: string;
  /** Asked at every scrape. */
  readonly inFlight: () => number;
  /** Asked at every scrape. */
  readonly drains: () => number;
  /** Asked at every scrape. */
  readonly ledger: () => LedgerState;
}

export type Metrics = ReturnType<typeof createMetrics>;

type Registries = Registry<OpenMetricsContentType>[];

const LATENCY_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120];
const OVERHEAD_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1];
const FIRST_TOKEN_BUCKETS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30];

/** Gauges of prom-client whose names end like a counter's, which OpenMetrics and promtool refuse. */
const MISNAMED_DEFAULTS = [
  "nodejs_active_resources_total",
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
];

/** All metrics of one gateway, in a registry of its own. Unless said otherwise they count completions and calls for embeddings. */
export function createMetrics(options: MetricsOptions) {
  // The only type of registry that takes exemplars; it can be rendered as plain text all the same.
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED_DEFAULTS) registry.removeSingleMetric(name);
  const registers = [registry];
  createStateGauges(options, registers);
  const requestMetrics = createRequestMetrics(registers);
  const attemptMetrics = createAttemptMetrics(registers);
  const sums = createCallSums();
  return {
    registry,
    ...requestMetrics,
    ...attemptMetrics,
    ...createHealthMetrics(registers),
    sums,
    /** Tells the counters what was added to the sums. Call it before the registry is read. */
    tellCounters: () => tellCounters(sums, { ...requestMetrics, ...attemptMetrics }),
  };
}

function createRequestMetrics(registers: Registries) {
  return {
    requests: new Counter({
      name: "llm_gateway_requests_total",
      help: "Completions and calls for embeddings by outcome (ok, error, cancelled) and the provider that was asked last.",
      labelNames: ["api_key_id", "provider", "status"],
      registers,
    }),
    errors: new Counter({
      name: "llm_gateway_errors_total",
      help: "Failures by type: every failed call to a provider, also when a fallback answered, and every request refused without one.",
      labelNames: ["api_key_id", "provider", "error_type"],
      registers,
    }),
    fallbacks: new Counter({
      name: "llm_gateway_fallbacks_total",
      help: "Times that the next provider of a chain was turned to.",
      labelNames: ["api_key_id", "from_provider", "to_provider"],
      registers,
    }),
    hedges: new Counter({
      name: "llm_gateway_hedges_total",
      help: "Times that the next provider of a chain was asked beside one that took too long, and whether it was faster.",
      labelNames: ["from_provider", "to_provider", "won"],
      registers,
    }),
    // The types of prom-client take the labels of exemplars for labels of the metric.
    latency: new Histogram<"api_key_id" | "provider" | "operation" | "trace_id">({
      name: "llm_gateway_latency_seconds",
      help: "Time from the arrival of a completion (operation chat), or of a call for embeddings, to its end.",
      labelNames: ["api_key_id", "provider", "operation"],
      buckets: LATENCY_BUCKETS,
      enableExemplars: true,
      registers,
    }),
    overhead: new Histogram({
      name: "llm_gateway_overhead_seconds",
      help: "Time that the gateway itself added to such a call: all of it minus the waiting for providers.",
      buckets: OVERHEAD_BUCKETS,
      registers,
    }),
    rateLimitRefusals: new Counter({
      name: "llm_gateway_rate_limit_refusals_total",
      help: "Calls refused for a limit of their API key.",
      labelNames: ["api_key_id", "quota"],
      registers,
    }),
    replays: new Counter({
      name: "llm_gateway_replays_total",
      help: "Calls that were made before under their request id: answered, failed as then, or refused.",
      labelNames: ["api_key_id", "outcome"],
      registers,
    }),
    calls: new Counter({
      name: "llm_gateway_calls_total",
      help: "Calls of every method, those of models and others, by status code.",
      labelNames: ["method", "code"],
      registers,
    }),
  };
}

function createAttemptMetrics(registers: Registries) {
  return {
    attempts: new Counter({
      name: "llm_gateway_attempts_total",
      help: "Calls to providers, retries included.",
      labelNames: ["provider", "model", "outcome", "error_type"],
      registers,
    }),
    retries: new Counter({
      name: "llm_gateway_retries_total",
      help: "Retries at the same provider.",
      labelNames: ["provider", "error_type"],
      registers,
    }),
    drains: new Counter({
      name: "llm_gateway_drains_total",
      help: "Calls to providers that were to be read to their end after their request was over, by what came of it (reported, estimated, not_billed, closed, no_room, failed).",
      labelNames: ["provider", "outcome"],
      registers,
    }),
    timeToFirstToken: new Histogram({
      name: "llm_gateway_time_to_first_token_seconds",
      help: "Time from a streamed call to a provider to its first token.",
      labelNames: ["provider", "model"],
      buckets: FIRST_TOKEN_BUCKETS,
      registers,
    }),
    tokens: new Counter({
      name: "llm_gateway_tokens_total",
      help: "Tokens in disjoint kinds: in = uncached + cache_read + cache_write, out = text + reasoning. Of a drained call when its drain has ended.",
      labelNames: ["provider", "model", "direction", "kind"],
      registers,
    }),
    cost: new Counter({
      name: "llm_gateway_cost_total",
      help: "Cost in USD, for display: a sum of floating-point numbers. The ledger is exact. Of a drained call when its drain has ended.",
      labelNames: ["api_key_id", "provider", "model"],
      registers,
    }),
    settlements: new Counter({
      name: "llm_gateway_settlements_total",
      help: "Settled attempts by what is known of their cost and by who counted the tokens.",
      labelNames: ["provider", "billing_state", "usage_source"],
      registers,
    }),
    unpricedRecords: new Counter({
      name: "llm_gateway_unpriced_records_total",
      help: "Attempts whose model has no price: their cost is not known, which is not free.",
      labelNames: ["provider", "model"],
      registers,
    }),
    usageAnomalies: new Counter({
      name: "llm_gateway_usage_anomalies_total",
      help: "Usage reported by a provider that was not believed.",
      labelNames: ["provider", "anomaly"],
      registers,
    }),
  };
}

function createHealthMetrics(registers: Registries) {
  return {
    breakerState: new Gauge({
      name: "llm_gateway_breaker_state",
      help: "State of the circuit breaker of a provider and model: 0 closed, 1 half open, 2 open.",
      labelNames: ["provider", "model"],
      registers,
    }),
    ledgerWriteFailures: new Counter({
      name: "llm_gateway_ledger_write_failures_total",
      help: "Writes to the journal or the database that failed, each of which is tried again.",
      labelNames: ["store"],
      registers,
    }),
    configReloads: new Counter({
      name: "llm_gateway_config_reloads_total",
      help: "Reloads of the configuration: applied, or refused because it was wrong.",
      labelNames: ["outcome"],
      registers,
    }),
    logLinesDropped: new Counter({
      name: "llm_gateway_log_lines_dropped_total",
      help: "Log lines dropped because their reader was too slow.",
      registers,
    }),
  };
}

/** Gauges that are read only when somebody looks. */
function createStateGauges(
  { version, inFlight, drains, ledger }: MetricsOptions,
  registers: Registries,
): void {
  new Gauge({
    name: "llm_gateway_build_info",
    help: "Always 1; the version is in the labels.",
    labelNames: ["version", "node_version"],
    registers,
  }).set({ version, node_version: process.version }, 1);
  new Gauge({
    name: "llm_gateway_in_flight_requests",
    help: "Calls of every method that are being served.",
    registers,
    collect() {
      this.set(inFlight());
    },
  });
  new Gauge({
    name: "llm_gateway_in_flight_drains",
    help: "Calls to providers that are being read to their end for their usage, although their request is over.",
    registers,
    collect() {
      this.set(drains());
    },
  });
  const gauge = (name: string, help: string, read: (state: LedgerState) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(ledger()));
      },
    });
  gauge(
    "llm_gateway_ledger_backlog_records",
    "Ledger records that were accepted and are not in the database yet.",
    ({ records }) => records,
  );
  gauge(
    "llm_gateway_ledger_backlog_oldest_seconds",
    "Age of the oldest ledger record that is not in the database yet.",
    ({ oldestAgeMs }) => oldestAgeMs / 1000,
  );
  gauge("llm_gateway_journal_bytes", "What the journal holds.", ({ journalBytes }) => journalBytes);
  gauge(
    "llm_gateway_database_up",
    "Whether the database answers: 1, or 0 while calls are served from the journal and known keys.",
    ({ databaseAnswers }) => (databaseAnswers ? 1 : 0),
  );
}
