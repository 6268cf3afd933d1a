import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { file_llmgateway_v1_completion } from "../../../gen/es/llmgateway/v1/completion_pb.ts";
import { file_llmgateway_v1_cost } from "../../../gen/es/llmgateway/v1/cost_pb.ts";
import { file_llmgateway_v1_key } from "../../../gen/es/llmgateway/v1/key_pb.ts";
import { file_llmgateway_v1_model } from "../../../gen/es/llmgateway/v1/model_pb.ts";
import { renderOpenApi } from "../../../scripts/generate-openapi.ts";
import { readOpenApi } from "../../../src/server/edge/openapi.ts";

type Node = { readonly [key: string]: unknown };

const document = JSON.parse(
  readFileSync(new URL("../../../gen/openapi.json", import.meta.url), "utf8"),
) as Node & {
  readonly paths: Record<string, Record<string, Node>>;
  readonly components: Record<string, Record<string, Node>>;
};

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every object in the document, with where it is. */
function* walk(value: unknown, path: string): Generator<{ readonly path: string; readonly node: Node }> {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* walk(item, `${path}/${index}`);
  } else if (isNode(value)) {
    yield { path, node: value };
    for (const [key, item] of Object.entries(value)) yield* walk(item, `${path}/${key}`);
  }
}

function resolve(reference: string): unknown {
  let value: unknown = document;
  for (const part of reference.replace(/^#\//, "").split("/")) {
    value = isNode(value) ? value[part] : undefined;
  }
  return value;
}

const schemaOf = (name: string): Node => document.components.schemas?.[`llmgateway.v1.${name}`] ?? {};
const property = (message: string, name: string): unknown => (schemaOf(message).properties as Node)[name];

test("the committed document is what the protos give", async () => {
  const committed = (await readOpenApi()).toString();
  expect(committed === renderOpenApi(), "run npm run generate").toBe(true);
});

test("every RPC is a POST, and a GET if it has no side effects", () => {
  const services = [
    file_llmgateway_v1_completion,
    file_llmgateway_v1_cost,
    file_llmgateway_v1_key,
    file_llmgateway_v1_model,
  ].flatMap((file) => file.services);
  const methods = services.flatMap((service) => service.methods);
  expect(methods.length).toBeGreaterThanOrEqual(11);
  for (const method of methods) {
    const path = document.paths[`/${method.parent.typeName}/${method.name}`];
    expect(path?.post, method.name).toBeDefined();
    expect(path?.get !== undefined, method.name).toBe(method.idempotency === 1);
  }
});

test("every reference leads somewhere", () => {
  for (const { path, node } of walk(document, "#")) {
    if (typeof node.$ref === "string") expect(resolve(node.$ref), `${path} → ${node.$ref}`).toBeDefined();
  }
});

test("every operation has a unique id, known tags, known security and described answers", () => {
  const tags = new Set((document.tags as Node[]).map((tag) => tag.name));
  const schemes = new Set(Object.keys(document.components.securitySchemes ?? {}));
  const ids: unknown[] = [];
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations)) {
      ids.push(operation.operationId);
      for (const tag of operation.tags as string[]) expect(tags).toContain(tag);
      for (const requirement of (operation.security ?? []) as Node[]) {
        for (const name of Object.keys(requirement)) expect(schemes).toContain(name);
      }
      for (const response of Object.values(operation.responses as Node)) {
        const resolved =
          isNode(response) && typeof response.$ref === "string" ? resolve(response.$ref) : response;
        expect(isNode(resolved) && typeof resolved.description).toBe("string");
      }
      expect(String(operation.summary)).not.toBe("");
    }
  }
  expect(new Set(ids).size).toBe(ids.length);
  expect(String(document.openapi)).toMatch(/^3\.1\.\d$/);
});

test("every parameter has a name, a place and one of schema and content", () => {
  const parameters = [...walk(document.paths, "#/paths")].flatMap(({ node }) =>
    Array.isArray(node.parameters) ? (node.parameters as Node[]) : [],
  );
  expect(parameters.length).toBeGreaterThan(20);
  for (const parameter of parameters) {
    expect(["query", "header"]).toContain(parameter.in);
    expect(typeof parameter.name).toBe("string");
    expect((parameter.schema === undefined) !== (parameter.content === undefined)).toBe(true);
  }
});

test("every schema has known types and patterns that compile", () => {
  const types = new Set(["string", "number", "integer", "boolean", "object", "array", "null"]);
  for (const { path, node } of walk(document.components.schemas, "#")) {
    // An object called `properties` names properties; only what is in it are schemas.
    if (path.endsWith("/properties")) continue;
    for (const type of [node.type ?? []].flat()) expect(types, path).toContain(type);
    if (typeof node.pattern === "string")
      expect(() => new RegExp(String(node.pattern), "u"), path).not.toThrow();
  }
});

test("all messages, fields and enums of ours are described by their comments", () => {
  for (const [name, schema] of Object.entries(document.components.schemas ?? {})) {
    if (!name.startsWith("llmgateway.v1.")) continue;
    expect(schema.description, name).toBeTruthy();
    for (const [field, sub] of Object.entries((schema.properties ?? {}) as Record<string, Node>)) {
      expect(sub.description, `${name}.${field}`).toBeTruthy();
    }
  }
});

test("the protobuf JSON mapping and the validation rules are in the schemas", () => {
  expect(property("Usage", "tokensIn")).toMatchObject({ type: "string", format: "int64" });
  expect(property("InlineImage", "data")).toMatchObject({ type: "string", contentEncoding: "base64" });
  expect(property("InlineImage", "mediaType")).toMatchObject({ enum: expect.arrayContaining(["image/png"]) });
  expect(document.components.schemas?.["google.protobuf.Timestamp"]).toMatchObject({ format: "date-time" });
  expect(property("CompleteRequest", "maxOutputTokens")).toMatchObject({ type: "integer", minimum: 1 });
  expect(property("CompleteRequest", "topP")).toMatchObject({ exclusiveMinimum: 0, maximum: 1 });
  expect(property("CompleteRequest", "tags")).toMatchObject({
    maxProperties: 16,
    propertyNames: { pattern: "^[A-Za-z0-9_.-]{1,63}$" },
    additionalProperties: { type: "string", maxLength: 128 },
  });
  expect(schemaOf("CompleteRequest").required).toEqual(["model", "messages"]);
  expect(schemaOf("Role").enum).toContain("ROLE_USER");
  expect(property("Message", "role")).toMatchObject({ not: { enum: ["ROLE_UNSPECIFIED"] } });
  expect(schemaOf("Part").allOf).toMatchObject([{ oneOf: expect.arrayContaining([{ required: ["text"] }]) }]);
});

test("the plain routes are there, those for operations without a key", () => {
  for (const path of [
    "/v1/models",
    "/v1/costs",
    "/v1/costs/records",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
  ]) {
    expect(document.paths[path]?.get, path).toBeDefined();
  }
  expect(document.paths["/health"]?.get?.security).toEqual([]);
  expect(document.paths["/v1/costs"]?.get?.security).toBeUndefined();
  expect(document.security).toEqual([{ bearer: [] }, { apiKey: [] }]);
});
