import { type Clock, systemClock } from "../core/clock.ts";
import type { BreakerState, LedgerStore, Telemetry } from "../core/telemetry.ts";
import { createBoundedLabel } from "./bounded-label.ts";
import { createLog, type Log, type LogLevel, type LogStream } from "./log.ts";
import { createMetrics, type LedgerState, NO_LEDGER } from "./metrics.ts";
import { createMetricsRenderer, type MetricsText } from "./metrics-text.ts";
import type { OtlpOptions } from "./otlp-tracing.ts";
import { createRedactor } from "./redact.ts";
import { createRequestTelemetry, type Labels } from "./request-telemetry.ts";
import { createIdTracing, type Tracing } from "./tracing.ts";

export interface TelemetryOptions {
  /** Of the gateway, for build info and traces. */
  readonly version: string;
  /** Is the model in the configuration or the price list? Others share the label `other`. */
  readonly isKnownModel: (provider: string, model: string) => boolean;
  /** Distinct values of `api_key_id` before `other` begins. Default 1,000. */
  readonly maxApiKeyLabels?: number | undefined;
  /** Default `info`. */
  readonly logLevel?: LogLevel | undefined;
  /** Default standard output. */
  readonly logStream?: LogStream | undefined;
  /** Exact values that must never be logged: provider keys, the administrator key, database passwords. */
  readonly secrets?: readonly string[] | undefined;
  /** Undefined exports no traces and loads no OpenTelemetry SDK. */
  readonly otlp?: Omit<OtlpOptions, "version"> | undefined;
  readonly clock?: Clock | undefined;
}

/** Telemetry, and what the process does with it. */
export interface GatewayTelemetry extends Telemetry {
  /** For what happens outside requests: start, stop, warnings. */
  readonly log: Log;
  /** Where the ledger's gauges come from; before it is told they are 0. */
  observeLedger(read: () => LedgerState): void;
  /** Where the number of calls comes from that are being drained; before it is told it is 0. */
  observeDrains(read: () => number): void;
  /** A reload took effect, but for the settings named, which differ and need a restart. */
  configReloaded(reload: { readonly needRestart: readonly string[] }): void;
  /** A reload changed nothing, since the configuration is wrong: in these ways, if they are known. */
  configRefused(error: unknown, issues: readonly string[]): void;
  /** More exact values that must never be logged. */
  protectSecrets(secrets: readonly string[]): void;
  /** The body of `GET /metrics`: OpenMetrics with exemplars where `accept` prefers it, else plain text. */
  metricsText(accept: string | undefined): Promise<MetricsText>;
  /** Sends the last spans and writes the last lines. Never rejects. */
  shutdown(): Promise<void>;
}

const MAX_API_KEY_LABELS = 1_000;
/** Far more than there are methods; a defect elsewhere must not flood the registry. */
const MAX_METHOD_LABELS = 100;
const MAX_MODEL_LABELS = 1_000;
const LEDGER_FAILURE_LOG_INTERVAL_MS = 1_000;

const BREAKER_STATE_VALUES: Readonly<Record<BreakerState, number>> = { closed: 0, half_open: 1, open: 2 };

/** One instance per gateway; nothing is shared between two of them. */
export async function createTelemetry(options: TelemetryOptions): Promise<GatewayTelemetry> {
  const { version, clock = systemClock } = options;
  let inFlight = 0;
  let readLedger = (): LedgerState => NO_LEDGER;
  let readDrains = (): number => 0;
  const metrics = createMetrics({
    version,
    inFlight: () => inFlight,
    drains: () => readDrains(),
    ledger: () => readLedger(),
  });
  const renderMetrics = createMetricsRenderer(metrics.registry);
  const redactor = createRedactor(options.secrets);
  const log = createLog({
    level: options.logLevel,
    stream: options.logStream,
    redactor,
    onDropped: () => metrics.logLinesDropped.inc(),
  });
  const labels = createLabels(options);
  const tracing = await createTracing(options);
  const logLedgerFailure = (store: LedgerStore) =>
    atMostEvery(LEDGER_FAILURE_LOG_INTERVAL_MS, clock, (error: unknown, suppressed) =>
      log.error("ledger_write_failed", { store, suppressed }, error),
    );
  const logFailureOf = { journal: logLedgerFailure("journal"), database: logLedgerFailure("database") };
  const onFinished = (): void => {
    inFlight--;
  };

  return {
    log,
    metricsText(accept) {
      metrics.tellCounters();
      return renderMetrics(accept);
    },
    observeLedger(read) {
      readLedger = read;
    },
    observeDrains(read) {
      readDrains = read;
    },
    requestStarted(start) {
      inFlight++;
      const span = tracing.startRequest(start);
      return createRequestTelemetry({ start, span, metrics, log, redactor, labels, onFinished });
    },
    breakerChanged({ provider, model, state }) {
      metrics.breakerState.set(
        { provider, model: labels.model(provider, model) },
        BREAKER_STATE_VALUES[state],
      );
      log.warn("breaker_changed", { provider, model, state });
    },
    ledgerWriteFailed(store, error) {
      metrics.ledgerWriteFailures.inc({ store });
      logFailureOf[store](error);
    },
    configReloaded({ needRestart }) {
      metrics.configReloads.inc({ outcome: "applied" });
      log.info("config_reloaded", { need_restart: needRestart });
    },
    configRefused(error, issues) {
      metrics.configReloads.inc({ outcome: "refused" });
      log.error("config_refused", { issues }, error);
    },
    protectSecrets: (secrets) => redactor.learn(secrets),
    async shutdown() {
      await tracing.shutdown();
      await log.flush();
    },
  };
}

function createLabels({ isKnownModel, maxApiKeyLabels = MAX_API_KEY_LABELS }: TelemetryOptions): Labels {
  /** By provider. */
  const known = new Map<string, Set<string>>();
  let knownModels = 0;
  return {
    apiKey: createBoundedLabel(maxApiKeyLabels),
    method: createBoundedLabel(MAX_METHOD_LABELS),
    model(provider, model) {
      // The question is answered once for each known model; the price list takes microseconds to search.
      let models = known.get(provider);
      if (models?.has(model)) return model;
      if (knownModels >= MAX_MODEL_LABELS || !isKnownModel(provider, model)) return "other";
      if (!models) {
        models = new Set();
        known.set(provider, models);
      }
      models.add(model);
      knownModels += 1;
      return model;
    },
  };
}

async function createTracing({ otlp, version }: TelemetryOptions): Promise<Tracing> {
  if (!otlp) return createIdTracing();
  const { createOtlpTracing } = await import("./otlp-tracing.ts");
  return createOtlpTracing({ ...otlp, version });
}

/** Passes on at most one call per interval, with the number of those that were held back before it. */
function atMostEvery<T>(
  intervalMs: number,
  clock: Clock,
  work: (value: T, suppressed: number) => void,
): (value: T) => void {
  let nextAtMs = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return (value) => {
    const nowMs = clock.monotonicMs();
    if (nowMs < nextAtMs) {
      suppressed++;
      return;
    }
    nextAtMs = nowMs + intervalMs;
    work(value, suppressed);
    suppressed = 0;
  };
}
