/** How a call is framed on the wire. */
export type RpcProtocol = "grpc" | "grpc_web" | "connect_stream" | "connect_unary";

const GRPC = /^application\/grpc(?:\+(?:json(?:; ?charset=utf-?8)?|proto))?$/i;
const GRPC_WEB = /^application\/grpc-web(?:\+(?:json(?:; ?charset=utf-?8)?|proto))?$/i;
const CONNECT_STREAM = /^application\/connect\+(?:json(?:; ?charset=utf-?8)?|proto)$/i;
const CONNECT_UNARY = /^application\/(?:json(?:; ?charset=utf-?8)?|proto)$/i;

/** The protocol that a POST's content type names; undefined when it is none. The base64 form of gRPC-Web is not served. */
export function protocolOf(contentType: string | undefined): RpcProtocol | undefined {
  // The common spellings first: the expressions cost more than the comparison.
  switch (contentType) {
    case undefined:
      return undefined;
    case "application/grpc":
    case "application/grpc+proto":
      return "grpc";
    case "application/json":
    case "application/proto":
      return "connect_unary";
  }
  if (GRPC.test(contentType)) return "grpc";
  if (GRPC_WEB.test(contentType)) return "grpc_web";
  if (CONNECT_UNARY.test(contentType)) return "connect_unary";
  if (CONNECT_STREAM.test(contentType)) return "connect_stream";
  return undefined;
}

/** The `protocol` of telemetry: plain JSON callers are those who do not say that they speak Connect. */
export function telemetryProtocol(protocol: RpcProtocol, saysConnect: boolean): string {
  switch (protocol) {
    case "grpc":
    case "grpc_web":
      return protocol;
    case "connect_stream":
      return "connect";
    case "connect_unary":
      return saysConnect ? "connect" : "http";
    default:
      return protocol satisfies never;
  }
}
