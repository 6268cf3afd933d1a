import { connect, type IncomingHttpHeaders } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/es/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/es/google/rpc/status_pb.ts";

/** What came back of a gRPC call, undecoded. */
export interface WireAnswer {
  readonly httpStatus: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  /** -1 when there was none. */
  readonly grpcStatus: number;
  readonly body: Buffer;
}

export interface WireClient {
  call(path: string, body: Uint8Array, headers?: Record<string, string>): Promise<WireAnswer>;
  close(): void;
}

/** A gRPC client that sends whatever bytes it is given, on one HTTP/2 connection. */
export function connectWire(url: string): WireClient {
  // What is left unsent of refused bodies counts against the memory of the session that Node keeps.
  const session = connect(url, { maxSessionMemory: 1_000 });
  session.on("error", () => {});
  return {
    call: (path, body, headers = {}) =>
      new Promise((resolve, reject) => {
        const stream = session.request({
          ":method": "POST",
          ":path": path,
          "content-type": "application/grpc+proto",
          te: "trailers",
          authorization: "Bearer invoke-secret",
          ...headers,
        });
        let responseHeaders: IncomingHttpHeaders = {};
        let trailers: IncomingHttpHeaders = {};
        const chunks: Buffer[] = [];
        stream.on("response", (received) => {
          responseHeaders = received;
        });
        stream.on("trailers", (received) => {
          trailers = received;
        });
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("error", reject);
        stream.on("close", () => {
          const grpcStatus = trailers["grpc-status"] ?? responseHeaders["grpc-status"];
          resolve({
            httpStatus: Number(responseHeaders[":status"]),
            headers: responseHeaders,
            trailers,
            grpcStatus: grpcStatus === undefined ? -1 : Number(grpcStatus),
            body: Buffer.concat(chunks),
          });
        });
        stream.end(body);
      }),
    close: () => session.destroy(),
  };
}

/** An envelope: flags, length, bytes. `declaredLength` lies about the length. */
export function envelope(bytes: Uint8Array, flags = 0, declaredLength = bytes.byteLength): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(flags, 0);
  header.writeUInt32BE(declaredLength, 1);
  return Buffer.concat([header, bytes]);
}

/** The ErrorInfo of a gRPC error; undefined when it has none. */
export function errorInfoOf(answer: WireAnswer) {
  return detailsOf(answer)
    .map((detail) => anyUnpack(detail, ErrorInfoSchema))
    .find((info) => info !== undefined);
}

/** The field violations of a gRPC error. */
export function violationsOf(answer: WireAnswer) {
  return detailsOf(answer).flatMap((detail) => anyUnpack(detail, BadRequestSchema)?.fieldViolations ?? []);
}

function detailsOf(answer: WireAnswer) {
  const encoded = answer.trailers["grpc-status-details-bin"];
  if (typeof encoded !== "string") return [];
  return fromBinary(StatusSchema, Buffer.from(encoded, "base64")).details;
}
