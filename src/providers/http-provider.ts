import type { ProviderAnswer, StreamEnd, StreamSink } from "../core/completion.ts";
import type { Provider, ProviderCall } from "../core/provider.ts";
import { type BufferedResponse, isSuccess, postBuffered } from "./buffered-call.ts";
import type { Dialect } from "./dialect.ts";
import { EventStreamDecoder } from "./event-stream-decoder.ts";
import { mapErrorBody, mapHttpError } from "./http-error.ts";
import type { HttpTransport, PostRequest } from "./http-transport.ts";
import { badResponse, type SeenSoFar } from "./map-error.ts";
import { readRequestId } from "./read-headers.ts";
import { parseJson, readObject } from "./read-json.ts";
import { postStreaming } from "./stream-call.ts";

export interface HttpProviderOptions {
  readonly name: string;
  readonly dialect: Dialect;
  readonly transport: HttpTransport;
  /** Path of the base URL, without a slash at its end. */
  readonly basePath: string;
  /** Names and values alternating, credentials included; sent with every call. */
  readonly headers: readonly string[];
}

/** A provider that is asked by one POST and answers with JSON or with server-sent events. */
export function createHttpProvider(options: HttpProviderOptions): Provider {
  return new HttpProvider(options);
}

class HttpProvider implements Provider {
  readonly name: string;
  readonly #dialect: Dialect;
  readonly #transport: HttpTransport;
  readonly #basePath: string;
  readonly #unaryHeaders: readonly string[];
  readonly #streamHeaders: readonly string[];

  constructor(options: HttpProviderOptions) {
    this.name = options.name;
    this.#dialect = options.dialect;
    this.#transport = options.transport;
    this.#basePath = options.basePath;
    this.#unaryHeaders = [...options.headers, "accept", "application/json"];
    this.#streamHeaders = [...options.headers, "accept", "text/event-stream"];
  }

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const response = await postBuffered(this.#transport, this.#toPostRequest(call, false));
    if (!isSuccess(response.status)) throw this.#mapHttpError(response);
    return this.#dialect.fromResponse(response);
  }

  async stream(call: ProviderCall, sink: StreamSink): Promise<StreamEnd> {
    const decoder = new EventStreamDecoder(this.#dialect);
    const outcome = await postStreaming(this.#transport, this.#toPostRequest(call, true), { decoder, sink });
    if (outcome.kind === "streamed") return outcome.end;
    const { response } = outcome;
    if (!isSuccess(response.status)) throw this.#mapHttpError(response);
    const seen = this.#seenOf(response);
    const body = readObject(parseJson(response.body));
    if (body?.error !== undefined) throw mapErrorBody(body, { rules: this.#dialect.errors, seen });
    throw badResponse(`${response.headers["content-type"]} instead of an event stream`, seen);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  #toPostRequest({ model, input, ...call }: ProviderCall, stream: boolean): PostRequest {
    const headers = [...(stream ? this.#streamHeaders : this.#unaryHeaders)];
    for (const name in call.traceHeaders) {
      const value = call.traceHeaders[name];
      if (value !== undefined) headers.push(name, value);
    }
    const asked = { model, input, stream };
    return {
      path: `${this.#basePath}${this.#dialect.toPath(asked)}`,
      headers,
      body: JSON.stringify(this.#dialect.toBody(asked)),
      timeouts: call.timeouts,
      signal: call.signal,
    };
  }

  #mapHttpError(response: BufferedResponse): Error {
    return mapHttpError(response, { rules: this.#dialect.errors, seen: this.#seenOf(response) });
  }

  #seenOf({ status, headers }: BufferedResponse): SeenSoFar {
    return {
      providerStatus: status,
      providerRequestId: readRequestId(headers, this.#dialect.requestIdHeaders),
    };
  }
}
