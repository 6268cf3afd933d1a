import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll } from "vitest";
import { describeClient } from "../suites/client-suite.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await startGatewayUnderTest();
});
afterAll(() => gateway.stop());

describeClient(
  "connect-web, Connect with JSON and GET",
  ({ url }) =>
    createConnectClient(
      "connect-web, Connect",
      createConnectTransport({ baseUrl: url, useBinaryFormat: false, useHttpGet: true }),
      { timeoutHeader: "connect-timeout-ms" },
    ),
  () => gateway,
);

describeClient(
  "connect-web, gRPC-Web",
  ({ url }) =>
    createConnectClient("connect-web, gRPC-Web", createGrpcWebTransport({ baseUrl: url }), {
      timeoutHeader: "grpc-timeout",
    }),
  () => gateway,
);

describeClient(
  "fetch with JSON",
  ({ url }) => createFetchClient(url),
  () => gateway,
);
