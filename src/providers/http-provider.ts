import type { IncomingHttpHeaders } from "node:http";
import type { NativeDialect, ProviderAnswer, StreamEnd, StreamSink } from "../core/completion.ts";
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
  /** For credentials that depend on the request: headers to be added to it. */
  readonly sign?: Sign | undefined;
}

/** Headers, names and values alternating, that authenticate one request. */
export type Sign = (request: { readonly path: string; readonly body: string }) => Promise<readonly string[]>;

/** A provider that is asked by one POST and answers with JSON or with server-sent events. */
export function createHttpProvider(options: HttpProviderOptions): Provider {
  return new HttpProvider(options);
}

class HttpProvider implements Provider {
  readonly name: string;
  readonly dialect: NativeDialect | undefined;
  readonly #dialect: Dialect;
  readonly #transport: HttpTransport;
  readonly #basePath: string;
  readonly #unaryHeaders: readonly string[];
  readonly #streamHeaders: readonly string[];
  readonly #sign: Sign | undefined;

  constructor(options: HttpProviderOptions) {
    this.name = options.name;
    this.dialect = options.dialect.nativeDialect;
    this.#dialect = options.dialect;
    this.#transport = options.transport;
    this.#basePath = options.basePath;
    this.#sign = options.sign;
    this.#unaryHeaders = [...options.headers, "accept", "application/json"];
    this.#streamHeaders = [...options.headers, "accept", "text/event-stream"];
  }

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const response = await postBuffered(this.#transport, await this.#toPostRequest(call, false));
    if (!isSuccess(response.status)) throw this.#mapHttpError(response);
    const relayed = this.#isRelayed(call);
    const answer = this.#dialect.fromResponse(response, { relayed });
    return relayed ? { ...answer, native: response.body } : answer;
  }

  async stream(call: ProviderCall, sink: StreamSink): Promise<StreamEnd> {
    const decoder = new EventStreamDecoder(this.#dialect, { relayed: this.#isRelayed(call) });
    const request = await this.#toPostRequest(call, true);
    const outcome = await postStreaming(this.#transport, request, { decoder, sink });
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

  /** The caller speaks the provider's dialect: the answer goes to it as it is. */
  #isRelayed({ native }: ProviderCall): boolean {
    return native !== undefined && native.dialect === this.dialect;
  }

  async #toPostRequest(call: ProviderCall, stream: boolean): Promise<PostRequest> {
    const headers = [...(stream ? this.#streamHeaders : this.#unaryHeaders)];
    for (const name in call.traceHeaders) {
      const value = call.traceHeaders[name];
      if (value !== undefined) headers.push(name, value);
    }
    const { model, input } = call;
    const asked = { model, input, stream, native: this.#isRelayed(call) ? call.native : undefined };
    const path = `${this.#basePath}${this.#dialect.toPath(asked)}`;
    const content = this.#dialect.toBody(asked);
    const body = typeof content === "string" ? content : JSON.stringify(content);
    if (this.#sign) headers.push(...(await this.#sign({ path, body })));
    return {
      path,
      headers,
      body,
      timeouts: call.timeouts,
      signal: call.signal,
      onSent: call.onSent,
      readRequestId: this.#readRequestId,
    };
  }

  #mapHttpError(response: BufferedResponse): Error {
    return mapHttpError(response, { rules: this.#dialect.errors, seen: this.#seenOf(response) });
  }

  #seenOf({ status, headers }: BufferedResponse): SeenSoFar {
    return {
      providerStatus: status,
      providerRequestId: this.#readRequestId(headers),
    };
  }

  readonly #readRequestId = (headers: IncomingHttpHeaders): string | undefined =>
    readRequestId(headers, this.#dialect.requestIdHeaders);
}
