import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll } from "vitest";
import { describeBooks, describeClient } from "../suites/client-suite.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { createGrpcJsClient } from "../support/clients/grpc-js-client.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await startGatewayUnderTest();
});
afterAll(() => gateway.stop());

describeClient({
  name: "ts-proto and grpc-js",
  createClient: ({ process }) => createGrpcJsClient({ host: "127.0.0.1", port: process.port }),
  gateway: () => gateway,
});

describeClient({
  name: "connect-node, gRPC",
  createClient: ({ url }) =>
    createConnectClient(createGrpcTransport({ baseUrl: url }), { timeoutHeader: "grpc-timeout" }),
  gateway: () => gateway,
});

describeClient({
  name: "connect-node, gRPC-Web over HTTP/1.1",
  createClient: ({ url }) =>
    createConnectClient(createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }), {
      timeoutHeader: "grpc-timeout",
    }),
  gateway: () => gateway,
});

describeClient({
  name: "connect-node, Connect over HTTP/2",
  createClient: ({ url }) =>
    createConnectClient(createConnectTransport({ baseUrl: url, httpVersion: "2", useBinaryFormat: true }), {
      timeoutHeader: "connect-timeout-ms",
    }),
  gateway: () => gateway,
});

describeBooks(() => gateway);
