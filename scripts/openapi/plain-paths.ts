import type { JsonObject } from "./json-types.ts";

const PLAIN_ERROR: JsonObject = { $ref: "#/components/responses/PlainError" };
const INSTANT: JsonObject = { type: "string", format: "date-time" };

function text(maxLength: number): JsonObject {
  return { type: "string", minLength: 1, maxLength };
}

function query(name: string, description: string, schema: JsonObject): JsonObject {
  return { name, in: "query", description, schema };
}

function several(name: string, description: string, maxLength: number): JsonObject {
  return query(name, `${description} May be repeated.`, {
    type: "array",
    maxItems: 100,
    items: text(maxLength),
  });
}

const FILTER: readonly JsonObject[] = [
  query("start", "First instant. Unset: 30 days before `end`.", INSTANT),
  query("end", "First instant that no longer counts. Unset: now.", INSTANT),
  query("as_of", "Only what was recorded before this instant: repeats an earlier answer.", INSTANT),
  several("api_key_id", "Only these keys.", 64),
  several("provider", "Only these providers.", 64),
  several("model", "Only these models, without the provider.", 200),
  several("end_user", "Only these end users.", 128),
  {
    name: "tag",
    in: "query",
    description: "Only attempts with this tag: `tag.team=search`. One parameter for each tag.",
    style: "form",
    explode: true,
    schema: {
      type: "object",
      patternProperties: { "^tag\\.[A-Za-z0-9_.-]{1,63}$": { type: "string", maxLength: 128 } },
      additionalProperties: false,
    },
  },
];

function answer(description: string, schema: JsonObject, mediaType = "application/json"): JsonObject {
  return { description, content: { [mediaType]: { schema } } };
}

function reference(name: string): JsonObject {
  return { $ref: `#/components/schemas/${name}` };
}

/** The routes beside the RPCs. */
export const PLAIN_PATHS: JsonObject = {
  "/v1/costs": {
    get: {
      operationId: "getCosts",
      tags: ["Plain HTTP"],
      summary: "Costs by key, provider and model, for scripts",
      description:
        "As the RPC `CostQuery`, as plain JSON. Needs a key with one of the roles: invoke (its own costs), read_costs, admin.",
      parameters: [
        ...FILTER,
        query(
          "group_by",
          "A further grouping: `hour`, `day`, `month`, `end_user` or `tag.NAME`. May be repeated.",
          {
            type: "array",
            items: { type: "string", pattern: "^(hour|day|month|end_user|tag\\.[A-Za-z0-9_.-]{1,63})$" },
          },
        ),
      ],
      responses: { "200": answer("The sums.", reference("Costs")), default: PLAIN_ERROR },
    },
  },
  "/v1/costs/records": {
    get: {
      operationId: "getCostRecords",
      tags: ["Plain HTTP"],
      summary: "The records behind the costs, newest first",
      description:
        "As the RPC `ListCostRecords`, as plain JSON. Needs a key with one of the roles: invoke (its own costs), read_costs, admin.",
      parameters: [
        ...FILTER,
        query("page_size", "At most so many records: 100 when unset or 0, 1,000 at most.", {
          type: "integer",
          minimum: 0,
        }),
        query("page_token", "`next_page_token` of the answer before, with the same filter.", {
          type: "string",
          maxLength: 2048,
        }),
      ],
      responses: { "200": answer("A page of records.", reference("CostRecords")), default: PLAIN_ERROR },
    },
  },
  "/health": {
    get: {
      operationId: "getHealth",
      tags: ["Operations"],
      summary: "Whether the gateway works, part by part",
      security: [],
      responses: {
        "200": answer(
          "It takes calls; if something fails nevertheless, it is degraded.",
          reference("Health"),
        ),
        "503": answer("It takes no calls: it is draining, or a part fails.", reference("Health")),
      },
    },
  },
  "/health/live": {
    get: {
      operationId: "getLiveness",
      tags: ["Operations"],
      summary: "Whether the process answers",
      security: [],
      responses: { "200": answer("It does.", reference("HealthStatus")) },
    },
  },
  "/health/ready": {
    get: {
      operationId: "getReadiness",
      tags: ["Operations"],
      summary: "Whether the gateway takes calls",
      security: [],
      responses: {
        "200": answer("It does.", reference("HealthStatus")),
        "503": answer("It is draining, or the ledger cannot take a record.", reference("HealthStatus")),
      },
    },
  },
  "/metrics": {
    get: {
      operationId: "getMetrics",
      tags: ["Operations"],
      summary: "Metrics for Prometheus",
      description: "Where `METRICS_TOKEN` is set, that bearer token is needed.",
      security: [{}, { metricsToken: [] }],
      responses: {
        "200": {
          description:
            "The Prometheus text format, or OpenMetrics with exemplars when the client accepts it.",
          content: {
            "text/plain": { schema: { type: "string" } },
            "application/openmetrics-text": { schema: { type: "string" } },
          },
        },
        "401": PLAIN_ERROR,
      },
    },
  },
};

const COUNT: JsonObject = { type: "integer", format: "int64", minimum: 0 };
const USD: JsonObject = {
  type: "string",
  pattern: "^-?[0-9]+\\.[0-9]{12}$",
  description: "USD as a decimal string with twelve places.",
};

const AMOUNTS: JsonObject = {
  requests: COUNT,
  attempts: COUNT,
  tokens_in: COUNT,
  tokens_out: COUNT,
  uncached_tokens_in: COUNT,
  cache_read_tokens_in: COUNT,
  cache_write_tokens_in: COUNT,
  text_tokens_out: COUNT,
  reasoning_tokens_out: COUNT,
  cost_usd: USD,
};

function rows(dimensions: JsonObject): JsonObject {
  return { type: "array", items: { type: "object", properties: { ...dimensions, ...AMOUNTS } } };
}

const STRING: JsonObject = { type: "string" };
const STATUS: JsonObject = { type: "string", enum: ["ok", "degraded", "draining", "unavailable"] };
const CHECKS: JsonObject = {
  type: "object",
  additionalProperties: { type: "string", enum: ["ok", "failing"] },
};
const SHARE: JsonObject = { type: "object", properties: { attempts: COUNT, tokens: COUNT, cost_usd: USD } };
const NULLABLE_STRING: JsonObject = { type: ["string", "null"] };
const NULLABLE_TOKENS: JsonObject = { type: ["integer", "null"] };

/** The schemas of the routes beside the RPCs. */
export const PLAIN_SCHEMAS: JsonObject = {
  Costs: {
    type: "object",
    properties: {
      start: INSTANT,
      end: INSTANT,
      as_of: INSTANT,
      by_api_key: rows({ api_key_id: STRING }),
      by_provider: rows({ provider: STRING }),
      by_model: rows({ provider: STRING, model: STRING }),
      by_hour: rows({ period_start: STRING }),
      by_day: rows({ period_start: STRING }),
      by_month: rows({ period_start: STRING }),
      by_end_user: rows({ end_user: STRING }),
      by_tag: { type: "object", additionalProperties: rows({ tag_value: STRING }) },
      totals: { type: "object", properties: AMOUNTS },
      coverage: {
        type: "object",
        description: "How far the sums can be trusted: shares that add up to the whole.",
        properties: { reported: SHARE, estimated: SHARE, unpriced: SHARE, not_billed: SHARE, unknown: SHARE },
      },
    },
  },
  CostRecords: {
    type: "object",
    properties: {
      start: INSTANT,
      end: INSTANT,
      records: { type: "array", items: reference("PlainCostRecord") },
      next_page_token: { ...STRING, description: "Empty on the last page." },
    },
  },
  PlainCostRecord: {
    type: "object",
    description:
      "One entry of the ledger; never changed. What is not known is null, which is not zero. " +
      "Tokens and cost of a reversal are negative.",
    properties: {
      attempt_id: STRING,
      request_id: STRING,
      ordinal: COUNT,
      kind: { type: "string", enum: ["charge", "reversal", "adjustment"] },
      revision: COUNT,
      adjustment_id: NULLABLE_STRING,
      api_key_id: STRING,
      provider: STRING,
      model: STRING,
      outcome: STRING,
      error_reason: NULLABLE_STRING,
      usage_source: STRING,
      tokens_in: NULLABLE_TOKENS,
      tokens_out: NULLABLE_TOKENS,
      uncached_tokens_in: NULLABLE_TOKENS,
      cache_read_tokens_in: NULLABLE_TOKENS,
      cache_write_tokens_in: NULLABLE_TOKENS,
      text_tokens_out: NULLABLE_TOKENS,
      reasoning_tokens_out: NULLABLE_TOKENS,
      billing_state: STRING,
      cost_usd: { ...USD, type: ["string", "null"] },
      price_id: NULLABLE_STRING,
      unit_prices_usd_per_million: { type: ["object", "null"], additionalProperties: STRING },
      flags: { type: "array", items: STRING },
      tags: { type: "object", additionalProperties: STRING },
      end_user: NULLABLE_STRING,
      streamed: { type: "boolean" },
      latency_ms: { type: "number", minimum: 0 },
      occurred_at: INSTANT,
      recorded_at: INSTANT,
    },
  },
  HealthStatus: {
    type: "object",
    required: ["status"],
    properties: { status: STATUS, checks: CHECKS },
  },
  Health: {
    type: "object",
    required: ["status", "checks", "version", "uptime_seconds"],
    properties: {
      status: STATUS,
      checks: CHECKS,
      version: STRING,
      uptime_seconds: COUNT,
    },
  },
};
