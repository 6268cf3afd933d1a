import { createFileRegistry, type DescFile, type DescService } from "@bufbuild/protobuf";
import type { FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { ERROR_TABLE } from "../../src/core/error-table.ts";
import { commentOf } from "./comments.ts";
import type { JsonObject } from "./json-types.ts";
import { OPENAI_PATHS, OPENAI_SCHEMAS } from "./openai-paths.ts";
import { rpcPath } from "./operations.ts";
import { PLAIN_PATHS, PLAIN_SCHEMAS } from "./plain-paths.ts";
import { SchemaSet } from "./schemas.ts";

const DESCRIPTION = `Every RPC is a POST of JSON (the Connect protocol); the same methods are served as gRPC, gRPC-Web and Connect
on the same port. In JSON, names are in lowerCamelCase, 64-bit integers are strings, enums are names, and fields that have
their default value may be left out, in answers too.

A key is sent as \`authorization: Bearer …\` or \`x-api-key: …\`. Every answer has the header \`x-request-id\`; a caller may choose
the id of its request by sending the same header.`;

/** The OpenAPI 3.1 document of all services in `package`. The descriptors must carry their source info. */
export function createOpenApiDocument(
  descriptors: FileDescriptorSet,
  { packageName, version }: { readonly packageName: string; readonly version: string },
): JsonObject {
  const files = [...createFileRegistry(descriptors).files]
    .filter((file) => file.proto.package === packageName)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const services = files.flatMap((file: DescFile): readonly DescService[] => file.services);
  const schemas = new SchemaSet();
  const paths = services.flatMap((service) =>
    service.methods.map((method) => rpcPath(service, method, schemas)),
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "llm-gateway",
      version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: [
      ...services.map((service) => ({ name: service.name, description: commentOf(service) })),
      {
        name: "OpenAI-compatible",
        description: "For OpenAI's clients: they change the address and the key.",
      },
      { name: "Plain HTTP", description: "For scripts." },
      { name: "Operations", description: "For those who run the gateway." },
    ],
    paths: { ...Object.fromEntries(paths), ...OPENAI_PATHS, ...PLAIN_PATHS },
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "An API key: `gw_live_…`." },
        apiKey: { type: "apiKey", in: "header", name: "x-api-key", description: "An API key: `gw_live_…`." },
        metricsToken: { type: "http", scheme: "bearer", description: "The `METRICS_TOKEN` of the gateway." },
      },
      responses: {
        ConnectError: {
          description: "An error of the Connect protocol.",
          headers: ERROR_HEADERS,
          content: { "application/json": { schema: { $ref: "#/components/schemas/ConnectError" } } },
        },
        PlainError: {
          description: "An error.",
          headers: ERROR_HEADERS,
          content: { "application/json": { schema: { $ref: "#/components/schemas/PlainError" } } },
        },
      },
      schemas: { ...schemas.toJson(), ...OPENAI_SCHEMAS, ...PLAIN_SCHEMAS, ...ERROR_SCHEMAS },
    },
  };
}

const ERROR_HEADERS: JsonObject = {
  "x-request-id": { description: "The id of the request.", schema: { type: "string" } },
  "retry-after": {
    description: "Seconds to wait, where the same request may be sent again.",
    schema: { type: "integer", minimum: 0 },
  },
};

const REASONS = Object.entries(ERROR_TABLE);
const REASON_SCHEMA: JsonObject = {
  type: "string",
  description: REASONS.map(
    ([reason, row]) => `- \`${reason}\` (HTTP ${row.httpStatus}): ${row.description}`,
  ).join("\n"),
  enum: REASONS.map(([reason]) => reason),
};
const CODE_SCHEMA: JsonObject = {
  type: "string",
  enum: [...new Set(REASONS.map(([, row]) => row.code))].sort(),
};

const ERROR_SCHEMAS: JsonObject = {
  ErrorReason: REASON_SCHEMA,
  ConnectError: {
    type: "object",
    required: ["code"],
    properties: {
      code: CODE_SCHEMA,
      message: { type: "string" },
      details: {
        type: "array",
        description:
          "Always a `google.rpc.ErrorInfo`, whose `reason` is an ErrorReason; where they apply also RetryInfo, BadRequest, QuotaFailure, RequestInfo and `llmgateway.v1.FailedCompletion`.",
        items: {
          type: "object",
          required: ["type", "value"],
          properties: {
            type: { type: "string", description: "The full name of the message." },
            value: {
              type: "string",
              contentEncoding: "base64",
              description: "The message in the protobuf format.",
            },
            debug: { description: "The message as JSON." },
          },
        },
      },
    },
  },
  PlainError: {
    type: "object",
    required: ["error"],
    properties: {
      error: {
        type: "object",
        required: ["reason", "message", "request_id"],
        properties: {
          reason: { $ref: "#/components/schemas/ErrorReason" },
          code: CODE_SCHEMA,
          message: { type: "string" },
          request_id: { type: "string" },
          field_violations: {
            type: "array",
            items: {
              type: "object",
              required: ["field", "description"],
              properties: {
                field: { type: "string" },
                description: { type: "string" },
                reason: { type: "string" },
              },
            },
          },
        },
      },
    },
  },
};
