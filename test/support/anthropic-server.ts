import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Anthropic from "@anthropic-ai/sdk";
import { systemClock } from "../../src/core/clock.ts";
import type { Gateway } from "../../src/core/gateway.ts";
import { createAnthropicRoutes } from "../../src/server/anthropic/anthropic-routes.ts";
import { createHeldBytes } from "../../src/server/compatible/held-bytes.ts";
import { principal } from "./principals.ts";
import { RecordingTelemetry } from "./recording-telemetry.ts";

/** The Anthropic-compatible API behind a real server, before a gateway of the test's own. */
export interface AnthropicServer extends AsyncDisposable {
  readonly url: string;
  readonly client: Anthropic;
}

export async function startAnthropicServer(gateway: Gateway): Promise<AnthropicServer> {
  const findRoute = createAnthropicRoutes({
    gateway,
    telemetry: new RecordingTelemetry(),
    authenticator: { authenticate: () => Promise.resolve(principal()) },
    clock: systemClock,
    limits: { defaultTimeoutMs: 10_000, maxTimeoutMs: 20_000, maxBodyBytes: 1_000_000 },
    heldBytes: createHeldBytes({ max: 1_000_000 }),
  });
  const server = createServer((request, response) => findRoute(request.url ?? "")?.(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    client: new Anthropic({ baseURL: url, apiKey: "any", maxRetries: 0 }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
