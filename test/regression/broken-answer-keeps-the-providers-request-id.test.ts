import { expect, it } from "vitest";
import { createProvider } from "../../src/providers/create-provider.ts";
import { callOf, failureOf } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

it.each(["breaks", "stalls"])(
  "a unary answer that %s after its headers is a failure that names the provider's id of the call",
  async (how) => {
    await using standIn = await ScriptedProvider.start();
    const provider = createProvider({
      ...{ name: "openai", profile: "openai", baseUrl: standIn.origin },
      ...{ apiKey: "sk-test-canary-0123456789", connectTimeoutMs: 2_000 },
    });
    standIn.does((response) => {
      response.writeHead(200, {
        ...{ "content-type": "application/json", "content-length": 1_000, "x-request-id": "req-broken-1" },
      });
      response.write('{"id":');
      if (how === "breaks") setImmediate(() => response.socket?.destroy());
    });
    const call = callOf({ timeouts: { totalMs: how === "stalls" ? 300 : 10_000 } });
    expect(await failureOf(provider.complete(call))).toMatchObject({
      ...{ billing: "maybe_billed", providerStatus: 200, providerRequestId: "req-broken-1" },
    });
    await provider.close();
  },
);
