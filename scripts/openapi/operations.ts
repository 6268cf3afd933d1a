import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { access, KeyRole } from "../../gen/es/llmgateway/v1/access_pb.ts";
import { commentOf } from "./comments.ts";
import type { JsonObject } from "./json-types.ts";
import type { SchemaSet } from "./schemas.ts";

const CONNECT_TIMEOUT: JsonObject = {
  name: "connect-timeout-ms",
  in: "header",
  description: "The deadline of the call in milliseconds; the gateway has a default and a maximum.",
  schema: { type: "integer", minimum: 1 },
};

const ERROR_RESPONSE: JsonObject = { $ref: "#/components/responses/ConnectError" };

/** What the documentation offers to try. */
const EXAMPLES: Readonly<Record<string, JsonObject>> = {
  "llmgateway.v1.CompleteRequest": {
    model: "openai/gpt-5-mini",
    messages: [{ role: "ROLE_USER", parts: [{ text: "Hello" }] }],
    maxOutputTokens: 100,
    fallbackModels: ["deepseek/deepseek-flash"],
    tags: { team: "search" },
  },
  "llmgateway.v1.CostQueryRequest": {
    filter: { startTime: "2026-01-01T00:00:00Z", endTime: "2026-02-01T00:00:00Z" },
    groupBy: ["COST_DIMENSION_API_KEY", "COST_DIMENSION_MODEL"],
  },
  "llmgateway.v1.CreateKeyRequest": { key: { displayName: "search", roles: ["KEY_ROLE_INVOKE"] } },
};

/** The path of an RPC and its operations: POST, and GET where it has no side effects. */
export function rpcPath(service: DescService, method: DescMethod, schemas: SchemaSet): [string, JsonObject] {
  const post =
    method.methodKind === "unary" ? unaryOperation(method, schemas) : streamOperation(method, schemas);
  const operations: Record<string, JsonObject> = { post: { ...commonOf(service, method), ...post } };
  if (method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS) {
    operations.get = { ...commonOf(service, method, "_Get"), ...getOperation(method, schemas) };
  }
  return [`/${service.typeName}/${method.name}`, operations];
}

function commonOf(service: DescService, method: DescMethod, suffix = ""): JsonObject {
  const roles = getOption(method, access).anyOf.map(roleName);
  return {
    operationId: `${service.name}_${method.name}${suffix}`,
    tags: [service.name],
    summary: firstSentence(commentOf(method)),
    description: `${commentOf(method)}\n\nNeeds a key with one of the roles: ${[...roles, "admin"].join(", ")}.`,
  };
}

function unaryOperation(method: DescMethod, schemas: SchemaSet): JsonObject {
  const example = EXAMPLES[method.input.typeName];
  return {
    parameters: [CONNECT_TIMEOUT],
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: schemas.reference(method.input),
          ...(example === undefined ? {} : { example }),
        },
      },
    },
    responses: unaryResponses(method, schemas),
  };
}

function getOperation(method: DescMethod, schemas: SchemaSet): JsonObject {
  const schema = { type: "string", const: "json" };
  return {
    parameters: [
      CONNECT_TIMEOUT,
      {
        name: "message",
        in: "query",
        required: true,
        description: "The request as JSON, percent-encoded.",
        content: { "application/json": { schema: schemas.reference(method.input) } },
      },
      { name: "encoding", in: "query", required: true, schema },
    ],
    responses: unaryResponses(method, schemas),
  };
}

function unaryResponses(method: DescMethod, schemas: SchemaSet): JsonObject {
  return {
    "200": {
      description: commentOf(method.output) || "The answer.",
      content: { "application/json": { schema: schemas.reference(method.output) } },
    },
    default: ERROR_RESPONSE,
  };
}

/** A stream has no plain HTTP form: its messages travel in envelopes. */
function streamOperation(method: DescMethod, schemas: SchemaSet): JsonObject {
  const envelope =
    "An enveloped message: one byte of flags, four bytes of length (big-endian), then the message as JSON.";
  return {
    parameters: [CONNECT_TIMEOUT],
    requestBody: {
      required: true,
      description: envelope,
      content: { "application/connect+json": { schema: schemas.reference(method.input) } },
    },
    responses: {
      "200": {
        description: `A stream of enveloped messages. The last envelope has flag 2 and holds \`{}\` or \`{"error": …}\`: a stream that fails has status 200 too.`,
        content: { "application/connect+json": { schema: schemas.reference(method.output) } },
      },
      default: ERROR_RESPONSE,
    },
  };
}

function roleName(role: KeyRole): string {
  const [name] = Object.entries(KeyRole).find(([, number]) => number === role) ?? [];
  if (name === undefined) throw new TypeError(`unknown role ${role}`);
  return name.toLowerCase();
}

function firstSentence(text: string): string {
  return /^.*?[.:](?=\s|$)/.exec(text)?.[0].replace(/[.:]$/, "") ?? text;
}
