import { constants } from "node:http2";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { REQUEST_ID_PATTERN } from "../core/ids.ts";
import type { Principal } from "../core/keys.ts";
import type { CompletionEnd, RequestTelemetry, Telemetry } from "../core/telemetry.ts";
import { http2StreamOf, type NodeRequest, type NodeResponse, requestIdOf } from "./node-exchange.ts";
import type { AuthenticatedCall } from "./rpc/call-context.ts";

/** How long after the deadline the core may take to say what was spent, before the caller is answered without it. */
const DEADLINE_GRACE_MS = 30;
/** How long after the deadline a caller that does not read keeps its stream. */
const STALLED_READER_MS = 1000;

/** One reason for all aborts: making an error with a stack for each costs more than the abort itself. */
const DEADLINE_PASSED = new GatewayError("DEADLINE_EXCEEDED", "the deadline passed");
const CALLER_WENT_AWAY = new GatewayError("CANCELLED", "the caller went away");

/** What a call needs to know of its method and of the process. */
export interface ServedCallSettings {
  /** Names what is called, e.g. `llmgateway.v1.CompletionService/Complete` or `POST /v1/chat/completions`. */
  readonly rpcMethod: string;
  /** Undefined: the call is not reported. Probes and reflection would drown what matters. */
  readonly telemetry: Telemetry | undefined;
  readonly clock: Clock;
}

/** One call of whatever protocol, from its headers to its end: id, deadline, abort and telemetry. */
export abstract class ServedCall implements AuthenticatedCall {
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly #settings: ServedCallSettings;
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

  constructor(
    settings: ServedCallSettings,
    exchange: { readonly request: NodeRequest; readonly response: NodeResponse },
  ) {
    this.#settings = settings;
    this.request = exchange.request;
    this.response = exchange.response;
    this.#startedAtMs = settings.clock.monotonicMs();
    this.requestId = requestIdOf(exchange.request);
    this.response.on("close", () => this.#closed());
  }

  /** The `protocol` of telemetry. */
  protected abstract readonly telemetryProtocol: string;

  /** Puts the request id, which is known from here on, among the headers of the response. */
  protected abstract tellRequestId(): void;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get principal(): Principal {
    if (!this.#principal) throw new Error("the call was not authenticated");
    return this.#principal;
  }

  get inJson(): boolean {
    return this.request.headers["content-type"]?.includes("json") ?? false;
  }

  get telemetry(): RequestTelemetry {
    if (!this.#requestTelemetry) throw new Error("the call has no telemetry");
    return this.#requestTelemetry;
  }

  /** Starts the deadline, counted from the arrival of the call; a later one takes its place. */
  protected limitTo(timeoutMs: number): void {
    clearTimeout(this.#deadlineTimer);
    this.deadlineAtMs = this.#startedAtMs + timeoutMs;
    // A timer drops the fraction: without rounding up it would fire before the deadline.
    const remainingMs = Math.ceil(this.deadlineAtMs - this.#settings.clock.monotonicMs());
    this.#deadlineTimer = setTimeout(() => this.#overdue(), Math.max(0, remainingMs));
  }

  /** A caller's own id wins over the header's. Called once the message was read, or could not be. */
  begin(callersRequestId?: string): void {
    if (this.#begun) return;
    this.#begun = true;
    if (callersRequestId !== undefined && REQUEST_ID_PATTERN.test(callersRequestId))
      this.requestId = callersRequestId;
    this.tellRequestId();
    const { traceparent } = this.request.headers;
    this.#requestTelemetry = this.#settings.telemetry?.requestStarted({
      requestId: this.requestId,
      rpcMethod: this.#settings.rpcMethod,
      protocol: this.telemetryProtocol,
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
}
