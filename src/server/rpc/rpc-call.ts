import type { ConnectError, ContextKey, ContextValues } from "@connectrpc/connect";
import { GatewayError } from "../../core/errors.ts";
import { errorHeaders, toConnectError } from "../error-map.ts";
import type { NodeRequest, NodeResponse } from "../node-exchange.ts";
import { ServedCall, type ServedCallSettings } from "../served-call.ts";
import { type RpcProtocol, telemetryProtocol } from "./protocol.ts";
import { parseTimeoutMs, type TimeoutLimits } from "./timeout.ts";

/** What `setTimeout` takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What an RPC needs to know of its method and of the process. */
export interface RpcCallSettings extends ServedCallSettings {
  /** Calls without a deadline of their own may stay open. */
  readonly unlimited: boolean;
  readonly timeouts: TimeoutLimits;
}

/** One RPC, and how it failed. It travels through Connect as the call's context values. */
export class RpcCall extends ServedCall implements ContextValues {
  readonly protocol: RpcProtocol;
  readonly #settings: RpcCallSettings;
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
    super(settings, exchange);
    this.#settings = settings;
    this.protocol = exchange.protocol;
  }

  protected get telemetryProtocol(): string {
    return telemetryProtocol(this.protocol, this.request.headers["connect-protocol-version"] !== undefined);
  }

  protected tellRequestId(): void {
    if (!this.response.headersSent) this.response.setHeader("x-request-id", this.requestId);
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
    this.limitTo(Math.min(stated ?? timeouts.defaultTimeoutMs, maxTimeoutMs));
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
