import { expect, it } from "vitest";
import { createProvider } from "../../src/providers/create-provider.ts";
import { CollectingSink, callOf, failureOf } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

const KEY = "sk-test-canary-0123456789";

it.each([301, 302, 303, 307, 308])(
  "does not follow a redirect with status %i to another host",
  async (status) => {
    await using elsewhere = await ScriptedProvider.start();
    await using standIn = await ScriptedProvider.start();
    standIn.does(
      (response) =>
        void response.writeHead(status, { location: `${elsewhere.origin}/v1/chat/completions` }).end(),
    );
    const provider = createProvider({
      name: "openai",
      profile: "openai",
      baseUrl: `${standIn.origin}/v1`,
      apiKey: KEY,
      connectTimeoutMs: 2_000,
    });
    for (const call of [
      () => provider.complete(callOf()),
      () => provider.stream(callOf(), new CollectingSink().push),
    ]) {
      expect(await failureOf(call())).toMatchObject({
        reason: "PROVIDER_BAD_RESPONSE",
        billing: "not_billed",
      });
    }
    expect(elsewhere.connections).toBe(0);
    await provider.close();
  },
);

it("sends every call to the configured host, whatever the model is called", async () => {
  await using elsewhere = await ScriptedProvider.start();
  await using standIn = await ScriptedProvider.start();
  standIn.does((response) => void response.writeHead(404).end());
  const provider = createProvider({
    name: "openai",
    profile: "openai",
    baseUrl: `${standIn.origin}/v1`,
    apiKey: KEY,
    connectTimeoutMs: 2_000,
  });
  const models = [
    `${elsewhere.origin}/v1`,
    "../../x",
    "//elsewhere",
    "a\r\nhost: elsewhere",
    "@elsewhere/y:z",
  ];
  for (const model of models) {
    standIn.requests.length = 0;
    await failureOf(provider.complete(callOf({ model })));
    expect(standIn.onlyRequest).toMatchObject({
      path: "/v1/chat/completions",
      headers: { host: new URL(standIn.origin).host, authorization: `Bearer ${KEY}` },
    });
  }
  expect(elsewhere.connections).toBe(0);
  await provider.close();
});

it("does not repeat its key in an error, even when the provider does", async () => {
  await using standIn = await ScriptedProvider.start();
  const echo = "plain-looking-secret-42";
  const provider = createProvider({
    name: "openai",
    profile: "openai",
    baseUrl: standIn.origin,
    apiKey: echo,
    connectTimeoutMs: 2_000,
  });
  for (const status of [400, 401, 429, 500]) {
    const body = JSON.stringify({ error: { message: `you sent ${echo}`, code: echo, type: echo } });
    standIn.does((response) => void response.writeHead(status, { "x-request-id": "r" }).end(body));
    const error = await failureOf(provider.complete(callOf()));
    expect(JSON.stringify([error.message, error.cause, error.metadata, error.stack])).not.toContain(echo);
  }
  await provider.close();
});
