import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import {
  CompletionService,
  FinishReason,
  Recovery,
  StreamCompleteRequestSchema,
  type StreamCompleteResponse,
} from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { ErrorReason } from "../../../gen/es/llmgateway/v1/error_reason_pb.ts";
import { FailedCompletionSchema } from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import { GatewayError } from "../../../src/core/errors.ts";
import { CompletionError, type Gateway } from "../../../src/core/gateway.ts";
import { envelope } from "../../support/grpc-wire.ts";
import { attemptReport, startRpcServer, type TestRpcServer } from "../../support/rpc-server.ts";

let server: TestRpcServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const message = create(StreamCompleteRequestSchema, {
  request: {
    requestId: "req-1",
    model: "m",
    messages: [{ role: 2, parts: [{ content: { case: "text", value: "hi" } }] }],
  },
});
const headers = { authorization: "Bearer invoke-secret" };

async function start(stream: Gateway["stream"]): Promise<TestRpcServer> {
  server = await startRpcServer({ gateway: { stream } });
  return server;
}

async function collect(events: AsyncIterable<StreamCompleteResponse>) {
  const received: StreamCompleteResponse["event"][] = [];
  try {
    for await (const { event } of events) received.push(event);
  } catch (error) {
    if (error instanceof ConnectError) return { received, error };
    throw error;
  }
  return { received, error: undefined };
}

const failed = attemptReport({
  outcome: "failed",
  errorReason: "PROVIDER_STREAM_CUT",
  usageSource: "estimated",
});

describe.each(["grpc", "grpc-web", "connect"] as const)("a stream over %s", (protocol) => {
  const clientOf = ({ http1Url, http2Url }: TestRpcServer) => {
    const transport =
      protocol === "grpc"
        ? createGrpcTransport({ baseUrl: http2Url })
        : protocol === "grpc-web"
          ? createGrpcWebTransport({ baseUrl: http1Url, httpVersion: "1.1" })
          : createConnectTransport({ baseUrl: http1Url, httpVersion: "1.1" });
    return createClient(CompletionService, transport);
  };

  test("that fails in the middle sends finished with the attempts, then the error", async () => {
    const client = clientOf(
      await start(async (_call, sink) => {
        sink.started("openai", "gpt-5-mini");
        await sink.deltas([{ kind: "text", choiceIndex: 0, text: "half an ans" }]);
        throw new CompletionError("PROVIDER_STREAM_CUT", "the stream was cut", { attempts: [failed] });
      }),
    );
    const { received, error } = await collect(client.streamComplete(message, { headers }));
    expect(received.map((event) => event.case)).toEqual(["started", "textDelta", "finished"]);
    const last = received.at(-1);
    if (last?.case !== "finished") throw new Error("finished is not the last message");
    expect(last.value.finishReason).toBe(FinishReason.ERROR);
    expect(last.value.attempts).toHaveLength(1);
    expect(last.value.cost).toMatchObject({ costUsd: "0.000123450000", estimated: true });
    expect(error?.code).toBe(Code.Unavailable);
    expect(error?.findDetails(ErrorInfoSchema)[0]?.reason).toBe("PROVIDER_STREAM_CUT");
    expect(error?.findDetails(FailedCompletionSchema)[0]?.attempts).toHaveLength(1);
    expect(error?.metadata.get("retry-after")).toBe("1");
  });

  test("that begins anew says so between the two answers, and takes both from its caller's request", async () => {
    let asked: unknown;
    const client = clientOf(
      await start(async (call, sink) => {
        asked = call.recovery;
        sink.started("openai", "gpt-5-mini");
        await sink.deltas([{ kind: "text", choiceIndex: 0, text: "half" }]);
        sink.recovery?.restarted("deepseek", "deepseek-flash", "PROVIDER_STREAM_CUT");
        await sink.deltas([{ kind: "text", choiceIndex: 0, text: "whole" }]);
        throw new CompletionError("PROVIDER_STREAM_CUT", "the stream was cut", { attempts: [failed] });
      }),
    );
    const recovering = { ...message, recovery: Recovery.RESTART };
    const { received } = await collect(client.streamComplete(recovering, { headers }));
    expect(received.map((event) => event.case)).toEqual([
      ...["started", "textDelta", "restarted", "textDelta", "finished"],
    ]);
    expect(received[2]?.value).toMatchObject({
      ...{ provider: "deepseek", model: "deepseek-flash", reason: ErrorReason.PROVIDER_STREAM_CUT },
    });
    expect(received[3]?.value).toMatchObject({ text: "whole" });
    expect(asked).toBe("restart");
    await collect(client.streamComplete(message, { headers }));
    expect(asked).toBeUndefined();
  });

  test("that fails before a provider was called sends the error alone", async () => {
    const client = clientOf(
      await start(async () => {
        throw new GatewayError("OVERLOADED", "too many calls", { retryAfterMs: 100 });
      }),
    );
    const { received, error } = await collect(client.streamComplete(message, { headers }));
    expect(received).toEqual([]);
    expect(error?.code).toBe(Code.Unavailable);
    expect(error?.metadata.get("retry-after")).toBe("1");
  });

  test("that meets its deadline ends within 50 ms of it, also when the core is slow", async () => {
    const client = clientOf(
      await start(async (_call, sink) => {
        sink.started("openai", "gpt-5-mini");
        await new Promise((resolve) => setTimeout(resolve, 600));
        throw new GatewayError("DEADLINE_EXCEEDED", "late");
      }),
    );
    // The first call opens the connection and compiles what is compiled lazily.
    await collect(client.streamComplete(message, { headers, timeoutMs: 20 }));
    const timeout = protocol === "connect" ? { "connect-timeout-ms": "200" } : { "grpc-timeout": "200m" };
    // A busy machine only ever adds to the time: the fastest of three calls is what the server takes.
    const elapsedMs: number[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const startedAt = performance.now();
      const options = { headers: { ...headers, ...timeout } };
      const { received, error } = await collect(client.streamComplete(message, options));
      elapsedMs.push(performance.now() - startedAt);
      expect(error?.code).toBe(Code.DeadlineExceeded);
      expect(error?.findDetails(ErrorInfoSchema)[0]?.reason).toBe("DEADLINE_EXCEEDED");
      expect(received.map((event) => event.case)).toEqual(["started", "finished"]);
    }
    expect(Math.min(...elapsedMs)).toBeGreaterThanOrEqual(195);
    expect(Math.min(...elapsedMs)).toBeLessThan(250);
  });
});

test("deltas of one upstream read are merged for a reader that has not taken them", async () => {
  const running = await start(async (_call, sink) => {
    sink.started("openai", "gpt-5-mini");
    await sink.deltas([
      { kind: "text", choiceIndex: 0, text: "a" },
      { kind: "text", choiceIndex: 0, text: "b" },
      { kind: "reasoning", choiceIndex: 0, text: "c" },
      { kind: "tool_call", choiceIndex: 0, toolIndex: 0, id: "t1", name: "search", argumentsDelta: "{" },
      {
        kind: "tool_call",
        choiceIndex: 0,
        toolIndex: 0,
        id: undefined,
        name: undefined,
        argumentsDelta: "}",
      },
      { kind: "tool_call", choiceIndex: 0, toolIndex: 1, id: "t2", name: "find", argumentsDelta: "{}" },
    ]);
    return {
      provider: "openai",
      model: "m",
      finishReasons: [{ choiceIndex: 0, finishReason: "tool_calls" }],
      attempts: [],
      replayed: false,
    };
  });
  const client = createClient(CompletionService, createGrpcTransport({ baseUrl: running.http2Url }));
  const { received } = await collect(client.streamComplete(message, { headers }));
  expect(received.map(({ case: kind, value }) => [kind, value])).toMatchObject([
    ["started", { requestId: "req-1", provider: "openai", model: "gpt-5-mini" }],
    ["textDelta", { text: "ab" }],
    ["reasoningDelta", { text: "c" }],
    ["toolCallDelta", { toolIndex: 0, id: "t1", name: "search", argumentsDelta: "{}" }],
    ["toolCallDelta", { toolIndex: 1, id: "t2", name: "find", argumentsDelta: "{}" }],
    ["finished", { finishReason: FinishReason.TOOL_CALLS, requestId: "req-1" }],
  ]);
});

test("a caller that goes away aborts the completion at once", async () => {
  const aborted = Promise.withResolvers<number>();
  let leftAt = 0;
  const running = await start(async (call, sink) => {
    sink.started("openai", "gpt-5-mini");
    await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve()));
    aborted.resolve(performance.now() - leftAt);
    throw new CompletionError("CANCELLED", "the caller went away", { attempts: [failed] });
  });
  const client = createClient(CompletionService, createGrpcTransport({ baseUrl: running.http2Url }));
  const leaving = new AbortController();
  const events = client.streamComplete(message, { headers, signal: leaving.signal })[Symbol.asyncIterator]();
  await events.next();
  leftAt = performance.now();
  leaving.abort();
  await events.next().catch(() => {});
  expect(await aborted.promise).toBeLessThan(250);
  await expect.poll(() => running.requests[0]?.ends.length).toBe(1);
  expect(running.requests[0]?.ends[0]?.error?.reason).toBe("CANCELLED");
  expect(running.requests[0]?.ends[0]?.completion?.attempts).toBe(1);
});

test("a reader that stops reading holds the provider back, and is cut off after its deadline", async () => {
  const text = "x".repeat(16 * 1024);
  let sent = 0;
  let ended = false;
  const running = await start(async (call, sink) => {
    sink.started("openai", "gpt-5-mini");
    while (!call.signal.aborted) {
      await sink.deltas([{ kind: "text", choiceIndex: 0, text }]);
      sent += text.length;
    }
    ended = true;
    throw new CompletionError("DEADLINE_EXCEEDED", "the deadline passed", { attempts: [failed] });
  });
  const session = connect(running.http2Url, { settings: { initialWindowSize: 65_535 } });
  const stream = session.request({
    ":method": "POST",
    ":path": "/llmgateway.v1.CompletionService/StreamComplete",
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-timeout": "500m",
    ...headers,
  });
  stream.on("error", () => {});
  stream.end(envelope(toBinary(StreamCompleteRequestSchema, message)));
  // Nobody listens for data: the stream's window fills up and is never opened again.
  await expect.poll(() => ended, { timeout: 3000 }).toBe(true);
  // The client's window, the server's write buffers, and what the queue holds.
  expect(sent).toBeLessThan(400 * 1024);
  await expect.poll(() => stream.destroyed || stream.closed, { timeout: 3000 }).toBe(true);
  session.destroy();
  expect(running.requests[0]?.ends[0]?.error?.reason).toBe("DEADLINE_EXCEEDED");
});
