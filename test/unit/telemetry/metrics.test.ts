import { describe, expect, it } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { createTelemetry, type TelemetryOptions } from "../../../src/telemetry/create-telemetry.ts";
import { createMetrics, NO_LEDGER } from "../../../src/telemetry/metrics.ts";
import { hasPromtool, promtool } from "../../support/promtool.ts";
import {
  attempt,
  completionEnd,
  end,
  failedOutcome,
  outcome,
  start,
} from "../../support/telemetry-events.ts";

const OPEN_METRICS =
  "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

const telemetryOf = (options: Partial<TelemetryOptions> = {}) =>
  createTelemetry({ version: "1.2.3", isKnownModel: () => true, logStream: { write: () => {} }, ...options });

type Telemetry = Awaited<ReturnType<typeof telemetryOf>>;

/** The samples of the gateway's own metrics, e.g. `llm_gateway_calls_total{method="…"} 1`. */
async function samples(telemetry: Telemetry): Promise<string[]> {
  const { body } = await telemetry.metricsText(undefined);
  return body.split("\n").filter((line) => line.startsWith("llm_gateway_"));
}

/** A completion that failed over from a provider that timed out after a retry. */
function fallBack(telemetry: Telemetry): void {
  const request = telemetry.requestStarted(start());
  request.authenticated("k_000000000001");
  request.attemptStarted(attempt()).finished(failedOutcome());
  request.retryScheduled({
    provider: "openai",
    model: "gpt-5-mini",
    delayMs: 20,
    reason: "PROVIDER_TIMEOUT",
  });
  request
    .attemptStarted(attempt({ ordinal: 2 }))
    .finished(failedOutcome({ errorReason: "PROVIDER_RATE_LIMITED" }));
  request.fellBack({ fromProvider: "openai", toProvider: "deepseek", reason: "PROVIDER_RATE_LIMITED" });
  const last = request.attemptStarted(attempt({ provider: "deepseek", model: "deepseek-flash", ordinal: 3 }));
  last.firstToken(150);
  last.finished(outcome());
  request.finished(
    end({
      // 400 ms of attempts, 20 ms of backoff, 2.5 ms of the gateway's own.
      latencyMs: 422.5,
      completion: completionEnd({
        provider: "deepseek",
        model: "deepseek-flash",
        attempts: 3,
        fellBack: true,
      }),
    }),
  );
}

describe("the metrics", () => {
  it("have exactly these names, types and labels", () => {
    const metrics = createMetrics({
      version: "1",
      inFlight: () => 0,
      drains: () => 0,
      ledger: () => NO_LEDGER,
    });
    const described = metrics.registry
      .getMetricsAsArray()
      .filter(({ name }) => name.startsWith("llm_gateway_"))
      .map((metric) => {
        const labels = "labelNames" in metric && Array.isArray(metric.labelNames) ? metric.labelNames : [];
        return `${metric.type} ${metric.name} ${labels.join(",")}`.trim();
      });
    expect(described.sort()).toEqual([
      "counter llm_gateway_attempts_total provider,model,outcome,error_type",
      "counter llm_gateway_calls_total method,code",
      "counter llm_gateway_config_reloads_total outcome",
      "counter llm_gateway_cost_total api_key_id,provider,model",
      "counter llm_gateway_drains_total provider,outcome",
      "counter llm_gateway_errors_total api_key_id,provider,error_type",
      "counter llm_gateway_fallbacks_total api_key_id,from_provider,to_provider",
      "counter llm_gateway_hedges_total from_provider,to_provider,won",
      "counter llm_gateway_ledger_write_failures_total store",
      "counter llm_gateway_log_lines_dropped_total",
      "counter llm_gateway_rate_limit_refusals_total api_key_id,quota",
      "counter llm_gateway_replays_total api_key_id,outcome",
      "counter llm_gateway_requests_total api_key_id,provider,status",
      "counter llm_gateway_retries_total provider,error_type",
      "counter llm_gateway_settlements_total provider,billing_state,usage_source",
      "counter llm_gateway_tokens_total provider,model,direction,kind",
      "counter llm_gateway_unpriced_records_total provider,model",
      "counter llm_gateway_usage_anomalies_total provider,anomaly",
      "gauge llm_gateway_breaker_state provider,model",
      "gauge llm_gateway_build_info version,node_version",
      "gauge llm_gateway_database_up",
      "gauge llm_gateway_in_flight_drains",
      "gauge llm_gateway_in_flight_requests",
      "gauge llm_gateway_journal_bytes",
      "gauge llm_gateway_ledger_backlog_oldest_seconds",
      "gauge llm_gateway_ledger_backlog_records",
      "histogram llm_gateway_latency_seconds api_key_id,provider,operation",
      "histogram llm_gateway_overhead_seconds",
      "histogram llm_gateway_time_to_first_token_seconds provider,model",
    ]);
  });

  it("count a fallback: the failures by provider and type, the answer, its tokens, its cost", async () => {
    const telemetry = await telemetryOf();
    fallBack(telemetry);
    const seen = await samples(telemetry);
    for (const sample of [
      'llm_gateway_requests_total{api_key_id="k_000000000001",provider="deepseek",status="ok"} 1',
      'llm_gateway_errors_total{api_key_id="k_000000000001",provider="openai",error_type="ProviderTimeoutError"} 1',
      'llm_gateway_errors_total{api_key_id="k_000000000001",provider="openai",error_type="ProviderRateLimitError"} 1',
      'llm_gateway_fallbacks_total{api_key_id="k_000000000001",from_provider="openai",to_provider="deepseek"} 1',
      'llm_gateway_retries_total{provider="openai",error_type="ProviderTimeoutError"} 1',
      'llm_gateway_cost_total{api_key_id="k_000000000001",provider="deepseek",model="deepseek-flash"} 0.00012345',
      'llm_gateway_attempts_total{provider="deepseek",model="deepseek-flash",outcome="succeeded",error_type="none"} 1',
      'llm_gateway_tokens_total{provider="deepseek",model="deepseek-flash",direction="in",kind="uncached"} 60',
      'llm_gateway_tokens_total{provider="deepseek",model="deepseek-flash",direction="in",kind="cache_read"} 30',
      'llm_gateway_tokens_total{provider="deepseek",model="deepseek-flash",direction="in",kind="cache_write"} 10',
      'llm_gateway_tokens_total{provider="deepseek",model="deepseek-flash",direction="out",kind="text"} 45',
      'llm_gateway_tokens_total{provider="deepseek",model="deepseek-flash",direction="out",kind="reasoning"} 5',
      'llm_gateway_settlements_total{provider="deepseek",billing_state="settled",usage_source="reported"} 1',
      'llm_gateway_latency_seconds_bucket{le="0.5",api_key_id="k_000000000001",provider="deepseek",operation="chat"} 1',
      'llm_gateway_latency_seconds_bucket{le="0.25",api_key_id="k_000000000001",provider="deepseek",operation="chat"} 0',
      'llm_gateway_overhead_seconds_bucket{le="0.005"} 1',
      'llm_gateway_overhead_seconds_bucket{le="0.002"} 0',
      'llm_gateway_time_to_first_token_seconds_bucket{le="0.2",provider="deepseek",model="deepseek-flash"} 1',
      'llm_gateway_calls_total{method="llmgateway.v1.CompletionService/Complete",code="ok"} 1',
      `llm_gateway_build_info{version="1.2.3",node_version="${process.version}"} 1`,
    ]) {
      expect(seen).toContain(sample);
    }
    expect(seen.filter((sample) => sample.startsWith("llm_gateway_errors_total"))).toHaveLength(2);
  });

  it("count a hedge, and who lost it as cancelled but not as an error", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start());
    const lost = failedOutcome({ outcome: "cancelled", errorReason: "CANCELLED", flags: ["HEDGE_LOST"] });
    request.attemptStarted(attempt()).finished(lost);
    request.hedged({ fromProvider: "openai", toProvider: "deepseek", won: true, overlapMs: 10 });
    const seen = await samples(telemetry);
    expect(seen).toContain(
      'llm_gateway_hedges_total{from_provider="openai",to_provider="deepseek",won="true"} 1',
    );
    expect(seen).toContain(
      'llm_gateway_attempts_total{provider="openai",model="gpt-5-mini",outcome="cancelled",error_type="CancelledError"} 1',
    );
    expect(seen.filter((sample) => /_(errors|usage_anomalies)_total\{/.test(sample))).toEqual([]);
  });

  it("count calls that were to be drained, by what came of it", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start());
    for (const end of ["reported", "reported", "no_room"] as const) {
      const call = request.attemptStarted(attempt());
      const left = outcome({ outcome: "cancelled", errorReason: "CANCELLED" });
      call.finished(left, true);
      call.drained(end, left);
    }
    const seen = await samples(telemetry);
    expect(seen).toContain('llm_gateway_drains_total{provider="openai",outcome="reported"} 2');
    expect(seen).toContain('llm_gateway_drains_total{provider="openai",outcome="no_room"} 1');
  });

  it("count what a drained call costs once it is final, and the call itself at once", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start());
    request.authenticated("k_1");
    const call = request.attemptStarted(attempt());
    const estimate = { usageSource: "estimated", costPicoUsd: 1n, flags: ["NEGATIVE"] } as const;
    call.finished(outcome({ outcome: "cancelled", errorReason: "CANCELLED", ...estimate }), true);
    const money = /^llm_gateway_(cost|tokens|settlements|unpriced_records|usage_anomalies)_total\{/;
    const early = await samples(telemetry);
    expect(early.filter((sample) => money.test(sample))).toEqual([]);
    for (const sample of [
      'llm_gateway_attempts_total{provider="openai",model="gpt-5-mini",outcome="cancelled",error_type="CancelledError"} 1',
      'llm_gateway_errors_total{api_key_id="k_1",provider="openai",error_type="CancelledError"} 1',
    ])
      expect(early).toContain(sample);

    call.drained("reported", outcome({ outcome: "cancelled", errorReason: "CANCELLED" }));
    const late = await samples(telemetry);
    expect(late.filter((sample) => !early.includes(sample)).toSorted()).toEqual([
      'llm_gateway_cost_total{api_key_id="k_1",provider="openai",model="gpt-5-mini"} 0.00012345',
      'llm_gateway_drains_total{provider="openai",outcome="reported"} 1',
      'llm_gateway_settlements_total{provider="openai",billing_state="settled",usage_source="reported"} 1',
      'llm_gateway_tokens_total{provider="openai",model="gpt-5-mini",direction="in",kind="cache_read"} 30',
      'llm_gateway_tokens_total{provider="openai",model="gpt-5-mini",direction="in",kind="cache_write"} 10',
      'llm_gateway_tokens_total{provider="openai",model="gpt-5-mini",direction="in",kind="uncached"} 60',
      'llm_gateway_tokens_total{provider="openai",model="gpt-5-mini",direction="out",kind="reasoning"} 5',
      'llm_gateway_tokens_total{provider="openai",model="gpt-5-mini",direction="out",kind="text"} 45',
    ]);
  });

  it("have the latency buckets that dashboards of the platform team expect", async () => {
    const telemetry = await telemetryOf();
    fallBack(telemetry);
    const text = (await samples(telemetry)).join("\n");
    for (const bound of [0.1, 0.5, 1, 2, 5, 10, 30, 60]) {
      expect(text).toContain(`llm_gateway_latency_seconds_bucket{le="${bound}",`);
    }
  });

  it.each([
    ["llmgateway.v1.CompletionService/Complete", "chat"],
    ["llmgateway.v1.CompletionService/StreamComplete", "chat"],
    ["POST /v1/chat/completions", "chat"],
    ["POST /v1/responses", "chat"],
    ["POST /v1/messages", "chat"],
    ["llmgateway.v1.EmbeddingService/Embed", "embeddings"],
    ["POST /v1/embeddings", "embeddings"],
  ])("time %s as %s, whether it was answered or refused", async (rpcMethod, operation) => {
    const telemetry = await telemetryOf();
    telemetry.requestStarted(start({ rpcMethod })).finished(end());
    const error = new GatewayError("UNAUTHENTICATED", "no key");
    telemetry.requestStarted(start({ rpcMethod })).finished(end({ error, completion: undefined }));
    const seen = await samples(telemetry);
    for (const provider of ["openai", "none"])
      expect(seen).toContain(
        `llm_gateway_latency_seconds_count{api_key_id="none",provider="${provider}",operation="${operation}"} 1`,
      );
  });

  it("count the error with which a request ends once, also when its last attempt had it", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start());
    request.authenticated("k_1");
    request.attemptStarted(attempt()).finished(failedOutcome());
    const error = new GatewayError("PROVIDER_TIMEOUT", "the provider did not answer in time");
    request.finished(end({ error }));
    request.finished(end({ error }));
    const seen = await samples(telemetry);
    expect(seen).toContain(
      'llm_gateway_errors_total{api_key_id="k_1",provider="openai",error_type="ProviderTimeoutError"} 1',
    );
    expect(seen).toContain('llm_gateway_requests_total{api_key_id="k_1",provider="openai",status="error"} 1');
    expect(seen).toContain("llm_gateway_in_flight_requests 0");
  });

  it("count a call that was made before as a request, and nothing of it again", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start());
    request.authenticated("k_1");
    request.replayed("answered");
    const completion = completionEnd({
      ...{ provider: undefined, model: undefined, attempts: 0, replayed: true, costPicoUsd: 0n },
    });
    request.finished(end({ completion }));
    const seen = await samples(telemetry);
    expect(seen).toContain('llm_gateway_replays_total{api_key_id="k_1",outcome="answered"} 1');
    expect(seen).toContain('llm_gateway_requests_total{api_key_id="k_1",provider="none",status="ok"} 1');
    for (const name of ["attempts", "cost", "tokens"])
      expect(seen.filter((sample) => sample.startsWith(`llm_gateway_${name}_total`))).toEqual([]);
    expect(seen).toContain("llm_gateway_overhead_seconds_count 0");
  });

  it("count what was refused without any provider", async () => {
    const telemetry = await telemetryOf();
    const limited = telemetry.requestStarted(start());
    limited.authenticated("k_1");
    limited.rateLimited("tokens_per_minute");
    limited.finished(end({ error: new GatewayError("RATE_LIMITED", "used up"), completion: undefined }));
    const stranger = telemetry.requestStarted(start());
    stranger.finished(end({ error: new GatewayError("UNAUTHENTICATED", "no key"), completion: undefined }));
    const gone = telemetry.requestStarted(start());
    gone.finished(end({ error: new GatewayError("CANCELLED", "gone"), completion: undefined }));
    const seen = await samples(telemetry);
    for (const sample of [
      'llm_gateway_rate_limit_refusals_total{api_key_id="k_1",quota="tokens_per_minute"} 1',
      'llm_gateway_requests_total{api_key_id="k_1",provider="none",status="error"} 1',
      'llm_gateway_errors_total{api_key_id="k_1",provider="none",error_type="RateLimitError"} 1',
      'llm_gateway_errors_total{api_key_id="none",provider="none",error_type="AuthenticationError"} 1',
      'llm_gateway_requests_total{api_key_id="none",provider="none",status="cancelled"} 1',
      'llm_gateway_calls_total{method="llmgateway.v1.CompletionService/Complete",code="resource_exhausted"} 1',
    ]) {
      expect(seen).toContain(sample);
    }
  });

  it("count calls that are no completions as calls only", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start({ rpcMethod: "llmgateway.v1.CostService/CostQuery" }));
    request.finished(end({ completion: undefined }));
    const seen = await samples(telemetry);
    expect(seen).toContain(
      'llm_gateway_calls_total{method="llmgateway.v1.CostService/CostQuery",code="ok"} 1',
    );
    expect(seen.filter((sample) => /^llm_gateway_(requests|errors|latency)/.test(sample))).toEqual([]);
  });

  it("count unpriced records, unbelievable usage and candidates that were passed over", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start());
    request.authenticated("k_1");
    request.fellBack({ fromProvider: "huggingface", toProvider: "openai", reason: "PROVIDER_CIRCUIT_OPEN" });
    request.attemptStarted(attempt()).finished(
      outcome({
        billingState: "unpriced",
        costPicoUsd: undefined,
        // How it was counted is no anomaly.
        flags: ["NEGATIVE", "ESTIMATED_BY_BYTES"],
        usageSource: "estimated",
      }),
    );
    request.finished(end());
    const seen = await samples(telemetry);
    for (const sample of [
      'llm_gateway_unpriced_records_total{provider="openai",model="gpt-5-mini"} 1',
      'llm_gateway_usage_anomalies_total{provider="openai",anomaly="NEGATIVE"} 1',
      'llm_gateway_settlements_total{provider="openai",billing_state="unpriced",usage_source="estimated"} 1',
      'llm_gateway_errors_total{api_key_id="k_1",provider="huggingface",error_type="ProviderCircuitOpenError"} 1',
    ]) {
      expect(seen).toContain(sample);
    }
    expect(seen.filter((sample) => sample.includes("ESTIMATED_BY_BYTES"))).toEqual([]);
    expect(seen.filter((sample) => sample.startsWith("llm_gateway_cost_total"))).toEqual([]);
  });

  it("show the state of breakers, calls in flight and the ledger as they are at the scrape", async () => {
    const telemetry = await telemetryOf();
    telemetry.requestStarted(start());
    telemetry.breakerChanged({ provider: "openai", model: "gpt-5-mini", state: "open" });
    telemetry.breakerChanged({ provider: "deepseek", model: "deepseek-flash", state: "half_open" });
    telemetry.observeLedger(() => ({
      ...{ records: 7, oldestAgeMs: 2_500, journalBytes: 8_192, databaseAnswers: true },
    }));
    telemetry.observeDrains(() => 3);
    telemetry.ledgerWriteFailed("journal", new Error("down"));
    const seen = await samples(telemetry);
    for (const sample of [
      'llm_gateway_breaker_state{provider="openai",model="gpt-5-mini"} 2',
      'llm_gateway_breaker_state{provider="deepseek",model="deepseek-flash"} 1',
      "llm_gateway_in_flight_requests 1",
      "llm_gateway_in_flight_drains 3",
      "llm_gateway_ledger_backlog_records 7",
      "llm_gateway_ledger_backlog_oldest_seconds 2.5",
      "llm_gateway_journal_bytes 8192",
      "llm_gateway_database_up 1",
      'llm_gateway_ledger_write_failures_total{store="journal"} 1',
    ]) {
      expect(seen).toContain(sample);
    }
  });

  it("keep the number of label values bounded", async () => {
    const telemetry = await telemetryOf({
      isKnownModel: (provider, model) => provider === "openai" && model === "gpt-5-mini",
      maxApiKeyLabels: 3,
    });
    for (let i = 0; i < 50; i++) {
      const request = telemetry.requestStarted(start({ rpcMethod: `made.up/Method${i % 5}` }));
      request.authenticated(`k_${i}`);
      request
        .attemptStarted(attempt({ model: i === 0 ? "gpt-5-mini" : `invented-${i}` }))
        .finished(outcome());
      request.finished(end());
    }
    const seen = await samples(telemetry);
    const values = (metric: string, label: string) =>
      new Set(
        seen
          .filter((sample) => sample.startsWith(`${metric}{`))
          .map((sample) => new RegExp(`${label}="([^"]*)"`).exec(sample)?.[1]),
      );
    expect(values("llm_gateway_requests_total", "api_key_id")).toEqual(
      new Set(["k_0", "k_1", "k_2", "other"]),
    );
    expect(values("llm_gateway_cost_total", "model")).toEqual(new Set(["gpt-5-mini", "other"]));
  });

  it("belong to one instance: two gateways in one process do not share them", async () => {
    const [first, second] = [await telemetryOf(), await telemetryOf()];
    fallBack(first);
    expect(
      (await samples(second)).filter((sample) => sample.startsWith("llm_gateway_requests_total")),
    ).toEqual([]);
  });
});

describe("the metrics as text", () => {
  it("are plain text by default and OpenMetrics with exemplars for who prefers it, in any order", async () => {
    const telemetry = await telemetryOf();
    const request = telemetry.requestStarted(start());
    request.finished(end());
    const plain = await telemetry.metricsText("*/*");
    const [open, plainAgain] = await Promise.all([
      telemetry.metricsText(OPEN_METRICS),
      telemetry.metricsText("text/plain"),
    ]);

    expect(plain.contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(plain.body).not.toContain("trace_id");
    expect(plain.body).toContain("# TYPE llm_gateway_requests_total counter");
    expect(plainAgain.body).toContain("# TYPE llm_gateway_requests_total counter");
    expect((await telemetry.metricsText(undefined)).body).toContain("\nllm_gateway_requests_total{");

    expect(open.contentType).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect(open.body.endsWith("# EOF\n")).toBe(true);
    expect(open.body).toContain("# TYPE llm_gateway_requests counter");
    expect(open.body).toContain("\nllm_gateway_requests_total{");
    expect(open.body).not.toContain("_total_total");
    expect(open.body).toMatch(
      new RegExp(
        `llm_gateway_latency_seconds_bucket\\{le="0.5",[^}]*\\} 1 # \\{trace_id="${request.traceId}"\\} 0.4025 `,
      ),
    );
  });

  it.each([
    ["application/openmetrics-text", "application/openmetrics-text"],
    ["application/openmetrics-text;q=0", "text/plain"],
    ["application/openmetrics-text;q=0.3, text/plain;q=0.9", "text/plain"],
    ["", "text/plain"],
    ["nonsense;;q=,,", "text/plain"],
  ])("are negotiated: %j gets %s", async (accept, contentType) => {
    const telemetry = await telemetryOf();
    expect((await telemetry.metricsText(accept)).contentType).toContain(contentType);
  });

  it("satisfy promtool check metrics", async (context) => {
    context.skip(!hasPromtool(), "promtool is not installed");
    const telemetry = await telemetryOf();
    fallBack(telemetry);
    telemetry.breakerChanged({ provider: "openai", model: "gpt-5-mini", state: "open" });
    await telemetry.metricsText(OPEN_METRICS);
    promtool(["check", "metrics"], (await telemetry.metricsText(undefined)).body);
  });
});
