import { GatewayError } from "../../core/errors.ts";
import type { Cors } from "./cors.ts";
import { type EdgeRequest, type EdgeResponse, type Handler, sendAnswer } from "./handler.ts";
import type { InFlightCap } from "./in-flight-cap.ts";
import { createPlainRoutes, type PlainRoute, type PlainRouteDependencies } from "./plain-routes.ts";
import { isRpc, refuse } from "./refusal.ts";
import { pathOf } from "./rpc-path.ts";

export interface HttpRouteDependencies extends PlainRouteDependencies {
  /** Takes every request that is an RPC by its path or framing, known or not. */
  readonly rpcHandler: Handler;
  /** Further routes by exact path, e.g. `/v1/costs`; they check method and key themselves. */
  readonly jsonRoutes: ReadonlyMap<string, Handler>;
  /** The APIs that are compatible with those of providers, by path; undefined for paths that are not of one. */
  readonly findCompatibleRoute?: ((path: string, request: EdgeRequest) => Handler | undefined) | undefined;
  /** Counts RPCs, `jsonRoutes` and the compatible APIs; health, metrics and documentation are exempt. */
  readonly inFlightCap: InFlightCap;
  readonly cors?: Cors | undefined;
  /** True: calls are refused as DRAINING. Unset: calls are served as long as there are connections. */
  readonly isRefusingCalls?: (() => boolean) | undefined;
  /** Failures of plain routes, which callers see as INTERNAL. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** What a refused caller is told to wait before it tries again. */
const OVERLOADED_RETRY_MS = 1_000;

/** Answers the plain routes and hands the calls on; an unknown path gets a 404 with `{"error": {…}}`. */
export function createHttpRoutes(dependencies: HttpRouteDependencies): Handler {
  const { rpcHandler, jsonRoutes, findCompatibleRoute, cors } = dependencies;
  const findPlainRoute = createPlainRoutes(dependencies);
  const admit = createAdmission(dependencies);

  return (request, response) => {
    if (cors?.apply(request, response)) return;
    if (isRpc(request)) {
      admit(request, response, rpcHandler);
      return;
    }
    const path = pathOf(request.url);
    const jsonRoute = jsonRoutes.get(path) ?? findCompatibleRoute?.(path, request);
    if (jsonRoute !== undefined) {
      admit(request, response, jsonRoute);
      return;
    }
    const plainRoute = findPlainRoute(path);
    if (plainRoute !== undefined) {
      void servePlain(plainRoute, request, response, dependencies.onError);
      return;
    }
    refuse(request, response, { reason: "NOT_FOUND", message: "there is nothing at this path" });
  };
}

/** Lets a call in while there is a place, before anything of its body is read. */
function createAdmission({ inFlightCap, isRefusingCalls }: HttpRouteDependencies) {
  const leave = () => inFlightCap.leave();
  return (request: EdgeRequest, response: EdgeResponse, handler: Handler): void => {
    if (isRefusingCalls?.()) {
      refuse(request, response, { reason: "DRAINING", message: "the gateway is shutting down" });
      return;
    }
    if (!inFlightCap.tryEnter()) {
      refuse(request, response, {
        reason: "OVERLOADED",
        message: "the gateway is at its in-flight limit",
        retryAfterMs: OVERLOADED_RETRY_MS,
      });
      return;
    }
    response.on("close", leave);
    handler(request, response);
  };
}

async function servePlain(
  route: PlainRoute,
  request: EdgeRequest,
  response: EdgeResponse,
  onError: ((error: unknown) => void) | undefined,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    refuse(request, response, {
      reason: "INVALID_REQUEST",
      message: "this path takes GET",
      httpStatus: 405,
      headers: { allow: "GET, HEAD" },
    });
    return;
  }
  try {
    sendAnswer(request, response, await route(request));
  } catch (error) {
    if (!(error instanceof GatewayError)) onError?.(error);
    const { reason, message } = GatewayError.from(error);
    const headers = reason === "UNAUTHENTICATED" ? { "www-authenticate": "Bearer" } : undefined;
    refuse(request, response, { reason, message, headers });
  }
}
