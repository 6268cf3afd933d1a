import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import OpenAI from "openai";
import { systemClock } from "../../src/core/clock.ts";
import type { Gateway } from "../../src/core/gateway.ts";
import type { Principal } from "../../src/core/keys.ts";
import { createHeldBytes, type HeldBytes } from "../../src/server/compatible/held-bytes.ts";
import { createOpenAiRoutes } from "../../src/server/openai/openai-routes.ts";
import { principal } from "./principals.ts";
import { RecordingTelemetry } from "./recording-telemetry.ts";

/** The OpenAI-compatible API behind a real server, before a gateway of the test's own. */
export interface OpenAiServer extends AsyncDisposable {
  readonly baseURL: string;
  readonly client: OpenAI;
  readonly telemetry: RecordingTelemetry;
  /** What its answers hold back, of at most `MAX_HELD_BYTES_OF_ALL`. */
  readonly heldBytes: HeldBytes;
}

export const MAX_HELD_BYTES_OF_ALL = 1_000;

export async function startOpenAiServer(
  gateway: Gateway,
  caller: Principal = principal(),
): Promise<OpenAiServer> {
  const telemetry = new RecordingTelemetry();
  const heldBytes = createHeldBytes({ max: MAX_HELD_BYTES_OF_ALL });
  const findRoute = createOpenAiRoutes({
    gateway,
    telemetry,
    authenticator: { authenticate: () => Promise.resolve(caller) },
    clock: systemClock,
    limits: { defaultTimeoutMs: 10_000, maxTimeoutMs: 20_000, maxBodyBytes: 1_000_000 },
    heldBytes,
  });
  const server = createServer((request, response) => findRoute(request.url ?? "")?.(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return {
    baseURL,
    client: new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 }),
    telemetry,
    heldBytes,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
