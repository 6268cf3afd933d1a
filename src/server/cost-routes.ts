import { CostService } from "../../gen/es/llmgateway/v1/cost_pb.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Authenticator, Principal } from "../core/keys.ts";
import type { CostDimension, CostFilter, CostReader, CostReport } from "../core/ledger.ts";
import type { Telemetry } from "../core/telemetry.ts";
import { amountsToJson, coverageToJson, recordToJson, stringifyExact } from "./costs/cost-json.ts";
import { type CostRouteKind, type ExtraGroup, parseCostParameters } from "./costs/cost-parameters.ts";
import { limitToOwnCosts } from "./costs/cost-scope.ts";
import { nextPageToken } from "./costs/page-interval.ts";
import { toHttpError } from "./error-map.ts";
import {
  commonResponse,
  type NodeHandler,
  type NodeRequest,
  type NodeResponse,
  requestIdOf,
} from "./node-exchange.ts";
import { presentedSecret } from "./rpc/credentials.ts";
import { accessOf, authorize } from "./rpc/method-access.ts";

export interface CostRouteDependencies {
  readonly authenticator: Authenticator;
  readonly costs: CostReader;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
}

/**
 * `GET /v1/costs` and `GET /v1/costs/records`: plain JSON for finance scripts, by path. The same keys, roles and
 * filters as the RPCs `CostQuery` and `ListCostRecords`; errors are `{"error": {…}}`.
 */
export function createCostRoutes(dependencies: CostRouteDependencies): ReadonlyMap<string, NodeHandler> {
  const { costs, clock } = dependencies;
  const route = (kind: CostRouteKind, answer: Answer): NodeHandler => {
    const method = kind === "sums" ? CostService.method.costQuery : CostService.method.listCostRecords;
    const access = accessOf(method);
    return (request, response) =>
      void serve(dependencies, request, commonResponse(response), async (principal, url) => {
        authorize(principal, access);
        const { filter, ...parameters } = parseCostParameters(url, kind, clock.now());
        return answer(limitToOwnCosts(filter, principal), parameters);
      });
  };
  return new Map([
    ["/v1/costs", route("sums", (filter, { extraGroups }) => sums(costs, filter, extraGroups))],
    [
      "/v1/costs/records",
      route("records", async (filter, { pageSize, page }) => {
        const { records, nextPageToken: next } = await costs.listRecords({
          ...{ filter, pageSize, pageToken: page.ledgerToken },
        });
        return {
          start: filter.start.toISOString(),
          end: filter.end.toISOString(),
          records: records.map(recordToJson),
          next_page_token: nextPageToken(page, next),
        };
      }),
    ],
  ]);
}

type Answer = (
  filter: CostFilter,
  parameters: Omit<ReturnType<typeof parseCostParameters>, "filter">,
) => Promise<unknown>;

/** All groupings of one report are taken as of the same instant, so that they sum to the same totals. */
async function sums(
  costs: CostReader,
  filter: CostFilter,
  extraGroups: readonly ExtraGroup[],
): Promise<Record<string, unknown>> {
  const byApiKey = await costs.query({ ...filter, groupBy: ["api_key"], tagKey: undefined });
  const repeated = { ...filter, asOf: byApiKey.asOf };
  const group = (groupBy: readonly CostDimension[], tagKey?: string) =>
    costs.query({ ...repeated, groupBy, tagKey });
  const byProvider = await group(["provider"]);
  const byModel = await group(["provider", "model"]);
  const json: Record<string, unknown> = {
    start: filter.start.toISOString(),
    end: filter.end.toISOString(),
    as_of: byApiKey.asOf.toISOString(),
    by_api_key: rows(byApiKey, ["api_key_id"]),
    by_provider: rows(byProvider, ["provider"]),
    by_model: rows(byModel, ["provider", "model"]),
  };
  const byTag: Record<string, unknown> = {};
  for (const { dimension, tagKey } of extraGroups) {
    const report = await group([dimension], tagKey);
    if (tagKey !== undefined) byTag[tagKey] = rows(report, ["tag_value"]);
    else json[`by_${dimension}`] = rows(report, [dimension === "end_user" ? "end_user" : "period_start"]);
  }
  if (Object.keys(byTag).length > 0) json.by_tag = byTag;
  return { ...json, totals: amountsToJson(byApiKey.totals), coverage: coverageToJson(byApiKey.totals) };
}

function rows(report: CostReport, names: readonly string[]): readonly unknown[] {
  return report.rows.map((row) => ({
    ...Object.fromEntries(names.map((name, index) => [name, row.key[index] ?? ""])),
    ...amountsToJson(row),
  }));
}

/** Authenticates, answers, and reports the call. Never rejects. */
async function serve(
  { authenticator, telemetry, clock }: CostRouteDependencies,
  request: NodeRequest,
  response: NodeResponse,
  answer: (principal: Principal, url: string) => Promise<unknown>,
): Promise<void> {
  const startedAtMs = clock.monotonicMs();
  const requestId = requestIdOf(request);
  const { url = "", method, headers, rawHeaders } = request;
  const { traceparent } = headers;
  const path = url.split("?", 1)[0] ?? "";
  const requestTelemetry = telemetry.requestStarted({
    requestId,
    rpcMethod: `GET ${path}`,
    protocol: "http",
    traceparent: typeof traceparent === "string" ? traceparent : undefined,
  });
  let error: GatewayError | undefined;
  try {
    if (method !== "GET" && method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      throw new GatewayError("UNIMPLEMENTED", "this path takes GET");
    }
    const principal = await authenticator.authenticate(presentedSecret(headers, rawHeaders));
    requestTelemetry.authenticated(principal.apiKeyId);
    const body = stringifyExact(await answer(principal, url));
    send(response, 200, { "x-request-id": requestId }, body);
  } catch (thrown) {
    error = GatewayError.from(thrown);
    const { status, headers: errorHeaders, body } = toHttpError(error, requestId);
    send(response, error.reason === "UNIMPLEMENTED" ? 405 : status, errorHeaders, JSON.stringify(body));
  }
  requestTelemetry.finished({ error, latencyMs: clock.monotonicMs() - startedAtMs, completion: undefined });
}

function send(response: NodeResponse, status: number, headers: Record<string, string>, body: string): void {
  if (response.destroyed) return;
  response.writeHead(status, {
    ...headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
  });
  response.end(body);
}
