import type { Clock } from "../../core/clock.ts";
import type { Gateway } from "../../core/gateway.ts";
import type { Authenticator } from "../../core/keys.ts";
import type { Telemetry } from "../../core/telemetry.ts";
import { presentedSecret } from "../rpc/credentials.ts";
import { authorize, type MethodAccess } from "../rpc/method-access.ts";
import type { TimeoutLimits } from "../rpc/timeout.ts";
import { idempotencyId, type OpenAiCall } from "./openai-call.ts";

/** Limits of the OpenAI-compatible API. */
export interface OpenAiLimits extends TimeoutLimits {
  /** The largest body: a few pictures in base64. */
  readonly maxBodyBytes: number;
}

export const DEFAULT_MAX_BODY_BYTES: number = 16 * 1024 * 1024;

export interface OpenAiDependencies {
  readonly gateway: Gateway;
  readonly authenticator: Authenticator;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly limits: OpenAiLimits;
}

/**
 * The steps that every call begins with: request id and telemetry, deadline, authentication, authorisation.
 * @throws GatewayError UNAUTHENTICATED, PERMISSION_DENIED, INVALID_REQUEST
 */
export async function authenticate(
  { authenticator, limits }: OpenAiDependencies,
  call: OpenAiCall,
  access: MethodAccess,
): Promise<void> {
  const { request } = call;
  call.begin(idempotencyId(request));
  call.startDeadline(limits, { streamed: false });
  call.authenticated(await authenticator.authenticate(presentedSecret(request.headers, request.rawHeaders)));
  authorize(call.principal, access);
}
