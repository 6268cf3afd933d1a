import type { AttemptReport } from "../core/gateway.ts";
import type { Conclusion } from "../core/replay.ts";
import { decodeVector, encodeVector } from "../core/vector-codec.ts";
import { decodeReport } from "./journal-codec.ts";

/**
 * How a call ended, as JSON. All of it is text, numbers and flags, but for costs (bigint), bytes of images and vectors
 * (base64 of their little-endian floats); what is undefined is left out.
 */
export function encodeConclusion(conclusion: Conclusion): Buffer {
  return Buffer.from(JSON.stringify([FORMAT, conclusion], toJson));
}

/** Undefined for what another version of the gateway wrote. */
export function decodeConclusion(bytes: Uint8Array): Conclusion | undefined {
  const [format, conclusion] = JSON.parse(Buffer.from(bytes).toString()) as [unknown, Conclusion];
  if (format !== FORMAT) return undefined;
  switch (conclusion.kind) {
    case "completed":
      return { ...conclusion, result: withCosts(conclusion.result) };
    case "embedded": {
      const vectors = conclusion.result.vectors.map((stored) => decodeVector(String(stored)));
      return { ...conclusion, result: { ...withCosts(conclusion.result), vectors } };
    }
    case "streamed":
      return { ...conclusion, result: withCosts(conclusion.result) };
    case "failed":
      return withCosts(conclusion);
    default:
      return conclusion satisfies never;
  }
}

/** Changes with the meaning of what is written. */
const FORMAT = 1;

function toJson(_name: string, value: unknown): unknown {
  if (value instanceof Float32Array) return encodeVector(value);
  return typeof value === "bigint" ? String(value) : value;
}

function withCosts<T extends { readonly attempts: readonly AttemptReport[] }>(stored: T): T {
  return { ...stored, attempts: stored.attempts.map(decodeReport) };
}
