import { create } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import { CompleteRequestSchema, CompletionService } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { FailedCompletionSchema } from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import { CompletionServiceClient } from "../../../gen/ts-proto/llmgateway/v1/completion.ts";
import { Role } from "../../../gen/ts-proto/llmgateway/v1/content.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { CompletionError } from "../../../src/core/gateway.ts";
import {
  attemptReport,
  completionResult,
  startRpcServer,
  type TestRpcServer,
} from "../../support/rpc-server.ts";

const authorization = { authorization: "Bearer invoke-secret" };

let server: TestRpcServer;

beforeAll(async () => {
  server = await startRpcServer({
    gateway: {
      async complete(call) {
        switch (call.model) {
          case "limited":
            throw new GatewayError("RATE_LIMITED", "too many requests", {
              retryAfterMs: 1500,
              metadata: { limit: "requests_per_minute" },
              quotaViolations: [
                {
                  subject: "api_key:k_invoke",
                  description: "10 requests a minute",
                  quotaId: "requests_per_minute",
                  quotaValue: 10,
                },
              ],
              cause: new Error("secret internals"),
            });
          case "failing":
            throw new CompletionError("PROVIDER_TIMEOUT", "the provider did not answer in time", {
              attempts: [attemptReport({ outcome: "failed", errorReason: "PROVIDER_TIMEOUT" })],
            });
          case "broken":
            throw new TypeError("undefined is not a function: secret internals");
          default:
            return completionResult(`you said ${call.input.messages.length} things`);
        }
      },
    },
  });
});
afterAll(() => server.close());

const transports: readonly [string, () => Transport][] = [
  ["Connect over HTTP/1.1", () => createConnectTransport({ httpVersion: "1.1", baseUrl: server.http1Url })],
  [
    "Connect JSON over HTTP/2",
    () => createConnectTransport({ httpVersion: "2", baseUrl: server.http2Url, useBinaryFormat: false }),
  ],
  ["gRPC", () => createGrpcTransport({ baseUrl: server.http2Url })],
  ["gRPC-Web over HTTP/1.1", () => createGrpcWebTransport({ httpVersion: "1.1", baseUrl: server.http1Url })],
  [
    "gRPC-Web JSON over HTTP/2",
    () => createGrpcWebTransport({ httpVersion: "2", baseUrl: server.http2Url, useBinaryFormat: false }),
  ],
];

function request(model: string) {
  return create(CompleteRequestSchema, {
    requestId: "req-1",
    model,
    messages: [{ role: 2, parts: [{ content: { case: "text", value: "hi" } }] }],
  });
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw new Error("the call did not fail with a ConnectError");
  return error;
}

describe.each(transports)("%s", (_name, transport) => {
  let client: Client<typeof CompletionService>;
  beforeAll(() => {
    client = createClient(CompletionService, transport());
  });

  test("answers a completion, with the request id as header", async () => {
    let requestId: string | null = null;
    const answer = await client.complete(request("openai/gpt-5-mini"), {
      headers: authorization,
      onHeader: (headers) => {
        requestId = headers.get("x-request-id");
      },
    });
    expect(answer.requestId).toBe("req-1");
    expect(answer.choices[0]?.message?.parts[0]?.content).toEqual({
      case: "text",
      value: "you said 1 things",
    });
    expect(answer.usage).toMatchObject({
      tokensIn: 12n,
      tokensOut: 7n,
      cacheReadTokensIn: 2n,
      reasoningTokensOut: 0n,
    });
    expect(answer.usage?.cacheWriteTokensIn).toBeUndefined();
    expect(answer.cost?.costUsd).toBe("0.000123450000");
    expect(requestId).toBe("req-1");
  });

  test("streams a completion that ends with finished", async () => {
    const events: (string | undefined)[] = [];
    let text = "";
    for await (const { event } of client.streamComplete(
      { request: request("m") },
      { headers: authorization },
    )) {
      events.push(event.case);
      if (event.case === "textDelta") text += event.value.text;
      if (event.case === "finished") expect(event.value.cost?.costUsd).toBe("0.000123450000");
    }
    expect(events.at(0)).toBe("started");
    expect(events.at(-1)).toBe("finished");
    expect(text).toBe("hello");
  });

  test("tells how long to wait, and never the cause", async () => {
    const error = await failureOf(client.complete(request("limited"), { headers: authorization }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toBe("too many requests");
    expect(error.metadata.get("retry-after")).toBe("2");
    expect(error.metadata.get("x-request-id")).toBe("req-1");
    const [info] = error.findDetails(ErrorInfoSchema);
    expect(info).toMatchObject({ reason: "RATE_LIMITED", domain: "llmgateway.v1" });
    expect(info?.metadata).toEqual({ request_id: "req-1", limit: "requests_per_minute" });
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({
      seconds: 1n,
      nanos: 500_000_000,
    });
    expect(JSON.stringify(error.details)).not.toContain("secret");
  });

  test("says what a failed completion cost", async () => {
    const error = await failureOf(client.complete(request("failing"), { headers: authorization }));
    expect(error.code).toBe(Code.Unavailable);
    const [failed] = error.findDetails(FailedCompletionSchema);
    expect(failed?.cost?.costUsd).toBe("0.000123450000");
    expect(failed?.attempts).toHaveLength(1);
  });

  test("hides what a defect says", async () => {
    const error = await failureOf(client.complete(request("broken"), { headers: authorization }));
    expect(error.code).toBe(Code.Internal);
    expect(error.rawMessage).toBe("internal error");
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("INTERNAL");
  });

  test("refuses a call without a key, before it is validated", async () => {
    const error = await failureOf(client.complete(create(CompleteRequestSchema)));
    expect(error.code).toBe(Code.Unauthenticated);
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("UNAUTHENTICATED");
  });
});

describe("grpc-js with the ts-proto client", () => {
  let client: CompletionServiceClient;
  beforeAll(() => {
    client = new CompletionServiceClient(`127.0.0.1:${server.http2Port}`, credentials.createInsecure());
  });
  afterAll(() => client.close());

  let initial: Metadata | undefined;
  const metadata = () => {
    const headers = new Metadata();
    headers.set("x-api-key", "invoke-secret");
    return headers;
  };
  const call = (model: string) =>
    new Promise<unknown>((resolve, reject) => {
      const parts = [{ content: { $case: "text" as const, value: "hi" } }];
      const message = {
        requestId: "req-2",
        model,
        messages: [{ role: Role.ROLE_USER, parts, name: "" }],
        stop: [],
        tools: [],
        fallbackModels: [],
        tags: {},
        endUser: "",
      };
      const made = client.complete(message, metadata(), (error, response) =>
        error ? reject(error) : resolve(response),
      );
      made.on("metadata", (received: Metadata) => {
        initial = received;
      });
    });

  test("answers a completion", async () => {
    await expect(call("openai/gpt-5-mini")).resolves.toMatchObject({
      requestId: "req-2",
      cost: { costUsd: "0.000123450000" },
      usage: { tokensIn: 12n },
    });
  });

  test("gets the status, the retry delay and the id of a failed call", async () => {
    const error = await call("limited").catch((thrown: ServiceError) => thrown);
    expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: "too many requests" });
    const trailers = (error as ServiceError).metadata;
    expect(trailers.get("grpc-status-details-bin")).toHaveLength(1);
    expect(initial?.get("retry-after")).toEqual(["2"]);
    expect(initial?.get("x-request-id")).toEqual(["req-2"]);
  });
});

describe("plain HTTP/JSON", () => {
  test("answers what the documentation promises, zeros included", async () => {
    const response = await fetch(`${server.http1Url}/llmgateway.v1.CompletionService/Complete`, {
      method: "POST",
      headers: { ...authorization, "content-type": "application/json", "x-request-id": "from-header" },
      body: '{"model":"openai/gpt-5-mini","messages":[{"role":"ROLE_USER","parts":[{"text":"Hello"}]}]}',
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-request-id")).toBe("from-header");
    expect(await response.json()).toMatchObject({
      requestId: "from-header",
      choices: [
        {
          index: 0,
          message: { role: "ROLE_ASSISTANT", parts: [{ text: "you said 1 things" }] },
          finishReason: "FINISH_REASON_STOP",
        },
      ],
      usage: { tokensIn: "12", tokensOut: "7", uncachedTokensIn: "10", reasoningTokensOut: "0" },
      cost: { costUsd: "0.000123450000", estimated: false, unpriced: false },
      attempts: [{ ordinal: 1, outcome: "ATTEMPT_OUTCOME_SUCCEEDED", latency: "0.012500s" }],
    });
  });

  test("gets the HTTP status and the retry-after header of the error", async () => {
    const response = await fetch(`${server.http1Url}/llmgateway.v1.CompletionService/Complete`, {
      method: "POST",
      headers: { ...authorization, "content-type": "application/json" },
      body: '{"model":"limited","messages":[{"role":"ROLE_USER","parts":[{"text":"Hello"}]}]}',
    });
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await response.json()).toMatchObject({ code: "resource_exhausted" });
  });
});

test("every call is reported once, with its key, protocol and outcome", async () => {
  const before = server.requests.length;
  const client = createClient(CompletionService, createGrpcTransport({ baseUrl: server.http2Url }));
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  await client.complete(request("m"), { headers: { ...authorization, traceparent } });
  await failureOf(client.complete(request("failing"), { headers: authorization }));
  const [answered, failed] = server.requests.slice(before);
  expect(answered?.start).toEqual({
    requestId: "req-1",
    rpcMethod: "llmgateway.v1.CompletionService/Complete",
    protocol: "grpc",
    traceparent,
  });
  expect(answered?.apiKeyId).toBe("k_invoke");
  expect(answered?.ends).toHaveLength(1);
  expect(answered?.ends[0]?.completion).toMatchObject({
    attempts: 1,
    tokensIn: 12,
    costPicoUsd: 123_450_000n,
  });
  expect(failed?.ends).toHaveLength(1);
  expect(failed?.ends[0]?.error?.reason).toBe("PROVIDER_TIMEOUT");
  expect(failed?.ends[0]?.completion?.attempts).toBe(1);
});
