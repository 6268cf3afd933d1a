import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll } from "vitest";
import { describeBooks, describeClient } from "../suites/client-suite.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await startGatewayUnderTest();
});
afterAll(() => gateway.stop());

describeClient({
  name: "connect-web, Connect with JSON and GET",
  createClient: ({ url }) =>
    createConnectClient(createConnectTransport({ baseUrl: url, useBinaryFormat: false, useHttpGet: true }), {
      timeoutHeader: "connect-timeout-ms",
    }),
  gateway: () => gateway,
});

describeClient({
  name: "connect-web, gRPC-Web",
  createClient: ({ url }) =>
    createConnectClient(createGrpcWebTransport({ baseUrl: url }), { timeoutHeader: "grpc-timeout" }),
  gateway: () => gateway,
});

describeClient({
  name: "fetch with JSON",
  createClient: ({ url }) => createFetchClient(url),
  gateway: () => gateway,
});

describeBooks(() => gateway);
