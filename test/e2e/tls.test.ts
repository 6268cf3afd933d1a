import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { credentials } from "@grpc/grpc-js";
import { Agent, fetch as undiciFetch } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { completeWith, uniquePrompt, userMessage } from "../suites/client-suite.ts";
import { createBufCurlClient } from "../support/clients/buf-curl-client.ts";
import { createConnectClient } from "../support/clients/connect-client.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { failureOf, type GatewayClient } from "../support/clients/gateway-client.ts";
import { createGrpcJsClient } from "../support/clients/grpc-js-client.ts";
import { createKey, type GatewayUnderTest, startGatewayUnderTest } from "../support/gateway-under-test.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures/tls");
const file = (name: string) => join(FIXTURES, name);
const pem = (name: string) => readFileSync(file(name));
const ca = pem("ca.crt");

const TLS = { TLS_CERT_FILE: file("server.crt"), TLS_KEY_FILE: file("server.key") };

interface Identity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

interface Started {
  readonly gateway: GatewayUnderTest;
  readonly url: string;
  readonly port: number;
  key(identity?: Identity): Promise<string>;
}

async function start(env: Readonly<Record<string, string>>): Promise<Started> {
  const gateway = await startGatewayUnderTest({ env });
  const { port } = gateway.process;
  const url = `https://localhost:${port}`;
  return {
    ...{ gateway, port, url },
    async key(identity) {
      const client = fetchClient(url, identity);
      const { secret } = await createKey(client);
      await client.close();
      return secret;
    },
  };
}

/** `fetch` that trusts the authority of the tests. */
function fetchClient(url: string, identity: Partial<Identity> = {}): GatewayClient {
  const dispatcher = new Agent({ connect: { ca, ...identity } });
  const fetcher = ((input: string, init: object) =>
    undiciFetch(input, { ...init, dispatcher })) as typeof fetch;
  return { ...createFetchClient(url, fetcher), close: () => dispatcher.close() };
}

async function expectCompletion(client: GatewayClient, key: string): Promise<void> {
  const { message } = await completeWith(client, userMessage(uniquePrompt()), { key });
  expect(message.provider).toBe("openai");
  await client.close();
}

describe("TLS", () => {
  let started: Started;
  let key = "";
  beforeAll(async () => {
    started = await start(TLS);
    key = await started.key();
  });
  afterAll(() => started.gateway.stop());

  it("serves gRPC to grpc-js, Connect and buf curl, and JSON to fetch, on one port", async () => {
    const { port, url } = started;
    expect(started.gateway.process.output()).toContain("listening on https://");
    const channel = credentials.createSsl(ca);
    await expectCompletion(createGrpcJsClient({ host: "localhost", port }, channel), key);
    const transport = createGrpcTransport({ baseUrl: url, nodeOptions: { ca } });
    await expectCompletion(createConnectClient(transport, { timeoutHeader: "grpc-timeout" }), key);
    await expectCompletion(createBufCurlClient(url, "grpc", ["--cacert", file("ca.crt")]), key);
    await expectCompletion(fetchClient(url), key);
  });

  it("offers HTTP/2 and HTTP/1.1, and nothing older than TLS 1.2", async () => {
    const handshake = (options: object) =>
      new Promise<string | false | null>((resolve, reject) => {
        const socket = connect({ port: started.port, host: "localhost", ca, ...options }, () => {
          resolve(socket.alpnProtocol);
          socket.destroy();
        });
        socket.once("error", reject);
      });
    expect(await handshake({ ALPNProtocols: ["h2", "http/1.1"] })).toBe("h2");
    expect(await handshake({ ALPNProtocols: ["http/1.1"] })).toBe("http/1.1");
    await expect(handshake({ minVersion: "TLSv1", maxVersion: "TLSv1.1" })).rejects.toThrow();
  });

  it("speaks no cleartext there", async () => {
    await expect(fetch(`http://127.0.0.1:${started.port}/health`)).rejects.toThrow();
    const plain = createGrpcJsClient({ host: "127.0.0.1", port: started.port });
    const call = completeWith(plain, userMessage(uniquePrompt()), { key, timeoutMs: 2_000 });
    expect((await failureOf(call)).code).toMatch(/unavailable|deadline_exceeded/);
    await plain.close();
  });
});

describe("mutual TLS", () => {
  const client: Identity = { cert: pem("client.crt"), key: pem("client.key") };
  const stranger: Identity = { cert: pem("stranger.crt"), key: pem("stranger.key") };
  let started: Started;
  let key = "";
  beforeAll(async () => {
    started = await start({ ...TLS, TLS_CLIENT_CA_FILE: file("ca.crt") });
    key = await started.key(client);
  });
  afterAll(() => started.gateway.stop());

  it("serves clients that show a certificate of the authority", async () => {
    const { port, url } = started;
    await expectCompletion(fetchClient(url, client), key);
    const channel = credentials.createSsl(ca, client.key, client.cert);
    await expectCompletion(createGrpcJsClient({ host: "localhost", port }, channel), key);
  });

  it.each([
    ["none", undefined],
    ["one of another authority", stranger],
  ])("refuses those that show %s, whatever their key", async (_name, identity) => {
    const { port, url } = started;
    const text = uniquePrompt();
    const byFetch = fetchClient(url, identity);
    await expect(completeWith(byFetch, userMessage(text), { key })).rejects.toThrow();
    await byFetch.close();
    const channel = credentials.createSsl(ca, identity?.key ?? null, identity?.cert ?? null);
    const byGrpc = createGrpcJsClient({ host: "localhost", port }, channel);
    const call = completeWith(byGrpc, userMessage(text), { key, timeoutMs: 2_000 });
    expect((await failureOf(call)).code).toMatch(/unavailable|deadline_exceeded/);
    await byGrpc.close();
    expect(started.gateway.requestsOf(text)).toEqual([]);
  });
});
