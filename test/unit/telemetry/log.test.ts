import { describe, expect, it } from "vitest";
import { z } from "zod";
import { GatewayError } from "../../../src/core/errors.ts";
import { createTelemetry, type TelemetryOptions } from "../../../src/telemetry/create-telemetry.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import {
  attempt,
  completionEnd,
  end,
  failedOutcome,
  outcome,
  start,
} from "../../support/telemetry-events.ts";

const Line = z.record(z.string(), z.unknown());

async function logged(options: Partial<TelemetryOptions> = {}) {
  const raw: string[] = [];
  const telemetry = await createTelemetry({
    version: "1",
    isKnownModel: () => true,
    logStream: { write: (line) => raw.push(line) },
    ...options,
  });
  return { telemetry, raw, lines: () => raw.map((line) => Line.parse(JSON.parse(line))) };
}

describe("the line of a request", () => {
  it("says of one that was made before that it is a replay, which costs nothing", async () => {
    const { telemetry, lines } = await logged();
    const completion = completionEnd({ attempts: 0, replayed: true, costPicoUsd: 0n });
    telemetry.requestStarted(start()).finished(end({ completion }));
    expect(lines()[0]).toMatchObject({ replayed: true, attempts: 0, cost_usd: "0.000000000000" });
  });

  it("is one, with exactly these fields", async () => {
    const { telemetry, raw, lines } = await logged();
    const request = telemetry.requestStarted(start());
    request.authenticated("k_000000000001");
    request.attemptStarted(attempt()).finished(outcome());
    request.finished(end());
    request.finished(end());

    expect(raw).toHaveLength(1);
    expect(raw[0]).toMatch(/\}\n$/);
    expect(lines()[0]).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      event: "request",
      request_id: "request-1",
      trace_id: request.traceId,
      api_key_id: "k_000000000001",
      method: "llmgateway.v1.CompletionService/Complete",
      protocol: "grpc",
      outcome: "ok",
      latency_ms: 402.5,
      model: "fast",
      provider: "openai",
      provider_model: "gpt-5-mini",
      attempts: 1,
      fell_back: false,
      streamed: false,
      tokens_in: 100,
      tokens_out: 50,
      cost_usd: "0.000123450000",
      provider_wait_ms: 400,
    });
  });

  it("says that two candidates were asked at once, and counts their time once", async () => {
    const { telemetry, lines } = await logged();
    const request = telemetry.requestStarted(start());
    request.hedged({ fromProvider: "openai", toProvider: "deepseek", won: false, overlapMs: 150 });
    request.finished(end({ completion: completionEnd({ attempts: 2 }) }));
    expect(lines()[0]).toMatchObject({ hedged: true, attempts: 2, provider_wait_ms: 250 });
  });

  it("tells why a request failed, by reason and cause, at a level that fits", async () => {
    const { telemetry, lines } = await logged();
    const cause = Object.assign(new Error("connect ECONNREFUSED 10.0.0.1:443"), { code: "ECONNREFUSED" });
    const errors = [
      new GatewayError("INVALID_REQUEST", "messages[0]: too long"),
      new GatewayError("PROVIDER_UNREACHABLE", "no connection", { cause }),
      GatewayError.from(new TypeError("x is not a function")),
      new GatewayError("CANCELLED", "gone"),
      new GatewayError("PROVIDER_BAD_RESPONSE", "not understood", { cause: "a choice without a message" }),
    ];
    for (const error of errors)
      telemetry.requestStarted(start()).finished(end({ error, completion: undefined }));
    expect(lines()).toMatchObject([
      { level: "info", outcome: "error", error_reason: "INVALID_REQUEST", error_type: "InvalidRequestError" },
      { level: "warn", error_cause: "Error ECONNREFUSED: connect ECONNREFUSED 10.0.0.1:443" },
      { level: "error", error_reason: "INTERNAL", error_cause: "TypeError: x is not a function" },
      { level: "info", outcome: "cancelled", error_reason: "CANCELLED" },
      { level: "warn", error_cause: "a choice without a message" },
    ]);
    const stacks = lines().map(({ error_stack: stack }) => stack);
    expect(stacks.map((stack) => stack !== undefined)).toEqual([false, false, true, false, false]);
    expect(JSON.stringify(stacks[2])).toContain("log.test.ts");
  });

  it("carries the caller's trace id", async () => {
    const { telemetry, lines } = await logged();
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const request = telemetry.requestStarted(start({ traceparent: `00-${traceId}-00f067aa0ba902b7-01` }));
    request.finished(end());
    expect(request.traceId).toBe(traceId);
    expect(lines()[0]).toMatchObject({ trace_id: traceId });
  });
});

describe("canary secrets", () => {
  const canaries = {
    prompt: "CANARY PROMPT what is the merger about",
    openai: "sk-proj-CANARYabcdefghijklmnop",
    huggingface: "hf_CANARYabcdefghijklmnop",
    ours: "gw_live_CANARY000000_abcdefghijklmnopqrstuvwxyz01234567890123",
    bearer: "CANARY.jwt.token",
    configured: "CANARY-configured-admin-key-without-a-pattern",
    password: "CANARYpassword",
  } as const;

  const hostileErrors: readonly unknown[] = [
    new Error(
      `401 from https://user:${canaries.password}@host/v1?key=${canaries.openai} for ${canaries.huggingface}`,
    ),
    new Error(`header Authorization: Bearer ${canaries.bearer} was refused, x-api-key=${canaries.ours}`),
    new Error(`rejected: {"content":"${canaries.prompt}"} and '${canaries.prompt}'`),
    new Error(`wrong key ${canaries.configured}`),
    new Error(`${"x".repeat(5_000)}${canaries.openai}`),
    Object.assign(new Error("plain"), { code: canaries.openai, headers: canaries, body: canaries.prompt }),
    new AggregateError([new Error(canaries.prompt)], "all failed"),
    `invalid_request_error Incorrect API key provided: ${canaries.openai}, "${canaries.prompt}"`,
    { prompt: canaries.prompt },
  ];
  it("appear in no log line, metric or description, whatever error carries them", async () => {
    const { telemetry, raw } = await logged({ secrets: [canaries.configured], logLevel: "trace" });
    const syntaxErrors = [canaries.prompt, `{"a": "${canaries.prompt}`, `[${canaries.prompt}]`].map(
      (text) => {
        try {
          return JSON.parse(text);
        } catch (error) {
          return error;
        }
      },
    );
    for (const cause of [...hostileErrors, ...syntaxErrors]) {
      const request = telemetry.requestStarted(start({ traceparent: canaries.bearer }));
      request.authenticated("k_000000000001");
      request.attemptStarted(attempt()).finished(failedOutcome());
      const error = new GatewayError("PROVIDER_ERROR", `refused: ${canaries.prompt}`, {
        cause,
        metadata: { echoed: canaries.prompt },
        fieldViolations: [{ field: "messages[0]", description: canaries.prompt }],
      });
      request.finished(end({ error, completion: completionEnd({ requestedModel: `m ${canaries.openai}` }) }));
      telemetry
        .requestStarted(start())
        .finished(end({ error: GatewayError.from(cause), completion: undefined }));
      telemetry.ledgerWriteFailed("database", cause);
      telemetry.log.error("provider_check_failed", { url: `https://u:${canaries.password}@h/` }, cause);
      telemetry.log.info("configured", { key: canaries.ours, admin: canaries.configured });
    }
    const metrics = await telemetry.metricsText("application/openmetrics-text");
    const output = raw.join("") + metrics.body + (await telemetry.metricsText(undefined)).body;
    expect(raw.length).toBeGreaterThan(40);
    expect(output).not.toContain("CANARY");
    expect(output).not.toContain("merger");
    for (const line of raw) expect(line.length).toBeLessThan(4_000);
  });
});

describe("lines outside requests", () => {
  it("tell of breakers, and of ledger failures at most once a second", async () => {
    const clock = createManualClock();
    const { telemetry, lines } = await logged({ clock });
    telemetry.breakerChanged({ provider: "openai", model: "gpt-5-mini", state: "open" });
    for (let i = 0; i < 100; i++) telemetry.ledgerWriteFailed("database", new Error("connection refused"));
    clock.advance(1_000);
    telemetry.ledgerWriteFailed("database", new Error("connection refused"));
    expect(lines()).toMatchObject([
      { level: "warn", event: "breaker_changed", provider: "openai", model: "gpt-5-mini", state: "open" },
      { level: "error", event: "ledger_write_failed", suppressed: 0, error_message: "connection refused" },
      { level: "error", event: "ledger_write_failed", suppressed: 99 },
    ]);
  });

  it("are written from the configured level on", async () => {
    const { telemetry, lines } = await logged({ logLevel: "warn" });
    telemetry.log.info("started");
    telemetry.requestStarted(start()).finished(end());
    telemetry.log.warn("slow", { ms: 7 });
    expect(lines()).toMatchObject([{ level: "warn", event: "slow", ms: 7 }]);
  });
});
