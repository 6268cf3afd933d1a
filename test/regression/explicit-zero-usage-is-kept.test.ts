import { expect, it } from "vitest";
import { createProvider } from "../../src/providers/create-provider.ts";
import {
  answersJson,
  CollectingSink,
  callOf,
  chunk,
  DONE,
  failureOf,
  streams,
  usageChunk,
} from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

const ZERO = { kind: "reported", usage: { tokensIn: 0, tokensOut: 0 } };

async function withProvider(
  test: (standIn: ScriptedProvider, provider: ReturnType<typeof createProvider>) => Promise<void>,
) {
  await using standIn = await ScriptedProvider.start();
  const provider = createProvider({
    name: "openai",
    profile: "openai",
    baseUrl: `${standIn.origin}/v1`,
    apiKey: "sk-test-canary-0123456789",
    connectTimeoutMs: 2_000,
  });
  await test(standIn, provider);
  await provider.close();
}

it("reports a usage of zero that the provider stated, as something else than no usage", async () => {
  await withProvider(async (standIn, provider) => {
    const choices = [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop" }];
    standIn.does(answersJson({ choices, usage: { prompt_tokens: 0, completion_tokens: 0 } }));
    expect((await provider.complete(callOf())).usage).toMatchObject(ZERO);
    standIn.does(answersJson({ choices }));
    expect((await provider.complete(callOf())).usage).toEqual({ kind: "absent" });
    standIn.does(streams([chunk({ content: "x" }, "stop"), usageChunk(0, 0), DONE]));
    expect((await provider.stream(callOf(), () => undefined)).usage).toMatchObject(ZERO);
  });
});

it("never counts or delivers the text of an error as output", async () => {
  await withProvider(async (standIn, provider) => {
    const sink = new CollectingSink();
    for (const status of [200, 500]) {
      const body = JSON.stringify({
        error: { message: "a long story of what went wrong", code: "server_error" },
      });
      standIn.does(
        (response) => void response.writeHead(status, { "content-type": "application/json" }).end(body),
      );
      for (const call of [() => provider.complete(callOf()), () => provider.stream(callOf(), sink.push)]) {
        expect(await failureOf(call())).toMatchObject({
          reason: "PROVIDER_ERROR",
          received: { outputBytes: 0, deltas: 0 },
          usage: { kind: "absent" },
        });
      }
    }
    expect(sink.batches).toEqual([]);
  });
});
