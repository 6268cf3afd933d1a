import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { type IncomingMessage, request as requestHttp1 } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/es/grpc/health/v1/health_pb.ts";
import { CompletionService } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import { type Simulator, startSimulator } from "../../simulator/simulator.ts";
import { completeWith, uniquePrompt, userMessage } from "../suites/client-suite.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { drain, failureOf, type GatewayClient } from "../support/clients/gateway-client.ts";
import { createGrpcJsClient } from "../support/clients/grpc-js-client.ts";
import { createDataDirectory } from "../support/data-directory.ts";
import {
  billedPicoUsd,
  directive,
  type GatewayUnderTest,
  startGatewayUnderTest,
  usd,
} from "../support/gateway-under-test.ts";

let simulator: Simulator;
let dataDir: string;
beforeAll(async () => {
  simulator = await startSimulator();
});
afterAll(() => simulator.close());
beforeEach(async () => {
  simulator.bill.clear();
  dataDir = await createDataDirectory("shutdown");
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const start = (env: Readonly<Record<string, string>> = {}) =>
  startGatewayUnderTest({ dataDir, simulator, env });
const grpc = ({ process }: GatewayUnderTest) => createGrpcJsClient({ host: "127.0.0.1", port: process.port });

/** What the ledger holds of all keys, asked of a new process on the same directory. */
async function readLedger() {
  const gateway = await start();
  const client = createFetchClient(gateway.url);
  const options = { key: gateway.adminKey };
  const { message } = await client.unary(CostService.method.costQuery, {}, options);
  const records = await client.unary(CostService.method.listCostRecords, { pageSize: 1000 }, options);
  expect(await gateway.stop()).toBe(0);
  return { totals: message.totals, records: records.message.records };
}

/** Sends one call after the other until the gateway takes no more; how many were answered. */
async function callUntilRefused(client: GatewayClient, key: string): Promise<number> {
  for (let answered = 0; ; answered += 1) {
    try {
      await completeWith(client, userMessage(uniquePrompt()), { key, timeoutMs: 10_000 });
    } catch (error) {
      expect(error).toMatchObject({ code: "unavailable" });
      return answered;
    }
  }
}

/** Resolves with the codes of the GOAWAYs when the session is over. */
async function goawaysOf(session: ClientHttp2Session): Promise<readonly number[]> {
  const codes: number[] = [];
  session.on("goaway", (code) => codes.push(code));
  await once(session, "close");
  return codes;
}

describe("SIGTERM", () => {
  it("under load: not ready, GOAWAY, calls in flight finish, every attempt is on the ledger, exit 0", async () => {
    const gateway = await start();
    const { secret: key } = await gateway.createKey();
    const client = grpc(gateway);
    const session = connectHttp2(gateway.url);
    await once(session, "remoteSettings");
    const goaways = goawaysOf(session);
    const watch = drain(client.stream(Health.method.watch, { service: "" }));

    // Slow calls that are under way at the signal, and quick ones that come until they are refused.
    const marker = `in flight ${randomUUID()}`;
    const slow = `${marker} ${directive("openai", { tokenDelayMs: 80, tokensOut: 16 })}`;
    const request = userMessage(slow);
    const streams = Array.from({ length: 8 }, () =>
      drain(client.stream(CompletionService.method.streamComplete, { request }, { key })),
    );
    const unary = Array.from({ length: 8 }, () => completeWith(client, userMessage(slow), { key }));
    const loops = Array.from({ length: 4 }, () => callUntilRefused(client, key));
    await vi.waitFor(() => expect(gateway.requestsOf(marker)).toHaveLength(16), { timeout: 5_000 });

    const signalledAt = performance.now();
    gateway.process.signal("SIGTERM");
    const answers = await Promise.all(unary);
    const streamed = await Promise.all(streams);
    expect(await gateway.process.exited).toBe(0);
    expect(performance.now() - signalledAt).toBeLessThan(8_000);

    expect(answers.map(({ message }) => message.usage?.tokensOut)).toEqual(answers.map(() => 16n));
    for (const { messages, failure } of streamed) {
      expect(failure).toBeUndefined();
      expect(messages.at(-1)?.event).toMatchObject({
        case: "finished",
        value: { usage: { tokensOut: 16n } },
      });
    }
    const statuses = (await watch).messages.map(({ status }) => status);
    expect(statuses).toEqual([Status.SERVING, Status.NOT_SERVING]);
    const codes = await goaways;
    expect(codes.length).toBeGreaterThan(0);
    expect(new Set(codes)).toEqual(new Set([0]));
    const quick = (await Promise.all(loops)).reduce((sum, count) => sum + count, 0);
    await client.close();

    const { totals } = await readLedger();
    const lines = simulator.bill.lines;
    expect(lines.length).toBeGreaterThanOrEqual(16 + quick);
    expect(lines.every(({ state }) => state === "completed")).toBe(true);
    expect(totals).toMatchObject({
      requests: BigInt(lines.length),
      attempts: BigInt(lines.length),
      costUsd: usd(billedPicoUsd(lines)),
      coverage: { reported: { attempts: BigInt(lines.length) } },
    });
  });

  it("cuts calls off that outlast the grace, and settles them first", async () => {
    const gateway = await start({ SHUTDOWN_GRACE: "0.4" });
    const { secret: key } = await gateway.createKey();
    const client = grpc(gateway);
    const requestId = randomUUID();
    const text = uniquePrompt(directive("openai", { stallAfterTokens: 4 }));
    const request = { ...userMessage(text), requestId };
    const stream = drain(client.stream(CompletionService.method.streamComplete, { request }, { key }));
    await vi.waitFor(() => expect(gateway.requestsOf(text)).toHaveLength(1));
    const signalledAt = performance.now();
    gateway.process.signal("SIGTERM");
    expect(await gateway.process.exited).toBe(0);
    expect(performance.now() - signalledAt).toBeLessThan(4_000);
    expect((await stream).failure?.code).toBe("unavailable");
    await client.close();

    const { records } = await readLedger();
    // As the tokenizer counts four words, or by their bytes while it is being loaded.
    const tokensOut = expect.toBeOneOf([9n, 4n]);
    expect(records).toMatchObject([{ requestId, usage: { tokensOut }, cost: { estimated: true } }]);
  });

  it("is not held up by callers that were refused while they were still sending", async () => {
    const gateway = await start();
    const path = "/llmgateway.v1.CompletionService/Complete";
    const headers = { "content-type": "application/json", authorization: `Bearer ${gateway.adminKey}` };
    const tooMuch = Buffer.alloc(5 * 1024 * 1024, " ");
    const session = connectHttp2(gateway.url);
    const http2 = session.request({ ":method": "POST", ":path": path, ...headers });
    http2.resume();
    http2.write(tooMuch);
    const [answer] = (await once(http2, "response")) as [IncomingHttpHeaders];
    expect(answer[":status"]).toBe(429);
    await once(http2, "close");

    const http1 = requestHttp1(`${gateway.url}${path}`, { method: "POST", headers });
    http1.on("error", () => {});
    http1.write(tooMuch);
    const [response] = (await once(http1, "response")) as [IncomingMessage];
    expect(response.statusCode).toBe(429);
    response.resume();

    const signalledAt = performance.now();
    expect(await gateway.stop()).toBe(0);
    expect(performance.now() - signalledAt).toBeLessThan(5_000);
    session.destroy();
  });

  it("a second time ends the process at once", async () => {
    const gateway = await start();
    const { secret: key } = await gateway.createKey();
    const client = grpc(gateway);
    const text = uniquePrompt(directive("openai", { fault: "hang" }));
    const call = failureOf(completeWith(client, userMessage(text), { key }));
    await vi.waitFor(() => expect(gateway.requestsOf(text)).toHaveLength(1));
    gateway.process.signal("SIGTERM");
    await expectRefusing(gateway);
    const signalledAt = performance.now();
    gateway.process.signal("SIGTERM");
    expect(await gateway.process.exited).toBe(143);
    expect(performance.now() - signalledAt).toBeLessThan(1_000);
    expect((await call).code).toBe("unavailable");
    await client.close();
  });
});

/** New connections are refused from the moment that the gateway drains. */
async function expectRefusing(gateway: GatewayUnderTest): Promise<void> {
  await vi.waitFor(() => expect(fetch(`${gateway.url}/health/live`)).rejects.toThrow(), {
    timeout: 3_000,
    interval: 20,
  });
}

describe("a gateway that has just said that it listens", () => {
  it("ends as it should, also at once", async () => {
    const gateway = await start();
    expect(await gateway.stop()).toBe(0);
  });
});

describe("a second process on the same data directory", () => {
  it("is refused with a message that says what to do, and leaves the first one alone", async () => {
    const gateway = await start();
    const { secret: key } = await gateway.createKey();
    const startedAt = performance.now();
    const refused = await start().then(
      () => "it started",
      (error: unknown) => String(error),
    );
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(refused).toContain("exited with 1");
    expect(refused).toContain(dataDir);
    expect(refused).toMatch(/another|in use|already/i);
    expect(refused).not.toMatch(/\n\s+at /);
    const client = createFetchClient(gateway.url);
    const { message } = await completeWith(client, userMessage(uniquePrompt()), { key });
    expect(message.provider).toBe("openai");
    expect(await gateway.stop()).toBe(0);
  });
});
