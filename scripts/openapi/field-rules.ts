import { type DescField, type DescMessage, getOption, hasOption } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type FieldRules,
  field as fieldRules,
  message as messageRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { JsonObject } from "./json-types.ts";

/** What protovalidate demands of a field, as JSON Schema where it has a keyword for it, else as a sentence. */
export interface Constraints {
  readonly keywords: JsonObject;
  readonly sentences: readonly string[];
  /** A request without the field is refused. */
  readonly required: boolean;
}

const NONE: Constraints = { keywords: {}, sentences: [], required: false };

export function constraintsOf(field: DescField): Constraints {
  if (!hasOption(field, fieldRules)) return NONE;
  const rules = getOption(field, fieldRules);
  const constraints = fromRules(rules);
  const cel = rules.cel.map(toSentence);
  return {
    keywords: constraints.keywords,
    sentences: [...constraints.sentences, ...cel],
    required: rules.required || refusesDefault(field, rules),
  };
}

/** What protovalidate demands of a message as a whole, as sentences. */
export function sentencesOf(message: DescMessage): readonly string[] {
  if (!hasOption(message, messageRules)) return [];
  return getOption(message, messageRules).cel.map(toSentence);
}

const toSentence = (rule: { readonly message: string; readonly expression: string }): string =>
  capitalise(`${rule.message || rule.expression}.`);

type RulesOf = { readonly keywords: JsonObject; readonly sentences: readonly string[] };

function fromRules(rules: FieldRules | undefined): RulesOf {
  const type = rules?.type;
  // Only the kinds that the protos use and JSON Schema can say something about.
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check
  switch (type?.case) {
    case "string":
      return stringRules(type.value);
    case "bytes": {
      const { minLen, maxLen } = type.value;
      return { keywords: {}, sentences: range("bytes, decoded", minLen, maxLen) };
    }
    case "int32":
    case "double": {
      const { greaterThan, lessThan } = type.value;
      return { keywords: numberRange(greaterThan, lessThan), sentences: [] };
    }
    case "int64": {
      const { greaterThan, lessThan } = type.value;
      // A 64-bit number is a string in JSON, for which JSON Schema has no range.
      return { keywords: {}, sentences: range("in value", greaterThan.value, lessThan.value) };
    }
    case "enum":
      return { keywords: {}, sentences: [] };
    case "repeated": {
      const { minItems, maxItems, unique, items } = type.value;
      const inner = fromRules(items);
      const keywords = { ...positive("minItems", minItems), ...positive("maxItems", maxItems) };
      return {
        keywords: { ...keywords, ...(unique ? { uniqueItems: true } : {}), items: inner.keywords },
        sentences: inner.sentences,
      };
    }
    case "map": {
      const { minPairs, maxPairs, keys, values } = type.value;
      return {
        keywords: {
          ...positive("minProperties", minPairs),
          ...positive("maxProperties", maxPairs),
          ...(keys ? { propertyNames: fromRules(keys).keywords } : {}),
          additionalProperties: fromRules(values).keywords,
        },
        sentences: [],
      };
    }
    case "duration": {
      const { greaterThan, lessThan } = type.value;
      return { keywords: {}, sentences: range("long", seconds(greaterThan.value), seconds(lessThan.value)) };
    }
    default:
      return { keywords: {}, sentences: [] };
  }
}

function stringRules(rules: {
  readonly minLen: bigint;
  readonly maxLen: bigint;
  readonly maxBytes: bigint;
  readonly pattern: string;
  readonly in: readonly string[];
}): RulesOf {
  return {
    keywords: {
      ...positive("minLength", rules.minLen),
      ...positive("maxLength", rules.maxLen),
      ...(rules.pattern === "" ? {} : { pattern: rules.pattern }),
      ...(rules.in.length === 0 ? {} : { enum: rules.in }),
    },
    sentences: range("bytes of UTF-8", undefined, rules.maxBytes === 0n ? undefined : rules.maxBytes),
  };
}

type Bound<Case extends string, T> =
  | { readonly case: Case; readonly value: T }
  | { readonly case: undefined };

function numberRange(lower: Bound<"gt" | "gte", number>, upper: Bound<"lt" | "lte", number>): JsonObject {
  return {
    ...(lower.case === "gte" ? { minimum: lower.value } : {}),
    ...(lower.case === "gt" ? { exclusiveMinimum: lower.value } : {}),
    ...(upper.case === "lte" ? { maximum: upper.value } : {}),
    ...(upper.case === "lt" ? { exclusiveMaximum: upper.value } : {}),
  };
}

/** "At least 1 and at most 64 bytes." */
function range(
  unit: string,
  least: bigint | string | undefined,
  most: bigint | string | undefined,
): readonly string[] {
  const parts = [
    ...(least === undefined || least === 0n ? [] : [`at least ${least}`]),
    ...(most === undefined || most === 0n ? [] : [`at most ${most}`]),
  ];
  return parts.length === 0 ? [] : [capitalise(`${parts.join(" and ")} ${unit}.`)];
}

function seconds(duration: Duration | undefined): string | undefined {
  return duration === undefined ? undefined : `${duration.seconds}s`;
}

function positive(name: string, value: bigint): JsonObject {
  return value === 0n ? {} : { [name]: Number(value) };
}

/** Whether the value that an absent field has breaks the rules: then the field must be sent. */
function refusesDefault(field: DescField, rules: FieldRules): boolean {
  const { type } = rules;
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check
  switch (type.case) {
    case "string":
      return (
        !field.oneof &&
        (type.value.minLen > 0n || (type.value.pattern !== "" && !new RegExp(type.value.pattern).test("")))
      );
    case "bytes":
      return !field.oneof && type.value.minLen > 0n;
    case "enum":
      return !field.oneof && type.value.notIn.includes(0);
    case "repeated":
      return type.value.minItems > 0n;
    default:
      return false;
  }
}

/** Numbers of enum values that a field, or each item of it, does not take. */
export function refusedEnumNumbers(field: DescField): readonly number[] {
  if (!hasOption(field, fieldRules)) return [];
  const { type } = getOption(field, fieldRules);
  if (type.case === "enum") return type.value.notIn;
  const items = type.case === "repeated" ? type.value.items?.type : undefined;
  return items?.case === "enum" ? items.value.notIn : [];
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
