import { expect, test } from "vitest";
import { createCors } from "../../../src/server/edge/cors.ts";
import { createDocumentation } from "../../../src/server/edge/documentation.ts";
import { type EdgeResponse, type Handler, isHttp2 } from "../../../src/server/edge/handler.ts";
import { createHttpRoutes, type HttpRouteDependencies } from "../../../src/server/edge/http-routes.ts";
import { createInFlightCap } from "../../../src/server/edge/in-flight-cap.ts";
import { type Edge, fetchHttp2, startEdge, until } from "./support/edge.ts";

function answerText(text: string): Handler {
  return (_request, response) => {
    response.statusCode = 200;
    if (isHttp2(response)) response.end(text);
    else response.end(text);
  };
}

async function startRoutes(
  overrides: Partial<HttpRouteDependencies> = {},
): Promise<Edge & { get(path: string, init?: RequestInit): Promise<Response> }> {
  const edge = await startEdge(
    createHttpRoutes({
      rpcHandler: answerText("rpc"),
      jsonRoutes: new Map([["/v1/costs", answerText("costs")]]),
      inFlightCap: createInFlightCap({ max: 10 }),
      version: "1.2.3",
      health: () => ({ ready: true, draining: false, checks: { ledger: true } }),
      metricsText: async (accept) => ({ contentType: "text/plain; version=0.0.4", body: `# ${accept}\n` }),
      documentation: createDocumentation(),
      uptimeMs: () => 61_500,
      ...overrides,
    }),
  );
  const get = (path: string, init?: RequestInit) =>
    fetch(`http://127.0.0.1:${edge.port}${path}`, { redirect: "manual", ...init });
  return Object.assign(edge, { get });
}

test("health tells status, checks, version and uptime", async () => {
  const { get } = await startRoutes();
  const answer = await get("/health");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(await answer.json()).toEqual({
    status: "ok",
    checks: { ledger: "ok" },
    version: "1.2.3",
    uptime_seconds: 61,
  });
});

test.each([
  ["draining", { ready: false, draining: true, checks: { ledger: true } }, "draining"],
  ["without its ledger", { ready: false, draining: false, checks: { ledger: false } }, "unavailable"],
])("a gateway that is %s is live but not ready", async (_what, report, status) => {
  const { get } = await startRoutes({ health: () => report });
  expect((await get("/health/live")).status).toBe(200);
  const ready = await get("/health/ready");
  expect(ready.status).toBe(503);
  const checks = { ledger: report.checks.ledger ? "ok" : "failing" };
  expect(await ready.json()).toEqual({ status, checks });
  expect((await get("/health")).status).toBe(503);
});

test("a gateway that serves on without its database is ready, and says that it is degraded", async () => {
  const report = { ready: true, draining: false, checks: { database: false, ledger: true } };
  const { get } = await startRoutes({ health: () => report });
  for (const path of ["/health", "/health/ready"]) {
    const answer = await get(path);
    expect(answer.status).toBe(200);
    const checks = { database: "failing", ledger: "ok" };
    expect(await answer.json()).toMatchObject({ status: "degraded", checks });
  }
});

test("metrics are given in the format that the scraper accepts", async () => {
  const { get } = await startRoutes();
  const answer = await get("/metrics", { headers: { accept: "application/openmetrics-text" } });
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4");
  expect(await answer.text()).toBe("# application/openmetrics-text\n");
});

test("metrics with a token are given only to who has it", async () => {
  const { get } = await startRoutes({ metricsToken: "s3cret" });
  const refused = await get("/metrics");
  expect(refused.status).toBe(401);
  expect(refused.headers.get("www-authenticate")).toBe("Bearer");
  expect(await refused.json()).toMatchObject({ error: { reason: "UNAUTHENTICATED" } });
  expect((await get("/metrics", { headers: { authorization: "Bearer wrong!" } })).status).toBe(401);
  expect((await get("/metrics", { headers: { authorization: "Bearer s3cret" } })).status).toBe(200);
});

test("metrics that fail are INTERNAL for the caller and reported inside", async () => {
  const errors: unknown[] = [];
  const { get } = await startRoutes({
    metricsText: () => Promise.reject(new Error("secret detail")),
    onError: (error) => errors.push(error),
  });
  const answer = await get("/metrics");
  expect(answer.status).toBe(500);
  expect(await answer.text()).not.toContain("secret");
  expect(errors).toEqual([new Error("secret detail")]);
});

test("RPC paths go to the RPC handler and JSON routes to theirs, with every method", async () => {
  const { get } = await startRoutes();
  for (const path of [
    "/llmgateway.v1.CostService/CostQuery?a=b",
    "/grpc.health.v1.Health/Check",
    "/unknown.Service/Method",
  ]) {
    expect(await (await get(path, { method: "POST" })).text(), path).toBe("rpc");
    expect(await (await get(path)).text(), path).toBe("rpc");
  }
  expect(await (await get("/v1/costs?start=x")).text()).toBe("costs");
});

test.each([
  "/nothing",
  "/v1/costs/",
  "/docs/../package.json",
  "/docs/package.json",
  "/llmgateway.v1.X",
  "//health",
])("the unknown path %s is a 404 with a JSON error and a request id", async (path) => {
  const edge = await startRoutes();
  // fetch would normalise the path.
  const answer = await fetchHttp2(`http://127.0.0.1:${edge.port}`, { ":path": path, "x-request-id": "mine" });
  expect(answer.status).toBe(404);
  expect(answer.headers["x-request-id"]).toBe("mine");
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    error: { reason: "NOT_FOUND", request_id: "mine" },
  });
});

test("plain routes take HEAD, and refuse other methods with Allow", async () => {
  const { get } = await startRoutes();
  const head = await get("/health", { method: "HEAD" });
  expect(head.status).toBe(200);
  expect(Number(head.headers.get("content-length"))).toBeGreaterThan(10);
  expect(await head.text()).toBe("");
  const post = await get("/health", { method: "POST", body: "{}" });
  expect(post.status).toBe(405);
  expect(post.headers.get("allow")).toBe("GET, HEAD");
  expect(await post.json()).toMatchObject({ error: { reason: "INVALID_REQUEST" } });
});

test("the root leads people to the documentation and tells programs where things are", async () => {
  const { get } = await startRoutes();
  const page = await get("/", { headers: { accept: "text/html,*/*" } });
  expect([page.status, page.headers.get("location")]).toEqual([302, "docs"]);
  expect(await (await get("/")).json()).toMatchObject({
    name: "llm-gateway",
    version: "1.2.3",
    docs: "/docs",
  });
});

test("the documentation is served from the gateway alone, under a strict policy", async () => {
  const { get } = await startRoutes();
  const page = await get("/docs");
  expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  const policy = page.headers.get("content-security-policy") ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toContain("http");
  const html = await page.text();
  expect(html).not.toMatch(/https?:/);
  const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => `/${link}`);
  expect(links.length).toBe(4);
  for (const link of [...links, "/openapi.json"]) {
    const file = await get(link);
    expect(file.status, link).toBe(200);
    expect(file.headers.get("x-content-type-options"), link).toBe("nosniff");
    expect((await file.arrayBuffer()).byteLength, link).toBeGreaterThan(100);
  }
  expect((await get("/docs/")).headers.get("location")).toBe("../docs");
});

test("documentation files are compressed on request and not sent again when unchanged", async () => {
  const { get } = await startRoutes();
  const path = "/docs/swagger-ui.css";
  const packed = await get(path, { headers: { "accept-encoding": "br, gzip" } });
  expect(packed.headers.get("content-encoding")).toBe("gzip");
  const plain = await get(path, { headers: { "accept-encoding": "identity" } });
  expect(plain.headers.get("content-encoding")).toBeNull();
  expect(await plain.text()).toBe(await packed.text());
  expect(plain.headers.get("cache-control")).toContain("max-age");
  const again = await get(path, { headers: { "if-none-match": plain.headers.get("etag") ?? "" } });
  expect(again.status).toBe(304);
  expect(await again.text()).toBe("");
});

test("calls above the cap are refused at once while health is still answered; a place that is free is used", async () => {
  const held: EdgeResponse[] = [];
  const cap = createInFlightCap({ max: 2 });
  const { get } = await startRoutes({
    inFlightCap: cap,
    rpcHandler: (_request, response) => void held.push(response),
  });
  const rpc = "/llmgateway.v1.CompletionService/Complete";
  const calls = [get(rpc, { method: "POST" }), get(rpc, { method: "POST" })];
  await until(() => held.length === 2);
  const refused = await get("/v1/costs");
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(await refused.json()).toMatchObject({ error: { reason: "OVERLOADED" } });
  expect((await get("/health/ready")).status).toBe(200);
  for (const response of held) {
    if (isHttp2(response)) response.end();
    else response.end();
  }
  await Promise.all(calls);
  await until(() => cap.current === 0);
  expect((await get("/v1/costs")).status).toBe(200);
});

test("a caller that goes away gives its place back", async () => {
  const cap = createInFlightCap({ max: 1 });
  const { get } = await startRoutes({ inFlightCap: cap, rpcHandler: () => undefined });
  const abort = new AbortController();
  const call = get("/a.B/C", { method: "POST", signal: abort.signal });
  await until(() => cap.current === 1);
  abort.abort();
  await expect(call).rejects.toThrow();
  await until(() => cap.current === 0);
});

test("the cap refuses to be left more often than entered, or to be empty", () => {
  const cap = createInFlightCap({ max: 1 });
  expect([cap.tryEnter(), cap.tryEnter(), cap.current]).toEqual([true, false, 1]);
  cap.leave();
  expect(() => cap.leave()).toThrow(RangeError);
  expect(() => createInFlightCap({ max: 0 })).toThrow(RangeError);
});

test("calls are refused as DRAINING when told so", async () => {
  const { get } = await startRoutes({ isRefusingCalls: () => true });
  const answer = await get("/llmgateway.v1.CompletionService/Complete", { method: "POST" });
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code: "unavailable" });
  expect((await get("/health/live")).status).toBe(200);
});

const ORIGIN = "https://app.example.com";
const PREFLIGHT = { method: "OPTIONS", headers: { origin: ORIGIN, "access-control-request-method": "POST" } };

test("a preflight of an allowed origin is answered with what its scripts may send", async () => {
  const { get } = await startRoutes({ cors: createCors([ORIGIN]) });
  const answer = await get("/llmgateway.v1.CompletionService/Complete", PREFLIGHT);
  expect(answer.status).toBe(204);
  expect(answer.headers.get("access-control-allow-origin")).toBe(ORIGIN);
  expect(answer.headers.get("access-control-allow-methods")).toContain("POST");
  const allowed = answer.headers.get("access-control-allow-headers")?.toLowerCase();
  for (const name of [
    "authorization",
    "x-api-key",
    "content-type",
    "x-grpc-web",
    "connect-timeout-ms",
    "grpc-timeout",
  ]) {
    expect(allowed).toContain(name);
  }
  expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  expect(answer.headers.get("vary")).toContain("Origin");
});

test("answers to an allowed origin expose what clients need, refusals too", async () => {
  const { get } = await startRoutes({ cors: createCors([ORIGIN]) });
  for (const path of ["/v1/costs", "/nothing", "/docs"]) {
    const answer = await get(path, { headers: { origin: ORIGIN } });
    expect(answer.headers.get("access-control-allow-origin"), path).toBe(ORIGIN);
    expect(answer.headers.get("vary"), path).toContain("Origin");
    const exposed = answer.headers.get("access-control-expose-headers")?.toLowerCase();
    for (const name of [
      "grpc-status",
      "grpc-message",
      "grpc-status-details-bin",
      "retry-after",
      "x-request-id",
    ]) {
      expect(exposed, path).toContain(name);
    }
  }
});

test.each(["https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", "null"])(
  "the origin %s, which is not on the list, is told nothing",
  async (origin) => {
    const { get } = await startRoutes({ cors: createCors([ORIGIN]) });
    for (const init of [
      { headers: { origin } },
      { ...PREFLIGHT, headers: { ...PREFLIGHT.headers, origin } },
    ]) {
      const answer = await get("/v1/costs", init);
      expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      expect(answer.headers.get("vary")).toContain("Origin");
    }
  },
);

test("a star allows every origin, an empty list none", async () => {
  const open = await startRoutes({ cors: createCors(["*"]) });
  expect(
    (await open.get("/v1/costs", { headers: { origin: ORIGIN } })).headers.get("access-control-allow-origin"),
  ).toBe("*");
  const closed = await startRoutes({ cors: createCors([]) });
  expect((await closed.get("/v1/costs", PREFLIGHT)).headers.get("access-control-allow-origin")).toBeNull();
});

test("the OpenAI-compatible API has its own routes, refusals and errors, within the same cap", async () => {
  const { get } = await startRoutes({
    findCompatibleRoute: (path) => (path === "/v1/models" ? answerText("models") : undefined),
  });
  expect(await (await get("/v1/models?limit=1")).text()).toBe("models");
  const missing = await get("/v1/images/generations", { method: "POST", body: "{}" });
  expect([missing.status, missing.headers.get("x-should-retry")]).toEqual([404, "false"]);
  expect(await missing.json()).toEqual({
    error: {
      message: "there is nothing at this path",
      type: "invalid_request_error",
      param: null,
      code: "not_found",
    },
  });
  const draining = await startRoutes({
    findCompatibleRoute: () => answerText("models"),
    isRefusingCalls: () => true,
  });
  const refused = await draining.get("/v1/chat/completions", { method: "POST", body: "{}" });
  expect([refused.status, refused.headers.get("x-should-retry")]).toEqual([503, "true"]);
  expect(await refused.json()).toMatchObject({ error: { type: "server_error", code: "draining" } });
});

test("who speaks to the Anthropic-compatible API is refused in its words", async () => {
  const { get } = await startRoutes({ findCompatibleRoute: () => undefined });
  const missing = await get("/v1/messages/count_tokens", { method: "POST", body: "{}" });
  expect(missing.status).toBe(404);
  expect(await missing.json()).toEqual({
    type: "error",
    error: { type: "not_found_error", message: "there is nothing at this path" },
    request_id: missing.headers.get("request-id"),
  });
  const draining = await startRoutes({
    findCompatibleRoute: () => answerText("models"),
    isRefusingCalls: () => true,
  });
  const refused = await draining.get("/v1/models", { headers: { "anthropic-version": "2026-10-21" } });
  expect([refused.status, refused.headers.get("x-should-retry")]).toEqual([529, "true"]);
  expect(await refused.json()).toMatchObject({ type: "error", error: { type: "overloaded_error" } });
});

test("a browser may send what OpenAI's and Anthropic's clients send, and read what it is answered", async () => {
  const { get } = await startRoutes({ cors: createCors(["https://app.example.com"]) });
  const preflight = await get("/v1/chat/completions", {
    method: "OPTIONS",
    headers: { origin: "https://app.example.com", "access-control-request-method": "POST" },
  });
  const allowed = preflight.headers.get("access-control-allow-headers")?.toLowerCase().split(", ");
  for (const name of [
    ...["authorization", "x-stainless-retry-count", "x-stainless-timeout", "idempotency-key"],
    ...["x-api-key", "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access"],
  ])
    expect(allowed).toContain(name);
  const exposed = preflight.headers.get("access-control-expose-headers")?.toLowerCase().split(", ");
  for (const name of [
    "x-should-retry",
    "retry-after-ms",
    "x-llm-gateway-cost-usd",
    "x-ratelimit-remaining-tokens",
    "request-id",
    "anthropic-ratelimit-tokens-remaining",
  ])
    expect(exposed).toContain(name);
});
