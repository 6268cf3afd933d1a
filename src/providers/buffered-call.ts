import type { IncomingHttpHeaders } from "node:http";
import type { ProviderError } from "../core/provider-error.ts";
import type {
  Exchange,
  HttpTransport,
  PostRequest,
  ResponseListener,
  TransportFailure,
} from "./http-transport.ts";
import { badResponse, mapTransportFailure, type SeenSoFar } from "./map-error.ts";

/** Largest body of a successful response, unless told otherwise. The longest answers of today's models stay below 4 MiB. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** Of an error's body no more than this is read, and it is not waited for longer than this. */
const MAX_ERROR_BODY_BYTES = 64 * 1024;
const MAX_ERROR_BODY_WAIT_MS = 2_000;

/** A whole response. */
export interface BufferedResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Of an error status possibly cut short. */
  readonly body: string;
}

/**
 * Posts and gathers the response, whatever its status.
 * @throws ProviderError for what went wrong below HTTP, and PROVIDER_BAD_RESPONSE for a body above the limit.
 */
export function postBuffered(
  transport: HttpTransport,
  request: PostRequest,
  maxBodyBytes = MAX_BODY_BYTES,
): Promise<BufferedResponse> {
  return new Promise((resolve, reject) => {
    transport.post(request, (exchange) => new BodyCollector(exchange, { resolve, reject }, maxBodyBytes));
  });
}

export interface BodyOutcome {
  resolve(response: BufferedResponse): void;
  reject(error: ProviderError): void;
}

/** Gathers the body of one response within its size limit. */
export class BodyCollector implements ResponseListener {
  readonly #exchange: Exchange;
  readonly #outcome: BodyOutcome;
  readonly #maxBodyBytes: number;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #status = 0;
  #headers: IncomingHttpHeaders = {};

  constructor(exchange: Exchange, outcome: BodyOutcome, maxBodyBytes = MAX_BODY_BYTES) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#exchange = exchange;
    this.#outcome = outcome;
  }

  onHeaders(status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#headers = headers;
    if (isSuccess(status)) this.#exchange.awaitRest();
    else this.#exchange.awaitRest(MAX_ERROR_BODY_WAIT_MS);
  }

  onData(chunk: Buffer): void {
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    if (isSuccess(this.#status)) {
      if (this.#bytes > this.#maxBodyBytes) this.#refuseSize();
    } else if (this.#bytes > MAX_ERROR_BODY_BYTES) {
      this.#exchange.abort();
      this.#resolve();
    }
  }

  onEnd(): void {
    this.#exchange.release();
    this.#resolve();
  }

  onFailure(failure: TransportFailure): void {
    // The status alone says what happened; its body only explains it.
    if (this.#status !== 0 && !isSuccess(this.#status) && failure.kind !== "aborted") {
      this.#resolve();
      return;
    }
    this.#outcome.reject(mapTransportFailure(failure, { seen: this.#seen, streaming: false }));
  }

  get #seen(): SeenSoFar {
    if (this.#status === 0) return {};
    return {
      providerStatus: this.#status,
      providerRequestId: this.#exchange.requestIdIn(this.#headers),
    };
  }

  #resolve(): void {
    const [first] = this.#chunks;
    const body = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks);
    this.#outcome.resolve({ status: this.#status, headers: this.#headers, body: body.toString("utf8") });
  }

  #refuseSize(): void {
    this.#chunks.length = 0;
    this.#exchange.abort();
    this.#outcome.reject(badResponse(`body exceeds ${this.#maxBodyBytes} bytes`, this.#seen));
  }
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
