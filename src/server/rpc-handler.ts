import type { DescMessage } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type {
  UniversalHandler,
  UniversalHandlerOptions,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Authenticator } from "../core/keys.ts";
import type { Telemetry } from "../core/telemetry.ts";
import { fromReadFailure } from "./error-map.ts";
import { commonResponse, type NodeHandler, type NodeRequest, type NodeResponse } from "./node-exchange.ts";
import type { Checks, ServedMethod } from "./rpc/call-runner.ts";
import { createProtocolHandlers, type ProtocolHandlers } from "./rpc/connect-handlers.ts";
import { connectOptions } from "./rpc/connect-options.ts";
import type { DirectCalls } from "./rpc/direct-call.ts";
import { DirectStream } from "./rpc/direct-stream.ts";
import { DirectUnary } from "./rpc/direct-unary.ts";
import { createMessageValidator } from "./rpc/message-validator.ts";
import { accessOf } from "./rpc/method-access.ts";
import { protocolOf } from "./rpc/protocol.ts";
import { rejectCall } from "./rpc/reject-call.ts";
import { RequestBody } from "./rpc/request-body.ts";
import { RpcCall, type RpcCallSettings } from "./rpc/rpc-call.ts";
import { rpcHeaders } from "./rpc/rpc-headers.ts";
import type { RpcMethod } from "./rpc/rpc-method.ts";
import type { TimeoutLimits } from "./rpc/timeout.ts";
import { writeResponse } from "./rpc/write-response.ts";

/** Limits of the RPC layer. */
export interface RpcLimits extends TimeoutLimits {
  /** The largest message, compressed and not. */
  readonly maxMessageBytes: number;
}

export const DEFAULT_RPC_LIMITS: RpcLimits = {
  defaultTimeoutMs: 60_000,
  maxTimeoutMs: 600_000,
  maxMessageBytes: 4 * 1024 * 1024,
};

export interface RpcHandlerDependencies {
  readonly methods: readonly RpcMethod[];
  readonly authenticator: Authenticator;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly limits: RpcLimits;
  /** False: all calls go through Connect's handlers. Both answer the same; tests compare them. */
  readonly direct?: boolean;
}

/** One RPC, ready to be called. */
interface Route {
  readonly handlers: ProtocolHandlers;
  /** For what need not go through the handlers. */
  readonly direct: DirectCalls<ServedMethod> | undefined;
  readonly settings: RpcCallSettings;
  readonly bidi: boolean;
  readonly get: boolean;
}

/**
 * Serves the RPCs by gRPC, gRPC-Web, Connect and HTTP/JSON, those without side effects also by GET. Takes the place
 * of Connect's own Node adapter, which copies headers and parses a URL for each call, reports failures to the
 * console, and leaves the errors that Connect makes without details. Plain calls go past Connect's handlers.
 */
export function createRpcHandler(dependencies: RpcHandlerDependencies): NodeHandler {
  const { limits } = dependencies;
  const routes = createRoutes(dependencies);
  return (request, anyResponse) => {
    const response = commonResponse(anyResponse);
    const path = pathOf(request.url);
    const route = routes.get(path);
    if (!route) {
      rejectUnknown(request, response, path);
      return;
    }
    const protocol =
      request.method === "POST"
        ? protocolOf(request.headers["content-type"])
        : request.method === "GET" && route.get
          ? "connect_unary"
          : undefined;
    const handler = protocol && route.handlers[protocol];
    if (!protocol || !handler) {
      rejectForm(request, response, route);
      return;
    }
    const call = new RpcCall(route.settings, { request, response, protocol });
    serve({ call, handler, route, limits }).catch((error: unknown) => {
      call.finish(error);
      if (response.headersSent || response.destroyed) response.destroy();
      else rejectCall(request, response, GatewayError.from(error), { requestId: call.requestId });
    });
  };
}

function createRoutes(dependencies: RpcHandlerDependencies): ReadonlyMap<string, Route> {
  const { methods, authenticator, telemetry, clock, limits } = dependencies;
  const served: ServedMethod[] = methods.map((method) => ({ ...method, access: accessOf(method.method) }));
  const inputs: DescMessage[] = served.map(({ method }) => method.input);
  const checks: Checks = { authenticator, validate: createMessageValidator(inputs) };
  const options = connectOptions(limits.maxMessageBytes);
  const protocolHandlers = createProtocolHandlers(checks, options);
  return new Map(
    served.map((method) => {
      const rpcMethod = `${method.method.parent.typeName}/${method.method.name}`;
      const isPublic = method.access === "public";
      const settings = {
        rpcMethod,
        unlimited: isPublic && method.kind !== "unary",
        telemetry: isPublic ? undefined : telemetry,
        clock,
        timeouts: limits,
      };
      const get = method.method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
      const bidi = method.kind === "bidi_streaming";
      const direct = dependencies.direct === false ? undefined : directCalls(checks, method, options);
      return [`/${rpcMethod}`, { handlers: protocolHandlers(method), direct, settings, bidi, get }];
    }),
  );
}

function directCalls(
  checks: Checks,
  served: ServedMethod,
  options: UniversalHandlerOptions,
): DirectCalls<ServedMethod> | undefined {
  switch (served.kind) {
    case "unary":
      return new DirectUnary(checks, served, options);
    case "server_streaming":
      return new DirectStream(checks, served, options);
    case "bidi_streaming":
      return undefined;
    default:
      return served satisfies never;
  }
}

async function serve(served: {
  readonly call: RpcCall;
  readonly handler: UniversalHandler;
  readonly route: Route;
  readonly limits: RpcLimits;
}): Promise<void> {
  const { call, handler, route, limits } = served;
  const { request, response, protocol } = call;
  try {
    if (route.bidi && request.httpVersionMajor < 2)
      throw new GatewayError("UNIMPLEMENTED", "a stream in both directions needs HTTP/2");
    if (request.method === "GET") checkQuery(request.url ?? "");
    call.startDeadline();
  } catch (error) {
    rejectBegun(call, GatewayError.from(error));
    return;
  }
  const body = route.bidi
    ? undefined
    : new RequestBody(request, {
        maxMessageBytes: limits.maxMessageBytes,
        enveloped: protocol !== "connect_unary",
      });
  call.onAbort((error) => (body ? body.fail(error) : request.destroy()));
  const direct = body && (await route.direct?.read(call, body));
  if (direct) {
    await route.direct?.answer(call, direct);
    return;
  }
  const answer = await handler({
    httpVersion: request.httpVersion,
    method: request.method ?? "POST",
    // Only the query of a GET is looked at.
    url: request.method === "GET" ? `http://gateway${request.url}` : "http://gateway/",
    header: rpcHeaders(request.headers),
    body: body ?? (request as AsyncIterable<Uint8Array>),
    signal: call.signal,
    contextValues: call,
  });
  if (response.destroyed) {
    // What was begun reports its own end, with what it cost.
    if (!call.working) call.finish(body?.failure ?? new GatewayError("CANCELLED", "the caller went away"));
    return;
  }
  if (protocol === "connect_unary" && answer.status !== 200 && !call.failure)
    rejectBegun(call, body?.failure ?? (await readFailureOf(answer, call)));
  else await writeResponse(answer, call);
}

/** Answers a call with an error that did not come from its handler, and reports its end. */
function rejectBegun(call: RpcCall, error: GatewayError): void {
  call.finish(error);
  call.fail(error);
  rejectCall(call.request, call.response, error, { requestId: call.requestId });
}

/** What Connect's handler for unary calls found wrong with the request; with the answer, if the handler had run. */
async function readFailureOf(answer: UniversalServerResponse, call: RpcCall): Promise<GatewayError> {
  if (call.admitted) return new GatewayError("INTERNAL", "internal error");
  const unreadable = new GatewayError("INVALID_REQUEST", "the request could not be read");
  // Only long messages are compressed, and only those that repeat a caller's long text are long.
  if (!answer.body || answer.header?.has("content-encoding")) return unreadable;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  const json: unknown = JSON.parse(Buffer.concat(chunks).toString());
  if (typeof json !== "object" || json === null || !("code" in json)) return unreadable;
  const code = codeFromString(String(json.code)) ?? Code.InvalidArgument;
  // Connect says "internal error" for what it did not expect, such as base64 that is none.
  if (code === Code.Internal || !("message" in json)) return unreadable;
  return fromReadFailure(new ConnectError(String(json.message), code));
}

/** @throws GatewayError INVALID_REQUEST: a URL's parser would put replacement characters in place of bad UTF-8 */
function checkQuery(url: string): void {
  try {
    decodeURIComponent(url);
  } catch (error) {
    throw new GatewayError("INVALID_REQUEST", "the query is not valid UTF-8", { cause: error });
  }
}

function pathOf(url: string | undefined): string {
  if (url === undefined) return "";
  const queryAt = url.indexOf("?");
  return queryAt < 0 ? url : url.slice(0, queryAt);
}

function rejectUnknown(request: NodeRequest, response: NodeResponse, path: string): void {
  const isCall = request.method === "POST" && protocolOf(request.headers["content-type"]) !== undefined;
  const error = isCall
    ? new GatewayError("UNIMPLEMENTED", `there is no method ${path.slice(0, 200)}`)
    : new GatewayError("NOT_FOUND", "there is nothing at this path");
  rejectCall(request, response, error);
}

/** The method exists, but not in this form. */
function rejectForm(request: NodeRequest, response: NodeResponse, route: Route): void {
  const allow = route.get ? "GET, POST" : "POST";
  if (request.method === "POST") {
    const error = new GatewayError("INVALID_REQUEST", "the content type does not fit the method");
    rejectCall(request, response, error, { httpStatus: 415 });
    return;
  }
  const error = new GatewayError("INVALID_REQUEST", `the method takes ${allow}`);
  rejectCall(request, response, error, { httpStatus: 405, headers: { allow } });
}
