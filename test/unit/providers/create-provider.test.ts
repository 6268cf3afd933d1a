import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { createProvider, type ProviderOptions } from "../../../src/providers/create-provider.ts";
import { callOf, failureOf } from "../../support/provider-calls.ts";

const OPTIONS: ProviderOptions = {
  name: "mine",
  profile: "openai",
  baseUrl: "https://api.openai.com/v1",
  apiKey: "sk-test-canary-0123456789",
  connectTimeoutMs: 1_000,
};

describe("the options of a provider", () => {
  it.each<[string, Partial<ProviderOptions>, string]>([
    ["a base URL that is none", { baseUrl: "api.openai.com" }, "baseUrl"],
    ["a base URL of another scheme", { baseUrl: "file:///etc/passwd" }, "baseUrl"],
    ["credentials in the base URL", { baseUrl: "https://user:pw@api.openai.com" }, "baseUrl"],
    ["a query in the base URL", { baseUrl: "https://api.openai.com/v1?x=1" }, "baseUrl"],
    ["an empty key", { apiKey: "" }, "apiKey"],
    ["a key with a line break", { apiKey: "sk-test-canary\r\nx: y" }, "apiKey"],
    ["a header of the adapter's own", { headers: { Authorization: "x" } }, "Authorization"],
    ["a host header", { headers: { host: "elsewhere" } }, "host"],
    ["a header with a line break", { headers: { "X-A": "b\r\nc: d" } }, "X-A"],
  ])("are refused with %s, without telling the key", (_name, options, mentions) => {
    const attempt = () => createProvider({ ...OPTIONS, ...options });
    expect(attempt).toThrow(RangeError);
    expect(attempt).toThrow(mentions);
    expect(attempt).not.toThrow(/canary/);
  });

  it("may give several providers the same profile under their own names", async () => {
    const provider = createProvider(OPTIONS);
    expect(provider.name).toBe("mine");
    await provider.close();
  });
});

describe("TLS", () => {
  it("is verified: a certificate that nobody vouches for is no connection, and the key is not sent", async () => {
    const read = (name: string) => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url));
    let requests = 0;
    const server = createServer(
      { key: read("self-signed.key.pem"), cert: read("self-signed.cert.pem") },
      () => {
        requests += 1;
      },
    );
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const baseUrl = `https://localhost:${(server.address() as AddressInfo).port}/v1`;
    const provider = createProvider({ ...OPTIONS, baseUrl });
    const error = await failureOf(provider.complete(callOf()));
    expect(error).toMatchObject({ reason: "PROVIDER_UNREACHABLE", billing: "not_billed" });
    expect(error.cause).toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    expect(requests).toBe(0);
    await provider.close();
    server.close();
  });
});
