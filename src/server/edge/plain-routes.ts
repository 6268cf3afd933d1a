import { createHash, timingSafeEqual } from "node:crypto";
import { GatewayError } from "../../core/errors.ts";
import type { Documentation } from "./documentation.ts";
import type { Answer, EdgeRequest } from "./handler.ts";

/** How the process is, as far as it may be shown to anyone: no text of failures, no addresses. */
export interface HealthReport {
  /** Takes calls: false while draining, and when a record could not be kept. */
  readonly ready: boolean;
  readonly draining: boolean;
  /** What readiness rests on, by name, e.g. `ledger`: whether it works. */
  readonly checks: Readonly<Record<string, boolean>>;
}

export interface PlainRouteDependencies {
  readonly version: string;
  readonly health: () => HealthReport;
  readonly metricsText: (accept: string | undefined) => Promise<{
    readonly contentType: string;
    readonly body: string;
  }>;
  /** Set: `GET /metrics` takes only this bearer token. */
  readonly metricsToken?: string | undefined;
  readonly documentation: Documentation;
  /** Monotonic milliseconds since the process started. */
  readonly uptimeMs: () => number;
}

/** Answers a GET of one path. May throw a GatewayError, which the caller is told. */
export type PlainRoute = (request: EdgeRequest) => Promise<Answer>;

/** The route of a path that is neither an RPC nor about costs; undefined when there is none. */
export function createPlainRoutes(
  dependencies: PlainRouteDependencies,
): (path: string) => PlainRoute | undefined {
  const { documentation } = dependencies;
  const routes: ReadonlyMap<string, PlainRoute> = new Map<string, PlainRoute>([
    ["/", async (request) => root(request, dependencies.version)],
    ["/health", async () => health(dependencies)],
    ["/health/live", async () => json(200, { status: "ok" })],
    ["/health/ready", async () => readiness(dependencies.health())],
    ["/metrics", (request) => metrics(request, dependencies)],
    ["/docs/", async () => redirect("../docs")],
  ]);
  return (path) => {
    const route = routes.get(path);
    if (route !== undefined || !documentation.has(path)) return route;
    return (request) => documentationPage(request, documentation, path);
  };
}

function root(request: EdgeRequest, version: string): Answer {
  if (request.headers.accept?.includes("text/html")) return redirect("docs");
  const links = { docs: "/docs", openapi: "/openapi.json", health: "/health", metrics: "/metrics" };
  return json(200, { name: "llm-gateway", version, ...links });
}

/** `degraded`: calls are served although something does not work, as from the journal without the database. */
function statusOf(report: HealthReport): string {
  if (report.draining) return "draining";
  if (!report.ready) return "unavailable";
  return Object.values(report.checks).every((works) => works) ? "ok" : "degraded";
}

function checksOf(report: HealthReport): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(report.checks).map(([name, works]) => [name, works ? "ok" : "failing"]),
  );
}

function health({ health, version, uptimeMs }: PlainRouteDependencies): Answer {
  const report = health();
  return json(report.ready ? 200 : 503, {
    status: statusOf(report),
    checks: checksOf(report),
    version,
    uptime_seconds: Math.floor(uptimeMs() / 1000),
  });
}

function readiness(report: HealthReport): Answer {
  return json(report.ready ? 200 : 503, { status: statusOf(report), checks: checksOf(report) });
}

async function metrics(
  { headers }: EdgeRequest,
  { metricsText, metricsToken }: PlainRouteDependencies,
): Promise<Answer> {
  if (metricsToken !== undefined && !isBearer(headers.authorization, metricsToken)) {
    throw new GatewayError("UNAUTHENTICATED", "a bearer token is needed");
  }
  const { contentType, body } = await metricsText(headers.accept);
  return { status: 200, headers: { "content-type": contentType, "cache-control": "no-store" }, body };
}

/** In a time that tells nothing about the token. */
function isBearer(authorization: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization ?? ""), digest(`Bearer ${token}`));
}

async function documentationPage(
  { headers }: EdgeRequest,
  documentation: Documentation,
  path: string,
): Promise<Answer> {
  const file = await documentation.read(path);
  const { etag } = file;
  if (headers["if-none-match"] === etag) {
    return { status: 304, headers: { ...file.headers, etag }, body: "" };
  }
  const acceptsGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(
    headers["accept-encoding"]?.toString() ?? "",
  );
  return acceptsGzip
    ? { status: 200, headers: { ...file.headers, etag, "content-encoding": "gzip" }, body: file.gzipped }
    : { status: 200, headers: { ...file.headers, etag }, body: file.body };
}

function json(status: number, body: unknown): Answer {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: `${JSON.stringify(body)}\n`,
  };
}

function redirect(location: string): Answer {
  return { status: 302, headers: { location }, body: "" };
}
