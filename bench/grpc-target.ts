import { type ClientHttp2Session, connect } from "node:http2";
import { EnvelopeCounter } from "./envelope-counter.ts";
import type { Done, Target } from "./target.ts";

export interface GrpcTargetOptions {
  /** `http://host:port` of an h2c server. */
  readonly origin: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly apiKey: string;
  /** The request, encoded. */
  readonly message: Uint8Array;
  readonly connections: number;
  /** First byte of the last message, where that tells a complete answer; see `requests.ts`. */
  readonly lastMessageBegins: number | undefined;
}

const WINDOW_BYTES = 1024 * 1024;

/**
 * gRPC without a library: what is sent is encoded once, and answers are only counted, so that the generator takes
 * as little of the machine as it can.
 */
export async function createGrpcTarget(options: GrpcTargetOptions): Promise<Target> {
  const { origin, path, apiKey, message } = options;
  const sessions = await Promise.all(Array.from({ length: options.connections }, () => openSession(origin)));
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  const headers = [
    ...[":method", "POST", ":scheme", "http", ":path", path, ":authority", new URL(origin).host],
    ...["content-type", "application/grpc+proto", "te", "trailers", "grpc-timeout", "30S"],
    ...["authorization", `Bearer ${apiKey}`, "user-agent", "grpc-bench"],
  ];
  let next = 0;
  return {
    send(done) {
      const session = sessions[next++ % sessions.length];
      if (session) call(session, { headers, frame, lastMessageBegins: options.lastMessageBegins }, done);
    },
    async close() {
      await Promise.all(
        sessions.map((session) => new Promise<void>((resolve) => session.close(() => resolve()))),
      );
    },
  };
}

function openSession(origin: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(origin, { settings: { initialWindowSize: WINDOW_BYTES, enablePush: false } });
    session.once("error", reject);
    session.once("connect", () => {
      session.setLocalWindowSize(WINDOW_BYTES);
      session.off("error", reject);
      // Calls on it fail by themselves and say why.
      session.on("error", () => {});
      resolve(session);
    });
  });
}

function call(
  session: ClientHttp2Session,
  request: {
    readonly headers: readonly string[];
    readonly frame: Buffer;
    readonly lastMessageBegins: number | undefined;
  },
  done: Done,
): void {
  const stream = session.request(request.headers);
  const counter = new EnvelopeCounter();
  let status: unknown;
  let detail: unknown;
  stream.on("response", (headers) => {
    status = headers["grpc-status"] ?? status;
    detail = headers["grpc-message"] ?? headers[":status"];
  });
  stream.on("data", (chunk: Buffer) => counter.push(chunk));
  stream.on("trailers", (trailers) => {
    status = trailers["grpc-status"] ?? status;
    detail = trailers["grpc-message"] ?? detail;
  });
  stream.on("error", (error) => {
    detail = error.message;
  });
  stream.on("close", () => {
    if (status !== "0") return done(`grpc-status ${String(status)}: ${String(detail)}`, counter.messages);
    const last = counter.end();
    const begins = request.lastMessageBegins;
    const complete = last && (begins === undefined || last.bytes[0] === begins);
    done(complete ? undefined : "incomplete answer", counter.messages);
  });
  stream.end(request.frame);
}
