import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { RetryInfoSchema } from "../../gen/es/google/rpc/error_details_pb.ts";
import { CompletionService } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { completeWith, uniquePrompt, userMessage } from "../suites/client-suite.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { drain, failureOf, type GatewayClient } from "../support/clients/gateway-client.ts";
import { createGrpcJsClient } from "../support/clients/grpc-js-client.ts";
import { directive, type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

const MAX_IN_FLIGHT = 3;

let gateway: GatewayUnderTest;
let key = "";
let held: readonly Promise<unknown>[] = [];

beforeAll(async () => {
  gateway = await startGatewayUnderTest({ env: { MAX_IN_FLIGHT: String(MAX_IN_FLIGHT) } });
  ({ secret: key } = await gateway.createKey());
  const text = uniquePrompt(directive("openai", { fault: "hang" }));
  const client = createFetchClient(gateway.url);
  held = Array.from({ length: MAX_IN_FLIGHT }, () =>
    completeWith(client, userMessage(text), { key }).catch(() => undefined),
  );
  await vi.waitFor(() => expect(gateway.requestsOf(text)).toHaveLength(MAX_IN_FLIGHT));
});
afterAll(async () => {
  // The simulator cuts the calls that hang; otherwise the shutdown would wait for them.
  await gateway.simulator.close();
  await Promise.all(held);
  await gateway.stop();
});

const grpcTimeout = { timeoutHeader: "grpc-timeout" } as const;
const CLIENTS: Readonly<Record<string, () => GatewayClient>> = {
  "grpc-js": () => createGrpcJsClient({ host: "127.0.0.1", port: gateway.process.port }),
  "connect-node, gRPC": () => createConnectClient(createGrpcTransport({ baseUrl: gateway.url }), grpcTimeout),
  "connect-node, gRPC-Web": () =>
    createConnectClient(createGrpcWebTransport({ baseUrl: gateway.url, httpVersion: "1.1" }), grpcTimeout),
  "connect-node, Connect": () =>
    createConnectClient(createConnectTransport({ baseUrl: gateway.url, httpVersion: "2" }), {
      timeoutHeader: "connect-timeout-ms",
    }),
  "fetch with JSON": () => createFetchClient(gateway.url),
};

describe("at the in-flight limit", () => {
  it.each(Object.entries(CLIENTS))(
    "tells %s at once to come back later, and calls no provider",
    async (_, create) => {
      const client = create();
      const text = uniquePrompt();
      const startedAt = performance.now();
      const unary = await failureOf(completeWith(client, userMessage(text), { key }));
      const request = userMessage(text);
      const stream = await drain(
        client.stream(CompletionService.method.streamComplete, { request }, { key }),
      );
      expect(performance.now() - startedAt).toBeLessThan(1_000);
      for (const failure of [unary, stream.failure]) {
        expect(failure).toMatchObject({ code: "unavailable", reason: "OVERLOADED" });
        expect(failure?.detail(RetryInfoSchema).retryDelay).toMatchObject({ seconds: 1n });
        expect(failure?.headers.get("retry-after")).toBe("1");
        expect(failure?.headers.get("x-request-id")).toMatch(/^[!-~]{1,36}$/);
      }
      expect(stream.messages).toEqual([]);
      expect(gateway.requestsOf(text)).toEqual([]);
      await client.close();
    },
  );

  it("still answers probes and scrapes", async () => {
    for (const path of ["/health/live", "/health/ready", "/metrics"]) {
      expect((await fetch(`${gateway.url}${path}`)).status, path).toBe(200);
    }
  });
});
