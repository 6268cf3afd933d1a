import { randomBytes } from "node:crypto";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { completeWith, uniquePrompt, userMessage } from "../suites/client-suite.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { failureOf, type GatewayClient } from "../support/clients/gateway-client.ts";
import {
  type CreatedKey,
  directive,
  FALLBACK_MODEL,
  type GatewayUnderTest,
  startGatewayUnderTest,
} from "../support/gateway-under-test.ts";
import { decodeSpans } from "../support/otlp-decoder.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../support/otlp-receiver.ts";
import { hasPromtool, promtool } from "../support/promtool.ts";

const SERVER = 2;
const CLIENT = 3;
const PROMPT_CANARY = "prompt-canary-8f2c";

let receiver: OtlpReceiver;
let gateway: GatewayUnderTest;
let key: CreatedKey;
let client: GatewayClient;

beforeAll(async () => {
  receiver = await startOtlpReceiver();
  gateway = await startGatewayUnderTest({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint } });
  key = await gateway.createKey();
  client = createConnectClient(createGrpcTransport({ baseUrl: gateway.url }), {
    timeoutHeader: "grpc-timeout",
  });
});
afterAll(async () => {
  await gateway.stop();
  await receiver.close();
});

interface TracedCall {
  readonly requestId: string;
  readonly traceId: string;
  readonly callerSpanId: string;
  readonly text: string;
}

/** A call of a caller that traces, answered by the fallback. */
async function tracedFallback(): Promise<TracedCall> {
  const traceId = randomBytes(16).toString("hex");
  const callerSpanId = randomBytes(8).toString("hex");
  const requestId = `traced-${callerSpanId}`;
  const text = uniquePrompt(PROMPT_CANARY, directive("openai", { status: 401 }));
  await completeWith(
    client,
    { ...userMessage(text), requestId, fallbackModels: [FALLBACK_MODEL] },
    { key: key.secret, headers: { traceparent: `00-${traceId}-${callerSpanId}-01` } },
  );
  return { requestId, traceId, callerSpanId, text };
}

function logLine(requestId: string): Promise<Record<string, unknown>> {
  return vi.waitFor(() => {
    const lines = gateway.process.output().split("\n");
    const line = lines.find((text) => text.startsWith("{") && text.includes(`"request_id":"${requestId}"`));
    expect(line).toBeDefined();
    return JSON.parse(line ?? "") as Record<string, unknown>;
  });
}

async function metrics(accept = "text/plain"): Promise<string> {
  const response = await fetch(`${gateway.url}/metrics`, { headers: { accept } });
  expect(response.status).toBe(200);
  return response.text();
}

describe("one call", () => {
  it("is one trace from its caller to each provider and the ledger, with the request id on every span", async () => {
    const call = await tracedFallback();
    const spans = await vi.waitFor(
      () => {
        const all = receiver.exports.flatMap(({ body }) => decodeSpans(body));
        const found = all.filter(({ traceId }) => traceId === call.traceId);
        expect(found).toHaveLength(4);
        return found;
      },
      { timeout: 10_000 },
    );
    const server = spans.find(({ kind }) => kind === SERVER);
    expect(server).toMatchObject({
      name: "llmgateway.v1.CompletionService/Complete",
      parentSpanId: call.callerSpanId,
      attributes: {
        "rpc.system.name": "grpc",
        "rpc.status_code": "OK",
        "llm_gateway.attempts": 2,
        "llm_gateway.api_key_id": key.apiKeyId,
      },
    });
    const attempts = spans.filter(({ kind }) => kind === CLIENT);
    expect(attempts.map(({ parentSpanId }) => parentSpanId)).toEqual([server?.spanId, server?.spanId]);
    expect(attempts.map(({ attributes }) => attributes["gen_ai.provider.name"])).toEqual([
      "openai",
      "deepseek",
    ]);
    expect(attempts[0]?.attributes["error.type"]).toBe("PROVIDER_AUTHENTICATION");
    for (const { attributes } of spans) expect(attributes["llm_gateway.request_id"]).toBe(call.requestId);
    const written = spans.find(({ name }) => name === "ledger write");
    expect(written?.parentSpanId).toBe(server?.spanId);
    const sent = gateway.requestsOf(call.text).map(({ headers }) => headers.traceparent);
    expect(sent).toEqual(attempts.map(({ spanId }) => `00-${call.traceId}-${spanId}-01`));
  });

  it("is joined by its ids in answer, log, metric and trace", async () => {
    const { requestId, traceId } = await tracedFallback();
    expect(await logLine(requestId)).toMatchObject({
      level: "info",
      event: "request",
      trace_id: traceId,
      api_key_id: key.apiKeyId,
      method: "llmgateway.v1.CompletionService/Complete",
      protocol: "grpc",
      outcome: "ok",
      model: "openai/sim-model",
      provider: "deepseek",
      attempts: 2,
      fell_back: true,
      tokens_out: 16,
      cost_usd: expect.stringMatching(/^0\.\d{12}$/),
    });
    const exemplar = `# {trace_id="${traceId}"}`;
    expect(await metrics("application/openmetrics-text; version=1.0.0")).toContain(exemplar);
  });

  it("leaves neither prompts nor keys in logs, traces or metrics", async () => {
    const { requestId } = await tracedFallback();
    await logLine(requestId);
    const traces = receiver.exports.map(({ body }) => body.toString("latin1")).join("");
    for (const text of [gateway.process.output(), traces, await metrics()]) {
      expect(text).not.toContain(PROMPT_CANARY);
      expect(text).not.toContain(key.secret);
      expect(text).not.toContain(gateway.adminKey);
      expect(text).not.toContain("key-of-openai");
    }
  });
});

describe("GET /metrics", () => {
  it("counts requests, errors, fallbacks, cost and latency under the names and labels of the contract", async () => {
    const own = await gateway.createKey();
    const options = { key: own.secret };
    await completeWith(client, userMessage(uniquePrompt()), options);
    const fallback = userMessage(uniquePrompt(directive("openai", { status: 401 })));
    await completeWith(client, { ...fallback, fallbackModels: [FALLBACK_MODEL] }, options);
    await failureOf(
      completeWith(client, userMessage(uniquePrompt(directive("openai", { status: 400 }))), options),
    );
    const text = await metrics();
    const id = `api_key_id="${own.apiKeyId}"`;
    const value = (series: string) => {
      const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
      return line === undefined ? undefined : Number(line.slice(series.length + 1));
    };
    expect(value(`llm_gateway_requests_total{${id},provider="openai",status="ok"}`)).toBe(1);
    expect(value(`llm_gateway_requests_total{${id},provider="openai",status="error"}`)).toBe(1);
    expect(value(`llm_gateway_requests_total{${id},provider="deepseek",status="ok"}`)).toBe(1);
    const errors = (provider: string, type: string) =>
      value(`llm_gateway_errors_total{${id},provider="${provider}",error_type="${type}"}`);
    expect(errors("openai", "ProviderAuthenticationError")).toBe(1);
    expect(errors("openai", "ProviderInvalidRequestError")).toBe(1);
    expect(value(`llm_gateway_fallbacks_total{${id},from_provider="openai",to_provider="deepseek"}`)).toBe(1);
    expect(value(`llm_gateway_cost_total{${id},provider="openai",model="sim-model"}`)).toBeGreaterThan(0);
    expect(value(`llm_gateway_latency_seconds_count{${id},provider="openai",operation="chat"}`)).toBe(2);
    for (const bound of [0.1, 0.5, 1, 2, 5, 10, 30, 60]) {
      expect(text).toContain(
        `llm_gateway_latency_seconds_bucket{le="${bound}",${id},provider="openai",operation="chat"}`,
      );
    }
    expect(value("llm_gateway_overhead_seconds_count")).toBeGreaterThanOrEqual(3);
    expect(value("llm_gateway_in_flight_requests")).toBe(0);
  });

  it.skipIf(!hasPromtool())("is what promtool expects, while it is in use", async () => {
    promtool(["check", "metrics"], await metrics());
  });
});
