import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { CompletionService } from "../../gen/es/llmgateway/v1/completion_pb.ts";
import type { BillLine } from "../../simulator/bill.ts";
import { completeWith, uniquePrompt, userMessage } from "../suites/client-suite.ts";
import { createFetchClient } from "../support/clients/fetch-client.ts";
import { drain } from "../support/clients/gateway-client.ts";
import {
  billedPicoUsd,
  CHAIN,
  type CreatedKey,
  directive,
  FALLBACK_MODEL,
  type GatewayUnderTest,
  startGatewayUnderTest,
  usd,
} from "../support/gateway-under-test.ts";

const ALLOWED_ORIGIN = "https://app.example.com";

let gateway: GatewayUnderTest;
let key: CreatedKey;
let finance: CreatedKey;
let bill: readonly BillLine[] = [];

beforeAll(async () => {
  gateway = await startGatewayUnderTest({
    env: { CORS_ORIGINS: `${ALLOWED_ORIGIN},https://other.example.com` },
  });
  key = await gateway.createKey({ tags: { team: "search" } });
  finance = await gateway.createKey({ roles: [KeyRole.READ_COSTS] });
  const client = createFetchClient(gateway.url);
  const marker = uniquePrompt();
  const options = { key: key.secret };
  for (const tokensOut of [7, 8]) {
    const text = `${marker} ${directive("openai", { tokensOut })}`;
    await completeWith(client, { ...userMessage(text), tags: { run: "one" } }, options);
  }
  const fallback = userMessage(`${marker} ${directive("openai", { status: 401 })}`);
  await completeWith(client, { ...fallback, model: CHAIN }, options);
  const request = { ...userMessage(marker), model: FALLBACK_MODEL, endUser: "user-1" };
  await drain(client.stream(CompletionService.method.streamComplete, { request }, options));
  bill = await gateway.billOf(marker);
  expect(bill.filter(({ state }) => state === "completed")).toHaveLength(4);
});
afterAll(() => gateway.stop());

function get(path: string, headers: Readonly<Record<string, string>> = {}) {
  return fetch(`${gateway.url}${path}`, { headers });
}

async function getJson(path: string, secret = key.secret) {
  const response = await get(path, { authorization: `Bearer ${secret}` });
  expect(response.status, await response.clone().text()).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  return (await response.json()) as Record<string, unknown>;
}

/** The bill as the plain routes write sums; `requests` cannot be told from it. */
function sums(lines: readonly BillLine[], requests: number) {
  return {
    requests,
    attempts: lines.length,
    tokens_in: lines.reduce((sum, { tokensIn }) => sum + tokensIn, 0),
    tokens_out: lines.reduce((sum, { tokensOut }) => sum + tokensOut, 0),
    cost_usd: usd(billedPicoUsd(lines)),
  };
}

const of = (provider: string) => bill.filter(({ personality }) => personality === provider);

describe("GET /v1/costs", () => {
  it("sums by key, provider and model, equal to the provider's bill", async () => {
    const report = await getJson("/v1/costs");
    expect(report).toMatchObject({
      by_api_key: [{ api_key_id: key.apiKeyId, ...sums(bill, 4) }],
      by_provider: [
        { provider: "deepseek", ...sums(of("deepseek"), 2) },
        { provider: "openai", ...sums(of("openai"), 2) },
      ],
      by_model: [
        { provider: "deepseek", model: "sim-model", ...sums(of("deepseek"), 2) },
        { provider: "openai", model: "sim-model", ...sums(of("openai"), 2) },
      ],
      totals: sums(bill, 4),
      coverage: {
        reported: { attempts: 4, cost_usd: usd(billedPicoUsd(bill)) },
        not_billed: { attempts: 1, cost_usd: "0.000000000000" },
        unknown: { attempts: 0 },
      },
    });
    const asOf = encodeURIComponent(String(report.as_of));
    const interval = `start=${String(report.start)}&end=${String(report.end)}`;
    expect(await getJson(`/v1/costs?${interval}&as_of=${asOf}`)).toEqual(report);
  });

  it("filters and groups by what is asked for", async () => {
    const grouped = await getJson("/v1/costs?group_by=day&group_by=tag.run&group_by=end_user");
    const today = new Date().toISOString().slice(0, 10);
    expect(grouped).toMatchObject({
      by_day: [{ period_start: `${today}T00:00:00.000Z`, requests: 4 }],
      by_tag: {
        run: [
          { tag_value: "", requests: 2 },
          { tag_value: "one", requests: 2 },
        ],
      },
      by_end_user: [
        { end_user: "", requests: 3 },
        { end_user: "user-1", requests: 1 },
      ],
    });
    const filtered = await getJson(`/v1/costs?provider=deepseek&tag.team=search`);
    expect(filtered.totals).toMatchObject(sums(of("deepseek"), 2));
    const before = await getJson("/v1/costs?start=2020-01-01T00:00:00Z&end=2020-02-01T00:00:00Z");
    expect(before).toMatchObject({ totals: sums([], 0), by_provider: [] });
  });

  it("shows the costs of all keys to those who may read them, and of one key to itself", async () => {
    const all = await getJson(`/v1/costs?api_key_id=${key.apiKeyId}`, finance.secret);
    expect(all.totals).toMatchObject(sums(bill, 4));
    const { secret } = await gateway.createKey();
    expect((await getJson("/v1/costs", secret)).totals).toMatchObject(sums([], 0));
    const other = await get(`/v1/costs?api_key_id=${key.apiKeyId}`, { "x-api-key": secret });
    expect(other.status).toBe(403);
  });

  it("lists the records in pages", async () => {
    const records: { cost_usd: string; attempt_id: string; streamed: boolean }[] = [];
    let token = "";
    do {
      const next = token === "" ? "" : `&page_token=${encodeURIComponent(token)}`;
      const page = await getJson(`/v1/costs/records?page_size=2${next}`);
      records.push(...(page.records as typeof records));
      token = String(page.next_page_token);
    } while (token !== "");
    expect(records).toHaveLength(bill.length);
    expect(new Set(records.map(({ attempt_id }) => attempt_id)).size).toBe(bill.length);
    const total = records.reduce((sum, { cost_usd }) => sum + BigInt(cost_usd.replace(".", "")), 0n);
    expect(total).toBe(billedPicoUsd(bill));
    expect(records[0]).toMatchObject({
      api_key_id: key.apiKeyId,
      provider: "deepseek",
      model: "sim-model",
      kind: "charge",
      outcome: "succeeded",
      billing_state: "settled",
      usage_source: "reported",
      cache_write_tokens_in: null,
      unit_prices_usd_per_million: { uncached_in: "0.500003", text_out: "1.500007" },
      tags: { team: "search" },
      end_user: "user-1",
      streamed: true,
    });
  });

  it("refuses callers without a key, unknown parameters, and other methods", async () => {
    const anonymous = await get("/v1/costs");
    expect(anonymous.status).toBe(401);
    const id = anonymous.headers.get("x-request-id");
    expect(await anonymous.json()).toMatchObject({ error: { reason: "UNAUTHENTICATED", request_id: id } });
    const wrong = await get("/v1/costs?from=yesterday&start=tomorrow", { "x-api-key": key.secret });
    expect(wrong.status).toBe(400);
    expect(await wrong.json()).toMatchObject({
      error: {
        reason: "INVALID_REQUEST",
        code: "invalid_argument",
        field_violations: [{ field: "start" }, { field: "from" }],
      },
    });
    const post = await fetch(`${gateway.url}/v1/costs`, {
      method: "POST",
      headers: { "x-api-key": key.secret },
    });
    expect(post.status).toBe(405);
    expect(post.headers.get("allow")).toBe("GET, HEAD");
  });
});

describe("plain routes", () => {
  it("tell whether the process lives and takes calls", async () => {
    const health = await get("/health");
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({ status: "ok", checks: { database: "ok", ledger: "ok" } });
    expect(await (await get("/health/live")).json()).toEqual({ status: "ok" });
    const checks = { database: "ok", ledger: "ok" };
    expect(await (await get("/health/ready")).json()).toEqual({ status: "ok", checks });
  });

  it("serve the API's description, in which the main call can be found", async () => {
    const document = (await (await get("/openapi.json")).json()) as {
      openapi: string;
      paths: Record<string, Record<string, unknown>>;
    };
    expect(document.openapi).toMatch(/^3\.1\./);
    expect(document.paths["/llmgateway.v1.CompletionService/Complete"]?.post).toBeDefined();
    for (const path of [
      "/v1/costs",
      "/v1/costs/records",
      "/health",
      "/health/live",
      "/health/ready",
      "/metrics",
    ]) {
      expect(document.paths[path]?.get, path).toBeDefined();
    }
  });

  it("do not find other paths, in the form of the caller's protocol", async () => {
    const plain = await get("/nothing/here");
    expect(plain.status).toBe(404);
    expect(await plain.json()).toMatchObject({ error: { reason: "NOT_FOUND" } });
    const rpc = await fetch(`${gateway.url}/llmgateway.v1.CompletionService/NoSuchMethod`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-request-id": "no-such-method" },
      body: "{}",
    });
    expect(rpc.status).toBe(501);
    expect(rpc.headers.get("x-request-id")).toBe("no-such-method");
    expect(await rpc.json()).toMatchObject({ code: "unimplemented" });
  });
});

describe("CORS", () => {
  const preflight = (origin: string, path = "/llmgateway.v1.CompletionService/Complete") =>
    fetch(`${gateway.url}${path}`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,connect-protocol-version",
      },
    });

  it("lets an allowed origin send keys and read request ids and gRPC-Web's status", async () => {
    const answer = await preflight(ALLOWED_ORIGIN);
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe(ALLOWED_ORIGIN);
    expect(answer.headers.get("access-control-allow-methods")).toContain("POST");
    const headers = answer.headers.get("access-control-allow-headers")?.toLowerCase().split(", ");
    expect(headers).toEqual(
      expect.arrayContaining(["authorization", "content-type", "connect-protocol-version"]),
    );
    const call = await get("/v1/costs", { origin: ALLOWED_ORIGIN, "x-api-key": key.secret });
    expect(call.headers.get("access-control-allow-origin")).toBe(ALLOWED_ORIGIN);
    const exposed = call.headers.get("access-control-expose-headers")?.toLowerCase().split(", ");
    const wanted = ["grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after", "x-request-id"];
    expect(exposed).toEqual(expect.arrayContaining(wanted));
    expect(call.headers.get("vary")?.toLowerCase()).toContain("origin");
  });

  it.each(["https://evil.example.com", "https://app.example.com.evil.example", "null"])(
    "tells the browser of %s nothing",
    async (origin) => {
      for (const answer of [await preflight(origin), await get(`/v1/costs?${randomUUID()}`, { origin })]) {
        expect(answer.headers.get("access-control-allow-origin")).toBeNull();
        expect(answer.headers.get("access-control-allow-methods")).toBeNull();
      }
    },
  );
});
