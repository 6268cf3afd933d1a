import { afterAll, beforeAll } from "vitest";
import { describeBooks, describeClient } from "../suites/client-suite.ts";
import { createBufCurlClient } from "../support/clients/buf-curl-client.ts";
import { type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

let gateway: GatewayUnderTest;
beforeAll(async () => {
  gateway = await startGatewayUnderTest();
});
afterAll(() => gateway.stop());

for (const protocol of ["grpc", "grpcweb", "connect"] as const) {
  describeClient({
    name: `buf curl by reflection, ${protocol}`,
    createClient: ({ url }) => createBufCurlClient(url, protocol),
    gateway: () => gateway,
    reservesTimeoutHeaders: true,
  });
}

describeBooks(() => gateway);
