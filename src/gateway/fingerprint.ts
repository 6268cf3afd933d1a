import { createHmac } from "node:crypto";
import type { ModelCall } from "../core/gateway.ts";
import type { CallMethod } from "../core/ledger.ts";

/** Says by 128 bits what a call asks for. Keyed, so that what is stored of it confirms no guess at a prompt. */
export type Fingerprint = (method: CallMethod, call: ModelCall) => string;

const FINGERPRINT_BYTES = 16;

/**
 * What defines a call: everything that its caller wrote, but neither the deadline, the recovery nor the credential, for they
 * may differ when the same call is made again.
 */
export function createFingerprint(key: Uint8Array): Fingerprint {
  return (method, call) => {
    const { model, fallbackModels, endUser, input, native } = call;
    // A caller's own text says more than what was read of it.
    const content: unknown[] = [method, model, fallbackModels, ownTags(call), endUser, native?.text ?? input];
    if (native?.headers) content.push(native.headers);
    const digest = createHmac("sha256", key).update(encode(content)).digest();
    return digest.subarray(0, FINGERPRINT_BYTES).toString("base64url");
  };
}

/** Without those that came from the key: an operator may change them between two calls. */
function ownTags({ tags, principal }: ModelCall): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(tags).filter(([name, value]) => principal.tags[name] !== value));
}

/** One text for one value, whatever the order of its properties; a property that is undefined is as good as none. */
function encode(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Uint8Array) return `<${Buffer.from(value).toString("base64")}>`;
  if (Array.isArray(value)) return `[${value.map(encode).join()}]`;
  const properties = Object.entries(value)
    .filter(([, property]) => property !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${properties.map(([name, property]) => `${JSON.stringify(name)}:${encode(property)}`).join()}}`;
}
