import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  hasOption,
  ScalarType,
} from "@bufbuild/protobuf";
import { oneof as oneofRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { commentOf } from "./comments.ts";
import { constraintsOf, refusedEnumNumbers, sentencesOf } from "./field-rules.ts";
import type { Json, JsonObject } from "./json-types.ts";

/** Messages that the protobuf JSON mapping writes in a form of their own. */
const WELL_KNOWN: Readonly<Record<string, JsonObject>> = {
  "google.protobuf.Timestamp": {
    type: "string",
    format: "date-time",
    description: "RFC 3339, e.g. `2026-01-31T00:00:00Z`.",
  },
  "google.protobuf.Duration": {
    type: "string",
    pattern: "^-?[0-9]+(\\.[0-9]{1,9})?s$",
    description: "Seconds with the suffix `s`, e.g. `1.500s`.",
  },
  "google.protobuf.FieldMask": {
    type: "string",
    description: "Field names in lowerCamelCase, separated by commas.",
  },
  "google.protobuf.Empty": { type: "object" },
  "google.protobuf.Any": {
    type: "object",
    properties: { "@type": { type: "string" } },
    additionalProperties: true,
  },
};

/** The schemas of messages and enums, and of all that they refer to, by full name. */
export class SchemaSet {
  readonly #schemas = new Map<string, JsonObject>();

  /** A reference to the schema of a message or enum, which it adds when it is new. */
  reference(desc: DescMessage | DescEnum): JsonObject {
    if (!this.#schemas.has(desc.typeName)) {
      // A place first: messages may contain themselves.
      this.#schemas.set(desc.typeName, {});
      this.#schemas.set(
        desc.typeName,
        desc.kind === "enum" ? enumSchema(desc) : (WELL_KNOWN[desc.typeName] ?? this.#messageSchema(desc)),
      );
    }
    return { $ref: `#/components/schemas/${desc.typeName}` };
  }

  /** By name, in alphabetical order. */
  toJson(): JsonObject {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #messageSchema(message: DescMessage): JsonObject {
    const required = message.fields.filter((field) => constraintsOf(field).required);
    const alternatives = message.oneofs.map(oneofSchema);
    return {
      type: "object",
      title: message.name,
      ...describe([commentOf(message), ...sentencesOf(message)].filter((text) => text !== "").join(" ")),
      properties: Object.fromEntries(
        message.fields.map((field) => [field.jsonName, this.#fieldSchema(field)]),
      ),
      ...(required.length > 0 ? { required: required.map((field) => field.jsonName) } : {}),
      ...(alternatives.length > 0 ? { allOf: alternatives } : {}),
    };
  }

  #fieldSchema(field: DescField): JsonObject {
    const { keywords, sentences } = constraintsOf(field);
    const description = describe([commentOf(field), ...sentences].filter((text) => text !== "").join(" "));
    switch (field.fieldKind) {
      case "scalar":
        return { ...scalarSchema(field.scalar), ...keywords, ...description };
      case "message":
        return { ...this.reference(field.message), ...keywords, ...description };
      case "enum":
        return { ...this.reference(field.enum), ...refusedValues(field, field.enum), ...description };
      case "list":
        return {
          type: "array",
          ...keywords,
          items: { ...this.#itemSchema(field), ...objectOf(keywords.items) },
          ...description,
        };
      case "map":
        return {
          type: "object",
          ...keywords,
          additionalProperties: { ...this.#itemSchema(field), ...objectOf(keywords.additionalProperties) },
          ...description,
        };
      default:
        return field satisfies never;
    }
  }

  #itemSchema(field: DescField & { readonly fieldKind: "list" | "map" }): JsonObject {
    const kind = field.fieldKind === "list" ? field.listKind : field.mapKind;
    if (kind === "scalar" && field.scalar !== undefined) return scalarSchema(field.scalar);
    if (kind === "enum" && field.enum)
      return { ...this.reference(field.enum), ...refusedValues(field, field.enum) };
    if (field.message) return this.reference(field.message);
    throw new TypeError(`unexpected items in ${field.toString()}`);
  }
}

function scalarSchema(scalar: ScalarType): JsonObject {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.DOUBLE:
      return { type: "number", format: "double" };
    case ScalarType.FLOAT:
      return { type: "number", format: "float" };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: "integer", format: "int32" };
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: "integer", format: "uint32", minimum: 0 };
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return { type: "string", format: "int64", pattern: "^-?[0-9]+$" };
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return { type: "string", format: "uint64", pattern: "^[0-9]+$" };
    default:
      return scalar satisfies never;
  }
}

function enumSchema(desc: DescEnum): JsonObject {
  const values = desc.values.map((value) => `- \`${value.name}\`: ${commentOf(value)}`);
  return {
    type: "string",
    title: desc.name,
    description: [commentOf(desc), ...values].join("\n"),
    enum: desc.values.map((value) => value.name),
  };
}

function refusedValues(field: DescField, desc: DescEnum): JsonObject {
  const refused = refusedEnumNumbers(field).flatMap((number) => desc.value[number]?.name ?? []);
  return refused.length === 0 ? {} : { not: { enum: refused } };
}

/** Exactly one field of the oneof, or at most one when none is allowed too. */
function oneofSchema(oneof: DescOneof): JsonObject {
  const alternatives: JsonObject[] = oneof.fields.map((field) => ({ required: [field.jsonName] }));
  const needsOne = hasOption(oneof, oneofRules) && getOption(oneof, oneofRules).required;
  const names = oneof.fields.map((field) => `\`${field.jsonName}\``).join(", ");
  return {
    description: `${needsOne ? "Exactly" : "At most"} one of ${names}. ${commentOf(oneof)}`.trim(),
    oneOf: needsOne ? alternatives : [...alternatives, { not: { anyOf: alternatives } }],
  };
}

function describe(text: string): JsonObject {
  return text === "" ? {} : { description: text };
}

function objectOf(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}
