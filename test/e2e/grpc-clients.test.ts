import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll } from "vitest";
import { describeClient } from "../suites/client-suite.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { createGrpcJsClient } from "../support/clients/grpc-js-client.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await startGatewayUnderTest();
});
afterAll(() => gateway.stop());

describeClient(
  "ts-proto and grpc-js",
  ({ process }) => createGrpcJsClient({ host: "127.0.0.1", port: process.port }),
  () => gateway,
);

describeClient(
  "connect-node, gRPC",
  ({ url }) =>
    createConnectClient("connect-node, gRPC", createGrpcTransport({ baseUrl: url }), {
      timeoutHeader: "grpc-timeout",
    }),
  () => gateway,
);

describeClient(
  "connect-node, gRPC-Web over HTTP/1.1",
  ({ url }) =>
    createConnectClient(
      "connect-node, gRPC-Web",
      createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }),
      { timeoutHeader: "grpc-timeout" },
    ),
  () => gateway,
);

describeClient(
  "connect-node, Connect over HTTP/2",
  ({ url }) =>
    createConnectClient(
      "connect-node, Connect",
      createConnectTransport({ baseUrl: url, httpVersion: "2", useBinaryFormat: true }),
      { timeoutHeader: "connect-timeout-ms" },
    ),
  () => gateway,
);
