import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import type { ConnectError, ContextKey, ContextValues } from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import { newId, REQUEST_ID_PATTERN } from "../../core/ids.ts";
import type { Principal } from "../../core/keys.ts";
import type { CompletionEnd, RequestTelemetry, Telemetry } from "../../core/telemetry.ts";
import { errorHeaders, toConnectError } from "../error-map.ts";
import type { AuthenticatedCall } from "./call-context.ts";
import { type RpcProtocol, telemetryProtocol } from "./protocol.ts";
import { parseTimeoutMs, type TimeoutLimits } from "./timeout.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
/** Of HTTP/1.1, or of HTTP/2 through Node's compatible class, which has all that is used of the other. */
export type NodeResponse = ServerResponse;

/** A plain Node handler, for HTTP/1.1 and HTTP/2. */
export type NodeHandler = (request: NodeRequest, response: ServerResponse | Http2ServerResponse) => void;

/** The two response classes share what is used here, but their overloads cannot be called through a union. */
export function commonResponse(response: ServerResponse | Http2ServerResponse): NodeResponse {
  return response as ServerResponse;
}

/** The stream of an HTTP/2 response; undefined for HTTP/1.1. */
export function http2StreamOf(response: NodeResponse): ServerHttp2Stream | undefined {
  return "stream" in response ? (response.stream as ServerHttp2Stream | undefined) : undefined;
}

/** How long after the deadline the core may take to say what was spent, before the caller is answered without it. */
const DEADLINE_GRACE_MS = 30;
/** How long after the deadline a caller that does not read keeps its stream. */
const STALLED_READER_MS = 1000;

/** What `setTimeout` takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** One reason for all aborts: making an error with a stack for each costs more than the abort itself. */
const DEADLINE_PASSED = new GatewayError("DEADLINE_EXCEEDED", "the deadline passed");
const CALLER_WENT_AWAY = new GatewayError("CANCELLED", "the caller went away");

/** What a call needs to know of the method and of the process. */
export interface RpcCallSettings {
  /** Fully qualified, e.g. `llmgateway.v1.CompletionService/Complete`. */
  readonly rpcMethod: string;
  /** Calls without a deadline of their own may stay open. */
  readonly unlimited: boolean;
  /** Undefined: the call is not reported. Probes and reflection would drown what matters. */
  readonly telemetry: Telemetry | undefined;
  readonly clock: Clock;
  readonly timeouts: TimeoutLimits;
}

/**
 * One call, from its headers to its end: id, deadline, abort, telemetry, and how it failed. It travels through
 * Connect as the call's context values.
 */
export class RpcCall implements ContextValues, AuthenticatedCall {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly protocol: RpcProtocol;
  readonly #settings: RpcCallSettings;
  readonly #startedAtMs: number;
  readonly #controller = new AbortController();
  #deadlineTimer: NodeJS.Timeout | undefined;
  #requestTelemetry: RequestTelemetry | undefined;
  #principal: Principal | undefined;
  #completion: CompletionEnd | undefined;
  #begun = false;
  #finished = false;
  #onAbort: ((error: GatewayError) => void) | undefined;
  #onOverdue: ((error: GatewayError) => void) | undefined;
  requestId: string;
  deadlineAtMs = Number.POSITIVE_INFINITY;
  /** The error that the caller is sent; undefined while there is none that the gateway made. */
  failure: ConnectError | undefined;

  constructor(
    settings: RpcCallSettings,
    exchange: {
      readonly request: NodeRequest;
      readonly response: NodeResponse;
      readonly protocol: RpcProtocol;
    },
  ) {
    this.#settings = settings;
    this.request = exchange.request;
    this.response = exchange.response;
    this.protocol = exchange.protocol;
    this.#startedAtMs = settings.clock.monotonicMs();
    this.requestId = requestIdOf(exchange.request);
    this.response.once("close", () => this.#closed());
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get principal(): Principal {
    if (!this.#principal) throw new Error("the call was not authenticated");
    return this.#principal;
  }

  get telemetry(): RequestTelemetry {
    if (!this.#requestTelemetry) throw new Error("the call has no telemetry");
    return this.#requestTelemetry;
  }

  /**
   * Starts the deadline, counted from the arrival of the call.
   * @throws GatewayError INVALID_REQUEST when the caller's timeout is malformed
   */
  startDeadline(): void {
    const { timeouts, unlimited } = this.#settings;
    const stated = parseTimeoutMs(this.protocol, this.request.headers);
    if (stated === undefined && unlimited) return;
    const maxTimeoutMs = unlimited ? LONGEST_TIMER_MS : timeouts.maxTimeoutMs;
    const timeoutMs = Math.min(stated ?? timeouts.defaultTimeoutMs, maxTimeoutMs);
    this.deadlineAtMs = this.#startedAtMs + timeoutMs;
    this.#deadlineTimer = setTimeout(() => this.#overdue(), timeoutMs);
  }

  /** The message's id wins over the header's. Called once the message was read, or could not be. */
  begin(messageRequestId?: string): void {
    if (this.#begun) return;
    this.#begun = true;
    if (messageRequestId !== undefined && REQUEST_ID_PATTERN.test(messageRequestId))
      this.requestId = messageRequestId;
    if (!this.response.headersSent) this.response.setHeader("x-request-id", this.requestId);
    const { headers } = this.request;
    const { traceparent } = headers;
    this.#requestTelemetry = this.#settings.telemetry?.requestStarted({
      requestId: this.requestId,
      rpcMethod: this.#settings.rpcMethod,
      protocol: telemetryProtocol(this.protocol, headers["connect-protocol-version"] !== undefined),
      traceparent: typeof traceparent === "string" ? traceparent : undefined,
    });
  }

  authenticated(principal: Principal): void {
    this.#principal = principal;
    this.#requestTelemetry?.authenticated(principal.apiKeyId);
  }

  completed(end: CompletionEnd): void {
    this.#completion = end;
  }

  /** The message was read: what fails from here on is not the reading of the request. */
  get admitted(): boolean {
    return this.#begun;
  }

  /** Work was begun whose end will be reported. */
  get working(): boolean {
    return this.#onOverdue !== undefined;
  }

  /** Who is to be told of the abort first: the reader of the body. */
  onAbort(listener: (error: GatewayError) => void): void {
    this.#onAbort = listener;
  }

  /** Who answers when the work has not ended shortly after the deadline. */
  onOverdue(listener: (error: GatewayError) => void): void {
    this.#onOverdue = listener;
  }

  /** Reports the end of the work; only the first time counts. */
  finish(thrown?: unknown): void {
    if (this.#finished) return;
    this.#finished = true;
    this.begin();
    this.#requestTelemetry?.finished({
      error: thrown === undefined ? undefined : GatewayError.from(thrown),
      latencyMs: this.#settings.clock.monotonicMs() - this.#startedAtMs,
      completion: this.#completion,
    });
  }

  /** The error as the caller gets it; the first one counts. */
  fail(thrown: unknown): ConnectError {
    this.begin();
    if (!this.failure) {
      const error = GatewayError.from(thrown);
      this.failure = toConnectError(error, this.requestId);
      // Too late for headers in the middle of a stream: then what they say goes with its end.
      for (const [name, value] of Object.entries(errorHeaders(error, this.requestId))) {
        if (!this.response.headersSent) this.response.setHeader(name, value);
        // The id was among the headers that were sent: clients would join the two.
        else if (name !== "x-request-id") this.failure.metadata.set(name, value);
      }
    }
    return this.failure;
  }

  /**
   * Waits for the work, and reports its end whenever that is. When it has not ended shortly after the deadline,
   * the caller is told without it.
   */
  run<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.onOverdue((error) => reject(this.fail(error)));
      work.then(
        (value) => {
          this.finish();
          resolve(value);
        },
        (error: unknown) => {
          this.finish(error);
          reject(this.fail(error));
        },
      );
    });
  }

  #overdue(): void {
    this.#abort(DEADLINE_PASSED);
    this.#deadlineTimer = setTimeout(() => {
      this.#onOverdue?.(DEADLINE_PASSED);
      this.#deadlineTimer = setTimeout(() => this.#destroy(), STALLED_READER_MS);
    }, DEADLINE_GRACE_MS);
  }

  #closed(): void {
    clearTimeout(this.#deadlineTimer);
    if (!this.response.writableEnded) {
      this.#abort(CALLER_WENT_AWAY);
      this.#onOverdue?.(CALLER_WENT_AWAY);
    }
  }

  #abort(reason: GatewayError): void {
    if (this.#controller.signal.aborted) return;
    this.#controller.abort(reason);
    this.#onAbort?.(reason);
  }

  /** Ends a response that its reader does not take. */
  #destroy(): void {
    const stream = http2StreamOf(this.response);
    if (stream) stream.close(constants.NGHTTP2_CANCEL);
    else this.request.socket.destroy();
  }

  get<T>(key: ContextKey<T>): T {
    return key.defaultValue;
  }

  set(): this {
    return this;
  }

  delete(): this {
    return this;
  }
}

/** The id in the header `x-request-id` if it is one, or a new one. */
export function requestIdOf(request: NodeRequest): string {
  const stated = request.headers["x-request-id"];
  return typeof stated === "string" && REQUEST_ID_PATTERN.test(stated) ? stated : newId();
}
