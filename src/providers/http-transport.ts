import type { IncomingHttpHeaders } from "node:http";
import { type Dispatcher, Pool } from "undici";
import type { CallTimeouts } from "../core/provider.ts";
import { PhaseTimer, type TimeoutPhase } from "./phase-timer.ts";

/** Open sockets to one provider. A call that finds them all busy waits, at most for the connect limit. */
export const DEFAULT_MAX_SOCKETS = 2_048;

/** An idle socket is kept this long, unless the provider's `keep-alive` header says less. */
const KEEP_ALIVE_MS = 10_000;

/** After the terminal event of a stream the response should end at once; if not, its socket is not kept. */
const LINGER_MS = 250;

export interface HttpTransportOptions {
  /** Scheme, host, port: the only place that requests, and with them the credentials, are ever sent to. */
  readonly origin: string;
  /** Limit of DNS, TCP, TLS and the wait for a free socket together. */
  readonly connectTimeoutMs: number;
  readonly maxSockets: number;
}

export interface PostRequest {
  /** Absolute path on the origin. */
  readonly path: string;
  /** Names and values alternating. */
  readonly headers: string[];
  readonly body: string;
  readonly timeouts: CallTimeouts;
  readonly signal: AbortSignal;
  /** Told once, when the request may have reached the provider. */
  readonly onSent: (() => void) | undefined;
  /** Finds the provider's id of the call, by which a call that broke later can be found on the provider's bill. */
  readonly readRequestId?: ((headers: IncomingHttpHeaders) => string | undefined) | undefined;
}

/** Why an exchange ended before its response did. `sent` is true once the request may have reached the provider. */
export type TransportFailure =
  | { readonly kind: "aborted"; readonly reason: unknown; readonly sent: boolean }
  | {
      readonly kind: "timeout";
      readonly phase: TimeoutPhase;
      readonly limitMs: number;
      readonly sent: boolean;
    }
  | { readonly kind: "network"; readonly error: Error; readonly sent: boolean };

/** What becomes of a request: headers, data…, and then either the end or one failure. */
export interface ResponseListener {
  onHeaders(status: number, headers: IncomingHttpHeaders): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onFailure(failure: TransportFailure): void;
}

/**
 * HTTP/1.1 to one origin over kept-alive sockets, one request at a time on each, so that aborting a request is
 * closing its socket. Never follows a redirect, never repeats a request, always verifies TLS certificates.
 *
 * On undici's `dispatch`, the layer below `Pool.request`: a whole call of an adapter (request built, limits kept,
 * answer read) took 28 to 31 µs of CPU against a local server, bare `Pool.request` with `JSON.parse` alone 36 µs.
 */
export class HttpTransport {
  readonly #pool: Pool;
  readonly #connectTimeoutMs: number;

  constructor(options: HttpTransportOptions) {
    this.#connectTimeoutMs = options.connectTimeoutMs;
    this.#pool = new Pool(options.origin, {
      connections: options.maxSockets,
      // HTTP/2 would multiplex calls on one socket: an abort would no longer close it, and one loss would fail many.
      allowH2: false,
      pipelining: 1,
      connectTimeout: options.connectTimeoutMs,
      // Every limit is kept by PhaseTimer, which tells content from keep-alive bytes; undici's timers cannot.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
  }

  /** Sends one POST. The listener hears of it later, never before this returns. */
  post(request: PostRequest, createListener: (exchange: Exchange) => ResponseListener): void {
    const exchange = new Exchange(request, this.#connectTimeoutMs, createListener);
    if (exchange.over) return;
    this.#pool.dispatch(
      { path: request.path, method: "POST", headers: request.headers, body: request.body, idempotent: false },
      exchange,
    );
  }

  /** Closes every socket at once; calls still running fail. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** Thrown into undici and passed to it as an abort reason; nothing reads it, so one object serves all. */
const ABORTED = Object.freeze(new Error("aborted"));

/** One request and its response. Made by HttpTransport; the listener steers it. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: PostRequest;
  readonly #timer: PhaseTimer;
  readonly #listener: ResponseListener;
  #controller: Dispatcher.DispatchController | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;
  #sent = false;
  #responseEnded = false;
  #over = false;

  constructor(
    request: PostRequest,
    connectTimeoutMs: number,
    createListener: (exchange: Exchange) => ResponseListener,
  ) {
    this.#request = request;
    this.#timer = new PhaseTimer({
      totalMs: request.timeouts.totalMs,
      onTimeout: (phase, limitMs) => this.#onTimeout(phase, limitMs),
    });
    this.#listener = createListener(this);
    if (request.signal.aborted || request.timeouts.totalMs <= 0) {
      // Too late before it began: nothing is sent. The listener is told after `post` has returned.
      this.#over = true;
      queueMicrotask(() => (request.signal.aborted ? this.#tellAborted() : this.#tellExpired()));
      return;
    }
    request.signal.addEventListener("abort", this.#onAbort, { once: true });
    if (connectTimeoutMs < request.timeouts.firstTokenMs) this.#timer.enter("connect", connectTimeoutMs);
    else this.#timer.enter("first_token", request.timeouts.firstTokenMs, this.#timer.startedMs);
  }

  /** Nothing more will be told to the listener. */
  get over(): boolean {
    return this.#over;
  }

  /** The provider's id of this call. */
  requestIdIn(headers: IncomingHttpHeaders): string | undefined {
    return this.#request.readRequestId?.(headers);
  }

  /** Content arrived: the first-token limit is met, the idle limit starts anew. */
  progress(): void {
    this.#timer.enter("idle", this.#request.timeouts.idleMs);
  }

  /** From here on only the total limit counts, or `limitMs` if that is shorter. */
  awaitRest(limitMs: number = Number.POSITIVE_INFINITY): void {
    this.#timer.enter("total", limitMs);
  }

  /** Stops reading; at most one more chunk is told. The reader's slowness is not held against the provider. */
  pause(): void {
    this.#controller?.pause();
    this.awaitRest();
  }

  resume(): void {
    if (this.#over) return;
    this.progress();
    this.#controller?.resume();
  }

  /** The listener has all that it needs. The socket is kept if the response ends soon. */
  release(): void {
    if (!this.#finish() || this.#responseEnded) return;
    const controller = this.#controller;
    this.#lingerTimer = setTimeout(() => controller?.abort(ABORTED), LINGER_MS);
    this.#lingerTimer.unref();
    controller?.resume();
  }

  /** Closes the socket at once; the listener is told nothing more. */
  abort(): void {
    if (this.#finish()) this.#controller?.abort(ABORTED);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // A request that was given up while it waited for a socket: throwing drops it and leaves the socket to others.
    if (this.#over) throw ABORTED;
    this.#controller = controller;
    this.#sent = true;
    this.#request.onSent?.();
    this.#timer.enter("first_token", this.#request.timeouts.firstTokenMs, this.#timer.startedMs);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    // Informational responses such as 103 come before the real one.
    if (this.#over || status < 200) return;
    this.#listener.onHeaders(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#over) this.#listener.onData(chunk);
  }

  onResponseEnd(): void {
    this.#responseEnded = true;
    clearTimeout(this.#lingerTimer);
    if (!this.#over) this.#listener.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    clearTimeout(this.#lingerTimer);
    if (!this.#finish()) return;
    // Without a free turn a connection refused at once would be told before `post` returned.
    const failure: TransportFailure = { kind: "network", error, sent: this.#sent };
    queueMicrotask(() => this.#listener.onFailure(failure));
  }

  #onTimeout(phase: TimeoutPhase, limitMs: number): void {
    if (!this.#finish()) return;
    this.#controller?.abort(ABORTED);
    this.#listener.onFailure({ kind: "timeout", phase, limitMs, sent: this.#sent });
  }

  readonly #onAbort = (): void => {
    if (!this.#finish()) return;
    this.#controller?.abort(ABORTED);
    this.#tellAborted();
  };

  #tellAborted(): void {
    this.#listener.onFailure({ kind: "aborted", reason: this.#request.signal.reason, sent: this.#sent });
  }

  #tellExpired(): void {
    this.#listener.onFailure({ kind: "timeout", phase: "total", limitMs: 0, sent: false });
  }

  /** False when it was over already. */
  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#timer.clear();
    // A signal that V8 has moved to its old generation would keep all of this exchange until the next full collection.
    this.#request.signal.removeEventListener("abort", this.#onAbort);
    return true;
  }
}
