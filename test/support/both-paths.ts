import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { expect } from "vitest";
import { CompletionError, type Gateway, type GatewayCall } from "../../src/core/gateway.ts";
import { connectWire, type WireClient } from "./grpc-wire.ts";
import { attemptReport, startRpcServer, type TestRpcServer } from "./rpc-server.ts";

/** One of two servers that are to answer the same. */
export interface Side {
  readonly server: TestRpcServer;
  readonly wire: WireClient;
}

export interface Sent {
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body: Uint8Array;
}

/** All that a caller can see, without the time of day. */
export interface Seen {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: unknown;
  /** Base64. */
  readonly body: string;
}

export type Send = (side: Side, sent: Sent) => Promise<Seen>;

/** A server that answers plain calls past Connect's handlers, and one that does not. */
export interface BothPaths {
  readonly direct: Side;
  readonly connect: Side;
  /** Sends the request to both servers, and expects the same answers and the same reports. */
  compare(sent: Sent, send: Send): Promise<Seen>;
  close(): Promise<void>;
}

/** Work that ends with the call, as a cancelled provider's does. */
export const untilAbort = (call: GatewayCall): Promise<never> =>
  new Promise((_resolve, reject) => {
    call.signal.addEventListener("abort", () =>
      reject(new CompletionError(call.signal.reason.reason, "stopped", { attempts: [attemptReport()] })),
    );
  });

/** Work that does not end by itself, but after the test. */
export function createStuckWork() {
  let ends: (() => void)[] = [];
  return {
    begin: <T>(value: T): Promise<T> => new Promise((resolve) => ends.push(() => resolve(value))),
    endAll(): void {
      for (const end of ends) end();
      ends = [];
    },
  };
}

export const IDS = { "x-request-id": "from-header" };

export async function startBothPaths(gateway: Partial<Gateway>): Promise<BothPaths> {
  const [direct, connect] = await Promise.all([startSide(gateway, true), startSide(gateway, false)]);
  return {
    direct,
    connect,
    async compare(sent, send) {
      const before = [direct.server.requests.length, connect.server.requests.length];
      const [seen, expected] = await Promise.all([send(direct, sent), send(connect, sent)]);
      expect(seen).toEqual(expected);
      expect(reportsOf(direct, before[0])).toEqual(reportsOf(connect, before[1]));
      return seen;
    },
    async close() {
      for (const { server, wire } of [direct, connect]) {
        wire.close();
        await server.close();
      }
    },
  };
}

async function startSide(gateway: Partial<Gateway>, direct: boolean): Promise<Side> {
  const server = await startRpcServer({ gateway, direct });
  return { server, wire: connectWire(server.http2Url) };
}

export async function byHttp2({ wire }: Side, { path, headers, body }: Sent): Promise<Seen> {
  const answer = await wire.call(path, body, { ...IDS, ...headers });
  const { date: _date, ...rest } = answer.headers;
  return {
    status: answer.httpStatus,
    headers: rest,
    trailers: answer.trailers,
    body: answer.body.toString("base64"),
  };
}

export function byHttp1({ server }: Side, { path, headers, body }: Sent): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(server.http1Url + path, {
      method: "POST",
      agent: false,
      headers: { authorization: "Bearer invoke-secret", ...IDS, ...headers },
    });
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const { date: _date, ...rest } = response.headers;
        resolve({
          status: response.statusCode ?? 0,
          headers: rest,
          trailers: response.trailers,
          body: Buffer.concat(chunks).toString("base64"),
        });
      });
    });
    request.end(body);
  });
}

/** What was reported of the requests since then. */
export function reportsOf({ server }: Side, from = 0) {
  return server.requests.slice(from).map(({ start, apiKeyId, ends }) => ({
    start,
    apiKeyId,
    ends: ends.map(({ error, completion }) => ({
      reason: error?.reason,
      message: error?.message,
      completion,
    })),
  }));
}
