import { describe, expect, it } from "vitest";
import { PROVIDER_TYPE_NAMES } from "../../src/core/provider-types.ts";
import { createProvider } from "../../src/providers/create-provider.ts";
import { CollectingSink, callOf, failureOf } from "../support/provider-calls.ts";
import { ScriptedProvider } from "../support/scripted-provider.ts";

const KEY = "sk-test-canary-0123456789";
/** Where a call may go, below the base URL: one part of the path may be the model's name. */
const PATHS = /^\/v1\/(chat\/completions|messages|models\/[^/?#]+:generateContent|model\/[^/?#]+\/converse)$/;

describe.each(PROVIDER_TYPE_NAMES)("the key of %s", (profile) => {
  const providerAt = (baseUrl: string, apiKey = KEY) =>
    createProvider({ name: profile, profile, baseUrl, apiKey, connectTimeoutMs: 2_000 });

  it.each([301, 302, 303, 307, 308])("does not follow a redirect with status %i", async (status) => {
    await using elsewhere = await ScriptedProvider.start();
    await using standIn = await ScriptedProvider.start();
    const location = `${elsewhere.origin}/v1/chat/completions`;
    standIn.does((response) => void response.writeHead(status, { location }).end());
    const provider = providerAt(`${standIn.origin}/v1`);
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
  });

  it("goes to the configured host and path, whatever the model is called", async () => {
    await using elsewhere = await ScriptedProvider.start();
    await using standIn = await ScriptedProvider.start();
    standIn.does((response) => void response.writeHead(404).end());
    const provider = providerAt(`${standIn.origin}/v1`);
    const models = [
      `${elsewhere.origin}/v1`,
      "../../x",
      "//elsewhere",
      "a\r\nhost: elsewhere",
      "@elsewhere/y:z",
      "a?b#c",
    ];
    for (const model of models) {
      standIn.requests.length = 0;
      await failureOf(provider.complete(callOf({ model })));
      const { path, headers } = standIn.onlyRequest;
      expect(path).toMatch(PATHS);
      expect(headers.host).toBe(new URL(standIn.origin).host);
    }
    expect(elsewhere.connections).toBe(0);
    await provider.close();
  });

  it("is sent with no name of a model that would be another path", async () => {
    await using standIn = await ScriptedProvider.start();
    standIn.does((response) => void response.writeHead(404).end());
    const provider = providerAt(`${standIn.origin}/v1`);
    for (const model of [".", "..", ""]) await failureOf(provider.complete(callOf({ model })));
    for (const { path } of standIn.requests) expect(path).not.toMatch(/\/\.{0,2}\//);
    await provider.close();
  });

  it("is repeated in no error, even when the provider does", async () => {
    await using standIn = await ScriptedProvider.start();
    const echo = "plain-looking-secret-42";
    const provider = providerAt(standIn.origin, echo);
    for (const status of [400, 401, 429, 500]) {
      const said = { message: `you sent ${echo}`, code: echo, type: echo, status: echo };
      const headers = { "x-request-id": "r", "x-amzn-errortype": echo };
      standIn.does((response) => {
        response.writeHead(status, headers).end(JSON.stringify({ ...said, error: said }));
      });
      const error = await failureOf(provider.complete(callOf()));
      expect(JSON.stringify([error.message, error.cause, error.metadata, error.stack])).not.toContain(echo);
    }
    await provider.close();
  });
});
