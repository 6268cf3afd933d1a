import type { EdgeRequest } from "./handler.ts";
import type { Refusal } from "./refusal.ts";

export interface HeaderLimits {
  readonly maxHeaders: number;
  readonly maxHeaderBytes: number;
}

/**
 * Headers that must not come twice: which of two counts would depend on which proxy on the way reads which. Node
 * keeps the first of some of them silently, so only the raw headers show it.
 */
const SINGLE: ReadonlySet<string> = new Set([
  "authorization",
  "connect-timeout-ms",
  "content-length",
  "content-type",
  "grpc-timeout",
  "host",
  "idempotency-key",
  "x-api-key",
  "x-llm-gateway-recovery",
  "x-llm-gateway-timeout-ms",
  "x-request-id",
]);

/**
 * What is wrong with a request's raw headers (name, value, name, value …); undefined when nothing is. HTTP/2 pseudo
 * headers are not counted.
 */
export function findHeaderFault(
  { rawHeaders, headers }: Pick<EdgeRequest, "rawHeaders" | "headers">,
  { maxHeaders, maxHeaderBytes }: HeaderLimits,
): Refusal | undefined {
  let count = 0;
  let bytes = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const rawName = rawHeaders[index] ?? "";
    if (rawName.startsWith(":")) continue;
    count += 1;
    bytes += rawName.length + (rawHeaders[index + 1]?.length ?? 0);
  }
  // Node has one member for each name.
  if (Object.keys(headers).length < rawHeaders.length / 2) {
    const repeated = findRepeated(rawHeaders);
    if (repeated !== undefined) return fault(`the header ${repeated} was sent more than once`);
  }
  if (count > maxHeaders) return tooLarge(`more than ${maxHeaders} headers were sent`);
  if (bytes > maxHeaderBytes) return tooLarge(`the headers exceed ${maxHeaderBytes} bytes`);
  return undefined;
}

/** The name of a header that must not come twice, and does. */
function findRepeated(rawHeaders: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    if (seen.has(name)) return name;
    if (SINGLE.has(name)) seen.add(name);
  }
  return undefined;
}

function fault(message: string): Refusal {
  return { reason: "INVALID_REQUEST", message };
}

function tooLarge(message: string): Refusal {
  return { ...fault(message), httpStatus: 431 };
}
