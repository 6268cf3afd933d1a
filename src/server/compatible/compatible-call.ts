import { createHash } from "node:crypto";
import { GatewayError } from "../../core/errors.ts";
import { CompletionError } from "../../core/gateway.ts";
import { REQUEST_ID_PATTERN } from "../../core/ids.ts";
import type { RateLimitStatus } from "../../core/keys.ts";
import type { Recovery } from "../../core/route.ts";
import { pathOf } from "../edge/rpc-path.ts";
import type { NodeRequest, NodeResponse } from "../node-exchange.ts";
import type { TimeoutLimits } from "../rpc/timeout.ts";
import { releaseRequest } from "../rpc/write-response.ts";
import { ServedCall, type ServedCallSettings } from "../served-call.ts";
import { factHeaders } from "./gateway-facts.ts";

/** Milliseconds for the whole call; ours. */
const TIMEOUT_HEADER = "x-llm-gateway-timeout-ms";
/** `off` or `restart`; ours. */
const RECOVERY_HEADER = "x-llm-gateway-recovery";
/** Seconds in which the clients of OpenAI and of Anthropic want the whole answer, or the head of a stream. */
const SDK_TIMEOUT_HEADER = "x-stainless-timeout";

/** An answer that is sent as a whole. */
export interface WholeAnswer {
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
}

/** Any failure in the words of an API. */
export interface CompatibleError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** To be made JSON. */
  readonly body: object;
}

/** What the answers of an API have in common, whatever is asked for. */
export interface CompatibleApi {
  /** `protocol` of telemetry. */
  readonly protocol: string;
  /** Besides `x-request-id`. */
  readonly requestIdHeader?: string | undefined;
  /** What is left of the key's own limits. */
  rateLimitHeaders(limits: RateLimitStatus): Record<string, string>;
  /** The same for a request that was refused for a limit. */
  refusedLimitHeaders(error: GatewayError): Record<string, string>;
  /** `cause` never leaves. */
  toError(thrown: unknown, requestId: string): CompatibleError;
}

/** One call of an API that is compatible with a provider's. */
export class CompatibleCall extends ServedCall {
  readonly api: CompatibleApi;
  protected readonly telemetryProtocol: string;
  /** What is left of the key's limits; undefined before it was admitted, and when it has none. */
  limits: RateLimitStatus | undefined;

  constructor(
    api: CompatibleApi,
    settings: ServedCallSettings,
    exchange: { readonly request: NodeRequest; readonly response: NodeResponse },
  ) {
    super(settings, exchange);
    this.api = api;
    this.telemetryProtocol = api.protocol;
  }

  /** Without its query. */
  get path(): string {
    return pathOf(this.request.url);
  }

  /** Nothing yet: headers that are all set at once, with the head, cost half as much. */
  protected tellRequestId(): void {}

  /**
   * Starts the deadline, counted from the arrival of the call: the caller's header, else what the provider's client
   * says, else the default. That client's timeout ends at the head of a stream, so that it does not shorten a stream.
   * @throws GatewayError INVALID_REQUEST when our header is malformed
   */
  startDeadline(
    { defaultTimeoutMs, maxTimeoutMs }: TimeoutLimits,
    { streamed }: { streamed: boolean },
  ): void {
    const { headers } = this.request;
    const stated = headers[TIMEOUT_HEADER];
    let timeoutMs = readWhole(stated);
    if (stated !== undefined && timeoutMs === undefined)
      throw new GatewayError("INVALID_REQUEST", `the header ${TIMEOUT_HEADER} is malformed`);
    if (timeoutMs === undefined) {
      const ofClientMs = (readWhole(headers[SDK_TIMEOUT_HEADER]) ?? 0) * 1000;
      // Less than a second is sent as zero.
      if (ofClientMs === 0) timeoutMs = defaultTimeoutMs;
      else timeoutMs = streamed ? Math.max(ofClientMs, defaultTimeoutMs) : ofClientMs;
    }
    this.limitTo(Math.min(timeoutMs, maxTimeoutMs));
  }

  /** What its caller wants to become of a stream that breaks off. @throws GatewayError INVALID_REQUEST */
  recovery(): Recovery | undefined {
    const stated = this.request.headers[RECOVERY_HEADER];
    if (stated === undefined || stated === "off" || stated === "restart") return stated;
    throw new GatewayError("INVALID_REQUEST", `the header ${RECOVERY_HEADER} is neither off nor restart`);
  }

  /** Answers with what the work comes to, or shortly after the deadline without it, and reports its end. */
  answer(work: Promise<WholeAnswer>): void {
    this.onOverdue((error) => this.sendError(error));
    work.then(
      (answer) => {
        this.finish();
        this.#send(200, answer.headers, answer.body);
      },
      (error: unknown) => {
        this.finish(error);
        this.sendError(error);
      },
    );
  }

  /** Answers with an error; does nothing once an answer has begun. */
  sendError(thrown: unknown, extra: { readonly status?: number; readonly headers?: object } = {}): void {
    this.begin();
    const { status, headers, body } = this.api.toError(thrown, this.requestId);
    this.#send(
      extra.status ?? status,
      {
        ...headers,
        ...(thrown instanceof GatewayError && this.api.refusedLimitHeaders(thrown)),
        ...(thrown instanceof CompletionError && factHeaders(this.#factsOf(thrown))),
        ...extra.headers,
      },
      JSON.stringify(body),
    );
  }

  /** Of every answer: which call it is of, and what is left of the key's limits. */
  commonHeaders(): Record<string, string> {
    const { api, limits, requestId } = this;
    const headers: Record<string, string> = limits ? api.rateLimitHeaders(limits) : {};
    headers["x-request-id"] = requestId;
    if (api.requestIdHeader !== undefined) headers[api.requestIdHeader] = requestId;
    return headers;
  }

  #factsOf({ attempts, replayed }: CompletionError) {
    const last = attempts.at(-1);
    return { requestId: this.requestId, provider: last?.provider, model: last?.model, attempts, replayed };
  }

  #send(status: number, headers: Readonly<Record<string, string>>, body: string): void {
    const { request, response } = this;
    if (response.headersSent || response.destroyed) return;
    if (!request.complete) releaseRequest(request, response);
    // A list, which spares merging three objects for each answer. No name may be in it twice: both would be sent.
    const list = ["content-type", "application/json", "content-length", String(Buffer.byteLength(body))];
    const common = this.commonHeaders();
    for (const name in common) if (!(name in headers)) list.push(name, common[name] ?? "");
    for (const name in headers) list.push(name, headers[name] ?? "");
    response.writeHead(status, list);
    response.end(request.method === "HEAD" ? undefined : body);
  }
}

function readWhole(value: string | string[] | undefined): number | undefined {
  return typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

/**
 * The request id that the header `idempotency-key` means: the key itself where it can be one, else a UUID that is the
 * same for the same key. Undefined without the header.
 */
export function idempotencyId(request: NodeRequest): string | undefined {
  const key = request.headers["idempotency-key"];
  if (typeof key !== "string" || key === "") return undefined;
  if (REQUEST_ID_PATTERN.test(key)) return key;
  const digest = createHash("sha256").update(key).digest();
  // Version 8: a UUID of the maker's own rules (RFC 9562).
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x80, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  return digest.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
