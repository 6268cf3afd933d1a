import { GatewayError } from "../../core/errors.ts";
import type { RpcProtocol } from "./protocol.ts";

const GRPC_TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const GRPC_UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1000],
  ["m", 1],
  ["u", 1e-3],
  ["n", 1e-6],
]);
const CONNECT_TIMEOUT = /^\d{1,10}$/;

/** How long callers may take. */
export interface TimeoutLimits {
  /** For calls that state no timeout. */
  readonly defaultTimeoutMs: number;
  /** A longer timeout is cut to this, not refused: the caller gets at most what it asked for. */
  readonly maxTimeoutMs: number;
}

/**
 * The timeout that a caller states in `grpc-timeout` or `connect-timeout-ms`, in milliseconds; undefined when it
 * states none.
 * @throws GatewayError INVALID_REQUEST when the header is malformed
 */
export function parseTimeoutMs(
  protocol: RpcProtocol,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): number | undefined {
  const name = protocol === "grpc" || protocol === "grpc_web" ? "grpc-timeout" : "connect-timeout-ms";
  const value = headers[name];
  if (value === undefined) return undefined;
  if (typeof value === "string") {
    if (name === "connect-timeout-ms") {
      if (CONNECT_TIMEOUT.test(value)) return Number(value);
    } else {
      const [, digits, unit] = GRPC_TIMEOUT.exec(value) ?? [];
      const unitMs = GRPC_UNIT_MS.get(unit ?? "");
      if (unitMs !== undefined) return Number(digits) * unitMs;
    }
  }
  throw new GatewayError("INVALID_REQUEST", `the header ${name} is malformed`);
}
