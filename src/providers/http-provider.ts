import type { IncomingHttpHeaders } from "node:http";
import type { NativeDialect, ProviderAnswer, StreamEnd, StreamSink } from "../core/completion.ts";
import { countEmbedded, type EmbeddingAnswer } from "../core/embedding.ts";
import type {
  Embedder,
  EmbeddingProviderCall,
  Provider,
  ProviderCall,
  ProviderCallFrame,
} from "../core/provider.ts";
import { type BufferedResponse, isSuccess, MAX_BODY_BYTES, postBuffered } from "./buffered-call.ts";
import type { Dialect } from "./dialect.ts";
import type { EmbeddingDialect } from "./embedding-dialect.ts";
import { EventStreamDecoder } from "./event-stream-decoder.ts";
import { type ErrorContext, mapErrorBody, mapHttpError } from "./http-error.ts";
import type { HttpTransport, PostRequest } from "./http-transport.ts";
import { badResponse } from "./map-error.ts";
import { readRequestId } from "./read-headers.ts";
import { parseJson, readObject } from "./read-json.ts";
import { postStreaming } from "./stream-call.ts";

export interface HttpProviderOptions {
  readonly name: string;
  /** Which it speaks; the first is used for all but native requests in one of the others. */
  readonly dialects: readonly [Dialect, ...Dialect[]];
  /** How it makes embeddings; undefined when it makes none. */
  readonly embeddings?: EmbeddingDialect | undefined;
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

/** Of an embedding's JSON text: 3,072 floats of 17 digits and more. */
const MAX_BYTES_PER_EMBEDDING = 64 * 1024;

/** A provider that is asked by one POST and answers with JSON or with server-sent events. */
export function createHttpProvider(options: HttpProviderOptions): Provider {
  return new HttpProvider(options);
}

class HttpProvider implements Provider {
  readonly name: string;
  readonly dialects: ReadonlySet<NativeDialect>;
  readonly embedder: Embedder | undefined;
  readonly #dialect: Dialect;
  readonly #nativeDialects: ReadonlyMap<NativeDialect, Dialect>;
  readonly #transport: HttpTransport;
  readonly #basePath: string;
  readonly #unaryHeaders: readonly string[];
  readonly #streamHeaders: readonly string[];
  readonly #sign: Sign | undefined;

  constructor(options: HttpProviderOptions) {
    this.name = options.name;
    const [dialect] = options.dialects;
    this.#dialect = dialect;
    this.#nativeDialects = new Map(
      options.dialects.flatMap((each) => (each.nativeDialect ? [[each.nativeDialect, each]] : [])),
    );
    this.dialects = new Set(this.#nativeDialects.keys());
    const { embeddings } = options;
    this.embedder = embeddings && {
      abilities: embeddings.abilities,
      embed: (call) => this.#embed(embeddings, call),
    };
    this.#transport = options.transport;
    this.#basePath = options.basePath;
    this.#sign = options.sign;
    this.#unaryHeaders = [...options.headers, "accept", "application/json"];
    this.#streamHeaders = [...options.headers, "accept", "text/event-stream"];
  }

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const { dialect, relayed, ...content } = this.#express(call, false);
    const response = await postBuffered(this.#transport, await this.#toPostRequest(call, content, false));
    if (!isSuccess(response.status)) throw mapHttpError(response, this.#errorContext(response, dialect));
    const answer = dialect.fromResponse(response, { relayed });
    return relayed ? { ...answer, native: response.body } : answer;
  }

  async stream(call: ProviderCall, sink: StreamSink): Promise<StreamEnd> {
    const { dialect, relayed, ...content } = this.#express(call, true);
    const decoder = new EventStreamDecoder(dialect, { relayed });
    const request = await this.#toPostRequest(call, content, true);
    const outcome = await postStreaming(this.#transport, request, { decoder, sink });
    if (outcome.kind === "streamed") return outcome.end;
    const { response } = outcome;
    const context = this.#errorContext(response, dialect);
    if (!isSuccess(response.status)) throw mapHttpError(response, context);
    const body = readObject(parseJson(response.body));
    if (body?.error !== undefined) throw mapErrorBody(body, context);
    throw badResponse(`${response.headers["content-type"]} instead of an event stream`, context.seen);
  }

  async #embed(dialect: EmbeddingDialect, call: EmbeddingProviderCall): Promise<EmbeddingAnswer> {
    const { model, input, native } = call;
    const asked = { model, input, native: native?.dialect === dialect.nativeDialect ? native : undefined };
    const content = { path: dialect.toPath(asked), body: dialect.toBody(asked) };
    const request = await this.#toPostRequest(call, content, false);
    const maxBytes = Math.max(MAX_BODY_BYTES, countEmbedded(input.embedded) * MAX_BYTES_PER_EMBEDDING);
    const response = await postBuffered(this.#transport, request, maxBytes);
    if (!isSuccess(response.status)) throw mapHttpError(response, this.#errorContext(response, dialect));
    return dialect.fromResponse(response, asked);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  /** What is posted where: a native request as it is, when the provider speaks its dialect, else the typed input. */
  #express({ model, input, native }: ProviderCall, stream: boolean) {
    const nativeDialect = native && this.#nativeDialects.get(native.dialect);
    const dialect = nativeDialect ?? this.#dialect;
    const asked = { model, input, stream, native: nativeDialect && native };
    return {
      dialect,
      relayed: nativeDialect !== undefined,
      path: dialect.toPath(asked),
      headers: dialect.toHeaders?.(asked) ?? [],
      body: dialect.toBody(asked),
    };
  }

  async #toPostRequest(
    frame: ProviderCallFrame,
    content: { readonly path: string; readonly headers?: readonly string[]; readonly body: object | string },
    stream: boolean,
  ): Promise<PostRequest> {
    const headers = [...(stream ? this.#streamHeaders : this.#unaryHeaders), ...(content.headers ?? [])];
    for (const name in frame.traceHeaders) {
      const value = frame.traceHeaders[name];
      if (value !== undefined) headers.push(name, value);
    }
    const path = `${this.#basePath}${content.path}`;
    const body = typeof content.body === "string" ? content.body : JSON.stringify(content.body);
    if (this.#sign) headers.push(...(await this.#sign({ path, body })));
    const { timeouts, signal, onSent } = frame;
    return { path, headers, body, timeouts, signal, onSent, readRequestId: this.#readRequestId };
  }

  #errorContext({ status, headers }: BufferedResponse, { errors }: Pick<Dialect, "errors">): ErrorContext {
    return {
      rules: errors,
      seen: { providerStatus: status, providerRequestId: this.#readRequestId(headers) },
    };
  }

  /** One provider names its requests in one way, whichever of its dialects is spoken. */
  readonly #readRequestId = (headers: IncomingHttpHeaders): string | undefined =>
    readRequestId(headers, this.#dialect.requestIdHeaders);
}
