import { createConnectStreamReader, createJsonReader, createSseReader } from "./answer-readers.ts";
import { createGrpcTarget } from "./grpc-target.ts";
import { createHttpTarget } from "./http-target.ts";
import type { Kind } from "./options.ts";
import {
  CHAT_PATH,
  COMPLETE_PATH,
  DIRECT_PERSONALITY,
  directJson,
  FINISHED_TAG,
  openAiJson,
  STREAM_PATH,
  streamJson,
  streamProto,
  unaryJson,
  unaryProto,
  type Workload,
} from "./requests.ts";
import type { Target } from "./target.ts";

/** Where calls go, and with which key. */
export interface Server {
  /** `http://host:port` of gRPC over h2c. */
  readonly grpcOrigin: string;
  /** The same of Connect over HTTP/1.1. */
  readonly connectOrigin: string;
  readonly apiKey: string;
}

/** A server takes 100 streams on one HTTP/2 connection; with fewer, the load does not depend on the limit. */
const MAX_STREAMS_PER_CONNECTION = 64;

/** Calls of one kind to a server. */
export async function createTarget(
  kind: Kind,
  server: Server,
  load: { readonly workload: Workload; readonly inFlight: number },
): Promise<Target> {
  const { workload, inFlight } = load;
  const connections = Math.ceil(inFlight / MAX_STREAMS_PER_CONNECTION);
  const grpc = { origin: server.grpcOrigin, apiKey: server.apiKey, connections };
  const connect = { origin: server.connectOrigin, connections: inFlight };
  const headers = { authorization: `Bearer ${server.apiKey}`, "connect-timeout-ms": "30000" };
  switch (kind) {
    case "unary-grpc":
      return createGrpcTarget({
        ...grpc,
        path: COMPLETE_PATH,
        message: unaryProto(workload),
        lastMessageBegins: undefined,
      });
    case "stream-grpc":
      return createGrpcTarget({
        ...grpc,
        path: STREAM_PATH,
        message: streamProto(workload),
        lastMessageBegins: FINISHED_TAG,
      });
    case "unary-connect":
      return createHttpTarget({
        ...connect,
        path: COMPLETE_PATH,
        headers: { ...headers, "content-type": "application/json", "connect-protocol-version": "1" },
        body: unaryJson(workload),
        createReader: createJsonReader,
      });
    case "stream-connect":
      return createHttpTarget({
        ...connect,
        path: STREAM_PATH,
        headers: { ...headers, "content-type": "application/connect+json", "connect-protocol-version": "1" },
        body: streamJson(workload),
        createReader: createConnectStreamReader,
      });
    case "unary-openai":
    case "stream-openai": {
      const stream = kind === "stream-openai";
      return createHttpTarget({
        ...connect,
        path: CHAT_PATH,
        headers: { authorization: headers.authorization, "content-type": "application/json" },
        body: openAiJson(workload, stream),
        createReader: stream ? createSseReader : createJsonReader,
      });
    }
  }
}

/** The same calls to the upstream itself, as a client without a gateway makes them. */
export function createDirectTarget(
  upstreamOrigin: string,
  load: { readonly workload: Workload; readonly inFlight: number; readonly stream: boolean },
): Target {
  return createHttpTarget({
    origin: upstreamOrigin,
    path: `/${DIRECT_PERSONALITY}/v1/chat/completions`,
    headers: { authorization: "Bearer sk-bench", "content-type": "application/json" },
    body: directJson(load.workload, load.stream),
    connections: load.inFlight,
    createReader: load.stream ? createSseReader : createJsonReader,
  });
}
