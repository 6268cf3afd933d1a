import { expect, it } from "vitest";
import { createProvider } from "../../src/providers/create-provider.ts";
import { callOf, chunk, failureOf } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

it("closes the provider's socket within 250 ms of the abort, wherever the stream is", async () => {
  await using standIn = await ScriptedProvider.start();
  const provider = createProvider({
    name: "openai",
    profile: "openai",
    baseUrl: standIn.origin,
    apiKey: "sk-test-canary-0123456789",
    connectTimeoutMs: 2_000,
  });
  for (let abortAfter = 0; abortAfter <= 40; abortAfter += 1) {
    const controller = new AbortController();
    let isOpen = true;
    standIn.does(async (response, { closed }) => {
      void closed.then(() => {
        isOpen = false;
      });
      if (abortAfter === 0) return controller.abort();
      response.writeHead(200, { "content-type": "text/event-stream" });
      while (isOpen) {
        response.write(chunk({ content: "x" }));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    let received = 0;
    let abortedMs = performance.now();
    const failure = failureOf(
      provider.stream(callOf({ signal: controller.signal }), (deltas) => {
        received += deltas.length;
        if (received >= abortAfter && !controller.signal.aborted) {
          abortedMs = performance.now();
          controller.abort();
        }
        return undefined;
      }),
    );
    const error = await failure;
    expect(error).toMatchObject({ reason: "CANCELLED", billing: "maybe_billed" });
    expect(error.received).toEqual({ deltas: received, outputBytes: received });
    if (abortAfter > 0) expect((await standIn.onlyRequest.closed) - abortedMs).toBeLessThan(250);
    else await standIn.onlyRequest.closed;
  }
  await provider.close();
});
