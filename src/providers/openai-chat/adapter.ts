import type { ProviderAnswer, StreamEnd, StreamSink } from "../../core/completion.ts";
import type { Provider, ProviderCall } from "../../core/provider.ts";
import { type BufferedResponse, isSuccess, postBuffered } from "../buffered-call.ts";
import type { HttpTransport, PostRequest } from "../http-transport.ts";
import { badResponse } from "../map-error.ts";
import { parseJson, readObject } from "../read-json.ts";
import { postStreaming } from "../stream-call.ts";
import { fromChatResponse } from "./from-response.ts";
import { ChatStreamDecoder } from "./from-stream.ts";
import { type ErrorContext, mapErrorBody, mapHttpError } from "./map-error.ts";
import { toNativeBody } from "./native-request.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { readRequestId } from "./read-headers.ts";
import { toChatRequest } from "./to-request.ts";

export interface OpenAiChatOptions {
  readonly name: string;
  readonly profile: OpenAiChatProfile;
  readonly transport: HttpTransport;
  /** Path of the base URL, without a slash at its end. */
  readonly basePath: string;
  /** Names and values alternating, credentials included; sent with every call. */
  readonly headers: readonly string[];
  /** Never to appear in an error. */
  readonly secrets: readonly string[];
}

const DIALECT = "openai-chat";

/** The answer goes to a caller of the same dialect as it is. */
const isRelayed = ({ native }: ProviderCall) => native?.dialect === DIALECT;

/** A provider that speaks OpenAI's chat completions. */
export function createOpenAiChatProvider(options: OpenAiChatOptions): Provider {
  return new OpenAiChatProvider(options);
}

class OpenAiChatProvider implements Provider {
  readonly name: string;
  readonly dialect = DIALECT;
  readonly #profile: OpenAiChatProfile;
  readonly #transport: HttpTransport;
  readonly #path: string;
  readonly #unaryHeaders: readonly string[];
  readonly #streamHeaders: readonly string[];
  readonly #errorContext: ErrorContext;

  constructor(options: OpenAiChatOptions) {
    this.name = options.name;
    this.#profile = options.profile;
    this.#transport = options.transport;
    this.#path = `${options.basePath}/chat/completions`;
    this.#unaryHeaders = [...options.headers, "accept", "application/json"];
    this.#streamHeaders = [...options.headers, "accept", "text/event-stream"];
    this.#errorContext = { profile: options.profile, secrets: options.secrets };
  }

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const response = await postBuffered(this.#transport, this.#toPostRequest(call, false));
    if (!isSuccess(response.status)) throw this.#mapHttpError(response);
    const answer = fromChatResponse(response, this.#errorContext, { relayed: isRelayed(call) });
    return isRelayed(call) ? { ...answer, native: response.body } : answer;
  }

  async stream(call: ProviderCall, sink: StreamSink): Promise<StreamEnd> {
    const decoder = new ChatStreamDecoder(this.#errorContext, { relayed: isRelayed(call) });
    const outcome = await postStreaming(this.#transport, this.#toPostRequest(call, true), { decoder, sink });
    if (outcome.kind === "streamed") return outcome.end;
    const { response } = outcome;
    if (!isSuccess(response.status)) throw this.#mapHttpError(response);
    const seen = { providerStatus: response.status, providerRequestId: this.#readRequestId(response) };
    const body = readObject(parseJson(response.body));
    if (body?.error !== undefined) throw mapErrorBody(body, { ...this.#errorContext, seen });
    throw badResponse(`${response.headers["content-type"]} instead of an event stream`, seen);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  #toPostRequest(call: ProviderCall, stream: boolean): PostRequest {
    const headers = [...(stream ? this.#streamHeaders : this.#unaryHeaders)];
    for (const name in call.traceHeaders) {
      const value = call.traceHeaders[name];
      if (value !== undefined) headers.push(name, value);
    }
    return {
      path: this.#path,
      headers,
      body: this.#toBody(call, stream),
      timeouts: call.timeouts,
      signal: call.signal,
    };
  }

  #toBody({ model, input, native }: ProviderCall, stream: boolean): string {
    return native?.dialect === DIALECT
      ? toNativeBody(native, { model, stream }, this.#profile)
      : JSON.stringify(toChatRequest({ model, input, stream }, this.#profile));
  }

  #mapHttpError(response: BufferedResponse): Error {
    const seen = { providerStatus: response.status, providerRequestId: this.#readRequestId(response) };
    return mapHttpError(response, { ...this.#errorContext, seen });
  }

  #readRequestId(response: BufferedResponse): string | undefined {
    return readRequestId(response.headers, this.#profile.requestIdHeaders);
  }
}
