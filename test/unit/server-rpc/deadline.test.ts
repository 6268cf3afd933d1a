import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/es/google/rpc/error_details_pb.ts";
import { CompletionService } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { FailedCompletionSchema } from "../../../gen/es/llmgateway/v1/usage_pb.ts";
import { CompletionError, type Gateway } from "../../../src/core/gateway.ts";
import { parseTimeoutMs } from "../../../src/server/rpc/timeout.ts";
import {
  attemptReport,
  completionResult,
  startRpcServer,
  type TestRpcServer,
} from "../../support/rpc-server.ts";

let server: TestRpcServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

const request = {
  model: "m",
  messages: [{ role: 2 as const, parts: [{ content: { case: "text" as const, value: "hi" } }] }],
};
const authorization = "Bearer invoke-secret";

async function start(complete: Gateway["complete"], limits = {}) {
  server = await startRpcServer({ gateway: { complete }, limits });
  const grpc = createClient(CompletionService, createGrpcTransport({ baseUrl: server.http2Url }));
  const connect = createClient(
    CompletionService,
    createConnectTransport({ baseUrl: server.http1Url, httpVersion: "1.1" }),
  );
  return { grpc, connect };
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ConnectError) return error;
  throw new Error("the call did not fail with a ConnectError");
}

describe.each(["grpc", "connect"] as const)("over %s", (protocol) => {
  // The header is set by hand: a client's own timer would answer before the server does.
  const within = (ms: number) => ({
    headers: {
      authorization,
      [protocol === "grpc" ? "grpc-timeout" : "connect-timeout-ms"]: protocol === "grpc" ? `${ms}m` : `${ms}`,
    },
  });

  test("the core's own account of a missed deadline reaches the caller", async () => {
    const clients = await start((call) => {
      const { promise, reject } = Promise.withResolvers<never>();
      const attempts = [attemptReport({ outcome: "cancelled" })];
      call.signal.addEventListener("abort", () =>
        reject(new CompletionError("DEADLINE_EXCEEDED", "the deadline passed", { attempts })),
      );
      return promise;
    });
    const error = await failureOf(clients[protocol].complete(request, within(50)));
    expect(error.code).toBe(Code.DeadlineExceeded);
    expect(error.findDetails(FailedCompletionSchema)[0]?.attempts).toHaveLength(1);
  });

  test("a slow core does not delay the status by more than 50 ms, and is still reported", async () => {
    const { promise, resolve } = Promise.withResolvers<ReturnType<typeof completionResult>>();
    const clients = await start(() => promise);
    await failureOf(clients[protocol].complete(request, within(10)));
    // A busy machine only ever adds to the time: the fastest of three calls is what the server takes.
    const elapsedMs: number[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const startedAt = performance.now();
      const error = await failureOf(clients[protocol].complete(request, within(200)));
      elapsedMs.push(performance.now() - startedAt);
      expect(error.code).toBe(Code.DeadlineExceeded);
      expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("DEADLINE_EXCEEDED");
    }
    expect(Math.min(...elapsedMs)).toBeGreaterThanOrEqual(195);
    expect(Math.min(...elapsedMs)).toBeLessThan(250);
    expect(server?.requests.at(-1)?.ends).toEqual([]);
    resolve(completionResult("late"));
    await expect.poll(() => server?.requests.at(-1)?.ends.length).toBe(1);
    expect(server?.requests.at(-1)?.ends[0]?.completion?.attempts).toBe(1);
  });

  test("a caller that goes away aborts the completion, which is reported with what it cost", async () => {
    const leaving = new AbortController();
    const aborted = Promise.withResolvers<void>();
    const settled = Promise.withResolvers<void>();
    const clients = await start(async (call) => {
      call.signal.addEventListener("abort", () => aborted.resolve());
      leaving.abort();
      await settled.promise;
      throw new CompletionError("CANCELLED", "the caller went away", { attempts: [attemptReport()] });
    });
    await failureOf(
      clients[protocol].complete(request, { headers: { authorization }, signal: leaving.signal }),
    );
    await aborted.promise;
    expect(server?.requests[0]?.ends).toEqual([]);
    settled.resolve();
    await expect.poll(() => server?.requests[0]?.ends.length).toBe(1);
    expect(server?.requests[0]?.ends[0]).toMatchObject({
      error: { reason: "CANCELLED" },
      completion: { attempts: 1 },
    });
  });

  test("a timeout above the maximum is cut, and a missing one is the default", async () => {
    const leftMs: number[] = [];
    const clients = await start(
      async (call) => {
        leftMs.push(call.deadlineAtMs - performance.now());
        return completionResult("hi");
      },
      { defaultTimeoutMs: 7_000, maxTimeoutMs: 20_000 },
    );
    await clients[protocol].complete(request, within(99_000_000));
    await clients[protocol].complete(request, { headers: { authorization } });
    await clients[protocol].complete(request, within(3_000));
    expect(leftMs.map((ms) => Math.ceil(ms / 1000))).toEqual([20, 7, 3]);
  });
});

test("timeout headers are read as their protocols say", () => {
  expect(parseTimeoutMs("grpc", { "grpc-timeout": "2H" })).toBe(7_200_000);
  expect(parseTimeoutMs("grpc_web", { "grpc-timeout": "3M" })).toBe(180_000);
  expect(parseTimeoutMs("grpc", { "grpc-timeout": "4S" })).toBe(4000);
  expect(parseTimeoutMs("grpc", { "grpc-timeout": "5m" })).toBe(5);
  expect(parseTimeoutMs("grpc", { "grpc-timeout": "6000u" })).toBe(6);
  expect(parseTimeoutMs("grpc", { "grpc-timeout": "7000000n" })).toBeCloseTo(7);
  expect(parseTimeoutMs("connect_unary", { "connect-timeout-ms": "0" })).toBe(0);
  expect(parseTimeoutMs("connect_unary", { "grpc-timeout": "nonsense" })).toBeUndefined();
  for (const malformed of ["", "5", "5x", "-5S", "123456789S", "1.5S"])
    expect(() => parseTimeoutMs("grpc", { "grpc-timeout": malformed })).toThrow("malformed");
  for (const malformed of ["", "5m", "-5", "12345678901"])
    expect(() => parseTimeoutMs("connect_stream", { "connect-timeout-ms": malformed })).toThrow("malformed");
});
