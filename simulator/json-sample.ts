type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Deeper schemas get null: a recursive schema must not recurse for ever. */
const MAX_DEPTH = 32;

/**
 * A small value that fits a JSON schema: constants and first alternatives where they are given, all properties of
 * objects, one item of arrays. Covers the subset that providers accept for structured output, not all of JSON Schema.
 */
export function sampleOfSchema(schema: unknown, depth = 0): unknown {
  if (!isObject(schema) || depth > MAX_DEPTH) return null;
  if ("const" in schema) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  for (const alternatives of [schema.anyOf, schema.oneOf]) {
    if (Array.isArray(alternatives)) return sampleOfSchema(alternatives[0], depth + 1);
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case "string":
      return "sample";
    case "integer":
    case "number":
      return typeof schema.minimum === "number" ? schema.minimum : 1;
    case "boolean":
      return true;
    case "array":
      return [sampleOfSchema(schema.items ?? { type: "string" }, depth + 1)];
    case "null":
      return null;
    default: {
      const properties = isObject(schema.properties) ? schema.properties : { answer: { type: "string" } };
      return Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, sampleOfSchema(property, depth + 1)]),
      );
    }
  }
}
