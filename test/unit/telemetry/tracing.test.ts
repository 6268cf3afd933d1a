import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GatewayError } from "../../../src/core/errors.ts";
import { createTelemetry } from "../../../src/telemetry/create-telemetry.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "../../support/otlp-receiver.ts";
import {
  attempt,
  completionEnd,
  end,
  failedOutcome,
  outcome,
  start,
} from "../../support/telemetry-events.ts";

const CALLER_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN = "00f067aa0ba902b7";

let receiver: OtlpReceiver;
beforeEach(async () => {
  receiver = await startOtlpReceiver();
});
afterEach(() => receiver.close());

const tracing = (options: { readonly protocol?: "http/protobuf"; readonly sampleRatio?: number } = {}) =>
  createTelemetry({
    version: "1.2.3",
    isKnownModel: () => true,
    logStream: { write: () => {} },
    otlp: {
      endpoint: receiver.endpoint,
      protocol: "http/json",
      serviceName: "llm-gateway",
      sampleRatio: 1,
      ...options,
    },
  });

function named(name: string): ReceivedSpan[] {
  return receiver.spans.filter((span) => span.name === name);
}

describe("a traced request", () => {
  it("is one trace: the caller's span, the server span, a client span per attempt, with the request id on all", async () => {
    const telemetry = await tracing();
    const traceparent = `00-${CALLER_TRACE}-${CALLER_SPAN}-01`;
    const request = telemetry.requestStarted(start({ traceparent }));
    request.authenticated("k_000000000001");
    const first = request.attemptStarted(attempt());
    first.finished(failedOutcome());
    request.retryScheduled({
      provider: "openai",
      model: "gpt-5-mini",
      delayMs: 20,
      reason: "PROVIDER_TIMEOUT",
    });
    request.fellBack({ fromProvider: "openai", toProvider: "deepseek", reason: "PROVIDER_TIMEOUT" });
    const second = request.attemptStarted(
      attempt({ provider: "deepseek", model: "deepseek-flash", ordinal: 2 }),
    );
    second.firstToken(12);
    second.finished(outcome({ timeToFirstTokenMs: 12 }));
    request.ledgerWriteStarted()();
    request.finished(
      end({ completion: completionEnd({ provider: "deepseek", attempts: 2, fellBack: true }) }),
    );
    await telemetry.shutdown();

    expect(receiver.spans).toHaveLength(4);
    for (const span of receiver.spans) {
      expect(span.traceId).toBe(CALLER_TRACE);
      expect(span.attributes["llm_gateway.request_id"]).toBe("request-1");
      expect(span.resource).toMatchObject({ "service.name": "llm-gateway", "service.version": "1.2.3" });
    }
    const [server] = named("llmgateway.v1.CompletionService/Complete");
    const [failed] = named("chat gpt-5-mini");
    const [answered] = named("chat deepseek-flash");
    expect(server).toMatchObject({ parentSpanId: CALLER_SPAN, kind: 2, statusCode: 0 });
    expect(failed).toMatchObject({ parentSpanId: server?.spanId, kind: 3, statusCode: 2 });
    expect(answered).toMatchObject({ parentSpanId: server?.spanId, kind: 3, statusCode: 0 });
    expect(named("ledger write")).toMatchObject([{ parentSpanId: server?.spanId, kind: 1, statusCode: 0 }]);
    expect(new Set(receiver.spans.map(({ spanId }) => spanId)).size).toBe(4);

    // What the provider is sent continues the span of its own attempt.
    expect(first.traceHeaders).toEqual({ traceparent: `00-${CALLER_TRACE}-${failed?.spanId}-01` });
    expect(second.traceHeaders).toEqual({ traceparent: `00-${CALLER_TRACE}-${answered?.spanId}-01` });

    expect(server?.attributes).toMatchObject({
      "rpc.system.name": "grpc",
      "rpc.method": "llmgateway.v1.CompletionService/Complete",
      "rpc.status_code": "OK",
      "llm_gateway.api_key_id": "k_000000000001",
      "llm_gateway.attempts": 2,
      "llm_gateway.cost_usd": "0.000123450000",
    });
    expect(server?.events).toMatchObject([
      { name: "retry", attributes: { "llm_gateway.delay_ms": 20, "llm_gateway.reason": "PROVIDER_TIMEOUT" } },
      {
        name: "fallback",
        attributes: { "llm_gateway.from_provider": "openai", "llm_gateway.to_provider": "deepseek" },
      },
    ]);
    expect(failed?.attributes).toMatchObject({
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt-5-mini",
      "error.type": "PROVIDER_TIMEOUT",
    });
    expect(answered?.attributes).toMatchObject({
      "gen_ai.provider.name": "deepseek",
      "gen_ai.response.model": "gpt-5-mini-2026-08-01",
      "gen_ai.response.time_to_first_chunk": 0.012,
      "gen_ai.usage.input_tokens": 100,
      "gen_ai.usage.output_tokens": 50,
      "gen_ai.usage.cache_read.input_tokens": 30,
      "gen_ai.usage.cache_write.input_tokens": 10,
      "gen_ai.usage.reasoning.output_tokens": 5,
      "llm_gateway.billing_state": "settled",
      "llm_gateway.attempt.ordinal": 2,
    });
    expect(answered?.events).toMatchObject([{ name: "first_token" }]);
  });

  it("tells of a hedge, and marks no one who merely lost it as failed", async () => {
    const telemetry = await tracing();
    const request = telemetry.requestStarted(start());
    const lost = failedOutcome({ outcome: "cancelled", errorReason: "CANCELLED", flags: ["HEDGE_LOST"] });
    request.attemptStarted(attempt()).finished(lost);
    request
      .attemptStarted(attempt({ provider: "deepseek", model: "deepseek-flash", ordinal: 2 }))
      .finished(outcome());
    request.hedged({ fromProvider: "openai", toProvider: "deepseek", won: true, overlapMs: 10 });
    request.finished(end({ completion: completionEnd({ attempts: 2 }) }));
    await telemetry.shutdown();
    const [loser] = named("chat gpt-5-mini");
    expect(loser).toMatchObject({ statusCode: 0, attributes: { "llm_gateway.hedge.lost": true } });
    expect(loser?.attributes["error.type"]).toBeUndefined();
    expect(named("llmgateway.v1.CompletionService/Complete")[0]?.events).toMatchObject([
      {
        name: "hedge",
        attributes: {
          ...{ "llm_gateway.from_provider": "openai", "llm_gateway.to_provider": "deepseek" },
          "llm_gateway.hedge.won": true,
        },
      },
    ]);
  });

  it("calls embeddings what the conventions call them", async () => {
    const telemetry = await tracing();
    const request = telemetry.requestStarted(start({ rpcMethod: "llmgateway.v1.EmbeddingService/Embed" }));
    request.attemptStarted(attempt({ model: "text-embedding-3-small", method: "Embed" })).finished(outcome());
    request.finished(end());
    await telemetry.shutdown();
    expect(named("embeddings text-embedding-3-small")[0]?.attributes).toMatchObject({
      ...{ "gen_ai.operation.name": "embeddings", "llm_gateway.streamed": false },
    });
  });

  it.each([
    ["grpc", "UNAVAILABLE", new GatewayError("PROVIDER_ERROR", "failed"), 2],
    ["grpc_web", "INVALID_ARGUMENT", new GatewayError("INVALID_REQUEST", "bad"), 0],
    ["grpc", "CANCELLED", new GatewayError("CANCELLED", "gone"), 0],
    ["connect", "resource_exhausted", new GatewayError("RATE_LIMITED", "used up"), 0],
    ["connect", "deadline_exceeded", new GatewayError("DEADLINE_EXCEEDED", "late"), 2],
  ])(
    "ends by %s with status %s, which is an error of the server or not",
    async (protocol, status, error, statusCode) => {
      const telemetry = await tracing();
      telemetry.requestStarted(start({ protocol })).finished(end({ error, completion: undefined }));
      await telemetry.shutdown();
      expect(receiver.spans).toMatchObject([
        { statusCode, attributes: { "rpc.status_code": status, "error.type": error.reason } },
      ]);
    },
  );

  it("starts a trace of its own when the caller sent none or a malformed one", async () => {
    const telemetry = await tracing();
    const ids = [undefined, "nonsense", `00-${"0".repeat(32)}-${CALLER_SPAN}-01`].map((traceparent) => {
      const request = telemetry.requestStarted(start({ traceparent }));
      request.finished(end());
      return request.traceId;
    });
    await telemetry.shutdown();
    expect(new Set(ids).size).toBe(3);
    expect(receiver.spans.map(({ traceId }) => traceId)).toEqual(ids);
    for (const span of receiver.spans) expect(span.parentSpanId).toBe("");
  });

  it("is dropped when the caller does not sample it, and says so to the provider", async () => {
    const telemetry = await tracing();
    const request = telemetry.requestStarted(start({ traceparent: `00-${CALLER_TRACE}-${CALLER_SPAN}-00` }));
    const { traceHeaders } = request.attemptStarted(attempt());
    request.finished(end());
    await telemetry.shutdown();
    expect(request.traceId).toBe(CALLER_TRACE);
    expect(traceHeaders.traceparent).toMatch(new RegExp(`^00-${CALLER_TRACE}-[0-9a-f]{16}-00$`));
    expect(receiver.exports).toEqual([]);
  });

  it("goes out as protobuf by default", async () => {
    const telemetry = await tracing({ protocol: "http/protobuf" });
    telemetry.requestStarted(start({ traceparent: `00-${CALLER_TRACE}-${CALLER_SPAN}-01` })).finished(end());
    await telemetry.shutdown();
    const [sent] = receiver.exports;
    expect(sent).toMatchObject({ path: "/v1/traces", contentType: "application/x-protobuf" });
    expect(sent?.body.includes(Buffer.from(CALLER_TRACE, "hex"))).toBe(true);
    expect(sent?.body.includes("llm_gateway.request_id")).toBe(true);
  });

  it("carries no message of an error, which may quote a prompt", async () => {
    const telemetry = await tracing();
    const request = telemetry.requestStarted(start());
    const cause = new Error("CANARY cause");
    request.finished(end({ error: new GatewayError("PROVIDER_ERROR", "CANARY message", { cause }) }));
    await telemetry.shutdown();
    expect(receiver.spans).toHaveLength(1);
    expect(receiver.exports.map(({ body }) => body.toString()).join()).not.toContain("CANARY");
  });

  it("does not keep the process when the receiver is gone", async () => {
    const telemetry = await tracing();
    telemetry.requestStarted(start()).finished(end());
    await receiver.close();
    await telemetry.shutdown();
  });
});

describe("without a receiver", () => {
  const silent = () =>
    createTelemetry({ version: "1", isKnownModel: () => true, logStream: { write: () => {} } });

  it("requests have trace ids all the same, and providers are sent nothing", async () => {
    const telemetry = await silent();
    const request = telemetry.requestStarted(start());
    expect(request.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(request.attemptStarted(attempt()).traceHeaders).toEqual({});
    const continued = telemetry.requestStarted(
      start({ traceparent: `00-${CALLER_TRACE}-${CALLER_SPAN}-01` }),
    );
    expect(continued.traceId).toBe(CALLER_TRACE);
  });
});
