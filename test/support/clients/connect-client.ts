import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { CallFailure, type CallOptions, type GatewayClient, requestHeaders } from "./gateway-client.ts";

/** A client of connect-es over any of its transports. */
export function createConnectClient(
  transport: Transport,
  options: { readonly timeoutHeader: "grpc-timeout" | "connect-timeout-ms" },
): GatewayClient {
  const headersOf = (call: CallOptions): Record<string, string> => ({
    ...requestHeaders(call),
    ...(call.statedTimeoutMs === undefined
      ? {}
      : {
          [options.timeoutHeader]: `${call.statedTimeoutMs}${options.timeoutHeader === "grpc-timeout" ? "m" : ""}`,
        }),
  });
  return {
    async unary(method, request, call = {}) {
      try {
        const reply = await transport.unary(method, undefined, call.timeoutMs, headersOf(call), request);
        return { message: reply.message, headers: merged(reply.header, reply.trailer) };
      } catch (error) {
        throw failure(error);
      }
    },
    async *stream(method, request, call = {}) {
      const controller = new AbortController();
      try {
        const reply = await transport.stream(
          method,
          controller.signal,
          call.timeoutMs,
          headersOf(call),
          (async function* () {
            yield request;
          })(),
        );
        yield* reply.message;
      } catch (error) {
        throw failure(error);
      } finally {
        controller.abort();
      }
    },
    close: () => undefined,
  };
}

function merged(header: Headers, trailer: Headers): Headers {
  const headers = new Headers(header);
  trailer.forEach((value, name) => {
    headers.set(name, value);
  });
  return headers;
}

function failure(thrown: unknown): unknown {
  if (!(thrown instanceof ConnectError)) return thrown;
  return new CallFailure(thrown.rawMessage, {
    code: thrown.code === Code.Canceled ? "canceled" : codeToString(thrown.code),
    headers: thrown.metadata,
    details: thrown.details.flatMap((detail) =>
      "type" in detail ? [{ typeUrl: detail.type, value: detail.value }] : [],
    ),
  });
}
