import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import type { Gateway } from "../../core/gateway.ts";
import type { Authenticator } from "../../core/keys.ts";
import type { Telemetry } from "../../core/telemetry.ts";
import { presentedSecret } from "../rpc/credentials.ts";
import { authorize, type MethodAccess } from "../rpc/method-access.ts";
import { RequestBody } from "../rpc/request-body.ts";
import type { TimeoutLimits } from "../rpc/timeout.ts";
import { type CompatibleCall, idempotencyId } from "./compatible-call.ts";
import type { HeldBytes } from "./held-bytes.ts";

/** Limits of the APIs that are compatible with those of providers. */
export interface CompatibleLimits extends TimeoutLimits {
  /** The largest body: a few pictures in base64. */
  readonly maxBodyBytes: number;
}

export const DEFAULT_MAX_BODY_BYTES: number = 16 * 1024 * 1024;

export interface CompatibleDependencies {
  readonly gateway: Gateway;
  readonly authenticator: Authenticator;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly limits: CompatibleLimits;
  readonly heldBytes: HeldBytes;
}

/**
 * The steps that every call begins with: request id and telemetry, deadline, authentication, authorisation.
 * @throws GatewayError UNAUTHENTICATED, PERMISSION_DENIED, INVALID_REQUEST
 */
export async function authenticate(
  { authenticator, limits }: CompatibleDependencies,
  call: CompatibleCall,
  access: MethodAccess,
): Promise<void> {
  const { request } = call;
  call.begin(idempotencyId(request));
  call.startDeadline(limits, { streamed: false });
  call.authenticated(await authenticator.authenticate(presentedSecret(request.headers, request.rawHeaders)));
  authorize(call.principal, access);
}

/** The whole body. @throws GatewayError MESSAGE_TOO_LARGE, INVALID_REQUEST, or why the call ended before */
export function readBody({ limits }: CompatibleDependencies, call: CompatibleCall): Promise<Uint8Array> {
  const { request } = call;
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    throw new GatewayError("INVALID_REQUEST", "a compressed request is not understood");
  const body = new RequestBody(request, { maxMessageBytes: limits.maxBodyBytes, enveloped: false });
  call.onAbort((error) => body.fail(error));
  return body.whole;
}
