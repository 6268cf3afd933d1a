import { GatewayError } from "../../core/errors.ts";
import { commonResponse, type NodeHandler } from "../node-exchange.ts";
import { type CompatibleApi, CompatibleCall } from "./compatible-call.ts";
import type { CompatibleDependencies } from "./compatible-dependencies.ts";

/** The route of a path; undefined when there is none. */
export type FindRoute = (path: string) => NodeHandler | undefined;

/** Makes routes of one API, each named by its method and path, e.g. `POST /v1/chat/completions`. */
export function createRouteMaker(api: CompatibleApi, { telemetry, clock }: CompatibleDependencies) {
  return (name: string, serve: (call: CompatibleCall) => void): NodeHandler => {
    const [method = ""] = name.split(" ", 1);
    const settings = { rpcMethod: name, telemetry, clock };
    return (request, response) => {
      const call = new CompatibleCall(api, settings, { request, response: commonResponse(response) });
      if (request.method === method || (method === "GET" && request.method === "HEAD")) serve(call);
      else refuseMethod(call, method);
    };
  };
}

function refuseMethod(call: CompatibleCall, method: string): void {
  const error = new GatewayError("INVALID_REQUEST", `this path takes ${method}`);
  call.finish(error);
  call.sendError(error, { status: 405, headers: { allow: method } });
}
