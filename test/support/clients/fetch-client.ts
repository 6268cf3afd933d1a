import {
  create,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { type ConnectErrorJson, failureFromJson } from "./connect-json.ts";
import { type CallOptions, type GatewayClient, requestHeaders } from "./gateway-client.ts";

const END_OF_STREAM = 0b10;

/** No client at all: JSON by `fetch`, as a script would do it. */
export function createFetchClient(url: string, fetcher: typeof fetch = fetch): GatewayClient {
  function post<I extends DescMessage>(
    method: { readonly parent: { readonly typeName: string }; readonly name: string; readonly input: I },
    request: MessageInitShape<I>,
    options: CallOptions,
    stream?: AbortSignal,
  ): Promise<Response> {
    const json = JSON.stringify(toJson(method.input, create(method.input, request)));
    const timeoutMs = options.statedTimeoutMs ?? options.timeoutMs;
    return fetcher(`${url}/${method.parent.typeName}/${method.name}`, {
      method: "POST",
      headers: {
        ...requestHeaders(options),
        "content-type": stream ? "application/connect+json" : "application/json",
        ...(timeoutMs === undefined ? {} : { "connect-timeout-ms": String(timeoutMs) }),
      },
      body: stream ? envelope(json) : json,
      ...(stream ? { signal: stream } : {}),
    });
  }

  return {
    async unary(method, request, options = {}) {
      const response = await post(method, request, options);
      const body = (await response.json()) as JsonValue;
      if (!response.ok) throw failureFromJson(body as unknown as ConnectErrorJson, response.headers);
      return { message: fromJson(method.output, body), headers: response.headers };
    },
    async *stream(method, request, options = {}) {
      const controller = new AbortController();
      try {
        const response = await post(method, request, options, controller.signal);
        for await (const { flags, json } of envelopes(response)) {
          if ((flags & END_OF_STREAM) === 0) yield fromJson(method.output, json);
          else throwIfFailed(json, response.headers);
        }
      } finally {
        controller.abort();
      }
    },
    close: () => undefined,
  };
}

function throwIfFailed(end: JsonValue, headers: Headers): void {
  const { error } = end as unknown as { error?: ConnectErrorJson };
  if (error) throw failureFromJson(error, headers);
}

function envelope(json: string): Uint8Array<ArrayBuffer> {
  const body = Buffer.from(json);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.byteLength, 1);
  return new Uint8Array(Buffer.concat([head, body]));
}

async function* envelopes(
  response: Response,
): AsyncGenerator<{ readonly flags: number; readonly json: JsonValue }> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of response.body ?? []) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.byteLength >= 5 && rest.byteLength >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      yield { flags: rest.readUInt8(0), json: JSON.parse(rest.subarray(5, end).toString()) as JsonValue };
      rest = rest.subarray(end);
    }
  }
  if (rest.byteLength > 0) throw new Error("the stream ended within a message");
}
